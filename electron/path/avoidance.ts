// Paths that answer pings and are left alone all the same: what they would do to the data is worse than a detour. They are
// used when nothing else answers, for a bad path is better than none.

import type { Endpoint } from '../base/endpoint.ts'
import { dataRegion, isTrusted, type PeerPath } from './peer-state.ts'

export type Flaw =
  /** Many packets get lost at random. */
  | 'lossy'
  /** Full packets get lost, small ones pass. */
  | 'large-lost'
  /** Pings pass, and no data does. */
  | 'data-dropped'

export interface Avoided {
  readonly why: Flaw
  readonly sinceMs: number
  readonly untilMs: number
  /** In a row, with little time between. */
  readonly times: number
}

export type Avoidances = ReadonlyMap<Endpoint, Avoided>

/** Of one peer; a pair that moves to and fro has two. */
const MOST_AVOIDED = 8
/** How long a flawed path is left alone: the last holds on. */
const AVOID_MS = [60_000, 120_000, 300_000, 600_000] as const
/** One that loses full packets is left until one passes; after this long it is tried with data all the same. */
const UNTRIED_MS = 30 * 60_000
/** A path that was avoided and then did well for this long begins anew. */
const FORGIVEN_MS = 10 * 60_000
/** DERP that answered no later ago than this can take over. */
const DERP_FRESH_MS = 5_000
/** Questions over DERP unanswered for this long: it carries nothing at the moment. */
const DERP_SILENT_MS = 2_500

export function avoiding(all: Avoidances, endpoint: Endpoint, why: Flaw, nowMs: number): Avoidances {
  const before = all.get(endpoint)
  const again = before?.why === why && nowMs - before.untilMs < FORGIVEN_MS
  const times = again ? before.times + 1 : 1
  const avoidMs = why === 'large-lost' ? UNTRIED_MS : (AVOID_MS[times - 1] ?? 600_000)
  const next = new Map(all)
  next.delete(endpoint)
  next.set(endpoint, { why, sinceMs: nowMs, untilMs: nowMs + avoidMs, times })
  for (const oldest of next.keys()) {
    if (next.size <= MOST_AVOIDED) break
    next.delete(oldest)
  }
  return next
}

export function forgiven(all: Avoidances, endpoint: Endpoint): Avoidances {
  const next = new Map(all)
  next.delete(endpoint)
  return next
}

/** What is wrong with a path that is left alone now. */
export function flawOf({ avoided }: PeerPath, endpoint: Endpoint, nowMs: number): Flaw | undefined {
  const one = avoided.get(endpoint)
  return one && nowMs < one.untilMs ? one.why : undefined
}

export const flaws = ({ avoided }: PeerPath, nowMs: number): readonly Flaw[] =>
  [...avoided.values()].flatMap(({ why, untilMs }) => (nowMs < untilMs ? [why] : []))

/** A policy that insists on a kind of path has it also when it is bad. */
const mayAvoid = (path: PeerPath): boolean => path.policy.mode === 'automatic' && dataRegion(path) !== undefined

/** Data that does not go to a path goes over DERP. */
export const hasDetour = (path: PeerPath, nowMs: number): boolean =>
  dataRegion(path) !== undefined && !isDerpSilent(path, nowMs)

const isDerpSilent = ({ derpOwesSinceMs }: PeerPath, nowMs: number): boolean =>
  derpOwesSinceMs !== undefined && nowMs - derpOwesSinceMs >= DERP_SILENT_MS

/** The path in use may be left: what is behind it is known to work. */
export const mayLeave = (path: PeerPath, nowMs: number): boolean =>
  mayAvoid(path) && nowMs - (path.derpHeardAtMs ?? -Infinity) <= DERP_FRESH_MS && !isDerpSilent(path, nowMs)

/** An answer from there does not bring that path into use. */
export function isShunned(path: PeerPath, endpoint: Endpoint, nowMs: number): boolean {
  if (!mayAvoid(path) || flawOf(path, endpoint, nowMs) === undefined) return false
  const { best } = path
  const hasOther = best !== undefined && best.leg.endpoint !== endpoint && isTrusted(path, nowMs)
  return hasOther || !isDerpSilent(path, nowMs)
}

/** By then the other end has found out for itself, if it looks and its direction has the same flaw. */
const GRACE_MS = { 'large-lost': 3_500, 'data-dropped': 6_000 } as const

/**
 * The end that gets no data cannot tell which of the two directions drops it, and the other end, whose packets may all come
 * through, notices nothing; nor does a stock client notice that its large packets get lost. Without answers to its pings it
 * leaves the path as well. `checks` says that the peer looks for itself whether large packets pass.
 */
export function refusesPings(path: PeerPath, from: Endpoint, checks: boolean, nowMs: number): boolean {
  const flaw = flawOf(path, from, nowMs)
  if (flaw === undefined || flaw === 'lossy' || !isShunned(path, from, nowMs)) return false
  if (flaw === 'large-lost' && checks) return false
  return nowMs - (path.avoided.get(from)?.sinceMs ?? nowMs) >= GRACE_MS[flaw]
}
