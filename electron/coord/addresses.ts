// Which addresses nodes get: the same offset in 100.64.0.0/10 and fd7a:115c:a1e0::/48, counting up and around, so that a
// freed address rests until the whole range (four million) has gone by. Ranges: protocol note control.md §8.5.

import { bytesToIp, ipToBytes, isTailnetAddress, type IpAddress } from '../base/endpoint.ts'

export interface AddressPair {
  readonly v4: IpAddress
  readonly v6: IpAddress
}

const V4_BASE = (100 << 24) | (64 << 16)
/** The /10 without its first (network) and last (broadcast) address. */
export const FIRST_OFFSET = 1
export const LAST_OFFSET = (1 << 22) - 2

const V6_PREFIX = Uint8Array.of(0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0)

/** 100.100.100.0/24: MagicDNS and other service addresses live there. */
const SERVICE_NETWORK = (100 << 24) | (100 << 16) | (100 << 8)
/** fd7a:115c:a1e0::53 is MagicDNS over IPv6. */
const MAGIC_DNS_V6_OFFSET = 0x53

/** Undefined for an offset that no node may have. */
export function addressesAt(offset: number): AddressPair | undefined {
  if (!Number.isInteger(offset) || offset < FIRST_OFFSET || offset > LAST_OFFSET) return undefined
  const address = V4_BASE + offset
  const v4 = bytesToIp(fourBytes(address))
  const v6Bytes = new Uint8Array(16)
  v6Bytes.set(V6_PREFIX)
  v6Bytes.set(fourBytes(offset), 12)
  const v6 = bytesToIp(v6Bytes)
  if (v4 === undefined || v6 === undefined) return undefined
  if ((address & ~0xff) === SERVICE_NETWORK || offset === MAGIC_DNS_V6_OFFSET || !isTailnetAddress(v4)) return undefined
  return { v4, v6 }
}

/** The offset an IPv4 address was given at; undefined for other addresses. */
export function offsetOf(v4: IpAddress): number | undefined {
  const bytes = ipToBytes(v4)
  if (bytes?.length !== 4) return undefined
  const offset = new DataView(bytes.buffer).getUint32(0) - V4_BASE
  return offset >= FIRST_OFFSET && offset <= LAST_OFFSET ? offset : undefined
}

export interface Allotment extends AddressPair {
  /** Where the next search begins; to be kept with the allotment. */
  readonly next: number
}

/** The first free pair from `start` on; undefined when none is left. */
export function allot(start: number, isTaken: (pair: AddressPair) => boolean): Allotment | undefined {
  let offset = start >= FIRST_OFFSET && start <= LAST_OFFSET ? start : FIRST_OFFSET
  for (let tried = FIRST_OFFSET; tried <= LAST_OFFSET; tried++) {
    const next = offset === LAST_OFFSET ? FIRST_OFFSET : offset + 1
    const pair = addressesAt(offset)
    if (pair && !isTaken(pair)) return { ...pair, next }
    offset = next
  }
  return undefined
}

/** The first free pair whose IPv4 address is in the ranges; undefined when none is left. */
export function allotIn(
  ranges: Iterable<{ readonly from: bigint; readonly to: bigint }>,
  isTaken: (pair: AddressPair) => boolean,
): AddressPair | undefined {
  for (const { from, to } of ranges) {
    const last = Math.min(Number(to) - (V4_BASE >>> 0), LAST_OFFSET)
    for (let offset = Math.max(Number(from) - (V4_BASE >>> 0), FIRST_OFFSET); offset <= last; offset++) {
      const pair = addressesAt(offset)
      if (pair && !isTaken(pair)) return pair
    }
  }
  return undefined
}

const fourBytes = (value: number): Uint8Array =>
  Uint8Array.of((value >>> 24) & 0xff, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff)
