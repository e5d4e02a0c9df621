// A person who lost every way in is let in again by another: an owner, or an admin for those below. It takes effect only
// after a day, in which whoever still has the account sees it wherever they are signed in, and can stop it. So neither an
// owner nor somebody who took over an owner's session can quietly become somebody else.

import type { Clock } from '../../base/clock.ts'
import type { Role, User, UserId } from '../model.ts'
import type { RegistryTransaction } from '../registry.ts'
import type { ServerRegistry } from '../server-registry.ts'
import type { Recovery } from '../store/identity-store.ts'
import { createEnrolLink, type EnrolLink } from './enrol-links.ts'
import { IdentityError } from './identity-error.ts'
import type { Notices } from './notices.ts'

export const RECOVERY_DELAY_MS = 24 * 3_600_000

/** Whom each role lets in, for the first time and again. */
export const HELPS: Readonly<Record<Role, readonly Role[]>> = {
  owner: ['owner', 'admin', 'member', 'auditor'],
  // Nobody rises by becoming somebody else.
  admin: ['member', 'auditor'],
  member: [],
  auditor: [],
}

/** Nobody of another tailnet: an owner there is nobody to people here. */
export function mayHelp(helper: User, person: User): boolean {
  return helper.id !== person.id && helper.homeId === person.homeId && HELPS[helper.role].includes(person.role)
}

export class Recoveries {
  readonly #registry: ServerRegistry
  readonly #clock: Clock
  readonly #notices: Notices

  constructor(registry: ServerRegistry, clock: Clock, notices: Notices) {
    this.#registry = registry
    this.#clock = clock
    this.#notices = notices
  }

  /** Has the machines of each person say what is under way. */
  announce(): Promise<void> {
    return this.#notices.announce()
  }

  open(): Promise<Recovery[]> {
    return this.#registry.read(({ identity }) => identity.recoveries())
  }

  async start(helper: User, personId: UserId): Promise<void> {
    const nowMs = this.#clock.wallNow()
    await this.#registry.transaction(async (tx) => {
      const person = await this.#person(tx, helper, personId)
      if ((await tx.store.identity.recoveries()).some(({ userId }) => userId === person.id))
        throw new IdentityError('login/conflict', `A recovery of ${person.name} is under way already.`)
      const readyAtMs = nowMs + RECOVERY_DELAY_MS
      await tx.store.identity.insertRecovery({ userId: person.id, helperId: helper.id, startedAtMs: nowMs, readyAtMs })
      await tx.audit(
        `user:${helper.id}`,
        'recovery.start',
        `user:${person.id}`,
        `ready ${new Date(readyAtMs).toISOString()}`,
      )
    })
    await this.announce()
  }

  /** By the person it is about, or by one who could have started it. A link that was made of it ends too. */
  async stop(who: User, id: number): Promise<void> {
    const nowMs = this.#clock.wallNow()
    await this.#registry.transaction(async (tx) => {
      const recovery = await found(tx, id)
      if (recovery.userId !== who.id) await this.#person(tx, who, recovery.userId)
      await tx.store.identity.endRecovery(id, nowMs)
      await tx.store.identity.spendEnrolTokensOf(recovery.userId, nowMs)
      await tx.audit(`user:${who.id}`, 'recovery.stop', `user:${recovery.userId}`)
    })
    await this.announce()
  }

  /** Once the delay is over; whoever opens it sets a new way in, and all before it ends. */
  link(helper: User, id: number): Promise<EnrolLink> {
    const nowMs = this.#clock.wallNow()
    return this.#registry.transaction(async (tx) => {
      const recovery = await found(tx, id)
      const person = await this.#person(tx, helper, recovery.userId)
      if (recovery.readyAtMs > nowMs)
        throw new IdentityError('login/conflict', 'It is not time yet: the person can still stop it.')
      return createEnrolLink(tx, person, 'reset', { nowMs, actor: `user:${helper.id}` })
    })
  }

  /** As they are now: roles change while pages stay open. */
  async #person(tx: RegistryTransaction, helper: User, personId: UserId): Promise<User> {
    const users = await tx.store.users()
    const [now, person] = [helper.id, personId].map((id) => users.find((user) => user.id === id))
    if (!now || !person || !mayHelp(now, person))
      throw new IdentityError('login/not-allowed', 'Your role does not allow this for that person.')
    return person
  }
}

async function found(tx: RegistryTransaction, id: number): Promise<Recovery> {
  const recovery = (await tx.store.identity.recoveries()).find((recovery) => recovery.id === id)
  if (!recovery) throw new IdentityError('login/gone', 'This recovery is over already. Load the page again.')
  return recovery
}
