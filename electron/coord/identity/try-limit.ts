// How often one place may try to get in. Where servers share a database all of them count together, so that more servers do
// not give more tries; each counts for itself before that, so that a flood is over before it gets there.

import type { Clock } from '../../base/clock.ts'
import { RateLimiter } from '../http/rate-limiter.ts'
import type { ServerRegistry } from '../server-registry.ts'

export interface Limit {
  readonly perSecond: number
  readonly burst: number
}

export class TryLimit {
  readonly #registry: ServerRegistry
  readonly #clock: Clock
  readonly #name: string
  readonly #limit: Limit
  readonly #here: RateLimiter

  constructor(registry: ServerRegistry, clock: Clock, name: string, limit: Limit) {
    this.#registry = registry
    this.#clock = clock
    this.#name = name
    this.#limit = limit
    this.#here = new RateLimiter(clock, limit)
  }

  /** False when this source has had its share. */
  async take(source: string): Promise<boolean> {
    if (!this.#here.take(source)) return false
    if (!this.#registry.isShared) return true
    const nowMs = this.#clock.wallNow()
    return this.#registry.read(
      async ({ shared }) => (await shared?.takeToken(`${this.#name} ${source}`, this.#limit, nowMs)) ?? true,
    )
  }
}
