// All rows of a database, one after the other in an order in which they can be put in again, and back. What a backup holds,
// and what travels when a server moves from one kind of database to the other.

import { type Kysely, sql } from 'kysely'
import type { Tables } from './tables.ts'

export type DatabaseKind = 'sqlite' | 'postgres'

/** A table with its rows' key; those a row refers to come first. A table that is left out does not compile. */
const KEYS: { readonly [T in keyof Tables]: readonly (keyof Tables[T] & string)[] } = {
  tailnets: ['id'],
  users: ['id'],
  memberships: ['tailnet_id', 'user_id'],
  settings: ['name'],
  tailnet_settings: ['tailnet_id', 'name'],
  auth_keys: ['id'],
  nodes: ['id'],
  node_reports: ['node_id'],
  audit: ['id'],
  passkeys: ['id'],
  user_handles: ['user_id'],
  passwords: ['user_id'],
  sessions: ['id'],
  enrol_tokens: ['token_hash'],
  totp_secrets: ['user_id'],
  recovery_codes: ['code_hash'],
  recoveries: ['id'],
  guesses: ['subject'],
  oidc_providers: ['id'],
  oidc_identities: ['provider_id', 'subject'],
}
const TABLES = Object.keys(KEYS) as (keyof Tables)[]

/** Whose ids the database gives out. */
const COUNTED = ['tailnets', 'users', 'nodes', 'audit', 'sessions', 'recoveries', 'oidc_providers'] as const

/** Rows fetched and put in at once. */
const CHUNK = 200

export type DumpedValue = string | number | null | { readonly base64: string }
export type DumpedRow = Readonly<Record<string, DumpedValue>>
export type Dumped =
  | { readonly table: string; readonly row: DumpedRow }
  /** The last number that a table gave out. */
  | { readonly table: string; readonly counter: number }

/** In a transaction that sees one moment. */
export async function* dumpRows(db: Kysely<Tables>, kind: DatabaseKind): AsyncGenerator<Dumped> {
  for (const table of TABLES) {
    for await (const row of rowsOf(db, table)) yield { table, row: dumpedRow(row) }
  }
  for (const table of COUNTED) yield { table, counter: await counterOf(db, kind, table) }
}

async function* rowsOf(db: Kysely<Tables>, table: keyof Tables): AsyncGenerator<Readonly<Record<string, unknown>>> {
  const columns = sql.join(KEYS[table].map((key) => sql.ref(key)))
  let after: readonly unknown[] | undefined
  for (;;) {
    // A row's key is compared as a whole, which both databases can.
    const where = after ? sql`WHERE (${columns}) > (${sql.join(after)})` : sql``
    const page = await sql<Record<string, unknown>>`
      SELECT * FROM ${sql.table(table)} ${where} ORDER BY ${columns} LIMIT ${CHUNK}`.execute(db)
    yield* page.rows
    const last = page.rows.at(-1)
    if (!last || page.rows.length < CHUNK) return
    after = KEYS[table].map((key) => last[key])
    // Others have their turn: a database in this process answers without waiting.
    await new Promise((resolve) => setImmediate(resolve))
  }
}

async function counterOf(db: Kysely<Tables>, kind: DatabaseKind, table: string): Promise<number> {
  if (kind === 'sqlite') {
    const found = await sql<{ last: number }>`SELECT seq AS last FROM sqlite_sequence WHERE name = ${table}`.execute(db)
    return found.rows[0]?.last ?? 0
  }
  const named = await sql<{ name: string }>`SELECT pg_get_serial_sequence(${table}, 'id') AS name`.execute(db)
  // Before the first number last_value is 1 too. The database quotes the name itself.
  const found = await sql<{ last: number }>`
    SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS last FROM ${sql.raw(named.rows[0]?.name ?? '')}`.execute(
    db,
  )
  return found.rows[0]?.last ?? 0
}

/** Whether nobody has used the database yet. */
export async function isUnused(db: Kysely<Tables>): Promise<boolean> {
  for (const table of ['users', 'settings', 'audit'] as const)
    if (await db.selectFrom(table).selectAll().limit(1).executeTakeFirst()) return false
  return true
}

/** In the place of all that is there. In one transaction, so that a dump that ends too early leaves what was. */
export async function putRows(db: Kysely<Tables>, kind: DatabaseKind, dump: AsyncIterable<Dumped>): Promise<number> {
  const present = await tablesOf(db, kind)
  for (const table of TABLES.toReversed()) if (present.has(table)) await db.deleteFrom(table).execute()
  let count = 0
  let waiting: { readonly table: string; readonly rows: Readonly<Record<string, unknown>>[] } = { table: '', rows: [] }
  const flush = async (): Promise<void> => {
    if (waiting.rows.length > 0) await db.insertInto(tableOf(waiting.table)).values(waiting.rows).execute()
    count += waiting.rows.length
  }
  for await (const one of dump) {
    if (!('row' in one) || one.table !== waiting.table || waiting.rows.length >= CHUNK) {
      await flush()
      waiting = { table: one.table, rows: [] }
    }
    if ('row' in one) waiting.rows.push(restoredRow(one.row))
    else await setCounter(db, kind, tableOf(one.table), one.counter)
  }
  await flush()
  return count
}

/** An older database has fewer. */
async function tablesOf(db: Kysely<Tables>, kind: DatabaseKind): Promise<ReadonlySet<string>> {
  const query =
    kind === 'sqlite'
      ? sql<{ name: string }>`SELECT name FROM sqlite_master WHERE type = 'table'`
      : sql<{ name: string }>`SELECT tablename AS name FROM pg_tables WHERE schemaname = ANY (current_schemas(false))`
  return new Set((await query.execute(db)).rows.map(({ name }) => name))
}

function tableOf(name: string): keyof Tables {
  const table = TABLES.find((table) => table === name)
  if (table === undefined) throw new TypeError(`there is no table ${name}`)
  return table
}

async function setCounter(db: Kysely<Tables>, kind: DatabaseKind, table: string, last: number): Promise<void> {
  if (kind === 'postgres') {
    await sql`SELECT setval(pg_get_serial_sequence(${table}, 'id'), ${Math.max(last, 1)}, ${last > 0})`.execute(db)
    return
  }
  await sql`DELETE FROM sqlite_sequence WHERE name = ${table}`.execute(db)
  await sql`INSERT INTO sqlite_sequence (name, seq) VALUES (${table}, ${last})`.execute(db)
}

const dumpedRow = (row: Readonly<Record<string, unknown>>): DumpedRow =>
  Object.fromEntries(Object.entries(row).map(([name, value]) => [name, dumpedValue(value)]))

function dumpedValue(value: unknown): DumpedValue {
  if (value === null || typeof value === 'string' || typeof value === 'number') return value
  if (value instanceof ArrayBuffer) return { base64: Buffer.from(value).toString('base64') }
  if (value instanceof Uint8Array) return { base64: Buffer.from(value).toString('base64') }
  throw new TypeError(`a ${typeof value} is in the database`)
}

const restoredRow = (row: DumpedRow): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(row).map(([name, value]) => [
      name,
      typeof value === 'object' && value !== null ? new Uint8Array(Buffer.from(value.base64, 'base64')) : value,
    ]),
  )
