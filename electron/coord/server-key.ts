// The Noise key of the server, in a file of its own beside the database: a stolen database or backup of it must not be
// enough to pose as the server. The database knows the public half, so that a lost or exchanged file is noticed: a new key
// would lock out every machine, and is never made quietly.

import { join } from 'node:path'
import { readTextIfThere, writeFileAtomic } from '../base/atomic-file.ts'
import { messageOf } from '../base/errors.ts'
import { MachinePrivate } from '../crypto/keys.ts'
import { CoordError } from './errors.ts'
import type { Store } from './store/store.ts'

const FILE = 'noise.key'
export const SERVER_KEY_SETTING = 'noise-public-key'

export const serverKeyPath = (folder: string): string => join(folder, FILE)

/** Undefined when there is none. */
export const readServerKey = (folder: string): Promise<MachinePrivate | undefined> => readKey(serverKeyPath(folder))

export async function loadServerKey(folder: string, store: Store): Promise<MachinePrivate> {
  const path = serverKeyPath(folder)
  const wanted = await store.transaction((tx) => tx.setting(SERVER_KEY_SETTING))
  const found = await readKey(path)
  if (!found && wanted !== undefined)
    throw new CoordError(
      'coord/state-damaged',
      `The server key ${path} is gone. Put a copy of it there: from a backup, or from another server on this database.`,
    )
  if (found && wanted !== undefined && found.public.text !== wanted)
    throw new CoordError(
      'coord/state-damaged',
      `The server key ${path} belongs to another database. Restore the right one.`,
    )
  const key = found ?? MachinePrivate.generate()
  if (!found) await writeFileAtomic(path, `${key.secretText()}\n`)
  if (wanted === undefined) await store.transaction((tx) => tx.setSetting(SERVER_KEY_SETTING, key.public.text))
  return key
}

async function readKey(path: string): Promise<MachinePrivate | undefined> {
  let text: string | undefined
  try {
    text = await readTextIfThere(path)
  } catch (error) {
    throw new CoordError('coord/state-unusable', `The file ${path} cannot be read: ${messageOf(error)}.`, {
      cause: error,
    })
  }
  if (text === undefined) return undefined
  try {
    return MachinePrivate.parse(text.trim())
  } catch (error) {
    throw new CoordError('coord/state-damaged', `The file ${path} does not hold a server key. Restore a copy.`, {
      cause: error,
    })
  }
}
