import { rmSync } from 'node:fs'
import type { Kysely } from 'kysely'
import { CoordError } from '../errors.ts'
import { dumpRows, isUnused, putRows, type Dumped } from './dump.ts'
import { kyselyOn } from './one-connection-dialect.ts'
import { migrations as allMigrations, type Migration } from './schema.ts'
import { SqlTransaction } from './sql-transaction.ts'
import { SqliteDatabase } from './sqlite-database.ts'
import type { PortableStore, StoreTransaction } from './store.ts'
import type { Tables } from './tables.ts'

export class SqliteStore implements PortableStore {
  readonly database: SqliteDatabase
  readonly #path: string
  readonly #kysely: Kysely<Tables>
  readonly #transaction: SqlTransaction
  #isDumping = false

  private constructor(database: SqliteDatabase, path: string) {
    this.database = database
    this.#path = path
    this.#kysely = kyselyOn('sqlite', async (sql, values) => database.execute(sql, values))
    this.#transaction = new SqlTransaction(this.#kysely)
  }

  /** With fewer migrations, as an earlier version would. */
  static open(path: string, migrations: readonly Migration[] = allMigrations): SqliteStore {
    return new SqliteStore(SqliteDatabase.open(path, migrations), path)
  }

  transaction<T>(work: (tx: StoreTransaction) => Promise<T>): Promise<T> {
    return this.database.transaction(() => work(this.#transaction))
  }

  /** Of a copy, which the database makes at once and by itself: so nobody waits for whoever reads the rows. */
  async *dump(): AsyncGenerator<Dumped> {
    if (this.#isDumping) throw new CoordError('coord/conflict', 'A backup is being made already.')
    this.#isDumping = true
    const path = `${this.#path}.dump`
    try {
      rmSync(path, { force: true })
      await this.database.between(() => this.database.copyTo(path))
      const copy = new SqliteStore(SqliteDatabase.reopen(path), path)
      try {
        yield* dumpRows(copy.#kysely, 'sqlite')
      } finally {
        await copy.close()
      }
    } finally {
      rmSync(path, { force: true })
      this.#isDumping = false
    }
  }

  replaceAll(dump: AsyncIterable<Dumped>): Promise<number> {
    return this.database.transaction(() => putRows(this.#kysely, 'sqlite', dump))
  }

  isUnused(): Promise<boolean> {
    return this.database.transaction(() => isUnused(this.#kysely))
  }

  close(): Promise<void> {
    return this.database.close()
  }
}
