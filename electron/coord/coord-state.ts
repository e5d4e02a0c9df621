// The state folder opened: everything of a coordination server that needs no network. A server is built on it, and the
// command line works on it directly while no server runs.
//
//   <folder>/coord.db     the database, unless it is PostgreSQL; held exclusively while open
//   <folder>/noise.key    the server's private key
//   <folder>/admin.sock   where a running server takes administrative calls

import { mkdir } from 'node:fs/promises'
import type { Clock } from '../base/clock.ts'
import { codeOf, messageOf } from '../base/errors.ts'
import { FolderLock } from '../base/folder-lock.ts'
import type { Logger } from '../base/log.ts'
import type { MachinePrivate } from '../crypto/keys.ts'
import { CoordError } from './errors.ts'
import { baseDomainProblem } from './names.ts'
import { loadServerKey } from './server-key.ts'
import { ServerRegistry } from './server-registry.ts'
import { openStore, storePlace } from './store/open-store.ts'
import { FIRST_TAILNET, type PortableStore } from './store/store.ts'

export interface CoordState {
  readonly store: PortableStore
  readonly registry: ServerRegistry
  readonly serverKey: MachinePrivate
  close(): Promise<void>
}

export interface CoordStateOptions {
  readonly folder: string
  /** postgres://…; what the folder stands for when left out. */
  readonly database?: string | undefined
  /** What node names of the first tailnet hang under; kept from then on. */
  readonly baseDomain?: string | undefined
  readonly clock: Clock
  readonly log: Logger
}

/** Throws CoordError; what is on disk is as it was then. */
export async function openCoordState(options: CoordStateOptions): Promise<CoordState> {
  const { folder, clock, log } = options
  const problem = options.baseDomain === undefined ? undefined : baseDomainProblem(options.baseDomain)
  if (problem !== undefined)
    throw new CoordError(
      'coord/bad-config',
      `The base domain "${options.baseDomain ?? ''}" cannot be used: ${problem}.`,
    )
  await makeFolder(folder)
  const place = await storePlace(folder, options.database)
  // A database file is a lock of its own.
  const lock = place.kind === 'postgres' ? await hold(folder) : undefined
  let store: PortableStore | undefined
  try {
    store = await openStore(place)
    const opened = store
    const serverKey = await loadServerKey(folder, store)
    const { baseDomain } = options
    if (baseDomain !== undefined)
      await opened.transaction((tx) => tx.updateTailnet(FIRST_TAILNET, { domain: baseDomain }))
    const registry = await ServerRegistry.load(store, clock, log)
    return {
      store,
      registry,
      serverKey,
      async close() {
        await registry.close()
        await lock?.release()
      },
    }
  } catch (error) {
    await store?.close()
    await lock?.release()
    throw error
  }
}

async function hold(folder: string): Promise<FolderLock | undefined> {
  const lock = await FolderLock.take(folder)
  if (lock === undefined) throw new CoordError('coord/state-in-use', `Another process uses the state folder ${folder}.`)
  return lock === 'unlocked' ? undefined : lock
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
  } catch (error) {
    const isForbidden = ['EACCES', 'EPERM', 'EROFS'].includes(codeOf(error) ?? '')
    const reason = isForbidden ? 'this account may not make it' : messageOf(error)
    throw new CoordError(
      'coord/state-unusable',
      `There is no state folder ${folder}: ${reason}. Name another with --state.`,
      { cause: error },
    )
  }
}
