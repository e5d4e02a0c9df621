// The state folder opened: everything of a coordination server that needs no network. A server is built on it, and the
// command line works on it directly while no server runs.
//
//   <folder>/coord.db     the database; held exclusively while open
//   <folder>/noise.key    the server's private key
//   <folder>/admin.sock   where a running server takes administrative calls

import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../base/clock.ts'
import { codeOf, messageOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { MachinePrivate } from '../crypto/keys.ts'
import { CoordError } from './errors.ts'
import { baseDomainProblem } from './names.ts'
import { loadServerKey } from './server-key.ts'
import { ServerRegistry } from './server-registry.ts'
import { SqliteStore } from './store/sqlite-store.ts'
import { FIRST_TAILNET } from './store/store.ts'

const DATABASE = 'coord.db'

export interface CoordState {
  readonly store: SqliteStore
  readonly registry: ServerRegistry
  readonly serverKey: MachinePrivate
  close(): Promise<void>
}

export interface CoordStateOptions {
  readonly folder: string
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
  const store = SqliteStore.open(join(folder, DATABASE))
  try {
    await chmod(join(folder, DATABASE), 0o600)
    const serverKey = await loadServerKey(folder, store)
    const { baseDomain } = options
    if (baseDomain !== undefined)
      await store.transaction((tx) => tx.updateTailnet(FIRST_TAILNET, { domain: baseDomain }))
    const registry = await ServerRegistry.load(store, clock, log)
    return { store, registry, serverKey, close: () => registry.close() }
  } catch (error) {
    await store.close()
    throw error
  }
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
