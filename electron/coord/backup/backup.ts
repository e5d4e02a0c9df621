// Backing a server up, putting a backup in its place, and moving it to another database.

import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeFileAtomic } from '../../base/atomic-file.ts'
import { isCoded } from '../../base/errors.ts'
import { MachinePrivate } from '../../crypto/keys.ts'
import { CoordError, TakenError } from '../errors.ts'
import { readServerKey, SERVER_KEY_SETTING, serverKeyPath } from '../server-key.ts'
import { migrations } from '../store/schema.ts'
import { checkedUrl, keepUrl, openStore, sqlitePath, type StorePlace } from '../store/open-store.ts'
import { SqliteStore } from '../store/sqlite-store.ts'
import type { PortableStore } from '../store/store.ts'
import { openKey, readBackup, sealKey, writeBackup, type Backup } from './backup-file.ts'

/** Told by --json, so the names are public interface. */
export interface BackupInfo {
  readonly file: string
  readonly rows: number
  /** Whether the server's key is in it; without it, the key file must be kept somewhere too. */
  readonly hasKey: boolean
}

/** Also while the server runs. */
export async function backUp(
  store: PortableStore,
  serverKey: MachinePrivate,
  wish: { readonly file: string; readonly passphrase?: string | undefined; readonly nowMs: number },
): Promise<BackupInfo> {
  const { file, passphrase, nowMs } = wish
  const key = passphrase === undefined ? undefined : sealKey(serverKey.secretText(), passphrase)
  const header = { schema: migrations.length, createdAtMs: nowMs, publicKey: serverKey.public.text, key }
  const rows = await writeBackup(file, header, store.dump())
  return { file, rows, hasKey: key !== undefined }
}

export interface RestoreInfo {
  readonly rows: number
  readonly createdAt: string
  /** What was there before, as a backup. */
  readonly former?: string
}

/**
 * In the place of what the state folder's database holds, which is backed up into the folder first. No server may run on
 * it. Throws CoordError, and then all is as it was.
 */
export async function restore(
  folder: string,
  place: StorePlace,
  wish: { readonly file: string; readonly passphrase?: string | undefined; readonly nowMs: number },
): Promise<RestoreInfo> {
  const backup = await readBackup(wish.file)
  const key = await keyFor(folder, backup, wish.passphrase)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const store = await openForRestore(place, wish.nowMs)
  try {
    const former = (await store.isUnused()) ? undefined : await keepFormer(folder, store, wish.nowMs)
    const rows = await putBackup(store, backup, wish.file)
    if (key.isNew) await putKey(folder, key.key, wish.nowMs)
    return {
      rows,
      createdAt: new Date(backup.header.createdAtMs).toISOString(),
      ...(former !== undefined && { former }),
    }
  } finally {
    await store.close()
  }
}

/** A damaged file is what a backup is for: it is put aside. */
async function openForRestore(place: StorePlace, nowMs: number): Promise<PortableStore> {
  try {
    return await openStore(place)
  } catch (error) {
    if (!isCoded(error, 'coord/state-damaged') || place.kind !== 'sqlite') throw error
    for (const ending of ['', '-wal', '-shm'])
      if (existsSync(`${place.path}${ending}`))
        await rename(`${place.path}${ending}`, `${place.path}.damaged-${stamp(nowMs)}${ending}`)
    return openStore(place)
  }
}

/** The key the backup's machines know the server by: in the folder, or in the backup. */
async function keyFor(
  folder: string,
  { header }: Backup,
  passphrase: string | undefined,
): Promise<{ readonly key: MachinePrivate; readonly isNew: boolean }> {
  const found = await readServerKey(folder)
  if (found?.public.text === header.publicKey) return { key: found, isNew: false }
  const path = serverKeyPath(folder)
  if (!header.key)
    throw new CoordError(
      'coord/not-found',
      `The backup was made without the server's key, and ${path} is not it. Put a copy of that file there first.`,
    )
  if (passphrase === undefined)
    throw new CoordError('coord/bad-argument', 'The backup holds the server’s key; name its passphrase file.')
  const text = openKey(header.key, passphrase)
  if (text === undefined) throw new CoordError('coord/bad-argument', 'The passphrase is not that of this backup.')
  const key = MachinePrivate.parse(text)
  if (key.public.text !== header.publicKey)
    throw new CoordError('coord/backup-damaged', 'The key in the backup is not the one it was made with.')
  return { key, isNew: true }
}

async function putKey(folder: string, key: MachinePrivate, nowMs: number): Promise<void> {
  const path = serverKeyPath(folder)
  if (existsSync(path)) await rename(path, `${path}.before-restore-${stamp(nowMs)}`)
  await writeFileAtomic(path, `${key.secretText()}\n`)
}

async function keepFormer(folder: string, store: PortableStore, nowMs: number): Promise<string> {
  const file = join(folder, `before-restore-${stamp(nowMs)}.backup`)
  const publicKey = (await store.transaction((tx) => tx.setting(SERVER_KEY_SETTING))) ?? ''
  await writeBackup(file, { schema: migrations.length, createdAtMs: nowMs, publicKey, key: undefined }, store.dump())
  return file
}

const stamp = (ms: number): string => new Date(ms).toISOString().slice(0, 19).replaceAll(/[-:]/g, '')

/** All of it or nothing. Throws CoordError. */
export async function putBackup(store: PortableStore, backup: Backup, file: string): Promise<number> {
  try {
    return await putRows(store, backup)
  } catch (error) {
    if (!(error instanceof TakenError)) throw error
    throw new CoordError('coord/backup-damaged', `The rows of ${file} do not fit together.`, { cause: error })
  }
}

/** One of an older version goes through a database of that version first, which then is brought to this one. */
async function putRows(store: PortableStore, { header, rows }: Backup): Promise<number> {
  if (header.schema > migrations.length)
    throw new CoordError(
      'coord/state-newer',
      `A later version made the backup (schema ${header.schema}, this program knows ${migrations.length}).`,
    )
  if (header.schema === migrations.length) return store.replaceAll(rows)
  const folder = await mkdtemp(join(tmpdir(), 'peerway-restore-'))
  try {
    const path = join(folder, 'coord.db')
    const older = SqliteStore.open(path, migrations.slice(0, header.schema))
    try {
      await older.replaceAll(rows)
    } finally {
      await older.close()
    }
    const current = SqliteStore.open(path)
    try {
      return await store.replaceAll(current.dump())
    } finally {
      await current.close()
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Marks both ends of one move, so that one that was cut off can be taken up again. */
const MOVE = 'move-id'

/**
 * From the SQLite file of the state folder to PostgreSQL, which has to be empty. From then on the folder stands for that
 * database; the file stays, under another name. No server may run on it.
 */
export async function moveToPostgres(folder: string, url: string, nowMs: number): Promise<{ readonly rows: number }> {
  const path = sqlitePath(folder)
  if (!existsSync(path))
    throw new CoordError('coord/not-found', `There is no database ${path} to move; was it moved before?`)
  const source = await openStore({ kind: 'sqlite', path })
  try {
    const target = await openStore({ kind: 'postgres', url: checkedUrl(url) })
    try {
      const rows = await copy(source, target, nowMs)
      await keepUrl(folder, url)
      await source.close()
      await rename(path, `${path}.moved-${stamp(nowMs)}`)
      return { rows }
    } finally {
      await target.close()
    }
  } finally {
    await source.close()
  }
}

async function copy(source: PortableStore, target: PortableStore, nowMs: number): Promise<number> {
  const known = await source.transaction((tx) => tx.setting(MOVE))
  if (!(await target.isUnused())) {
    const there = await target.transaction((tx) => tx.setting(MOVE))
    if (known === undefined || there !== known)
      throw new CoordError('coord/conflict', 'That database is in use already. Name an empty one.')
  }
  if (known === undefined)
    await source.transaction((tx) => tx.setSetting(MOVE, `${nowMs}-${Math.random().toString(36).slice(2)}`))
  return target.replaceAll(source.dump())
}
