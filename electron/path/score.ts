// Which of two confirmed UDP paths to prefer. The points are those of stock clients, so that both ends of a pair tend to
// agree. Reference: tailscale wgengine/magicsock/endpoint.go, betterAddr.

import { isLinkLocal, isLoopback, isPrivate, isV6, splitEndpoint } from '../base/endpoint.ts'
import { AUTOMATIC, type Choice, type PathPolicy, policyPrefers } from './path-policy.ts'
import type { UdpLeg } from './leg.ts'

export interface Measured extends Choice {
  readonly latencyMs: number
}

/** True when `a` should replace `b`. Both are working paths; that one is trusted and the other not is the caller's affair. */
export function isBetter(a: Measured, b: Measured, policy: PathPolicy = AUTOMATIC): boolean {
  const byPolicy = policyPrefers(policy, a, b)
  if (byPolicy !== undefined) return byPolicy
  if (a.leg.kind !== b.leg.kind) return a.leg.kind === 'direct' ? !isFarSlower(a, b, 1.6, 40) : isFarSlower(b, a, 2, 60)
  // Where a relay stands says little of the way through it; only its speed counts, and a move costs something.
  if (a.leg.kind === 'relay') return b.latencyMs - a.latencyMs >= 2 && a.latencyMs < 0.85 * b.latencyMs
  const aPoints = speedPoints(a.latencyMs, b.latencyMs) + placePoints(a.leg)
  const bPoints = speedPoints(b.latencyMs, a.latencyMs) + placePoints(b.leg)
  // One point is noise: without this, two equal paths would change places at every sample.
  if (aPoints <= 1 && bPoints === 0) return false
  return aPoints > bPoints
}

/**
 * A direct path is better than any relay unless it takes so much longer that everyone notices. The bounds of leaving it are
 * wider than those of coming back, so that noise does not move it to and fro.
 */
function isFarSlower(direct: Measured, relayed: Measured, times: number, byMs: number): boolean {
  return direct.latencyMs > times * relayed.latencyMs && direct.latencyMs - relayed.latencyMs > byMs
}

/** 0 to 100: by how many percent `own` is faster than `other`; 0 when it is not. */
function speedPoints(own: number, other: number): number {
  return own < other ? 100 - Math.floor((100 * own) / other) : 0
}

/** A private address is on the same network far more often than a route over it is slower; IPv6 needs no translation. */
function placePoints(leg: UdpLeg): number {
  const address = splitEndpoint(leg.endpoint)?.address ?? ''
  const place = isLoopback(address) ? 50 : isLinkLocal(address) ? 30 : isPrivate(address) ? 20 : 0
  return place + (isV6(address) ? 10 : 0)
}
