// Passkey ceremonies, and ways to a provider, that have begun: what was asked, and of whom. Each ends the first time
// somebody comes back with it, whether it went well or not, so a challenge is good for one answer. In memory, or where
// servers share a database in that: see shared-ceremonies.ts.

import { randomBytes } from 'node:crypto'
import type { Clock } from '../../base/clock.ts'

export const CEREMONY_MS = 5 * 60_000
export const MOST_CEREMONIES = 2_048
/** From one address (IPv6: one /64): a flood pushes out its own ceremonies, not those of others. */
export const MOST_FROM_ONE_SOURCE = 32

export interface Ceremony<T> {
  readonly id: string
  /** Random, base64url. */
  readonly challenge: string
  readonly about: T
}

export interface CeremonyPlace<T> {
  begin(visitor: string, source: string, about: T): Ceremony<T> | Promise<Ceremony<T>>
  /** What was begun under this id in the same browser; undefined when it is over. It is over from now on. */
  end(id: string, visitor: string): Ceremony<T> | undefined | Promise<Ceremony<T> | undefined>
}

interface Entry<T> extends Ceremony<T> {
  /** The browser it began in. */
  readonly visitor: string
  readonly source: string
  readonly endsAtMs: number
}

export class Ceremonies<T> implements CeremonyPlace<T> {
  readonly #clock: Clock
  readonly #lifeMs: number
  /** In the order they began, which is also the order they end in. */
  readonly #byId = new Map<string, Entry<T>>()

  constructor(clock: Clock, lifeMs = CEREMONY_MS) {
    this.#clock = clock
    this.#lifeMs = lifeMs
  }

  get size(): number {
    return this.#byId.size
  }

  begin(visitor: string, source: string, about: T): Ceremony<T> {
    this.#makeRoom(source)
    const entry: Entry<T> = {
      id: randomBytes(16).toString('base64url'),
      challenge: randomBytes(32).toString('base64url'),
      about,
      visitor,
      source,
      endsAtMs: this.#clock.now() + this.#lifeMs,
    }
    this.#byId.set(entry.id, entry)
    return entry
  }

  end(id: string, visitor: string): Ceremony<T> | undefined {
    const entry = this.#byId.get(id)
    // Another browser does not even end it.
    if (!entry || entry.visitor !== visitor) return undefined
    this.#byId.delete(id)
    return entry.endsAtMs > this.#clock.now() ? entry : undefined
  }

  #makeRoom(source: string): void {
    const nowMs = this.#clock.now()
    let fromSource: string[] = []
    for (const [id, entry] of this.#byId) {
      if (entry.endsAtMs <= nowMs) this.#byId.delete(id)
      else if (entry.source === source) fromSource.push(id)
    }
    fromSource = fromSource.slice(0, Math.max(fromSource.length - MOST_FROM_ONE_SOURCE + 1, 0))
    for (const id of fromSource) this.#byId.delete(id)
    if (this.#byId.size < MOST_CEREMONIES) return
    const oldest = this.#byId.keys().next()
    if (!oldest.done) this.#byId.delete(oldest.value)
  }
}
