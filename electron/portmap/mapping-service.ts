// One protocol's way to one mapping: ask for it, look whether it is still there, give it back. An object is made for each
// local port at each router, and keeps what the protocol wants kept (a nonce, an epoch, a control URL).

import { isLinkLocal, isLoopback, isTailnetAddress, isV6, type Endpoint, type IpAddress } from '../base/endpoint.ts'
import type { MappedVia } from './portmap-io.ts'

/** Asked for; routers grant less or more. */
export const LEASE_SECONDS = 7_200

export type MapResult =
  /** A lifetime over the lease asked for, or "for ever", counts as that lease. */
  | { readonly kind: 'mapped'; readonly endpoint: Endpoint; readonly lifetimeSeconds: number }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'silent' }

/** `silent` is not `lost`: a router that restarts is silent for a while first. */
export type CheckResult = 'kept' | 'lost' | 'silent'

/** Every method ends within seconds, and at once when `signal` aborts; none rejects. */
export interface MappingService {
  readonly via: MappedVia
  /** Makes the mapping, or makes it anew: asks for the same external port again. */
  map(signal: AbortSignal): Promise<MapResult>
  check(signal: AbortSignal): Promise<CheckResult>
  release(signal: AbortSignal): Promise<void>
}

/**
 * Whether peers could reach this. Private addresses may be: two networks behind one more router. The shared range of
 * carriers (100.64.0.0/10) is that of tailnets too.
 */
export function isUsableExternal(address: IpAddress): boolean {
  const first = Number(address.split('.')[0])
  return (
    !isV6(address) &&
    first > 0 &&
    first < 224 &&
    !isLoopback(address) &&
    !isLinkLocal(address) &&
    !isTailnetAddress(address)
  )
}

export const unusableReason = (address: IpAddress): string =>
  isTailnetAddress(address)
    ? `the router is itself behind another one (its address is ${address})`
    : `the router has no usable address (${address})`
