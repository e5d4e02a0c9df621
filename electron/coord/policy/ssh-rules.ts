// The SSH rules of one node in wire form: control.md §9.8.

import type { IpAddress } from '../../base/endpoint.ts'
import type { In } from '../../wire/tailcfg/schema.ts'
import type { sshRule } from '../../wire/tailcfg/ssh-policy.ts'
import { isAutogroup } from './alias.ts'
import type { SshLogin, SshRule } from './document.ts'
import { IpSet } from './ip-set.ts'
import type { Resolver } from './resolver.ts'
import type { Place, PolicyUser } from './topology.ts'

export type WireSshRule = In<typeof sshRule>
type Action = NonNullable<WireSshRule['action']>

const ACCEPT: Action = {
  accept: true,
  allowAgentForwarding: true,
  allowLocalPortForwarding: true,
  allowRemotePortForwarding: true,
}

/** Sources of one person, whose local part may name a login; of nobody for those with tags. */
interface Party {
  readonly user: PolicyUser | undefined
  readonly addresses: readonly IpAddress[]
}

/** Stricter rules come first, since the first that matches decides. `check` is what such a rule asks the node to do. */
export function sshRulesOf(place: Place, rules: readonly SshRule[], resolver: Resolver, check: Action): WireSshRule[] {
  const found = rules.map((rule) => ({
    rule,
    wire: [...wireRules(rule, place, resolver, rule.action === 'check' ? check : ACCEPT)],
  }))
  return [
    ...found.filter(({ rule }) => rule.action === 'check'),
    ...found.filter(({ rule }) => rule.action === 'accept'),
  ].flatMap(({ wire }) => wire)
}

function* wireRules(rule: SshRule, place: Place, resolver: Resolver, action: Action): Iterable<WireSshRule> {
  const src = IpSet.union(rule.src.map((alias) => resolver.set(alias)))
  const dst = IpSet.union(rule.dst.map((alias) => resolver.set(alias)))
  const isOwn = rule.dst.some((alias) => isAutogroup(alias, 'self'))
  if (isOwn && place.userKey !== undefined) {
    const own = parties(src, resolver).filter(({ user }) => user?.key === place.userKey)
    yield* rulesFor(own, rule, action)
  }
  if (dst.overlaps(place.own)) yield* rulesFor(parties(src, resolver), rule, action)
}

function parties(src: IpSet, resolver: Resolver): Party[] {
  const people = resolver.users.map((user) => ({ user, places: resolver.placesOfUser(user.key) }))
  const tagged = { user: undefined, places: resolver.places.filter(({ node }) => node.tags.length > 0) }
  return [...people, tagged].flatMap(({ user, places }) => {
    const addresses = places.filter(({ own }) => src.overlaps(own)).flatMap(({ node }) => node.addresses)
    return addresses.length === 0 ? [] : { user, addresses }
  })
}

function* rulesFor(from: readonly Party[], rule: SshRule, action: Action): Iterable<WireSshRule> {
  if (from.length === 0) return
  const wire = (addresses: readonly IpAddress[], sshUsers: ReadonlyMap<string, string>): WireSshRule => ({
    principals: addresses.map((nodeIp) => ({ nodeIp })),
    sshUsers,
    action,
    ...(rule.acceptEnv.length > 0 && { acceptEnv: rule.acceptEnv }),
  })
  const logins = loginMap(rule.users)
  if (!rule.users.some(({ kind }) => kind === 'localpart')) {
    yield wire(
      from.flatMap(({ addresses }) => addresses),
      logins,
    )
    return
  }
  for (const { user, addresses } of from) {
    yield wire(addresses, logins)
    const local = user && localPart(user, rule.users)
    if (local !== undefined) yield wire(addresses, new Map([[local, local]]))
  }
}

/** root is named even where it may not log in: else "any name" would cover it. */
function loginMap(users: readonly SshLogin[]): ReadonlyMap<string, string> {
  const logins = new Map<string, string>()
  if (users.some(({ kind }) => kind === 'nonroot')) logins.set('*', '=')
  logins.set('root', users.some(({ kind }) => kind === 'root') ? 'root' : '')
  for (const login of users) if (login.kind === 'name') logins.set(login.name, login.name)
  return logins
}

function localPart(user: PolicyUser, logins: readonly SshLogin[]): string | undefined {
  const [, local, domain] = /^([^@]+)@([^@]+)$/.exec(user.email ?? user.name) ?? []
  const isNamed = logins.some(
    (login) => login.kind === 'localpart' && login.domain.toLowerCase() === domain?.toLowerCase(),
  )
  return isNamed ? local : undefined
}
