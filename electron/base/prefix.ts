// Networks as text, "10.0.0.0/8" or "fd00::/8": which contains which. Two networks overlap only when one contains the other.

import { bytesToIp, parsePrefix, prefixContains } from './endpoint.ts'

/** This host, this link, many receivers at once (RFC 6890, RFC 5771, RFC 4291): the same on every machine, and no route. */
export const OF_THIS_LINK = {
  ip: ['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/3'],
  ip6: ['::/127', 'fe80::/10', 'ff00::/8'],
} as const

/** With its host bits cleared and its address in canonical form; undefined when it is no network. A bare address is whole. */
export function networkOf(text: string): string | undefined {
  const parsed = parsePrefix(text)
  if (!parsed) return undefined
  const bytes = parsed.bytes.map((byte, i) => byte & maskOf(parsed.bits - 8 * i))
  const address = bytes.length === 16 && isMapped(bytes) ? undefined : bytesToIp(bytes)
  return address && `${address}/${parsed.bits}`
}

const maskOf = (bits: number): number => (bits >= 8 ? 0xff : bits <= 0 ? 0 : (0xff << (8 - bits)) & 0xff)

/** IPv4 in the clothes of IPv6 would be read as another family. */
const isMapped = (bytes: Uint8Array): boolean => bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff

/** False when either is no network. */
export function contains(outer: string, inner: string): boolean {
  const [a, b] = [parsePrefix(outer), parsePrefix(inner)]
  return a !== undefined && b !== undefined && a.bits <= b.bits && prefixContains(a, b.bytes)
}

export const overlap = (a: string, b: string): boolean => contains(a, b) || contains(b, a)

export const isDefaultRoute = (network: string): boolean => network === '0.0.0.0/0' || network === '::/0'
