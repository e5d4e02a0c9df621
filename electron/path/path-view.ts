// How a peer is reached, as shown to people and programs.

import type { Endpoint } from '../base/endpoint.ts'

export type PathKind = 'direct' | 'peer-relay' | 'derp' | 'none'

/** Why the path is what it is. */
export type PathReason =
  /** Nothing has been tried yet. */
  | 'start'
  /** A direct endpoint answered. */
  | 'answered'
  /** Another direct endpoint answered and is better. */
  | 'better'
  /** The direct path stopped answering. */
  | 'silent'
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
  silent: 'The direct path stopped answering.',
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
