// What relays have brought: what pairs had over DERP before, and have over the relay now. Pure.

import type { NodeId } from '../model.ts'
import { type AdviceInput, type Basis, MOST_CANDIDATES, MOST_PAIRS_SHOWN } from './advise.ts'
import { guessOverDerp } from './derp-distance.ts'
import { LATENCY_LIFE_MS } from './known-paths.ts'

export interface PairGain {
  readonly a: NodeId
  readonly b: NodeId
  readonly beforeMs: number
  readonly afterMs: number
  /** Negative when the relay is slower than DERP was. */
  readonly savedMs: number
  /** "estimated" when nobody measured before. */
  readonly basis: Basis
  /** Whether the pair goes over the relay at the moment. */
  readonly isInUse: boolean
}

export interface RelayGain {
  readonly node: NodeId
  readonly pairCount: number
  readonly inUseCount: number
  readonly slowerCount: number
  readonly savedMs: number
  readonly pairs: readonly PairGain[]
}

export function gains(input: Pick<AdviceInput, 'nodes' | 'paths' | 'nowMs'>): RelayGain[] {
  const nodes = new Map(input.nodes.map((node) => [node.id, node]))
  const byRelay = new Map<NodeId, PairGain[]>()
  for (const pair of input.paths.pairs()) {
    const { a, b, kind, relay } = pair
    const [one, other] = [nodes.get(a), nodes.get(b)]
    if (!one || !other) continue
    for (const [id, after] of pair.byRelay) {
      if (input.nowMs - after.atMs > LATENCY_LIFE_MS || !nodes.has(id)) continue
      // However long ago: nothing but DERP would have carried the pair.
      const guess = one.distances && other.distances ? guessOverDerp(one.distances, other.distances) : undefined
      const beforeMs = pair.derp?.ms ?? guess
      if (beforeMs === undefined) continue
      const gain: PairGain = {
        a,
        b,
        beforeMs,
        afterMs: after.ms,
        savedMs: beforeMs - after.ms,
        basis: pair.derp ? 'measured' : 'estimated',
        isInUse: kind === 'peer-relay' && relay === id,
      }
      byRelay.set(id, [...(byRelay.get(id) ?? []), gain])
    }
  }
  return [...byRelay]
    .map(([node, pairs]) => ({
      node,
      pairCount: pairs.length,
      inUseCount: pairs.filter(({ isInUse }) => isInUse).length,
      slowerCount: pairs.filter(({ savedMs }) => savedMs < 0).length,
      savedMs: pairs.reduce((sum, { savedMs }) => sum + savedMs, 0),
      pairs: pairs.toSorted((x, y) => y.savedMs - x.savedMs || x.a - y.a || x.b - y.b).slice(0, MOST_PAIRS_SHOWN),
    }))
    .sort((x, y) => y.savedMs - x.savedMs || x.node - y.node)
    .slice(0, MOST_CANDIDATES)
}
