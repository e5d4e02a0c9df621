// Kysely on one connection that somebody else opened, holds and has begun a transaction on. Stores decide when what begins
// and ends; Kysely writes the statements.

import {
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
} from 'kysely'
import type { Tables } from './tables.ts'

export interface Executed {
  readonly rows: readonly unknown[]
  /** Rows that a statement without an answer changed. */
  readonly changed?: number
}

export type Execute = (sql: string, values: readonly unknown[]) => Promise<Executed>

export function kyselyOn(kind: 'sqlite' | 'postgres', execute: Execute): Kysely<Tables> {
  const createDriver = (): Driver => new OneConnectionDriver(new OneConnection(execute))
  const dialect: Dialect =
    kind === 'sqlite'
      ? {
          createAdapter: () => new SqliteAdapter(),
          createDriver,
          createIntrospector: (db) => new SqliteIntrospector(db),
          createQueryCompiler: () => new SqliteQueryCompiler(),
        }
      : {
          createAdapter: () => new PostgresAdapter(),
          createDriver,
          createIntrospector: (db) => new PostgresIntrospector(db),
          createQueryCompiler: () => new PostgresQueryCompiler(),
        }
  return new Kysely<Tables>({ dialect })
}

class OneConnection implements DatabaseConnection {
  readonly #execute: Execute

  constructor(execute: Execute) {
    this.#execute = execute
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const { rows, changed } = await this.#execute(query.sql, query.parameters)
    return {
      rows: rows as R[],
      ...(changed !== undefined && { numAffectedRows: BigInt(changed) }),
    }
  }

  // oxlint-disable-next-line require-yield
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('rows are fetched whole here')
  }
}

class OneConnectionDriver implements Driver {
  readonly #connection: OneConnection

  constructor(connection: OneConnection) {
    this.#connection = connection
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<DatabaseConnection> {
    return this.#connection
  }

  beginTransaction(): Promise<void> {
    return Promise.reject(new Error('the store begins and ends transactions'))
  }

  commitTransaction(): Promise<void> {
    return this.beginTransaction()
  }

  rollbackTransaction(): Promise<void> {
    return this.beginTransaction()
  }

  async releaseConnection(): Promise<void> {}

  async destroy(): Promise<void> {}
}
