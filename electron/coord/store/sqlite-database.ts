// A SQLite file held by one process. WAL and synchronous=FULL: what COMMIT answered is on disk. The exclusive locking mode
// is also the lock of the state folder; the system releases it when the process dies, however it dies.

import { accessSync, closeSync, constants, existsSync, openSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import Database from 'libsql'
import { codeOf, isCoded, messageOf } from '../../base/errors.ts'
import { CoordError } from '../errors.ts'
import type { Executed } from './one-connection-dialect.ts'
import type { SqlRow } from './rows.ts'
import { sqliteWords, type Migration } from './schema.ts'
import { storeFailure, storeReadOnly } from './store-failure.ts'

/** Not bounded by themselves: a statement may hold a list. */
const MOST_STATEMENTS = 500

export class SqliteDatabase {
  readonly #database: Database.Database
  readonly #path: string
  readonly #where: string
  readonly #statements = new Map<string, Database.Statement>()
  #queue: Promise<unknown> = Promise.resolve()
  #closed = false
  /** Of a statement of the transaction that runs. */
  #failure: unknown

  private constructor(database: Database.Database, path: string) {
    this.#database = database
    this.#path = path
    this.#where = `the database ${path}`
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
      const database = new SqliteDatabase(raw, path)
      database.#check(path, migrations.length)
      raw.pragma('journal_mode=WAL')
      database.#migrate(path, migrations)
      return database
    } catch (error) {
      if (raw) release(raw)
      throw openFailure(path, error)
    }
  }

  /** A copy that this process made: nothing to lock, to check or to bring up to date. */
  static reopen(path: string): SqliteDatabase {
    return new SqliteDatabase(new Database(path, { timeout: 0 }), path)
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

  /** A whole database beside this one, as it is before a later version of the program changes it. */
  #backUp(path: string, version: number): void {
    const copy = `${path}.before-schema-${version + 1}`
    rmSync(copy, { force: true })
    this.copyTo(copy)
  }

  /** Not inside a transaction. The copy is a database of its own, compact, with nothing left in a log. */
  copyTo(path: string): void {
    // The file is there before, so that nobody else may read it while it is written.
    closeSync(openSync(path, 'wx', 0o600))
    this.run('VACUUM INTO ?', [path])
  }

  #migrate(path: string, migrations: readonly Migration[]): void {
    const version = this.#version()
    if (version > 0 && version < migrations.length) this.#backUp(path, version)
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
    try {
      const statement = this.#prepare(sql)
      if (statement.reader) return { rows: statement.all([...values]) }
      return { rows: [], changed: statement.run([...values]).changes }
    } catch (error) {
      this.#failure = this.#failureOf(error)
      throw this.#failure
    }
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

  /** Between two transactions. */
  between<T>(work: () => T): Promise<T> {
    const turn = this.#queue.then(() => {
      if (this.#closed) throw new CoordError('coord/state-unusable', 'The database is closed.')
      try {
        return work()
      } catch (error) {
        throw this.#failureOf(error)
      }
    })
    this.#queue = turn.catch(() => undefined)
    return turn
  }

  /** A file that became read-only while it was open is to SQLite one that cannot be written for whatever reason. */
  #failureOf(error: unknown): unknown {
    const failure = storeFailure(error, this.#where)
    if (!isCoded(failure, 'coord/storage-unreachable') || mayWrite(this.#path)) return failure
    return storeReadOnly(this.#where, error)
  }

  /** One at a time, in the order asked for. */
  transaction<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(async () => {
      if (this.#closed) throw new CoordError('coord/state-unusable', 'The database is closed.')
      try {
        this.#failure = undefined
        this.#database.exec('BEGIN IMMEDIATE')
        const result = await work()
        // Whoever caught what a statement threw is told here.
        if (this.#failure !== undefined) throw this.#failure
        this.#database.exec('COMMIT')
        return result
      } catch (error) {
        if (this.#database.inTransaction) this.#database.exec('ROLLBACK')
        throw this.#failureOf(error)
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

/** SQLITE_CANTOPEN, which the library tells without its code. */
const CANNOT_OPEN = /^ConnectionFailed\(.*: 14"\)$/

function openFailure(path: string, error: unknown): unknown {
  if (error instanceof CoordError) return error
  const code = codeOf(error) ?? ''
  if (code.startsWith('SQLITE_BUSY'))
    return new CoordError('coord/state-in-use', `Another process uses the database ${path}.`, { cause: error })
  if (code.startsWith('SQLITE_NOTADB') || code.startsWith('SQLITE_CORRUPT'))
    return new CoordError('coord/state-damaged', `The file ${path} is not a whole database. Restore a copy.`, {
      cause: error,
    })
  if (CANNOT_OPEN.test(messageOf(error)) || code.startsWith('SQLITE_CANTOPEN') || code.startsWith('SQLITE_READONLY'))
    return new CoordError(
      'coord/state-unusable',
      `${unusableReason(path)} Let its owner run this, or mend its rights.`,
      {
        cause: error,
      },
    )
  const failure = storeFailure(error, `the database ${path}`)
  if (failure instanceof CoordError) return failure
  return new CoordError('coord/state-unusable', `The database ${path} cannot be used: ${messageOf(error)}.`, {
    cause: error,
  })
}

/** A database is more than its file: SQLite writes a log beside it, so the folder must be writable too. */
function unusableReason(path: string): string {
  if (existsSync(path) && !mayWrite(path)) return `The database ${path} may not be read and written by this account.`
  if (!mayWrite(dirname(path))) return `The folder ${dirname(path)} may not be written to by this account.`
  return `The database ${path} cannot be opened by this account.`
}

function mayWrite(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK)
    return true
  } catch {
    return false
  }
}
