// Advice with names, as the command line and the console show it. Printed by --json, so the names are public interface.
// Milliseconds are of round trips.

import type { Node, NodeId } from '../model.ts'
import type { Basis } from './advise.ts'
import type { AdviceDesk } from './advice-desk.ts'
import type { PathKind } from './known-paths.ts'

export interface RelayAdviceInfo {
  /** False while no server runs: then nothing is known. */
  readonly isGathering: boolean
  /** Pairs that talk over DERP, or directly but slowly. */
  readonly pairsInNeed: number
  /** Best first. */
  readonly candidates: readonly CandidateInfo[]
  readonly relays: readonly RelayGainInfo[]
}

export interface CandidateInfo {
  readonly node: string
  /** It relays already, and could do so for these pairs too. */
  readonly isRelay: boolean
  readonly pairCount: number
  /** Of these pairs, how many rest on measurements alone; the others on latencies to DERP regions. */
  readonly measuredCount: number
  /** Of all its pairs together. */
  readonly savedMs: number
  /** Those that would gain most. */
  readonly pairs: readonly {
    readonly nodes: readonly [string, string]
    readonly path: PathKind
    readonly nowMs: number
    readonly thenMs: number
    readonly savedMs: number
    readonly basis: Basis
  }[]
}

export interface RelayGainInfo {
  readonly node: string
  readonly pairCount: number
  readonly inUseCount: number
  /** Pairs that DERP carried faster. */
  readonly slowerCount: number
  readonly savedMs: number
  readonly pairs: readonly {
    readonly nodes: readonly [string, string]
    readonly beforeMs: number
    readonly afterMs: number
    readonly savedMs: number
    readonly basis: Basis
    readonly isInUse: boolean
  }[]
}

export const NO_ADVICE: RelayAdviceInfo = { isGathering: false, pairsInNeed: 0, candidates: [], relays: [] }

export function adviceInfo(desk: AdviceDesk, nodeOf: (id: NodeId) => Node | undefined): RelayAdviceInfo {
  const { candidates, pairsInNeed, gains } = desk.advice()
  const name = (id: NodeId): string => nodeOf(id)?.name ?? String(id)
  return {
    isGathering: true,
    pairsInNeed,
    candidates: candidates.map(({ node, savedMs, pairs, ...counts }) => ({
      ...counts,
      node: name(node),
      savedMs: tenths(savedMs),
      pairs: pairs.map(({ a, b, kind, basis, ...pair }) => ({
        nodes: [name(a), name(b)],
        path: kind,
        nowMs: tenths(pair.nowMs),
        thenMs: tenths(pair.thenMs),
        savedMs: tenths(pair.savedMs),
        basis,
      })),
    })),
    relays: gains.map(({ node, savedMs, pairs, ...counts }) => ({
      ...counts,
      node: name(node),
      savedMs: tenths(savedMs),
      pairs: pairs.map(({ a, b, basis, isInUse, ...pair }) => ({
        nodes: [name(a), name(b)],
        beforeMs: tenths(pair.beforeMs),
        afterMs: tenths(pair.afterMs),
        savedMs: tenths(pair.savedMs),
        basis,
        isInUse,
      })),
    })),
  }
}

const tenths = (ms: number): number => Math.round(ms * 10) / 10
