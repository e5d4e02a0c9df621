// Which database a state folder stands for: the SQLite file in it, or PostgreSQL elsewhere.
//
//   <folder>/coord.db        SQLite, the default
//   <folder>/database.url    instead of it, where the server was moved to PostgreSQL: one line, with the password

import { existsSync } from 'node:fs'
import { chmod } from 'node:fs/promises'
import { join } from 'node:path'
import { readTextIfThere, writeFileAtomic } from '../../base/atomic-file.ts'
import { CoordError } from '../errors.ts'
import type { Migration } from './schema.ts'
import { SqliteStore } from './sqlite-store.ts'
import type { PortableStore } from './store.ts'

const SQLITE_FILE = 'coord.db'
const URL_FILE = 'database.url'
/** For services, whose arguments everybody on the machine can read. */
export const DATABASE_VARIABLE = 'PEERWAY_COORD_DATABASE'

export type StorePlace =
  | { readonly kind: 'sqlite'; readonly path: string }
  | { readonly kind: 'postgres'; readonly url: string }

/** Throws CoordError 'coord/bad-config' for a URL that is none of PostgreSQL. */
export async function storePlace(folder: string, given?: string): Promise<StorePlace> {
  const kept = (await readTextIfThere(join(folder, URL_FILE)))?.trim()
  const url = given ?? process.env[DATABASE_VARIABLE] ?? kept
  if (url !== undefined && url !== '') return { kind: 'postgres', url: checkedUrl(url) }
  return { kind: 'sqlite', path: sqlitePath(folder) }
}

export const sqlitePath = (folder: string): string => join(folder, SQLITE_FILE)

export function checkedUrl(url: string): string {
  if (URL.canParse(url) && /^postgres(ql)?:$/.test(new URL(url).protocol)) return url
  throw new CoordError(
    'coord/bad-config',
    'A database is named like postgres://user:password@host/name; without one, a file in the state folder serves.',
  )
}

export const keepUrl = (folder: string, url: string): Promise<void> =>
  writeFileAtomic(join(folder, URL_FILE), `${url}\n`)

/** Whether there is anything in that place yet; of PostgreSQL only its server knows. */
export const mayExist = (place: StorePlace): boolean => place.kind === 'postgres' || existsSync(place.path)

/** The folder must be there. Throws CoordError. */
export async function openStore(place: StorePlace, migrations?: readonly Migration[]): Promise<PortableStore> {
  if (place.kind === 'postgres') {
    // Loaded only where it is used.
    const { PostgresStore } = await import('./postgres-store.ts')
    return PostgresStore.open(place.url, migrations)
  }
  const store = SqliteStore.open(place.path, migrations)
  await chmod(place.path, 0o600)
  return store
}
