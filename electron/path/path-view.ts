// How a peer is reached, as shown to people and programs.

import type { Endpoint } from '../base/endpoint.ts'
import { inSession, isTrusted, shownLeg, type PeerPath } from './peer-state.ts'

export type PathKind = 'direct' | 'peer-relay' | 'derp' | 'none'

/** Why the path is what it is. */
export type PathReason =
  /** Nothing has been tried yet. */
  | 'start'
  /** A direct endpoint answered. */
  | 'answered'
  /** Another direct endpoint answered and is better. */
  | 'better'
  /** A peer relay carries packets both ways. */
  | 'relay'
  /** The path in use stopped answering. */
  | 'silent'
  /** The path in use lost too many packets; it is tried again later. */
  | 'lossy'
  /** The path in use answers pings, and full packets get lost on it. */
  | 'large-lost'
  /** The path in use answers pings, and no data passes. */
  | 'data-dropped'
  /** The path policy was changed, or allows no path that works. */
  | 'policy'
  /** The system refused to send to the direct endpoint. */
  | 'unreachable'
  /** This machine's network changed, and the direct path did not survive it. */
  | 'network-changed'
  /** The peer no longer offers the endpoint. */
  | 'withdrawn'
  /** The peer moved to another DERP region, or its region became known. */
  | 'home-changed'
  /** The peer has no DERP region and no endpoint that answers. */
  | 'no-home'

export const REASON_TEXT: Readonly<Record<PathReason, string>> = {
  start: 'No direct path has been tried yet.',
  answered: 'A direct path answered.',
  better: 'A better direct path answered.',
  relay: 'A peer relay answered.',
  silent: 'The path in use stopped answering.',
  lossy: 'The path in use lost too many packets.',
  'large-lost': 'Large packets got lost on the path in use, small ones passed.',
  'data-dropped': 'No data passed on the path in use, although pings did.',
  policy: 'The path policy decides; a path that it allows may not be working.',
  unreachable: 'This machine cannot send to the direct address.',
  'network-changed': 'The network of this machine changed.',
  withdrawn: 'The other machine no longer offers that address.',
  'home-changed': 'The other machine has another DERP region.',
  'no-home': 'The other machine has no DERP region and no address that answers.',
}

export interface PathView {
  readonly kind: PathKind
  /** Of the direct path or the peer relay. */
  readonly endpoint?: Endpoint
  /** For kind 'peer-relay': the place at the relay, and the node key's text of the relaying node where it is known. */
  readonly vni?: number
  readonly relay?: string
  /** The DERP region, for kind 'derp'. */
  readonly region?: number
  /** Last round trip on this path, when it was measured. */
  readonly latencyMs?: number
  readonly sinceWallMs: number
  readonly reason: PathReason
  readonly reasonText: string
  /** Traffic in the last 45 s. */
  readonly active: boolean
  /** A UDP path that was confirmed within its trust; always false for DERP. */
  readonly trusted: boolean
}

export function pathView(path: PeerPath, nowMs: number, sinceWallMs: number): PathView {
  const leg = shownLeg(path)
  const rest = {
    sinceWallMs,
    reason: path.reason,
    reasonText: REASON_TEXT[path.reason],
    active: inSession(path),
  }
  if (!leg) return { kind: 'none', ...rest, trusted: false }
  if (leg.kind === 'derp') {
    const latency = path.derpLatencyMs === undefined ? {} : { latencyMs: path.derpLatencyMs }
    return { kind: 'derp', region: leg.region, ...latency, ...rest, trusted: false }
  }
  return {
    kind: leg.kind === 'direct' ? 'direct' : 'peer-relay',
    endpoint: leg.endpoint,
    ...(leg.kind === 'relay' ? { vni: leg.vni } : {}),
    ...(leg.kind === 'relay' && path.best?.relay?.node !== undefined ? { relay: path.best.relay.node } : {}),
    ...(path.best ? { latencyMs: path.best.latencyMs } : {}),
    ...rest,
    trusted: isTrusted(path, nowMs),
  }
}

/** Whether a new latency differs enough to trouble a screen with it: 2 ms, or a tenth from 1 ms on. */
export function worthTelling(before: number | undefined, after: number | undefined): boolean {
  if (before === undefined || after === undefined) return before !== after
  const change = Math.abs(after - before)
  return change >= 2 || (change >= 1 && change >= before / 10)
}
