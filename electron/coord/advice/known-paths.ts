// What the nodes of one tailnet told of the paths between them, by pairs: bounded, in memory only, since it is told again.

import type { NodeId } from '../model.ts'

/** A tailnet of 140 machines in a full mesh; past it the pair longest unheard of goes. */
const MOST_PAIRS = 10_000
/** Of one pair, the newest. */
const MOST_RELAYS = 4
/** A latency older than this says nothing any more. */
export const LATENCY_LIFE_MS = 24 * 3_600_000
/** A pair of which nothing was heard for this long has no known path: three reports went missing. */
export const PATH_LIFE_MS = 15 * 60_000
/** One new figure among those before it: some minutes of a bad line must not turn the advice over. */
const SMOOTHING = 0.3
/** Nothing on earth is farther. */
const MAX_LATENCY_MS = 10_000

export type PathKind = 'direct' | 'peer-relay' | 'derp'

/** A smoothed round trip. */
export interface Latency {
  readonly ms: number
  readonly count: number
  readonly atMs: number
}

export interface PairPaths {
  /** The lower id first. */
  readonly a: NodeId
  readonly b: NodeId
  readonly kind: PathKind
  /** For a peer relay. */
  readonly relay: NodeId | undefined
  readonly atMs: number
  /** When it last carried data. */
  readonly usedAtMs: number | undefined
  readonly direct: Latency | undefined
  readonly derp: Latency | undefined
  readonly byRelay: ReadonlyMap<NodeId, Latency>
}

export interface PathFact {
  readonly kind: PathKind
  readonly latencyMs: number | undefined
  readonly relay: NodeId | undefined
  readonly isUsed: boolean
}

export class KnownPaths {
  readonly #pairs = new Map<string, PairPaths>()
  /** Who told something of its own, and when last. */
  readonly #reporters = new Map<NodeId, number>()

  note(from: NodeId, to: NodeId, fact: PathFact, nowMs: number): void {
    if (from === to) return
    const key = pairKey(from, to)
    const before = this.#pairs.get(key)
    const [a, b] = from < to ? [from, to] : [to, from]
    const pair = {
      ...(before ?? { a, b, usedAtMs: undefined, direct: undefined, derp: undefined, byRelay: new Map() }),
    }
    const add = (known: Latency | undefined): Latency | undefined => smoothed(known, fact.latencyMs, nowMs)
    // Taken out and put back: the first of the table is the one longest unheard of.
    this.#pairs.delete(key)
    this.#pairs.set(key, {
      ...pair,
      kind: fact.kind,
      relay: fact.kind === 'peer-relay' ? fact.relay : undefined,
      atMs: nowMs,
      usedAtMs: fact.isUsed ? nowMs : pair.usedAtMs,
      direct: fact.kind === 'direct' ? add(pair.direct) : pair.direct,
      derp: fact.kind === 'derp' ? add(pair.derp) : pair.derp,
      byRelay:
        fact.kind === 'peer-relay' && fact.relay !== undefined
          ? withRelay(pair.byRelay, fact.relay, add)
          : pair.byRelay,
    })
    if (this.#pairs.size > MOST_PAIRS) {
      const oldest = this.#pairs.keys().next()
      if (!oldest.done) this.#pairs.delete(oldest.value)
    }
  }

  noteReporter(id: NodeId, nowMs: number): void {
    this.#reporters.set(id, nowMs)
  }

  reports(id: NodeId, nowMs: number): boolean {
    const atMs = this.#reporters.get(id)
    return atMs !== undefined && nowMs - atMs < PATH_LIFE_MS
  }

  between(a: NodeId, b: NodeId): PairPaths | undefined {
    return this.#pairs.get(pairKey(a, b))
  }

  pairs(): Iterable<PairPaths> {
    return this.#pairs.values()
  }

  get size(): number {
    return this.#pairs.size
  }

  /** Nodes that are gone. */
  keepOnly(isThere: (id: NodeId) => boolean): void {
    for (const [key, { a, b }] of this.#pairs) if (!isThere(a) || !isThere(b)) this.#pairs.delete(key)
    for (const id of this.#reporters.keys()) if (!isThere(id)) this.#reporters.delete(id)
  }
}

function withRelay(
  known: ReadonlyMap<NodeId, Latency>,
  relay: NodeId,
  add: (before: Latency | undefined) => Latency | undefined,
): ReadonlyMap<NodeId, Latency> {
  const latency = add(known.get(relay))
  const next = new Map([...known].filter(([id]) => id !== relay).slice(1 - MOST_RELAYS))
  if (latency) next.set(relay, latency)
  return next
}

function smoothed(known: Latency | undefined, ms: number | undefined, nowMs: number): Latency | undefined {
  if (ms === undefined || !(ms >= 0 && ms <= MAX_LATENCY_MS)) return known
  if (!known || nowMs - known.atMs > LATENCY_LIFE_MS) return { ms, count: 1, atMs: nowMs }
  return { ms: known.ms + SMOOTHING * (ms - known.ms), count: known.count + 1, atMs: nowMs }
}

export const pairKey = (a: NodeId, b: NodeId): string => (a < b ? `${a} ${b}` : `${b} ${a}`)
