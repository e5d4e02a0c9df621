// A token bucket for each source, in a bounded table.

import { isV6, ipToBytes, bytesToIp } from '../../base/endpoint.ts'
import type { Clock } from '../../base/clock.ts'

const MOST_SOURCES = 65_536

interface Bucket {
  tokens: number
  atMs: number
}

export class RateLimiter {
  readonly #clock: Clock
  readonly #perSecond: number
  readonly #burst: number
  readonly #buckets = new Map<string, Bucket>()

  constructor(clock: Clock, limit: { readonly perSecond: number; readonly burst: number }) {
    this.#clock = clock
    this.#perSecond = limit.perSecond
    this.#burst = limit.burst
  }

  /** False when this source has had its share. */
  take(source: string): boolean {
    const nowMs = this.#clock.now()
    const known = this.#buckets.get(source)
    const tokens = known
      ? Math.min(this.#burst, known.tokens + ((nowMs - known.atMs) / 1000) * this.#perSecond)
      : this.#burst
    const isAllowed = tokens >= 1
    // Taken out and put back at the end: the first of the table is the one longest unheard of.
    this.#buckets.delete(source)
    this.#buckets.set(source, { tokens: isAllowed ? tokens - 1 : tokens, atMs: nowMs })
    if (this.#buckets.size > MOST_SOURCES) {
      const oldest = this.#buckets.keys().next()
      if (!oldest.done) this.#buckets.delete(oldest.value)
    }
    return isAllowed
  }
}

/** What counts as one guest: an IPv4 address, or an IPv6 /64, which one household has whole. */
export function sourceOf(remoteAddress: string | undefined): string {
  const bytes = ipToBytes(remoteAddress ?? '')
  const address = bytes && bytesToIp(bytes)
  if (!bytes || address === undefined) return 'unknown'
  if (!isV6(address)) return address
  return `${bytesToIp(Uint8Array.of(...bytes.subarray(0, 8), 0, 0, 0, 0, 0, 0, 0, 0)) ?? 'unknown'}/64`
}
