// PostgreSQL, which several servers may share. One transaction at a time over all of them, by an advisory lock that is taken
// as it begins: so each is alone, as it is with SQLite, and no two give out the same name or address.

import type { Kysely } from 'kysely'
import { Pool, types, type PoolClient, type PoolConfig } from 'pg'
import { codeOf, messageOf } from '../../base/errors.ts'
import { CoordError } from '../errors.ts'
import { dumpRows, isUnused, putRows, type Dumped } from './dump.ts'
import { kyselyOn } from './one-connection-dialect.ts'
import { PostgresListener } from './postgres-listener.ts'
import { migrations as allMigrations, postgresWords, type Migration } from './schema.ts'
import { SHARED_TABLES, SharedTables } from './shared-tables.ts'
import { SqlTransaction } from './sql-transaction.ts'
import { storeFailure } from './store-failure.ts'
import type { PortableStore, StoreTransaction } from './store.ts'
import type { Tables } from './tables.ts'

/** Any number that other programs in the same database do not take: "pway". */
const WRITERS_LOCK = 0x70_77_61_79
const MOST_CONNECTIONS = 4
const CONNECT_MS = 5_000
/** A statement waits for those before it; longer than that something is wrong. */
const LOCK_MS = 10_000
const STATEMENT_MS = 15_000
/** The server's own limit comes first, unless its machine is gone. */
const ANSWER_MS = 20_000
/** A process that stopped in the middle must not stop the others. */
const IDLE_IN_TRANSACTION_MS = 15_000
/** Serialization failure and deadlock (appendix A, class 40): nothing was kept, and the next try may go through. */
const TRY_AGAIN = new Set(['40001', '40P01'])
const MOST_TRIES = 5

type TypeId = Parameters<typeof types.getTypeParser>[0]

export class PostgresStore implements PortableStore {
  readonly #pool: Pool
  readonly #kysely = new WeakMap<PoolClient, Kysely<Tables>>()
  readonly #where: string
  readonly #url: string
  readonly #listeners = new Set<PostgresListener>()
  #closing: Promise<void> | undefined

  private constructor(url: string) {
    this.#where = placeOf(url)
    this.#url = url
    this.#pool = new Pool(configOf(url))
    // Of a connection nobody uses just now: the next one to want it gets another.
    this.#pool.on('error', () => {})
    // Of one in use: its query fails by itself, and nobody listening would end the process.
    this.#pool.on('connect', (client) => client.on('error', () => {}))
  }

  /** Throws CoordError: storage-unreachable, state-newer, bad-config, state-unusable. */
  static async open(url: string, migrations: readonly Migration[] = allMigrations): Promise<PostgresStore> {
    const store = new PostgresStore(url)
    try {
      await store.#begin((client) => store.#migrate(client, migrations))
      return store
    } catch (error) {
      await store.close()
      throw openFailure(error, store.#where)
    }
  }

  async #migrate(client: PoolClient, migrations: readonly Migration[]): Promise<void> {
    await client.query(
      `CREATE TABLE IF NOT EXISTS schema_version
         (only_row BIGINT PRIMARY KEY CHECK (only_row = 1), version BIGINT NOT NULL)`,
    )
    const found = await client.query<{ version: number }>('SELECT version FROM schema_version')
    const version = found.rows[0]?.version ?? 0
    if (version > migrations.length)
      throw new CoordError(
        'coord/state-newer',
        `A later version wrote ${this.#where} (schema ${version}, this program knows ${migrations.length}).`,
      )
    for (const migration of migrations.slice(version)) await client.query(migration(postgresWords))
    for (const table of SHARED_TABLES) await client.query(table)
    await client.query(
      `INSERT INTO schema_version (only_row, version) VALUES (1, $1)
       ON CONFLICT (only_row) DO UPDATE SET version = excluded.version`,
      [migrations.length],
    )
  }

  transaction<T>(work: (tx: StoreTransaction) => Promise<T>): Promise<T> {
    return this.#begin((client) => {
      const db = this.#on(client)
      return work(new SqlTransaction(db, undefined, new SharedTables(db)))
    })
  }

  listen(onNews: (seq: number | undefined) => void): () => void {
    const listener = new PostgresListener(configOf(this.#url), onNews)
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
      listener.close()
    }
  }

  async #begin<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++)
      try {
        return await this.#once(work)
      } catch (error) {
        if (tries >= MOST_TRIES || !(error instanceof CoordError) || !TRY_AGAIN.has(codeOf(error.cause) ?? ''))
          throw error
      }
  }

  async #once<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    let client: PoolClient | undefined
    let isSound = false
    try {
      if (this.#closing) throw new CoordError('coord/state-unusable', 'The database is closed.')
      client = await this.#pool.connect()
      await client.query('BEGIN')
      await client.query('SELECT pg_advisory_xact_lock($1)', [WRITERS_LOCK])
      const result = await work(client)
      const { command } = await client.query('COMMIT')
      isSound = true
      // So it answers when a statement failed and whoever asked went on.
      if (command === 'ROLLBACK')
        throw new CoordError('coord/conflict', 'A part of the change failed; nothing was kept.')
      return result
    } catch (error) {
      if (client && !isSound) isSound = await rollBack(client)
      throw storeFailure(error, this.#where)
    } finally {
      // A connection in an unknown state is not used again.
      client?.release(!isSound)
    }
  }

  async *dump(): AsyncGenerator<Dumped> {
    let client: PoolClient | undefined
    try {
      client = await this.#pool.connect()
      // One moment for all tables, and in nobody's way.
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
      yield* dumpRows(this.#on(client), 'postgres')
    } catch (error) {
      throw storeFailure(error, this.#where)
    } finally {
      client?.release(!(await rollBack(client)))
    }
  }

  replaceAll(dump: AsyncIterable<Dumped>): Promise<number> {
    return this.#begin((client) => putRows(this.#on(client), 'postgres', dump))
  }

  isUnused(): Promise<boolean> {
    return this.#begin((client) => isUnused(this.#on(client)))
  }

  #on(client: PoolClient): Kysely<Tables> {
    const known = this.#kysely.get(client)
    if (known) return known
    const kysely = kyselyOn('postgres', async (sql, values) => {
      const { rows, rowCount, command } = await client.query<Record<string, unknown>>(sql, [...values])
      return { rows, ...(command !== 'SELECT' && rowCount !== null && { changed: rowCount }) }
    })
    this.#kysely.set(client, kysely)
    return kysely
  }

  /** Waits for what was begun. Idempotent. */
  close(): Promise<void> {
    for (const listener of this.#listeners) listener.close()
    this.#closing ??= this.#pool.end()
    return this.#closing
  }
}

async function rollBack(client: PoolClient): Promise<boolean> {
  try {
    await client.query('ROLLBACK')
    return true
  } catch {
    return false
  }
}

function configOf(url: string): PoolConfig {
  return {
    connectionString: url,
    application_name: 'peerway coord',
    max: MOST_CONNECTIONS,
    keepAlive: true,
    connectionTimeoutMillis: CONNECT_MS,
    idleTimeoutMillis: 60_000,
    lock_timeout: LOCK_MS,
    statement_timeout: STATEMENT_MS,
    query_timeout: ANSWER_MS,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
    types: {
      // Numbers of ours are safe integers; rows.ts refuses others.
      getTypeParser: (oid: TypeId, format?: 'text' | 'binary') =>
        oid === types.builtins.INT8 && format !== 'binary' ? Number : types.getTypeParser(oid, format ?? 'text'),
    },
  }
}

/** Without the password. */
function placeOf(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  const host = parsed?.searchParams.get('host') ?? parsed?.host ?? ''
  return `the database ${parsed?.pathname.slice(1) ?? ''} at ${host === '' ? 'this computer' : host}`
}

function openFailure(error: unknown, where: string): unknown {
  const code = error instanceof CoordError ? codeOf(error.cause) : codeOf(error)
  if (error instanceof CoordError && error.code !== 'coord/storage-unreachable') return error
  // Wrong password or account (28…), no such database (3D000): waiting does not mend these.
  if (code?.startsWith('28') === true || code === '3D000')
    return new CoordError('coord/bad-config', `PostgreSQL does not let us into ${where}: ${messageOf(error)}.`, {
      cause: error,
    })
  if (error instanceof CoordError) return error
  return new CoordError('coord/state-unusable', `${where} cannot be used: ${messageOf(error)}.`, { cause: error })
}
