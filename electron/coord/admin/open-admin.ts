// Administrative calls wherever the state folder is: through the running server when there is one, else on the database
// itself, which then is held so that no server can start meanwhile.

import { systemClock } from '../../base/clock.ts'
import { delay } from '../../base/deadline.ts'
import { isCoded } from '../../base/errors.ts'
import { silentLogger } from '../../base/log.ts'
import { openCoordState } from '../coord-state.ts'
import { CoordError } from '../errors.ts'
import { ServerSecrets } from '../identity/server-secrets.ts'
import { PendingLogins } from '../login/pending-logins.ts'
import { Registrar } from '../registrar.ts'
import { mayExist, storePlace } from '../store/open-store.ts'
import { callAdmin } from './admin-socket.ts'
import { runAdminCall, type AdminCallName, type AdminCallResult, type CallArguments } from './admin-calls.ts'
import { ServerAdmin } from './server-admin.ts'

const RETRY_MS = 100

/** Calls that make sense before there is anything: the first of them makes the state folder. */
const FOUNDING: ReadonlySet<AdminCallName> = new Set(['users.create', 'users.setup-code', 'auth-keys.create'])

/** Throws CodedError with the code of what failed. */
export async function administer<N extends AdminCallName>(
  folder: string,
  name: N,
  args: CallArguments,
  timeoutMs = 10_000,
  database?: string,
): Promise<AdminCallResult<N>> {
  const endMs = systemClock.now() + timeoutMs
  for (;;) {
    const reply = await callAdmin(folder, name, args, Math.max(Math.ceil(endMs - systemClock.now()), 1))
    if (reply) return reply.value
    try {
      return await directly(folder, database, name, args)
    } catch (error) {
      // A server that is starting or ending holds the database without answering yet or any more.
      if (!isCoded(error, 'coord/state-in-use') || systemClock.now() + RETRY_MS >= endMs) throw error
    }
    await delay(RETRY_MS)
  }
}

async function directly<N extends AdminCallName>(
  folder: string,
  database: string | undefined,
  name: N,
  args: CallArguments,
): Promise<AdminCallResult<N>> {
  if (!FOUNDING.has(name) && !mayExist(await storePlace(folder, database)))
    throw new CoordError(
      'coord/not-found',
      `There is no coordination server in ${folder}. Start one with "peerway coord serve", or name its folder with --state.`,
    )
  const clock = systemClock
  const state = await openCoordState({ folder, database, clock, log: silentLogger })
  const logins = new PendingLogins(clock)
  try {
    const { store, serverKey, registry } = state
    const registrar = new Registrar({ registry, logins, clock, loginUrl: () => '' })
    const secrets = new ServerSecrets(serverKey)
    const admin = new ServerAdmin({ store, serverKey, registry, registrar, logins, secrets, clock })
    return await runAdminCall(admin, name, args)
  } finally {
    logins.close()
    await state.close()
  }
}
