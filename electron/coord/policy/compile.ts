// A policy compiled for a tailnet: for each node what it lets in, what it may do, who may log in and whom it sees. Pure:
// the same policy and tailnet give the same answers, and nothing here waits.

import type { FilterRuleInput } from '../../wire/tailcfg/filter-rule.ts'
import type { Policy } from './document.ts'
import { compileFlows, type Flow } from './flows.ts'
import { IpSet, prefixRange } from './ip-set.ts'
import { filterOf } from './node-filter.ts'
import { Reach } from './reach.ts'
import { Resolver } from './resolver.ts'
import { sshRulesOf, type WireSshRule } from './ssh-rules.ts'
import { isExitRoute, type Place, type Topology } from './topology.ts'
import { Visibility } from './visibility.ts'

/** What holds when a policy says nothing about packets, or there is none. */
export const ALLOW_ALL: readonly FilterRuleInput[] = [
  { srcIps: ['*'], dstPorts: [{ ip: '*', ports: { first: 0, last: 65_535 } }] },
]

const RANDOMIZE_CLIENT_PORT = 'randomize-client-port'

/**
 * What a node is told to do for a 'check' rule. This server does not hold sessions until their user has signed in again,
 * and a session let in without would be worse than none.
 */
const REFUSE_CHECK = {
  reject: true,
  message: 'This network asks for a new sign-in here, which its server does not support yet.\r\n',
}

export class CompiledPolicy {
  readonly policy: Policy
  readonly resolver: Resolver
  readonly flows: readonly Flow[]
  /** No rules about packets at all: everything is allowed. */
  readonly allowsAll: boolean
  readonly #places: ReadonlyMap<string, Place>
  readonly #visibility: Visibility
  readonly #reach: Reach
  readonly #attributes: readonly {
    readonly targets: IpSet
    readonly attr: readonly string[]
    readonly ipPool: IpSet
  }[]

  constructor(policy: Policy, topology: Topology) {
    this.policy = policy
    this.resolver = new Resolver(policy, topology)
    this.allowsAll = policy.acls === undefined && policy.grants === undefined
    this.flows = compileFlows(policy, this.resolver)
    this.#places = new Map(this.resolver.places.map((place) => [place.node.key, place]))
    this.#visibility = new Visibility(this.resolver.places, this.flows)
    this.#reach = new Reach(this.flows)
    this.#attributes = policy.nodeAttrs.map(({ target, attr, ipPool }) => ({
      targets: IpSet.union(target.map((alias) => this.resolver.source(alias))),
      attr,
      ipPool,
    }))
  }

  filter(key: string): readonly FilterRuleInput[] {
    if (this.allowsAll) return ALLOW_ALL
    const place = this.#places.get(key)
    return place ? filterOf(place, this.flows, this.resolver) : []
  }

  /** Those that the policy gives, in the order of their names. */
  capabilities(key: string): string[] {
    const place = this.#places.get(key)
    if (!place) return []
    const given = this.#attributes.filter(({ targets }) => targets.overlaps(place.own)).flatMap(({ attr }) => attr)
    return [...new Set([...given, ...(this.policy.randomizeClientPort ? [RANDOMIZE_CLIENT_PORT] : [])])].sort()
  }

  /** Where its address has to lie; empty for anywhere. */
  addressPool(key: string): IpSet {
    const place = this.#places.get(key)
    if (!place) return IpSet.EMPTY
    return IpSet.union(
      this.#attributes.filter(({ targets }) => targets.overlaps(place.own)).map(({ ipPool }) => ipPool),
    )
  }

  sshRules(key: string): WireSshRule[] {
    const place = this.#places.get(key)
    return place ? sshRulesOf(place, this.policy.ssh, this.resolver, REFUSE_CHECK) : []
  }

  sees(viewer: string, other: string): boolean {
    return this.allowsAll ? viewer !== other : this.#visibility.sees(viewer, other)
  }

  peersOf(viewer: string): string[] {
    return this.allowsAll ? [...this.#places.keys()].filter((key) => key !== viewer) : this.#visibility.peersOf(viewer)
  }

  /** As long as the policy is the same, a node with the same signature sees and is seen as before. */
  signature(key: string): string | undefined {
    return this.allowsAll ? '' : this.#visibility.signature(key)
  }

  /** Whether the policy gives `from` this capability on the node `on`. */
  grants(from: string, on: string, capability: string): boolean {
    const [source, target] = [this.#places.get(from), this.#places.get(on)]
    if (!source || !target) return false
    return this.flows.some((flow) => {
      if (flow.kind !== 'capabilities' || !flow.app.has(capability) || !flow.src.overlaps(source.own)) return false
      if (flow.isSelf) return source.userKey !== undefined && source.userKey === target.userKey
      return flow.targets.some((set) => set.overlaps(target.own))
    })
  }

  /** Whether a route of the router is any of the viewer's business. */
  reaches(viewer: string, router: string, route: string): boolean {
    if (this.allowsAll) return true
    const [from, to, viewerClass] = [this.#places.get(viewer), this.#places.get(router), this.signature(viewer)]
    return from !== undefined && to !== undefined && this.#reach.reaches(from, viewerClass ?? viewer, to, route)
  }

  /** Tags of routers, in order, through which alone rules with `via` lead the viewer to this network. */
  steering(viewer: string, route: string): readonly string[] | undefined {
    const from = this.#places.get(viewer)
    return from && this.#reach.steering(from, this.signature(viewer) ?? viewer, route)
  }

  /** Whether the policy lets this node announce the route without anybody's consent (control.md §9.4). */
  approves(key: string, route: string): boolean {
    const place = this.#places.get(key)
    const range = prefixRange(route)
    if (!place || !range) return false
    const isAmong = (approvers: readonly Parameters<Resolver['set']>[0][]): boolean =>
      approvers.some((alias) => this.resolver.set(alias).overlaps(place.own))
    if (isExitRoute(route)) return isAmong(this.policy.exitNodeApprovers)
    const wanted = IpSet.of([range])
    return this.policy.routeApprovers.some(({ prefix, approvers }) => prefix.covers(wanted) && isAmong(approvers))
  }

  /** Whether nodes with the one tag may take the other. */
  tagOwnsTag(holder: string, tag: string): boolean {
    const visited = new Set<string>()
    const owns = (one: string): boolean => {
      if (visited.has(one)) return false
      visited.add(one)
      return (this.policy.tagOwners.get(one) ?? []).some(
        (owner) => owner.kind === 'tag' && (owner.name === holder || owns(owner.name)),
      )
    }
    return owns(tag)
  }

  /** Whether nodes of this user may take the tag. */
  ownsTag(userKey: string, tag: string): boolean {
    const visited = new Set<string>()
    const owns = (one: string): boolean => {
      if (visited.has(one)) return false
      visited.add(one)
      return (this.policy.tagOwners.get(one) ?? []).some((owner) => {
        if (owner.kind === 'tag') return owns(owner.name)
        if (owner.kind === 'user') return this.resolver.usersNamed(owner.name).some(({ key }) => key === userKey)
        if (owner.kind === 'group') return this.resolver.usersInGroup(owner.name).some(({ key }) => key === userKey)
        return (
          owner.kind === 'autogroup' &&
          (owner.name === 'member' ||
            this.resolver.users.some(({ key, role }) => key === userKey && role === owner.name))
        )
      })
    }
    return owns(tag)
  }
}
