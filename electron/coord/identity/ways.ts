// What a person can sign in with, and the one rule about it: the last usable way stays.

import type { UserId } from '../model.ts'
import type { IdentityTables, Passkey } from '../store/identity-store.ts'

export type Way =
  | { readonly kind: 'password' }
  | { readonly kind: 'passkey'; readonly id: string; readonly rpId: string }
  /** `isLeft`: the network leaves the provider, or has left it. */
  | { readonly kind: 'oidc'; readonly providerId: number; readonly subject: string; readonly isLeft: boolean }

export const waysOf = (
  passkeys: readonly Pick<Passkey, 'id' | 'rpId'>[],
  hasPassword: boolean,
  elsewhere: readonly Omit<Extract<Way, { kind: 'oidc' }>, 'kind'>[] = [],
): Way[] => [
  ...passkeys.map(({ id, rpId }): Way => ({ kind: 'passkey', id, rpId })),
  ...(hasPassword ? [{ kind: 'password' } as const] : []),
  ...elsewhere.map(({ providerId, subject, isLeft }): Way => ({ kind: 'oidc', providerId, subject, isLeft })),
]

/** Those of one person, as they are stored. */
export async function waysOfUser(identity: IdentityTables, userId: UserId): Promise<Way[]> {
  const left = new Set(
    (await identity.oidc.providers()).filter(({ leaveAtMs }) => leaveAtMs !== undefined).map(({ id }) => id),
  )
  const elsewhere = (await identity.oidc.identitiesOf(userId)).map(({ providerId, subject }) => ({
    providerId,
    subject,
    isLeft: left.has(providerId),
  }))
  const hasPassword = (await identity.passwordOf(userId)) !== undefined
  return waysOf(await identity.passkeysOf(userId), hasPassword, elsewhere)
}

/**
 * A passkey is bound to a host name: one made for a name that the server had before is offered by no browser. A provider that
 * is being left counts no more from the day that was decided, or its date would lock people out.
 */
export function isUsable(way: Way, hosts: ReadonlySet<string>): boolean {
  if (way.kind === 'oidc') return !way.isLeft
  return way.kind === 'password' || hosts.has(way.rpId)
}

/** How many accounts elsewhere sign the person in now; those of providers whose date is over do not. */
export async function openProvidersOf(identity: IdentityTables, userId: UserId, nowMs: number): Promise<number> {
  const over = (await identity.oidc.providers()).filter(
    ({ leaveAtMs }) => leaveAtMs !== undefined && leaveAtMs <= nowMs,
  )
  return (await identity.oidc.identitiesOf(userId)).filter(
    ({ providerId }) => !over.some(({ id }) => id === providerId),
  ).length
}

/** Recovery codes are no way of their own: they run out. */
export function mayRemove(ways: readonly Way[], which: Way, hosts: ReadonlySet<string>): boolean {
  return ways.some((way) => !isSame(way, which) && isUsable(way, hosts))
}

function isSame(a: Way, b: Way): boolean {
  if (a.kind === 'passkey') return b.kind === 'passkey' && a.id === b.id
  if (a.kind === 'oidc') return b.kind === 'oidc' && a.providerId === b.providerId && a.subject === b.subject
  return b.kind === 'password'
}
