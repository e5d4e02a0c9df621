// Both kinds of store, for the suites that each has to pass.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { PostgresStore } from './postgres-store.ts'
import { SqliteStore } from './sqlite-store.ts'
import { FIRST_TAILNET, type PortableStore, type Store, type StoreTransaction } from './store.ts'
import { noPostgres, TestPostgres } from './test-postgres.ts'

/** One database, opened as often as the test likes. */
export type OpenStore = () => Promise<PortableStore>

export interface StoreKind {
  readonly name: 'SQLite' | 'PostgreSQL'
  readonly skip: string | false
  /** A new database. */
  readonly place: (t: TestContext) => Promise<OpenStore>
}

let postgres: Promise<TestPostgres> | undefined

export const storeKinds: readonly StoreKind[] = [
  {
    name: 'SQLite',
    skip: false,
    place: async (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'peerway-store-'))
      t.after(() => rmSync(folder, { recursive: true, force: true }))
      return async () => SqliteStore.open(join(folder, 'coord.db'))
    },
  },
  {
    name: 'PostgreSQL',
    skip: noPostgres,
    place: async () => {
      postgres ??= TestPostgres.start()
      const url = await (await postgres).database()
      return () => PostgresStore.open(url)
    },
  },
]

/** To be called once in a test file, after its tests: ends the server they shared. */
export function endPostgres(): void {
  test('the database server of these tests ends', { skip: noPostgres }, async () => {
    await (await postgres)?.end()
  })
}

/** A suite's test, on each kind of store. */
export function testOnEach(name: string, run: (t: TestContext, open: OpenStore) => Promise<void>): void {
  for (const kind of storeKinds)
    test(`${kind.name}: ${name}`, { skip: kind.skip }, async (t) => run(t, await kind.place(t)))
}

/** A work in the tailnet that every database has. */
export const inFirst = <T>(store: Store, work: (tx: StoreTransaction) => Promise<T>): Promise<T> =>
  store.transaction((tx) => work(tx.inTailnet(FIRST_TAILNET)))
