// Looks into a backup without touching anything that is in use: it is put into a database of its own first.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SqliteStore } from '../store/sqlite-store.ts'
import { putBackup } from './backup.ts'
import { openKey, readBackup } from './backup-file.ts'

/** Decompressed: a small file can hold very much of the same. */
const MOST_BYTES = 1024 * 1024 * 1024

/** Told by the API, so the names are public interface. */
export interface BackupContents {
  readonly createdAt: string
  readonly rows: number
  /** Names of its tailnets. */
  readonly networks: readonly string[]
  readonly people: number
  readonly machines: number
}

export interface CheckedBackup {
  readonly contents: BackupContents
  /** The server it was made of. */
  readonly publicKey: string
  readonly hasKey: boolean
}

/** Throws CoordError where the file is not whole, of a later version, or its rows do not fit together. */
export async function checkBackup(file: string): Promise<CheckedBackup> {
  const backup = await readBackup(file, MOST_BYTES)
  const folder = await mkdtemp(join(tmpdir(), 'peerway-check-'))
  try {
    const store = SqliteStore.open(join(folder, 'coord.db'))
    try {
      const rows = await putBackup(store, backup, file)
      const { createdAtMs, publicKey, key } = backup.header
      const counted = await store.transaction(async (tx) => ({
        networks: (await tx.tailnets()).map(({ name }) => name),
        people: (await tx.users()).length,
        machines: (await tx.nodes()).length,
      }))
      const createdAt = new Date(createdAtMs).toISOString()
      return { contents: { createdAt, rows, ...counted }, publicKey, hasKey: key !== undefined }
    } finally {
      await store.close()
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Whether the passphrase opens the server's key in the file. */
export async function opensKey(file: string, passphrase: string): Promise<boolean> {
  const { header, rows } = await readBackup(file)
  await rows[Symbol.asyncIterator]().return?.(undefined)
  return header.key !== undefined && openKey(header.key, passphrase) !== undefined
}
