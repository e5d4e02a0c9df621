// The rules of a policy looked up in a tailnet: who may send what to whom, before it is cut to what one node needs.

import { isAutogroup } from './alias.ts'
import type { Alias, Grant, IpSpec, Policy, PortRange } from './document.ts'
import { EVERYTHING, IpSet, TAILNET } from './ip-set.ts'
import type { Resolver } from './resolver.ts'
import { isReachedBy, type Place } from './topology.ts'

/** Destinations as they stand in the rule. */
export interface Target {
  /** Written as `*` on the wire, whatever it covers. */
  readonly isAll: boolean
  readonly set: IpSet
  readonly ports: readonly PortRange[]
}

interface FlowBase {
  readonly src: IpSet
  readonly srcTexts: readonly string[]
  /** All destinations together. */
  readonly dst: IpSet
  /** Destinations are one's own machines: both ends belong to the same person, and `dst` is empty. */
  readonly isSelf: boolean
  /** Only nodes with one of these tags carry it; undefined is any. */
  readonly via: readonly string[] | undefined
}

export interface PacketFlow extends FlowBase {
  readonly kind: 'packets'
  readonly protocols: readonly number[]
  /** For isSelf their ports alone count. */
  readonly targets: readonly Target[]
}

export interface CapabilityFlow extends FlowBase {
  readonly kind: 'capabilities'
  readonly app: ReadonlyMap<string, readonly unknown[]>
  /** One set for each destination of the grant. */
  readonly targets: readonly IpSet[]
  /** Both ends the other way round, for what their counterparts must be told. */
  readonly backwards: { readonly src: IpSet; readonly dst: IpSet }
}

export type Flow = PacketFlow | CapabilityFlow

export function compileFlows(policy: Policy, resolver: Resolver): Flow[] {
  const flows: Flow[] = []
  for (const grant of policy.grants ?? []) flows.push(...grantFlows(grant, resolver))
  for (const { src, dst, protocols } of policy.acls ?? []) {
    const sources = lookUpSources(src, resolver)
    if (sources.src.isEmpty) continue
    const others = dst.filter(({ alias }) => !isAutogroup(alias, 'self'))
    const own = dst.filter(({ alias }) => isAutogroup(alias, 'self'))
    flows.push(...packetFlows(sources, targetsOf(others, resolver), selfTargets(own), protocols))
  }
  return flows
}

interface Sources {
  readonly src: IpSet
  readonly srcTexts: readonly string[]
}

function lookUpSources(aliases: readonly Alias[], resolver: Resolver): Sources {
  if (aliases.some((alias) => isAutogroup(alias, 'danger-all'))) return { src: EVERYTHING, srcTexts: ['*'] }
  const src = IpSet.union(aliases.map((alias) => resolver.source(alias)))
  return { src, srcTexts: src.toTexts().sort() }
}

function targetsOf(
  dst: readonly { readonly alias: Alias; readonly ports: readonly PortRange[] }[],
  resolver: Resolver,
): Target[] {
  return dst.map(({ alias, ports }) => {
    const isAll = alias.kind === 'all'
    return { isAll, set: isAll ? EVERYTHING : resolver.set(alias), ports }
  })
}

const selfTargets = (dst: readonly { readonly ports: readonly PortRange[] }[]): Target[] =>
  dst.map(({ ports }) => ({ isAll: false, set: IpSet.EMPTY, ports }))

function* packetFlows(
  sources: Sources,
  targets: readonly Target[],
  own: readonly Target[],
  protocols: readonly number[],
): Iterable<PacketFlow> {
  const base = { ...sources, kind: 'packets', protocols, via: undefined } as const
  if (targets.length > 0) {
    const dst = IpSet.union(targets.map(({ set }) => set))
    if (!dst.isEmpty) yield { ...base, isSelf: false, dst, targets }
  }
  if (own.length > 0) yield { ...base, isSelf: true, dst: IpSet.EMPTY, targets: own }
}

function* grantFlows(grant: Grant, resolver: Resolver): Iterable<Flow> {
  if (grant.src.length === 0 || grant.dst.length === 0) return
  const sources = lookUpSources(grant.src, resolver)
  const others = grant.dst.filter((alias) => !isAutogroup(alias, 'self'))
  const hasSelf = others.length < grant.dst.length
  const withPorts = ({ ports }: IpSpec) => others.map((alias) => ({ alias, ports }))
  if (!sources.src.isEmpty)
    for (const spec of grant.ip) {
      const targets = targetsOf(withPorts(spec), resolver)
      for (const flow of packetFlows(sources, targets, hasSelf ? selfTargets([spec]) : [], spec.protocols))
        yield grant.via.length > 0 ? { ...flow, via: grant.via } : flow
    }
  if (grant.app.size === 0) return
  const base = { ...sources, kind: 'capabilities', app: grant.app, via: undefined } as const
  const targets = others.map((alias) => (alias.kind === 'all' ? TAILNET : resolver.set(alias)))
  const dst = IpSet.union(targets)
  const backwards = {
    src: IpSet.union(others.map((alias) => resolver.source(alias))),
    dst: IpSet.union(grant.src.map((alias) => resolver.set(alias))),
  }
  if (!dst.isEmpty) yield { ...base, isSelf: false, dst, targets, backwards }
  if (hasSelf) yield { ...base, isSelf: true, dst: IpSet.EMPTY, targets: [], backwards }
}

/** Whether the flow ends at this node, or behind it. For isSelf only its owner's other nodes can be its sources. */
export function endsAt(flow: Flow, place: Place): boolean {
  if (flow.isSelf) return place.userKey !== undefined
  if (flow.via) return flow.via.some((tag) => place.node.tags.includes(tag)) && carries(flow.dst, place)
  return isReachedBy(place, flow.dst)
}

/** Steering is about what is behind a router: its own addresses do not count. */
const carries = (dst: IpSet, place: Place): boolean =>
  dst.overlaps(place.behind) || (place.isExit && isReachedBy({ ...place, reach: IpSet.EMPTY }, dst))

/** Whether it begins at this node, or behind it. */
export function beginsAt(flow: Flow, place: Place): boolean {
  if (flow.isSelf) return place.userKey !== undefined && flow.src.overlaps(place.own)
  return flow.src.overlaps(place.reach)
}
