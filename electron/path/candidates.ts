// The endpoints at which a peer might be reached, and why we think so.

import { canonicalEndpoint, isTailnetAddress, ipToBytes, isV6, splitEndpoint, type Endpoint } from '../base/endpoint.ts'

export const MAX_CANDIDATES = 100
/** More than any real node offers; what a hostile one can make us ping. */
export const MAX_CALLED_ENDPOINTS = 64
/** An endpoint only seen as the source of a ping is forgotten this long after the last one. */
export const HEARD_LIFETIME_MS = 45_000

export interface Candidate {
  /** Listed in the netmap. */
  readonly inNetmap: boolean
  /** Listed in the peer's last CallMeMaybe. */
  readonly called: boolean
  /** When the peer last reached us from there. */
  readonly heardAtMs: number | undefined
  /** When we last pinged it in a discovery round; undefined lets the next round ping at once. */
  readonly pingedAtMs: number | undefined
  /** When we last pinged it for having heard from it. */
  readonly echoedAtMs: number | undefined
  /** Round trip of the last pong from there. */
  readonly latencyMs: number | undefined
  readonly answeredAtMs: number | undefined
}

export type Candidates = ReadonlyMap<Endpoint, Candidate>

const NEW: Candidate = {
  inNetmap: false,
  called: false,
  heardAtMs: undefined,
  pingedAtMs: undefined,
  echoedAtMs: undefined,
  latencyMs: undefined,
  answeredAtMs: undefined,
}

/**
 * The canonical form of an endpoint worth a ping, else undefined. Tailnet addresses would go into our own tunnel;
 * IPv6 link-local ones mean nothing without a zone.
 */
export function usableEndpoint(text: string): Endpoint | undefined {
  const endpoint = canonicalEndpoint(text)
  const parts = endpoint === undefined ? undefined : splitEndpoint(endpoint)
  const bytes = parts && ipToBytes(parts.address)
  if (!parts || !bytes || parts.port === 0 || isTailnetAddress(parts.address)) return undefined
  const [first = 0, second = 0] = bytes
  if (isV6(parts.address)) {
    if (first === 0xff || (first === 0xfe && (second & 0xc0) === 0x80)) return undefined
    if (bytes.every((byte) => byte === 0)) return undefined
  } else if (first === 0 || first >= 224) return undefined
  return endpoint
}

/** The usable ones of `list`, without doubles, at most `most`. */
export function usableEndpoints(list: readonly string[], most: number): ReadonlySet<Endpoint> {
  const usable = new Set<Endpoint>()
  for (const text of list) {
    if (usable.size >= most) break
    const endpoint = usableEndpoint(text)
    if (endpoint !== undefined) usable.add(endpoint)
  }
  return usable
}

/** A list that replaces the one before it from the same source: the netmap, or the peer's CallMeMaybe. */
export function withList(
  candidates: Candidates,
  source: 'inNetmap' | 'called',
  endpoints: ReadonlySet<Endpoint>,
): Map<Endpoint, Candidate> {
  const next = new Map<Endpoint, Candidate>()
  for (const [endpoint, candidate] of candidates)
    next.set(
      endpoint,
      candidate[source] === endpoints.has(endpoint) ? candidate : { ...candidate, [source]: endpoints.has(endpoint) },
    )
  for (const endpoint of endpoints) if (!next.has(endpoint)) next.set(endpoint, { ...NEW, [source]: true })
  return next
}

export function withHeard(candidates: Candidates, endpoint: Endpoint, nowMs: number): Map<Endpoint, Candidate> {
  const next = new Map(candidates)
  next.set(endpoint, { ...(candidates.get(endpoint) ?? NEW), heardAtMs: nowMs })
  return next
}

/** The next round pings them all. */
export function unthrottled(candidates: Candidates): Map<Endpoint, Candidate> {
  return new Map([...candidates].map(([endpoint, candidate]) => [endpoint, { ...candidate, pingedAtMs: undefined }]))
}

/** Drops what nothing vouches for any more, then the least promising down to the bound. `keep` stays in any case. */
export function pruned(candidates: Candidates, keep: Endpoint | undefined, nowMs: number): Map<Endpoint, Candidate> {
  const next = new Map<Endpoint, Candidate>()
  for (const [endpoint, candidate] of candidates) {
    const heard = candidate.heardAtMs !== undefined && nowMs - candidate.heardAtMs < HEARD_LIFETIME_MS
    if (candidate.inNetmap || candidate.called || heard || endpoint === keep) next.set(endpoint, candidate)
  }
  if (next.size <= MAX_CANDIDATES) return next
  const worth = (entry: readonly [Endpoint, Candidate]): number => {
    const [endpoint, candidate] = entry
    if (endpoint === keep) return Infinity
    const answered = candidate.latencyMs === undefined ? 0 : 4
    return answered + (candidate.inNetmap ? 2 : 0) + (candidate.called ? 1 : 0)
  }
  const byWorth = [...next].sort(
    (a, b) => worth(b) - worth(a) || (b[1].heardAtMs ?? -Infinity) - (a[1].heardAtMs ?? -Infinity) || 0,
  )
  return new Map(byWorth.slice(0, MAX_CANDIDATES))
}
