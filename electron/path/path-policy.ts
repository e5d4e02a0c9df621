// What a person allows or prefers for the path to a peer. The default lets the engine choose.

import { isV6, splitEndpoint } from '../base/endpoint.ts'
import type { UdpLeg } from './leg.ts'

export interface PathPolicy {
  /**
   * automatic: direct, else a peer relay, else DERP. only-direct: nothing else carries data. prefer-relay: the relay named,
   * while it works, comes before a direct path. only-relay: the relay named or nothing.
   */
  readonly mode: 'automatic' | 'only-direct' | 'prefer-relay' | 'only-relay'
  /** The node key's text of the relay, for the modes that name one. */
  readonly relay?: string | undefined
  /** The address family to take where both work. */
  readonly family?: 'ipv4' | 'ipv6' | undefined
  /** Whether DERP may carry data; it always carries what paths are found with. */
  readonly derpData: boolean
}

export const AUTOMATIC: PathPolicy = { mode: 'automatic', derpData: true }

export interface RelayName {
  /** The disco key's text of the relay's server instance. */
  readonly server: string
  /** The node key's text of the relaying node; undefined while only the peer knows who that is. */
  readonly node: string | undefined
}

export const allowsDirect = (policy: PathPolicy): boolean => policy.mode !== 'only-relay'
export const allowsDerp = (policy: PathPolicy): boolean =>
  policy.derpData && policy.mode !== 'only-direct' && policy.mode !== 'only-relay'

export function allowsRelay(policy: PathPolicy, node: string | undefined): boolean {
  if (policy.mode === 'only-direct') return false
  return policy.mode !== 'only-relay' || node === policy.relay
}

export const isPreferredRelay = (policy: PathPolicy, node: string | undefined): boolean =>
  (policy.mode === 'prefer-relay' || policy.mode === 'only-relay') && node !== undefined && node === policy.relay

export interface Choice {
  readonly leg: UdpLeg
  readonly relay?: RelayName | undefined
}

/** True or false when the policy alone decides between two working paths; else undefined. */
export function policyPrefers(policy: PathPolicy, a: Choice, b: Choice): boolean | undefined {
  const [aFirst, bFirst] = [a, b].map(({ relay }) => isPreferredRelay(policy, relay?.node))
  if (aFirst !== bFirst) return aFirst === true
  if (policy.family === undefined || a.leg.kind !== b.leg.kind) return undefined
  const [aFits, bFits] = [a, b].map(
    ({ leg }) => isV6(splitEndpoint(leg.endpoint)?.address ?? '') === (policy.family === 'ipv6'),
  )
  return aFits === bFits ? undefined : aFits === true
}

export function samePolicy(a: PathPolicy, b: PathPolicy): boolean {
  return a.mode === b.mode && a.relay === b.relay && a.family === b.family && a.derpData === b.derpData
}
