// The packet filter of one node in wire form: of all flows those that end at it, cut to what concerns it.
// control.md §9.3, steps 2–6, and §9.6.

import { filterRule, type FilterRuleInput } from '../../wire/tailcfg/filter-rule.ts'
import { endsAt, type CapabilityFlow, type Flow, type PacketFlow } from './flows.ts'
import { blocks, INTERNET, IpSet, rangeText } from './ip-set.ts'
import type { Resolver } from './resolver.ts'
import type { Place } from './topology.ts'

type DstPort = NonNullable<FilterRuleInput['dstPorts']>[number]

/** A capability and what its holder's counterpart must be told (control.md §9.3, step 4). */
const COMPANIONS: ReadonlyMap<string, string> = new Map([
  ['tailscale.com/cap/drive', 'tailscale.com/cap/drive-sharer'],
  ['tailscale.com/cap/relay', 'tailscale.com/cap/relay-target'],
])

export function filterOf(place: Place, flows: readonly Flow[], resolver: Resolver): FilterRuleInput[] {
  const rules: FilterRuleInput[] = []
  /** By sources and protocols, so that equal ones become one rule. */
  const packets = new Map<string, { readonly rule: FilterRuleInput; readonly dstPorts: DstPort[] }>()
  for (const flow of flows) {
    if (flow.kind === 'capabilities') {
      rules.push(...capabilityRules(flow, place, resolver))
      continue
    }
    if (!concerns(flow, place)) continue
    const sources = flow.isSelf ? ownSources(flow, place, resolver).toTexts().sort() : flow.srcTexts
    if (sources.length === 0) continue
    const dstPorts = dstPortsAt(flow, place)
    if (dstPorts.length === 0) continue
    const key = `${sources.join()}|${flow.protocols.join()}`
    const known = packets.get(key)
    if (known) {
      known.dstPorts.push(...dstPorts)
      continue
    }
    const rule = { srcIps: sources, dstPorts, ...(flow.protocols.length > 0 && { ipProto: flow.protocols }) }
    packets.set(key, { rule, dstPorts })
    rules.push(rule)
  }
  return rules
}

/** An exit node also carries parts of the internet, although these alone make nobody see it. */
function concerns(flow: PacketFlow, place: Place): boolean {
  return endsAt(flow, place) || (place.isExit && flow.via === undefined && flow.dst.overlaps(INTERNET))
}

/** As it is sent. A capability without values is null, as other servers of this field write it. */
export function wireRule(rule: FilterRuleInput): unknown {
  if (rule.capGrant === undefined) return filterRule.write(rule)
  const text = JSON.stringify(filterRule.write(rule), (key, value: unknown) =>
    key === 'CapMap' ? withNulls(value) : value,
  )
  return JSON.parse(text)
}

function withNulls(capMap: unknown): unknown {
  if (typeof capMap !== 'object' || capMap === null) return capMap
  return Object.fromEntries(
    Object.entries(capMap).map(([name, values]) => [
      name,
      Array.isArray(values) && values.length === 0 ? null : values,
    ]),
  )
}

/** Of the owner's machines those among the sources. */
function ownSources(flow: Flow, place: Place, resolver: Resolver): IpSet {
  if (place.userKey === undefined) return IpSet.EMPTY
  const own = resolver.placesOfUser(place.userKey)
  return IpSet.union(own.filter((one) => flow.src.overlaps(one.own)).map((one) => one.own))
}

function dstPortsAt(flow: PacketFlow, place: Place): DstPort[] {
  return flow.targets.flatMap(({ isAll, set, ports }) => {
    const texts = isAll
      ? ['*']
      : flow.isSelf
        ? place.own.toTexts()
        : flow.via
          ? carried(set, place)
          : textsAt(set, place)
    return texts.flatMap((ip) => ports.map((range) => ({ ip, ports: range })))
  })
}

/** Blocks of the set that touch the node or its subnets; for an exit node also those of the internet. */
function textsAt(set: IpSet, place: Place): string[] {
  const texts: string[] = []
  for (const range of place.isExit ? set.ranges : set.touching(place.reach))
    for (const block of blocks(range)) {
      const one = IpSet.of([block])
      if (one.overlaps(place.reach) || (place.isExit && INTERNET.covers(one))) texts.push(rangeText(block))
    }
  return texts
}

/** Steered destinations stay as they are written. */
function carried(set: IpSet, place: Place): string[] {
  if (!set.overlaps(place.behind) && !(place.isExit && set.equals(INTERNET))) return []
  return set.ranges.flatMap((range) => [...blocks(range)].map(rangeText))
}

function* capabilityRules(flow: CapabilityFlow, place: Place, resolver: Resolver): Iterable<FilterRuleInput> {
  const sources = flow.isSelf ? ownSources(flow, place, resolver) : flow.src
  const targets = flow.isSelf ? [place.own] : flow.targets
  if (endsAt(flow, place) && (!flow.isSelf || !sources.isEmpty)) {
    const capGrant = targets.flatMap((target) => {
      const dsts = prefixesAt(target, place)
      return dsts.length === 0
        ? []
        : { dsts, capMap: new Map([...flow.app].map(([name, values]) => [name, [...values]])) }
    })
    if (capGrant.length > 0) yield { srcIps: flow.isSelf ? sources.toTexts().sort() : flow.srcTexts, capGrant }
  }
  const backwards = flow.isSelf ? userSet(place, resolver) : flow.backwards.src
  for (const [capability, companion] of COMPANIONS) {
    if (!flow.app.has(capability) || backwards.isEmpty || (flow.isSelf && place.userKey === undefined)) continue
    const dsts = prefixesAt(flow.isSelf ? sources : flow.backwards.dst, place)
    if (dsts.length > 0)
      yield { srcIps: backwards.toTexts().sort(), capGrant: [{ dsts, capMap: new Map([[companion, []]]) }] }
  }
}

function userSet(place: Place, resolver: Resolver): IpSet {
  return place.userKey === undefined
    ? IpSet.EMPTY
    : IpSet.union(resolver.placesOfUser(place.userKey).map(({ own }) => own))
}

/** The node's own addresses in the set, one by one; and whole blocks where they touch its subnets. */
function prefixesAt(set: IpSet, place: Place): string[] {
  const prefixes = set.intersect(place.own).toPrefixes()
  if (place.behind.isEmpty) return prefixes
  for (const range of set.touching(place.behind))
    for (const block of blocks(range)) {
      const one = IpSet.of([block])
      if (one.overlaps(place.behind)) prefixes.push(...one.toPrefixes())
    }
  return prefixes
}
