// What the data plane is told about a peer. The same shape as the data plane's own types: path/ does not import it.

import type { Endpoint } from '../base/endpoint.ts'

/** One way a packet can take to a peer. */
export type Leg =
  | { readonly kind: 'direct'; readonly endpoint: Endpoint }
  | { readonly kind: 'relay'; readonly endpoint: Endpoint; readonly vni: number }
  | { readonly kind: 'derp'; readonly region: number }

/** A leg over UDP: what is confirmed by pongs, and doubted without them. */
export type UdpLeg = Exclude<Leg, { readonly kind: 'derp' }>

/** Past `trustedUntilMs` every packet goes out on `leg` and on `fallback` too (the doubtful state). */
export interface PathSpec {
  readonly leg: Leg | undefined
  readonly fallback: Leg | undefined
  /** Monotonic ms; Infinity for a leg that needs no trust (DERP). */
  readonly trustedUntilMs: number
}

export function sameLeg(a: Leg | undefined, b: Leg | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  if (a.kind === 'derp' || b.kind === 'derp') return a.kind === 'derp' && b.kind === 'derp' && a.region === b.region
  if (a.endpoint !== b.endpoint) return false
  return a.kind === 'relay' ? b.kind === 'relay' && a.vni === b.vni : b.kind === 'direct'
}
