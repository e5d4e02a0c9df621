// Sets of addresses as sorted, disjoint, never touching ranges; IPv4 and IPv6 apart. Values: every operation gives a new
// set. Ranges are bigints of 32 or 128 bits: policies have thousands of ranges, not millions.

import { bytesToIp, type IpAddress, ipToBytes, parsePrefix } from '../../base/endpoint.ts'

export interface IpRange {
  /** 4 or 6. */
  readonly family: 4 | 6
  /** Both inclusive. */
  readonly from: bigint
  readonly to: bigint
}

export class IpSet {
  /** IPv4 first, ascending. */
  readonly ranges: readonly IpRange[]

  private constructor(ranges: readonly IpRange[]) {
    this.ranges = ranges
  }

  static readonly EMPTY = new IpSet([])

  static of(ranges: Iterable<IpRange>): IpSet {
    const sorted = [...ranges].sort(compareRanges)
    const merged: IpRange[] = []
    for (const range of sorted) {
      const last = merged.at(-1)
      if (!last || last.family !== range.family || range.from > last.to + 1n) merged.push(range)
      else if (range.to > last.to) merged[merged.length - 1] = { ...last, to: range.to }
    }
    return merged.length === 0 ? IpSet.EMPTY : new IpSet(merged)
  }

  static union(sets: Iterable<IpSet>): IpSet {
    const all = [...sets].filter((set) => !set.isEmpty)
    const [only] = all
    return only && all.length === 1 ? only : IpSet.of(all.flatMap(({ ranges }) => ranges))
  }

  get isEmpty(): boolean {
    return this.ranges.length === 0
  }

  subtract(other: IpSet): IpSet {
    const left: IpRange[] = []
    for (const range of this.ranges) {
      let from = range.from
      for (const hole of other.#near(range)) {
        if (hole.from > from) left.push({ family: range.family, from, to: hole.from - 1n })
        from = hole.to + 1n
        if (from > range.to) break
      }
      if (from <= range.to) left.push({ family: range.family, from, to: range.to })
    }
    return IpSet.of(left)
  }

  intersect(other: IpSet): IpSet {
    const common: IpRange[] = []
    for (const range of this.ranges)
      for (const near of other.#near(range))
        common.push({
          family: range.family,
          from: near.from > range.from ? near.from : range.from,
          to: near.to < range.to ? near.to : range.to,
        })
    return IpSet.of(common)
  }

  overlaps(other: IpSet): boolean {
    const [few, many] = this.ranges.length <= other.ranges.length ? [this, other] : [other, this]
    return few.ranges.some((range) => many.#firstNear(range) !== undefined)
  }

  /** Those of this set's ranges, whole, that have something in common with `other`. */
  touching(other: IpSet): IpRange[] {
    const found = new Set<IpRange>()
    for (const range of other.ranges) for (const near of this.#near(range)) found.add(near)
    return [...found]
  }

  /** Whether all of `other` is in this set. */
  covers(other: IpSet): boolean {
    return other.ranges.every((range) => {
      const near = this.#firstNear(range)
      return near !== undefined && near.from <= range.from && near.to >= range.to
    })
  }

  equals(other: IpSet): boolean {
    return (
      this.ranges.length === other.ranges.length &&
      this.ranges.every(
        (range, i) => compareRanges(range, other.ranges[i] ?? range) === 0 && range.to === other.ranges[i]?.to,
      )
    )
  }

  /** Ranges in the way of packet filters: one address bare, an aligned block as CIDR, the rest as "a-b". */
  toTexts(): string[] {
    return this.ranges.map(rangeText)
  }

  /** The fewest CIDR blocks that make up the set. */
  toPrefixes(): string[] {
    return this.ranges.flatMap((range) => [...blocks(range)].map(blockText))
  }

  /** Every address; only for sets known to be small. */
  *addresses(most: number): Iterable<IpAddress> {
    let left = most
    for (const { family, from, to } of this.ranges)
      for (let at = from; at <= to && left > 0; at++, left--) yield addressText(family, at)
  }

  #near(range: IpRange): IpRange[] {
    const near: IpRange[] = []
    for (let i = this.#indexNear(range); i < this.ranges.length; i++) {
      const candidate = this.ranges[i]
      if (!candidate || candidate.family !== range.family || candidate.from > range.to) break
      near.push(candidate)
    }
    return near
  }

  #firstNear(range: IpRange): IpRange | undefined {
    const candidate = this.ranges[this.#indexNear(range)]
    return candidate && candidate.family === range.family && candidate.from <= range.to ? candidate : undefined
  }

  /** Index of the first range that ends at or after the beginning of this one. */
  #indexNear(range: IpRange): number {
    let [low, high] = [0, this.ranges.length]
    while (low < high) {
      const middle = (low + high) >> 1
      const candidate = this.ranges[middle]
      const isBefore =
        candidate !== undefined &&
        (candidate.family < range.family || (candidate.family === range.family && candidate.to < range.from))
      if (isBefore) low = middle + 1
      else high = middle
    }
    return low
  }
}

const widths = { 4: 32, 6: 128 } as const

function compareRanges(a: IpRange, b: IpRange): number {
  if (a.family !== b.family) return a.family - b.family
  return a.from < b.from ? -1 : a.from > b.from ? 1 : 0
}

function toNumber(bytes: Uint8Array): bigint {
  let value = 0n
  for (const byte of bytes) value = (value << 8n) | BigInt(byte)
  return value
}

function addressText(family: 4 | 6, value: bigint): IpAddress {
  const bytes = new Uint8Array(widths[family] / 8)
  let rest = value
  for (let i = bytes.length - 1; i >= 0; i--) {
    bytes[i] = Number(rest & 0xffn)
    rest >>= 8n
  }
  return bytesToIp(bytes) ?? ''
}

/** How many low bits are free in the block that is exactly this range; undefined when it is no block. */
function blockBits({ family, from, to }: IpRange): number | undefined {
  const size = to - from + 1n
  if ((size & (size - 1n)) !== 0n || from % size !== 0n) return undefined
  return widths[family] - (size.toString(2).length - 1)
}

function blockText(range: IpRange): string {
  return `${addressText(range.family, range.from)}/${blockBits(range) ?? widths[range.family]}`
}

export function rangeText(range: IpRange): string {
  const { family, from, to } = range
  if (from === to) return addressText(family, from)
  return blockBits(range) === undefined ? `${addressText(family, from)}-${addressText(family, to)}` : blockText(range)
}

/** The range cut into the largest aligned blocks. */
export function* blocks({ family, from, to }: IpRange): Iterable<IpRange> {
  for (let at = from; at <= to;) {
    let size = 1n
    while (at % (size * 2n) === 0n && at + size * 2n - 1n <= to && size < 1n << BigInt(widths[family])) size *= 2n
    yield { family, from: at, to: at + size - 1n }
    at += size
  }
}

/** "10.0.0.0/8" or a bare address; undefined when it is neither. Host bits count as zero. */
export function prefixRange(text: string): IpRange | undefined {
  const prefix = parsePrefix(text)
  if (!prefix) return undefined
  const family = prefix.bytes.length === 4 ? 4 : 6
  const size = 1n << BigInt(widths[family] - prefix.bits)
  const value = toNumber(prefix.bytes)
  const from = value - (value % size)
  return { family, from, to: from + size - 1n }
}

/** Whether a prefix is written with host bits set, as in 10.0.0.1/8. */
export function hasHostBits(text: string): boolean {
  const bytes = ipToBytes(text.split('/')[0] ?? '')
  const range = prefixRange(text)
  return bytes !== undefined && range !== undefined && toNumber(bytes) !== range.from
}

/** Whatever packet filters and prefixes say: address, CIDR, "a-b", "*". Undefined for other texts. */
export function parseIpSet(text: string): IpSet | undefined {
  if (text === '*') return EVERYTHING
  const dash = text.indexOf('-')
  if (dash < 0) {
    const range = prefixRange(text)
    return range && IpSet.of([range])
  }
  const [low, high] = [ipToBytes(text.slice(0, dash)), ipToBytes(text.slice(dash + 1))]
  if (!low || !high || low.length !== high.length) return undefined
  const [from, to] = [toNumber(low), toNumber(high)]
  return from > to ? undefined : IpSet.of([{ family: low.length === 4 ? 4 : 6, from, to }])
}

const known = (...texts: readonly string[]): IpSet => IpSet.of(texts.flatMap((text) => prefixRange(text) ?? []))

export const EVERYTHING = known('0.0.0.0/0', '::/0')
/** What `*` means as a place: the addresses that nodes can have (control.md §8.5). */
export const TAILNET = known('100.64.0.0/10', 'fd7a:115c:a1e0::/48').subtract(known('100.115.92.0/23'))
/** autogroup:internet (control.md §9.3). */
export const INTERNET = known('0.0.0.0/0', '2000::/3').subtract(
  known('10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '169.254.0.0/16', 'fc00::/7', 'fe80::/10'),
)
