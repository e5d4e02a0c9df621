// A SQLite file held by one process. WAL and synchronous=FULL: what COMMIT answered is on disk. The exclusive locking mode
// is also the lock of the state folder; the system releases it when the process dies, however it dies.

import Database from 'libsql'
import { codeOf, messageOf } from '../../base/errors.ts'
import { CoordError } from '../errors.ts'
import type { Executed } from './one-connection-dialect.ts'
import type { SqlRow } from './rows.ts'
import { sqliteWords, type Migration } from './schema.ts'

/** Not bounded by themselves: a statement may hold a list. */
const MOST_STATEMENTS = 500

export class SqliteDatabase {
  readonly #database: Database.Database
  readonly #statements = new Map<string, Database.Statement>()
  #queue: Promise<unknown> = Promise.resolve()
  #closed = false

  private constructor(database: Database.Database) {
    this.#database = database
  }

  /** Throws CoordError: state-in-use, state-damaged, state-newer, state-unusable. A file that is no database is kept as it is. */
  static open(path: string, migrations: readonly Migration[]): SqliteDatabase {
    let raw: Database.Database | undefined
    try {
      raw = new Database(path, { timeout: 0 })
      raw.pragma('locking_mode=EXCLUSIVE')
      raw.pragma('synchronous=FULL')
      raw.pragma('foreign_keys=ON')
      // Takes the lock. What is looked at before WAL is switched on is not written to.
      raw.exec('BEGIN IMMEDIATE; COMMIT')
      const database = new SqliteDatabase(raw)
      database.#check(path, migrations.length)
      raw.pragma('journal_mode=WAL')
      database.#migrate(migrations)
      return database
    } catch (error) {
      if (raw) release(raw)
      throw openFailure(path, error)
    }
  }

  #check(path: string, known: number): void {
    const problem = Object.values(this.get('PRAGMA quick_check(1)', []) ?? {})[0]
    if (problem !== 'ok')
      throw new CoordError(
        'coord/state-damaged',
        `The database ${path} is damaged (${String(problem)}). Restore a copy.`,
      )
    const version = this.#version()
    if (version > known)
      throw new CoordError(
        'coord/state-newer',
        `A later version wrote the database ${path} (schema ${version}, this program knows ${known}).`,
      )
  }

  #version(): number {
    const isThere = this.get("SELECT 1 AS one FROM sqlite_master WHERE name = 'schema_version'", [])
    return isThere ? Number(this.get('SELECT version FROM schema_version', [])?.['version'] ?? 0) : 0
  }

  #migrate(migrations: readonly Migration[]): void {
    const version = this.#version()
    this.run(
      'CREATE TABLE IF NOT EXISTS schema_version (only INTEGER PRIMARY KEY CHECK (only = 1), version INTEGER NOT NULL)',
      [],
    )
    for (const [i, migration] of migrations.entries()) {
      if (i < version) continue
      this.#database.exec('BEGIN IMMEDIATE')
      try {
        this.#database.exec(migration(sqliteWords))
        this.run('INSERT OR REPLACE INTO schema_version (only, version) VALUES (1, ?)', [i + 1])
        this.#database.exec('COMMIT')
      } catch (error) {
        if (this.#database.inTransaction) this.#database.exec('ROLLBACK')
        throw error
      }
    }
  }

  /** Rows changed. */
  run(sql: string, values: readonly unknown[]): number {
    return this.#prepare(sql).run([...values]).changes
  }

  execute(sql: string, values: readonly unknown[]): Executed {
    const statement = this.#prepare(sql)
    if (statement.reader) return { rows: statement.all([...values]) }
    return { rows: [], changed: statement.run([...values]).changes }
  }

  get(sql: string, values: readonly unknown[]): SqlRow | undefined {
    // All rows are fetched: a statement left halfway would stand in the way of COMMIT and of closing.
    return this.all(sql, values)[0]
  }

  all(sql: string, values: readonly unknown[]): SqlRow[] {
    return this.#prepare(sql)
      .all([...values])
      .filter(isRow)
  }

  /** One at a time, in the order asked for. */
  transaction<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(async () => {
      if (this.#closed) throw new CoordError('coord/state-unusable', 'The database is closed.')
      this.#database.exec('BEGIN IMMEDIATE')
      try {
        const result = await work()
        this.#database.exec('COMMIT')
        return result
      } catch (error) {
        if (this.#database.inTransaction) this.#database.exec('ROLLBACK')
        throw error
      }
    })
    this.#queue = turn.catch(() => undefined)
    return turn
  }

  /** Waits for what was begun, then lets go of the file. Idempotent. */
  async close(): Promise<void> {
    await this.#queue
    if (this.#closed) return
    this.#closed = true
    this.#statements.clear()
    release(this.#database)
  }

  #prepare(sql: string): Database.Statement {
    let statement = this.#statements.get(sql)
    if (!statement) {
      if (this.#statements.size >= MOST_STATEMENTS) this.#statements.clear()
      statement = this.#database.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }
}

/**
 * The library closes a file for good only once its statements are garbage, and keeps the lock until then; so the lock is
 * given up by hand, for which the file must leave WAL. That also leaves one plain file to copy.
 */
function release(database: Database.Database): void {
  try {
    database.pragma('journal_mode=DELETE')
    database.pragma('locking_mode=NORMAL')
    database.prepare('SELECT count(*) FROM sqlite_master').all([])
  } catch {
    // A damaged file: the lock goes with the process.
  }
  database.close()
}

const isRow = (value: unknown): value is SqlRow => typeof value === 'object' && value !== null

function openFailure(path: string, error: unknown): CoordError {
  if (error instanceof CoordError) return error
  const code = codeOf(error) ?? ''
  if (code.startsWith('SQLITE_BUSY'))
    return new CoordError('coord/state-in-use', `Another process uses the database ${path}.`, { cause: error })
  if (code.startsWith('SQLITE_NOTADB') || code.startsWith('SQLITE_CORRUPT'))
    return new CoordError('coord/state-damaged', `The file ${path} is not a whole database. Restore a copy.`, {
      cause: error,
    })
  return new CoordError('coord/state-unusable', `The database ${path} cannot be used: ${messageOf(error)}.`, {
    cause: error,
  })
}
