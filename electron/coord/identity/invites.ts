// A new person is asked in: the account is made, and a one-time link with which they set how they sign in. Never for who can
// sign in already: that would be a way around the day that a recovery waits.

import type { LoginContext } from '../login/login-provider.ts'
import type { Role, User } from '../model.ts'
import { checkedUserName } from '../admin/admin.ts'
import { isCoded } from '../../base/errors.ts'
import { createEnrolLink, type EnrolLink } from './enrol-links.ts'
import { IdentityError } from './identity-error.ts'
import { HELPS } from './recoveries.ts'
import { openProvidersOf } from './ways.ts'

export function invite(context: LoginContext, host: User, name: string, role: Role): Promise<EnrolLink> {
  const nowMs = context.clock.wallNow()
  return context.registry.transaction(async (tx) => {
    const users = await tx.store.users()
    const now = users.find(({ id }) => id === host.id)
    const known = users.find((user) => user.name.toLowerCase() === name.toLowerCase())
    if (!now || !HELPS[now.role].includes(known?.role ?? role))
      throw new IdentityError('login/not-allowed', 'Your role does not allow to invite somebody with that role.')
    if (known) {
      const { identity } = tx.store
      const isIn =
        (await identity.passkeysOf(known.id)).length > 0 ||
        (await identity.passwordOf(known.id)) !== undefined ||
        (await openProvidersOf(identity, known.id, nowMs)) > 0
      if (isIn || known.id === now.id || known.homeId !== now.homeId)
        throw new IdentityError('login/conflict', `${known.name} has an account already. Take another name.`)
    }
    const person = known ?? (await context.insertUser(tx, { name: checked(name), role }, now.homeId))
    return createEnrolLink(tx, person, 'invite', { nowMs, actor: `user:${host.id}` })
  })
}

function checked(name: string): string {
  try {
    return checkedUserName(name)
  } catch (error) {
    throw isCoded(error) ? new IdentityError('login/name-refused', error.message, { cause: error }) : error
  }
}
