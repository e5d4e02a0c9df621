// What a person can sign in with, and the one rule about it: the last usable way stays.

import type { Passkey } from '../store/identity-store.ts'

export type Way =
  | { readonly kind: 'password' }
  | { readonly kind: 'passkey'; readonly id: string; readonly rpId: string }

export const waysOf = (passkeys: readonly Pick<Passkey, 'id' | 'rpId'>[], hasPassword: boolean): Way[] => [
  ...passkeys.map(({ id, rpId }): Way => ({ kind: 'passkey', id, rpId })),
  ...(hasPassword ? [{ kind: 'password' } as const] : []),
]

/** A passkey is bound to a host name: one made for a name that the server had before is offered by no browser. */
export function isUsable(way: Way, hosts: ReadonlySet<string>): boolean {
  return way.kind === 'password' || hosts.has(way.rpId)
}

/** Recovery codes are no way of their own: they run out. */
export function mayRemove(ways: readonly Way[], which: Way, hosts: ReadonlySet<string>): boolean {
  return ways.some((way) => !isSame(way, which) && isUsable(way, hosts))
}

const isSame = (a: Way, b: Way): boolean =>
  a.kind === 'passkey' ? b.kind === 'passkey' && a.id === b.id : b.kind === a.kind
