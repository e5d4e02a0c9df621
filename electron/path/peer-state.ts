// What is known of the path to one peer, and what can be read off it without changing it. How it changes is in peer-path.ts.
//
// States after paths.md §5.3: no best path (S0: data goes to DERP); a trusted direct one (S1); a trusted peer relay (S2); a
// best path past its trust (S3: the data plane sends to it and to DERP).

import type { Endpoint } from '../base/endpoint.ts'
import type { Candidates } from './candidates.ts'
import { type DataCheck, NO_DATA_CHECK } from './data-check.ts'
import type { Leg, PathSpec, UdpLeg } from './leg.ts'
import { allowsDerp, AUTOMATIC, type PathPolicy, type RelayName } from './path-policy.ts'
import type { Avoidances } from './avoidance.ts'
import type { Quality } from './path-quality.ts'
import type { PathReason } from './path-view.ts'
import type { Load, SizeChecks } from './size-check.ts'

export const PING_TIMEOUT_MS = 5_000
/**
 * The most pings a peer can make us send: this many at once, then PINGS_PER_SECOND. An honest peer has some ten
 * candidates, each pinged once in five seconds; a hostile one may send CallMeMaybe as fast as DERP carries it.
 */
export const PING_BURST = 200
export const PINGS_PER_SECOND = 20

export interface Best {
  readonly leg: UdpLeg
  /** Whose relay it is, for a leg of that kind. */
  readonly relay?: RelayName | undefined
  readonly latencyMs: number
  readonly trustedUntilMs: number
}

export interface SentPing {
  readonly endpoint: Endpoint
  /** Set for a ping through a peer relay. */
  readonly vni: number | undefined
  readonly atMs: number
  /** Padded to the size of a full packet. */
  readonly full: boolean
}

export const legOf = ({ endpoint, vni }: SentPing): UdpLeg =>
  vni === undefined ? { kind: 'direct', endpoint } : { kind: 'relay', endpoint, vni }

/** The answer that the best path owes us while traffic flows. */
export interface Awaited {
  readonly dueAtMs: number
  /** Pings before this one that got no answer in time. */
  readonly missed: number
}

export interface PeerPath {
  readonly policy: PathPolicy
  readonly candidates: Candidates
  readonly best: Best | undefined
  /** The best path is not shown as the path any more: its trust ran out while traffic wanted it. */
  readonly doubtful: boolean
  readonly doubtAtMs: number | undefined
  /** Why the best path is in doubt, when it is not for its silence. */
  readonly suspicion: PathReason | undefined
  readonly awaited: Awaited | undefined
  /** Of the paths used lately. */
  readonly quality: Quality
  readonly avoided: Avoidances
  /** Of the UDP paths used lately: whether full packets pass. */
  readonly sizes: SizeChecks
  readonly load: Load
  readonly dataCheck: DataCheck
  /** Since when the best path is that one. */
  readonly bestSinceMs: number
  readonly home: number | undefined
  /** The region where the peer was last heard: the last resort when its home is unknown. */
  readonly heardRegion: number | undefined
  readonly derpLatencyMs: number | undefined
  readonly derpPingedAtMs: number | undefined
  /** The last sign of life over DERP, and the first question since then. */
  readonly derpHeardAtMs: number | undefined
  readonly derpOwesSinceMs: number | undefined
  /** Outstanding pings by number, oldest first. */
  readonly pings: ReadonlyMap<number, SentPing>
  readonly nextPing: number
  readonly allowance: { readonly pings: number; readonly atMs: number }
  /** The last sign of life by any way. */
  readonly heardAtMs: number | undefined
  readonly activeAtMs: number | undefined
  /** Present only during a session. */
  readonly heartbeatAtMs: number | undefined
  readonly roundAtMs: number | undefined
  readonly calledAtMs: number | undefined
  /** It was to be called, but nobody knew its DERP region yet. */
  readonly callOwed: boolean
  /** The peer knows how to use a peer relay. */
  readonly relayCapable: boolean
  /** When a peer relay is looked for; only during a session. */
  readonly relayDueAtMs: number | undefined
  /** Searches in a row that found none. */
  readonly relayTries: number
  readonly reason: PathReason
}

export const NO_LOAD: Load = {
  isBulk: false,
  isSilent: false,
  isAlive: false,
  isStarved: false,
  unansweredMs: 0,
  askingMs: 0,
  answersAsks: false,
}

export function newPeerPath(nowMs: number): PeerPath {
  return {
    policy: AUTOMATIC,
    candidates: new Map(),
    best: undefined,
    doubtful: false,
    doubtAtMs: undefined,
    suspicion: undefined,
    awaited: undefined,
    quality: new Map(),
    avoided: new Map(),
    sizes: new Map(),
    load: NO_LOAD,
    dataCheck: NO_DATA_CHECK,
    bestSinceMs: nowMs,
    home: undefined,
    heardRegion: undefined,
    derpLatencyMs: undefined,
    derpPingedAtMs: undefined,
    derpHeardAtMs: undefined,
    derpOwesSinceMs: undefined,
    pings: new Map(),
    nextPing: 1,
    allowance: { pings: PING_BURST, atMs: nowMs },
    heardAtMs: undefined,
    activeAtMs: undefined,
    heartbeatAtMs: undefined,
    roundAtMs: undefined,
    calledAtMs: undefined,
    callOwed: false,
    relayCapable: false,
    relayDueAtMs: undefined,
    relayTries: 0,
    reason: 'start',
  }
}

/** Pings that may go out now. */
export const pingsLeft = ({ allowance }: PeerPath, nowMs: number): number =>
  Math.min(PING_BURST, allowance.pings + ((nowMs - allowance.atMs) / 1000) * PINGS_PER_SECOND)

export const derpRegion = (path: PeerPath): number | undefined => path.home ?? path.heardRegion
/** The region that data may take. */
export const dataRegion = (path: PeerPath): number | undefined =>
  allowsDerp(path.policy) ? derpRegion(path) : undefined
export const isTrusted = (path: PeerPath, nowMs: number): boolean =>
  path.best !== undefined && nowMs <= path.best.trustedUntilMs
export const inSession = (path: PeerPath): boolean => path.heartbeatAtMs !== undefined

/** The leg to show to people: one, also while the data plane uses two. */
export function shownLeg(path: PeerPath): Leg | undefined {
  const region = dataRegion(path)
  if (path.best && (!path.doubtful || region === undefined)) return path.best.leg
  return region === undefined ? undefined : { kind: 'derp', region }
}

export function pathSpec(path: PeerPath): PathSpec {
  const region = dataRegion(path)
  const derp: Leg | undefined = region === undefined ? undefined : { kind: 'derp', region }
  return path.best
    ? { leg: path.best.leg, fallback: derp, trustedUntilMs: path.best.trustedUntilMs }
    : { leg: derp, fallback: undefined, trustedUntilMs: Infinity }
}

/** When the next 'tick' is due; undefined when nothing waits. */
export function nextWakeMs(path: PeerPath): number | undefined {
  const due: number[] = []
  for (const { atMs } of path.pings.values()) {
    due.push(atMs + PING_TIMEOUT_MS)
    break
  }
  if (path.heartbeatAtMs !== undefined) {
    due.push(path.heartbeatAtMs)
    if (path.best && !path.doubtful && path.doubtAtMs !== undefined) due.push(path.doubtAtMs)
    if (path.awaited) due.push(path.awaited.dueAtMs)
    for (const { round } of path.sizes.values()) if (round) due.push(round.dueAtMs)
    if (path.relayDueAtMs !== undefined) due.push(path.relayDueAtMs)
  }
  return due.length === 0 ? undefined : Math.min(...due)
}
