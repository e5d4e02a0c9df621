// What the names of a policy stand for in a tailnet, looked up once for each name.

import { goesBy } from './alias.ts'
import type { Alias, Autogroup, Policy } from './document.ts'
import { EVERYTHING, INTERNET, IpSet, TAILNET } from './ip-set.ts'
import { type Place, placeOf, type PolicyUser, type Topology } from './topology.ts'

export class Resolver {
  readonly places: readonly Place[]
  readonly users: readonly PolicyUser[]
  readonly #policy: Policy
  readonly #known = new Map<string, IpSet>()
  readonly #ofUser = new Map<string, Place[]>()
  readonly #ofTag = new Map<string, Place[]>()
  readonly #subnets: IpSet

  constructor(policy: Policy, topology: Topology) {
    this.#policy = policy
    this.users = topology.users
    this.places = topology.nodes.map(placeOf)
    for (const place of this.places) {
      if (place.userKey !== undefined) push(this.#ofUser, place.userKey, place)
      for (const tag of new Set(place.node.tags)) push(this.#ofTag, tag, place)
    }
    this.#subnets = IpSet.union(this.places.map(({ behind }) => behind))
  }

  /** Those of one person, tagged ones not among them. */
  placesOfUser(key: string): readonly Place[] {
    return this.#ofUser.get(key) ?? []
  }

  source(alias: Alias): IpSet {
    // Machines behind a subnet router keep their addresses when they come through it.
    return alias.kind === 'all' ? IpSet.union([TAILNET, this.#subnets]) : this.set(alias)
  }

  /** autogroup:self means something else for every node: here it is nothing. */
  set(alias: Alias): IpSet {
    const known = this.#known.get(alias.text)
    if (known) return known
    const set = this.#look(alias)
    this.#known.set(alias.text, set)
    return set
  }

  usersNamed(text: string): PolicyUser[] {
    return this.users.filter((user) => goesBy(user, text))
  }

  /** One that the policy defines, or else one of a provider. */
  usersInGroup(group: string): readonly PolicyUser[] {
    const named = this.#policy.groups.get(group)
    if (named) return named.flatMap((name) => this.usersNamed(name))
    const outside = group.slice('group:'.length)
    return this.users.filter(({ groups }) => groups?.includes(outside) === true)
  }

  #look(alias: Alias): IpSet {
    switch (alias.kind) {
      case 'all':
        return TAILNET
      case 'prefix':
        return alias.set
      case 'host':
        return this.#policy.hosts.get(alias.name) ?? IpSet.EMPTY
      case 'user':
        return this.#ofUsers(this.usersNamed(alias.name))
      case 'group':
        return this.#ofUsers(this.usersInGroup(alias.name))
      case 'tag':
        return unionOf(this.#ofTag.get(alias.name) ?? [])
      case 'autogroup':
        return this.#autogroup(alias.name)
    }
  }

  #autogroup(name: Autogroup): IpSet {
    switch (name) {
      case 'internet':
        return INTERNET
      case 'danger-all':
        return EVERYTHING
      case 'member':
        return unionOf(this.places.filter(({ userKey }) => userKey !== undefined))
      case 'tagged':
        return unionOf(this.places.filter(({ node }) => node.tags.length > 0))
      case 'owner':
      case 'auditor':
        return this.#ofUsers(this.users.filter(({ role }) => role === name))
      case 'admin':
        return this.#ofUsers(this.users.filter(({ role }) => role === 'admin' || role === 'owner'))
      case 'self':
      case 'nonroot':
        return IpSet.EMPTY
    }
  }

  #ofUsers(users: readonly PolicyUser[]): IpSet {
    return unionOf(users.flatMap(({ key }) => this.placesOfUser(key)))
  }
}

const unionOf = (places: readonly Place[]): IpSet => IpSet.union(places.map(({ own }) => own))

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key)
  if (list) list.push(value)
  else map.set(key, [value])
}
