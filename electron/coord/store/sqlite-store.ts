import { kyselyOn } from './one-connection-dialect.ts'
import { migrations } from './schema.ts'
import { SqlTransaction } from './sql-transaction.ts'
import { SqliteDatabase } from './sqlite-database.ts'
import type { Store, StoreTransaction } from './store.ts'

export class SqliteStore implements Store {
  readonly database: SqliteDatabase
  readonly #transaction: SqlTransaction

  private constructor(database: SqliteDatabase) {
    this.database = database
    this.#transaction = new SqlTransaction(kyselyOn('sqlite', async (sql, values) => database.execute(sql, values)))
  }

  static open(path: string): SqliteStore {
    return new SqliteStore(SqliteDatabase.open(path, migrations))
  }

  transaction<T>(work: (tx: StoreTransaction) => Promise<T>): Promise<T> {
    return this.database.transaction(() => work(this.#transaction))
  }

  close(): Promise<void> {
    return this.database.close()
  }
}
