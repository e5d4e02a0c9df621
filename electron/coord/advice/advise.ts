// Which node would help which pairs as a relay, and by how much. Pure: what is known goes in, a ranking comes out.

import type { NodeId } from '../model.ts'
import { type DerpDistances, guessDirect, guessOverDerp } from './derp-distance.ts'
import { type KnownPaths, type Latency, LATENCY_LIFE_MS, PATH_LIFE_MS, type PathKind } from './known-paths.ts'

/** Below this nobody notices, and measuring is not better than that. */
const LEAST_SAVED_MS = 2
/** A relay must be this much faster, in parts of what is now: a pair should not move for a tenth of a blink. */
const LEAST_SAVED_PART = 0.1
/** A direct path is left for a relay only when it is slow, and that is far faster. */
const SLOW_DIRECT_MS = 50
const LEAST_SAVED_PART_OF_DIRECT = 0.3
const LEAST_SAVED_OF_DIRECT_MS = 20
/** A guess must promise more before it counts. */
const GUESS_FACTOR = 2
/** Whoever has not talked for this long is not helped by anything. */
const NEED_LIFE_MS = 24 * 3_600_000
/** Of a ranking, and of one node's pairs; sums count all. */
export const MOST_CANDIDATES = 10
export const MOST_PAIRS_SHOWN = 20
/** Pairs of which nobody tells anything are tried among this many machines. */
const MOST_GUESSED_NODES = 100

export interface AdviceNode {
  readonly id: NodeId
  readonly isOnline: boolean
  /** It relays; it could, as far as its network goes; or its network lets nobody in. */
  readonly relay: 'on' | 'able' | 'no'
  /** Its router is known to map in a way that lets others in, or forwards a port. */
  readonly isOpen: boolean
  /** A network without UDP has no peer relay either. */
  readonly hasUdp: boolean
  /** Its router gives it another port for each destination: two such never meet without help. */
  readonly isHard: boolean
  readonly distances: DerpDistances | undefined
}

export interface AdviceInput {
  readonly nodes: readonly AdviceNode[]
  readonly paths: Pick<KnownPaths, 'pairs' | 'between' | 'reports'>
  readonly nowMs: number
  /** Whether the policy lets the two talk at all. */
  sees(a: NodeId, b: NodeId): boolean
  /** Whether the policy lets the client ask that node to relay, if it did. */
  mayAsk(client: NodeId, relay: NodeId): boolean
}

/** "measured" when all of it is; "estimated" as soon as one figure is guessed from latencies to DERP regions. */
export type Basis = 'measured' | 'estimated'

export interface HelpedPair {
  readonly a: NodeId
  readonly b: NodeId
  readonly kind: PathKind
  readonly nowMs: number
  readonly thenMs: number
  readonly savedMs: number
  readonly basis: Basis
}

export interface Candidate {
  readonly node: NodeId
  readonly isRelay: boolean
  readonly pairCount: number
  readonly measuredCount: number
  /** Of all its pairs together. */
  readonly savedMs: number
  /** Those that gain most. */
  readonly pairs: readonly HelpedPair[]
}

export interface Advice {
  /** Best first. */
  readonly candidates: readonly Candidate[]
  /** Pairs that are on DERP, or slow. */
  readonly pairsInNeed: number
}

/** A pair that could do with help. */
export interface NeedyPair {
  readonly a: NodeId
  readonly b: NodeId
  readonly kind: PathKind
  readonly latency: Figure | undefined
}

interface Figure {
  readonly ms: number
  readonly basis: Basis
}

export function advise(input: AdviceInput): Advice {
  const nodes = new Map(input.nodes.map((node) => [node.id, node]))
  const needy = needyPairs(input)
  const candidates: Candidate[] = []
  for (const relay of input.nodes) {
    if (!relay.isOnline || relay.relay === 'no' || !relay.hasUdp) continue
    const helped = needy.flatMap((pair) => help(input, nodes, pair, relay) ?? [])
    if (helped.length === 0) continue
    helped.sort((x, y) => y.savedMs - x.savedMs || x.a - y.a || x.b - y.b)
    candidates.push({
      node: relay.id,
      isRelay: relay.relay === 'on',
      pairCount: helped.length,
      measuredCount: helped.filter(({ basis }) => basis === 'measured').length,
      savedMs: helped.reduce((sum, { savedMs }) => sum + savedMs, 0),
      pairs: helped.slice(0, MOST_PAIRS_SHOWN),
    })
  }
  candidates.sort((x, y) => y.savedMs - x.savedMs || y.pairCount - x.pairCount || x.node - y.node)
  return { candidates: candidates.slice(0, MOST_CANDIDATES), pairsInNeed: needy.length }
}

/** What is known to be relayed by a node already is not counted: that is a gain, not advice. */
export function needyPairs(input: AdviceInput): NeedyPair[] {
  const nodes = new Map(input.nodes.map((node) => [node.id, node]))
  const needy: NeedyPair[] = []
  const canBeHelped = (a: NodeId, b: NodeId): boolean => {
    const both = [nodes.get(a), nodes.get(b)]
    return both.every((node) => node?.isOnline && node.hasUdp) && (input.sees(a, b) || input.sees(b, a))
  }
  for (const pair of input.paths.pairs()) {
    const { a, b, kind, atMs, usedAtMs } = pair
    const isUsed = usedAtMs !== undefined && input.nowMs - usedAtMs <= NEED_LIFE_MS
    if (kind === 'peer-relay' || !isUsed || input.nowMs - atMs > PATH_LIFE_MS || !canBeHelped(a, b)) continue
    const measured = fresh(kind === 'derp' ? pair.derp : pair.direct, input.nowMs)
    const guessed = kind === 'derp' ? overDerp(nodes.get(a), nodes.get(b)) : undefined
    if (kind === 'derp' || (measured && measured.ms >= SLOW_DIRECT_MS))
      needy.push({ a, b, kind, latency: measured ?? guessed })
  }
  const silent = input.nodes
    .filter((node) => node.isHard && node.isOnline && node.hasUdp && !input.paths.reports(node.id, input.nowMs))
    .slice(0, MOST_GUESSED_NODES)
  // Of machines that tell nothing, two behind hard routers are on DERP whenever they talk.
  for (const [i, one] of silent.entries())
    for (const other of silent.slice(i + 1)) {
      const [a, b] = one.id < other.id ? [one, other] : [other, one]
      const latency = overDerp(a, b)
      if (latency && !input.paths.between(a.id, b.id) && canBeHelped(a.id, b.id))
        needy.push({ a: a.id, b: b.id, kind: 'derp', latency })
    }
  return needy
}

function help(
  input: AdviceInput,
  nodes: ReadonlyMap<NodeId, AdviceNode>,
  pair: NeedyPair,
  relay: AdviceNode,
): HelpedPair | undefined {
  const { a, b, kind, latency } = pair
  if (relay.id === a || relay.id === b || !latency || !mayUse(input, pair, relay.id)) return undefined
  const [toA, toB] = [a, b].map((end) => leg(input, nodes.get(end), relay))
  if (!toA || !toB) return undefined
  const thenMs = toA.ms + toB.ms
  const savedMs = latency.ms - thenMs
  const basis = [latency, toA, toB].every((figure) => figure.basis === 'measured') ? 'measured' : 'estimated'
  const factor = basis === 'measured' ? 1 : GUESS_FACTOR
  const [leastMs, leastPart] =
    kind === 'direct' ? [LEAST_SAVED_OF_DIRECT_MS, LEAST_SAVED_PART_OF_DIRECT] : [LEAST_SAVED_MS, LEAST_SAVED_PART]
  if (savedMs < factor * Math.max(leastMs, leastPart * latency.ms)) return undefined
  return { a, b, kind, nowMs: latency.ms, thenMs, savedMs, basis }
}

/** One of the two asks for both; it must see the relay to do so. */
export function mayUse(
  input: Pick<AdviceInput, 'sees' | 'mayAsk'>,
  { a, b }: Pick<NeedyPair, 'a' | 'b'>,
  relay: NodeId,
): boolean {
  return [a, b].some((client) => input.sees(client, relay) && input.mayAsk(client, relay))
}

/** A direct round trip between a client and a relay; undefined when there is none, or nobody knows of one. */
function leg(input: AdviceInput, client: AdviceNode | undefined, relay: AdviceNode): Figure | undefined {
  if (!client) return undefined
  const known = input.paths.between(client.id, relay.id)
  const measured = fresh(known?.direct, input.nowMs)
  if (measured) return measured
  // They tried and did not get through: what was guessed does not count against that.
  const hasFailed = known !== undefined && input.nowMs - known.atMs <= PATH_LIFE_MS && known.kind !== 'direct'
  if (hasFailed || !(relay.relay === 'on' || relay.isOpen) || !client.distances || !relay.distances) return undefined
  const ms = guessDirect(client.distances, relay.distances)
  return ms === undefined ? undefined : { ms, basis: 'estimated' }
}

function overDerp(a: AdviceNode | undefined, b: AdviceNode | undefined): Figure | undefined {
  const ms = a?.distances && b?.distances ? guessOverDerp(a.distances, b.distances) : undefined
  return ms === undefined ? undefined : { ms, basis: 'estimated' }
}

const fresh = (latency: Latency | undefined, nowMs: number): Figure | undefined =>
  latency && nowMs - latency.atMs <= LATENCY_LIFE_MS ? { ms: latency.ms, basis: 'measured' } : undefined

/**
 * Whose latency this node should measure until its next report: candidates for the pairs it is part of, and, as a
 * candidate itself, machines in need that tell nothing. Only those it sees, unmeasured ones first.
 */
export function toMeasure(input: AdviceInput, node: AdviceNode, most: number): NodeId[] {
  const nodes = new Map(input.nodes.map((one) => [one.id, one]))
  const needy = needyPairs(input)
  const inNeed = new Set(needy.flatMap(({ a, b }) => [a, b]))
  const wanted: NodeId[] = []
  for (const other of input.nodes) {
    if (other.id === node.id || !other.isOnline || !other.hasUdp || !input.sees(node.id, other.id)) continue
    const known = input.paths.between(node.id, other.id)
    // Known, or tried a short while ago: each report tells of all that was asked for before.
    if (known && input.nowMs - known.atMs <= PATH_LIFE_MS) continue
    const asClient = inNeed.has(node.id) && other.relay !== 'no'
    const asCandidate = node.relay !== 'no' && inNeed.has(other.id) && !input.paths.reports(other.id, input.nowMs)
    if (asClient || asCandidate) wanted.push(other.id)
  }
  const rank = (id: NodeId): number => (nodes.get(id)?.relay === 'on' ? 0 : 1)
  return wanted.sort((x, y) => rank(x) - rank(y) || x - y).slice(0, most)
}
