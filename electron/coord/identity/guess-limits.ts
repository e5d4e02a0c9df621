// Slows the guessing of one account's password: some tries are free, then each makes the next wait longer. Counted by the
// name that was typed, so that names without an account behave alike. Passkeys are not counted: nobody guesses them, and a
// stranger who types wrong passwords cannot lock the owner out of them.

import { createHash } from 'node:crypto'
import type { Clock } from '../../base/clock.ts'

const FREE_TRIES = 5
const FIRST_WAIT_MS = 1_000
const LONGEST_WAIT_MS = 15 * 60_000
/** After so long without a try an account starts afresh. */
const FORGET_MS = 24 * 3_600_000
const MOST_NAMES = 16_384

interface Entry {
  failures: number
  readyAtMs: number
  lastAtMs: number
}

export class GuessLimits {
  readonly #clock: Clock
  readonly #byName = new Map<string, Entry>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#byName.size
  }

  /** Milliseconds to wait; 0 lets this try through. It counts as failed until `succeeded`, so tries at once all count. */
  begin(name: string): number {
    const nowMs = this.#clock.now()
    const key = keyOf(name)
    const known = this.#byName.get(key)
    const entry = known && nowMs - known.lastAtMs < FORGET_MS ? known : { failures: 0, readyAtMs: 0, lastAtMs: nowMs }
    if (entry.readyAtMs > nowMs) return entry.readyAtMs - nowMs
    entry.failures++
    entry.lastAtMs = nowMs
    const doublings = entry.failures - FREE_TRIES
    if (doublings >= 0) entry.readyAtMs = nowMs + Math.min(FIRST_WAIT_MS * 2 ** doublings, LONGEST_WAIT_MS)
    // Taken out and put back at the end: the first is the one longest untried.
    this.#byName.delete(key)
    this.#byName.set(key, entry)
    if (this.#byName.size > MOST_NAMES) {
      const oldest = this.#byName.keys().next()
      if (!oldest.done) this.#byName.delete(oldest.value)
    }
    return 0
  }

  succeeded(name: string): void {
    this.#byName.delete(keyOf(name))
  }
}

/** Names may be long, and people type passwords into the wrong field: neither is kept. */
const keyOf = (name: string): string => createHash('sha256').update(name.toLowerCase()).digest('base64')
