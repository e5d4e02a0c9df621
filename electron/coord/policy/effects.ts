// What a change of policy means for people: who can reach what afterwards and could not before, and the other way round.
// Only nodes that exist today are looked at.

import type { CompiledPolicy } from './compile.ts'
import { beginsAt, endsAt, type PacketFlow } from './flows.ts'
import type { IpSet } from './ip-set.ts'
import { ALL_PORTS, type PortRange } from './document.ts'
import { protocolName } from './protocols.ts'
import type { Place } from './topology.ts'

export interface Effect {
  /** Names of nodes. */
  readonly from: string
  readonly to: string
  /** As in "tcp:22", "*:*", "10.1.0.0/16 tcp:443", "example.com/cap/print", "SSH". */
  readonly gains: readonly string[]
  readonly loses: readonly string[]
}

export interface Effects {
  readonly effects: readonly Effect[]
  /** Not all nodes were looked at, or not all effects are listed. */
  readonly isCut: boolean
}

/** All pairs are looked at; beyond this it takes longer than somebody waits. */
const MOST_NODES = 400
const MOST_EFFECTS = 1_000

export function policyEffects(before: CompiledPolicy, after: CompiledPolicy, nameOf: (key: string) => string): Effects {
  const keys = [...after.resolver.places].slice(0, MOST_NODES).map(({ node }) => node.key)
  const [was, is] = [new Access(before), new Access(after)]
  const effects: Effect[] = []
  let isCut = after.resolver.places.length > keys.length
  for (const from of keys)
    for (const to of keys) {
      if (from === to) continue
      const [a, b] = [was.between(from, to), is.between(from, to)]
      const gains = [...b].filter((one) => !a.has(one))
      const loses = [...a].filter((one) => !b.has(one))
      if (gains.length + loses.length === 0) continue
      if (effects.length < MOST_EFFECTS) effects.push({ from: nameOf(from), to: nameOf(to), gains, loses })
      else isCut = true
    }
  return { effects, isCut }
}

const EVERYTHING_ALLOWED: ReadonlySet<string> = new Set(['*:*'])

class Access {
  readonly #compiled: CompiledPolicy
  readonly #places: ReadonlyMap<string, Place>
  readonly #begins: ReadonlyMap<string, readonly boolean[]>
  readonly #ends: ReadonlyMap<string, readonly boolean[]>
  readonly #ssh: ReadonlyMap<string, ReadonlySet<string>>

  constructor(compiled: CompiledPolicy) {
    this.#compiled = compiled
    const { places } = compiled.resolver
    this.#places = new Map(places.map((place) => [place.node.key, place]))
    this.#begins = new Map(places.map((place) => [place.node.key, compiled.flows.map((flow) => beginsAt(flow, place))]))
    this.#ends = new Map(places.map((place) => [place.node.key, compiled.flows.map((flow) => endsAt(flow, place))]))
    const principals = ({ node }: Place) => compiled.sshRules(node.key).flatMap((rule) => rule.principals ?? [])
    this.#ssh = new Map(
      places.map((place) => [place.node.key, new Set(principals(place).flatMap(({ nodeIp }) => nodeIp ?? []))]),
    )
  }

  between(from: string, to: string): ReadonlySet<string> {
    const [source, target] = [this.#places.get(from), this.#places.get(to)]
    if (!source || !target) return new Set()
    const found = new Set(this.#compiled.allowsAll ? EVERYTHING_ALLOWED : this.#packets(source, target))
    if (source.node.addresses.some((address) => this.#ssh.get(to)?.has(address) === true)) found.add('SSH')
    return found
  }

  *#packets(source: Place, target: Place): Iterable<string> {
    const [begins, ends] = [this.#begins.get(source.node.key) ?? [], this.#ends.get(target.node.key) ?? []]
    for (const [i, flow] of this.#compiled.flows.entries()) {
      if (begins[i] !== true || ends[i] !== true) continue
      if (flow.isSelf && source.userKey !== target.userKey) continue
      if (flow.kind === 'capabilities') yield* flow.app.keys()
      else yield* packetTexts(flow, target)
    }
  }
}

function* packetTexts(flow: PacketFlow, target: Place): Iterable<string> {
  for (const { set, ports, isAll } of flow.targets) {
    if (flow.isSelf || isAll || set.overlaps(target.own)) yield* specTexts(flow.protocols, ports)
    else if (set.overlaps(target.reach) || target.isExit)
      for (const text of specTexts(flow.protocols, ports)) yield `${placeText(set)} ${text}`
  }
}

const placeText = (set: IpSet): string => {
  const texts = set.toTexts()
  return texts.length > 4 ? 'internet' : texts.join(',')
}

function* specTexts(protocols: readonly number[], ports: readonly PortRange[]): Iterable<string> {
  const names = protocols.length === 0 ? ['*'] : protocols.map(protocolName)
  for (const name of names)
    for (const { first, last } of ports) {
      const text =
        first === ALL_PORTS.first && last === ALL_PORTS.last ? '*' : first === last ? `${first}` : `${first}-${last}`
      yield `${name}:${text}`
    }
}
