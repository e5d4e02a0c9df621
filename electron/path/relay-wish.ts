// When a peer relay is looked for: read off the state of the path to the peer.

import { isPreferredRelay } from './path-policy.ts'
import { inSession, isTrusted, type PeerPath } from './peer-state.ts'
import { ABSENT_MS, RELAY_RETRY_ABSENT_MS, RELAY_RETRY_MS, RELAY_UPGRADE_MS, SLOW_DIRECT_MS } from './peer-timing.ts'

/** No sign of life for a while. */
export const isAbsent = (path: PeerPath, nowMs: number): boolean =>
  path.heardAtMs === undefined || nowMs - path.heardAtMs > ABSENT_MS

export function wantsRelay(path: PeerPath, nowMs: number): boolean {
  const { policy, relayCapable, best } = path
  if (!relayCapable || policy.mode === 'only-direct') return false
  if (!isTrusted(path, nowMs)) return true
  if (policy.mode !== 'automatic') return !isPreferredRelay(policy, best?.relay?.node)
  return best?.leg.kind === 'relay' || (best?.latencyMs ?? 0) >= SLOW_DIRECT_MS
}

/** The search is for something better than a path that does; else for one at all, or for the one that the policy names. */
function isUpgrade(path: PeerPath, nowMs: number): boolean {
  const { policy, best } = path
  return isTrusted(path, nowMs) && (policy.mode === 'automatic' || isPreferredRelay(policy, best?.relay?.node))
}

/** From a search to the next one. */
export function relayPauseMs(path: PeerPath, nowMs: number): number {
  if (isUpgrade(path, nowMs)) return RELAY_UPGRADE_MS
  return (
    RELAY_RETRY_MS[path.relayTries] ?? (isAbsent(path, nowMs) ? RELAY_RETRY_ABSENT_MS : (RELAY_RETRY_MS.at(-1) ?? 0))
  )
}

/** When the next search is due, if one is wanted no later than `inMs` from now; one that is due earlier stays. */
export function nextRelaySearch(path: PeerPath, inMs: number, nowMs: number): number | undefined {
  if (!inSession(path) || !wantsRelay(path, nowMs)) return path.relayDueAtMs
  const atMs = nowMs + (isUpgrade(path, nowMs) ? RELAY_UPGRADE_MS : Math.max(inMs, 1))
  return Math.min(path.relayDueAtMs ?? Infinity, atMs)
}
