// Addresses and endpoints travel through the program as canonical text, so that `===` and Map keys work: IPv4 dotted,
// IPv6 compressed lower-case (RFC 5952), endpoint "a.b.c.d:port" or "[v6]:port". IPv4-mapped IPv6 is unmapped.

/** A canonical IP address: "192.0.2.1" or "2001:db8::1". */
export type IpAddress = string
/** A canonical ip:port: "192.0.2.1:41641" or "[2001:db8::1]:41641". */
export type Endpoint = string

/** 4 or 16 bytes; undefined when `text` is not an IP address (zones are refused). */
export function ipToBytes(text: string): Uint8Array | undefined {
  return text.includes(':') ? v6ToBytes(text) : v4ToBytes(text)
}

function v4ToBytes(text: string): Uint8Array | undefined {
  const parts = text.split('.')
  if (parts.length !== 4) return undefined
  const bytes = new Uint8Array(4)
  for (const [i, part] of parts.entries()) {
    if (!/^(0|[1-9]\d{0,2})$/.test(part)) return undefined
    const value = Number(part)
    if (value > 255) return undefined
    bytes[i] = value
  }
  return bytes
}

function v6ToBytes(text: string): Uint8Array | undefined {
  if (text.length > 45) return undefined
  let body = text
  let tail: Uint8Array | undefined
  const lastColon = text.lastIndexOf(':')
  if (text.slice(lastColon + 1).includes('.')) {
    tail = v4ToBytes(text.slice(lastColon + 1))
    if (!tail) return undefined
    body = `${text.slice(0, lastColon + 1)}0:0`
  }
  const halves = body.split('::')
  if (halves.length > 2) return undefined
  const groups = (half: string): number[] | undefined => {
    if (half === '') return []
    const values: number[] = []
    for (const group of half.split(':')) {
      if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return undefined
      values.push(Number.parseInt(group, 16))
    }
    return values
  }
  const left = groups(halves[0] ?? '')
  const right = halves.length === 2 ? groups(halves[1] ?? '') : []
  if (!left || !right) return undefined
  const missing = 8 - left.length - right.length
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined
  const all = [...left, ...Array.from({ length: missing }, () => 0), ...right]
  const bytes = new Uint8Array(16)
  for (const [i, value] of all.entries()) {
    bytes[2 * i] = value >> 8
    bytes[2 * i + 1] = value & 0xff
  }
  if (tail) bytes.set(tail, 12)
  return bytes
}

/** Canonical text of 4 or 16 bytes; undefined for other lengths. */
export function bytesToIp(bytes: Uint8Array): IpAddress | undefined {
  if (bytes.length === 4) return bytes.join('.')
  if (bytes.length !== 16) return undefined
  if (isV4Mapped(bytes)) return bytes.subarray(12).join('.')
  const groups: number[] = []
  for (let i = 0; i < 16; i += 2) groups.push(((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0))
  let best = { start: -1, length: 1 }
  for (let i = 0; i < 8; i++) {
    let end = i
    while (end < 8 && groups[end] === 0) end++
    if (end - i > best.length) best = { start: i, length: end - i }
    if (end > i) i = end
  }
  const hex = (from: number, to: number): string =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':')
  return best.start < 0 ? hex(0, 8) : `${hex(0, best.start)}::${hex(best.start + best.length, 8)}`
}

function isV4Mapped(bytes: Uint8Array): boolean {
  for (let i = 0; i < 10; i++) if (bytes[i] !== 0) return false
  return bytes[10] === 0xff && bytes[11] === 0xff
}

/** 16 bytes as disco writes addresses: IPv4 as ::ffff:a.b.c.d. */
export function ipTo16(text: IpAddress): Uint8Array | undefined {
  const bytes = ipToBytes(text)
  if (!bytes || bytes.length === 16) return bytes
  const mapped = new Uint8Array(16)
  mapped[10] = 0xff
  mapped[11] = 0xff
  mapped.set(bytes, 12)
  return mapped
}

/** The canonical form of an address, undefined when it is none. */
export function canonicalIp(text: string): IpAddress | undefined {
  const bytes = ipToBytes(text)
  return bytes && bytesToIp(bytes)
}

export function isV6(address: IpAddress): boolean {
  return address.includes(':')
}

export function joinEndpoint(address: IpAddress, port: number): Endpoint {
  return isV6(address) ? `[${address}]:${port}` : `${address}:${port}`
}

/** Undefined when `text` is not ip:port with a port from 0 to 65 535. */
export function splitEndpoint(text: string): { address: IpAddress; port: number } | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:\]]+)):(\d{1,5})$/.exec(text)
  if (!match) return undefined
  const port = Number(match[3])
  const address = canonicalIp(match[1] ?? match[2] ?? '')
  if (address === undefined || port > 65_535 || isV6(address) !== (match[1] !== undefined)) return undefined
  return { address, port }
}

export function canonicalEndpoint(text: string): Endpoint | undefined {
  const parts = splitEndpoint(text)
  return parts && joinEndpoint(parts.address, parts.port)
}

/** "10.0.0.0/8" as bytes and length; a bare address counts as a single one. Host bits are allowed. */
export function parsePrefix(text: string): { bytes: Uint8Array; bits: number } | undefined {
  const slash = text.indexOf('/')
  const bytes = ipToBytes(slash < 0 ? text : text.slice(0, slash))
  if (!bytes) return undefined
  const most = bytes.length * 8
  if (slash < 0) return { bytes, bits: most }
  const length = text.slice(slash + 1)
  if (!/^(0|[1-9]\d{0,2})$/.test(length) || Number(length) > most) return undefined
  return { bytes, bits: Number(length) }
}

export function prefixContains(prefix: { bytes: Uint8Array; bits: number }, address: Uint8Array): boolean {
  if (prefix.bytes.length !== address.length) return false
  const whole = prefix.bits >> 3
  for (let i = 0; i < whole; i++) if (prefix.bytes[i] !== address[i]) return false
  const rest = prefix.bits & 7
  if (rest === 0) return true
  const mask = 0xff << (8 - rest)
  return ((prefix.bytes[whole] ?? 0) & mask) === ((address[whole] ?? 0) & mask)
}

const within = (...prefixes: string[]): ((address: IpAddress) => boolean) => {
  const parsed = prefixes.flatMap((prefix) => parsePrefix(prefix) ?? [])
  return (address) => {
    const bytes = ipToBytes(address)
    return bytes !== undefined && parsed.some((prefix) => prefixContains(prefix, bytes))
  }
}

export const isLoopback = within('127.0.0.0/8', '::1/128')
export const isLinkLocal = within('169.254.0.0/16', 'fe80::/10')
/** RFC 1918 and unique local addresses (RFC 4193). */
export const isPrivate = within('10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7')
/** Addresses of nodes (control.md §8.5). */
export const TAILNET_RANGES = { ip: '100.64.0.0/10', ip6: 'fd7a:115c:a1e0::/48' } as const
const inTailnetRanges = within(TAILNET_RANGES.ip, TAILNET_RANGES.ip6)
const inChromeOsRange = within('100.115.92.0/23')
/** An address that nodes of a tailnet have: control.md §8.5. */
export const isTailnetAddress = (address: IpAddress): boolean => inTailnetRanges(address) && !inChromeOsRange(address)
