// Large messages leave one after the other. When everybody comes back at once, a thousand whole maps side by side would need
// the memory of all and be slow for all; in turn, the first machines are served while the last still wait their second.

import type { Clock } from '../../base/clock.ts'

/** Still to be made of the messages that are on their way. One message always may be, whatever its size. */
const MOST_BYTES = 3 * 1024 * 1024
/** A reader that takes longer holds up nobody else. */
const HOLD_MS = 500

export interface GateOptions {
  readonly clock: Clock
  readonly mostBytes?: number
}

/** One message that waits, or is on its way. */
export class Place {
  bytes = 0
  cancelHold: (() => void) | undefined
  readonly #gate: SendGate
  /** Makes the message, begins to send it, and returns its size. */
  readonly start: (place: Place) => number

  constructor(gate: SendGate, start: (place: Place) => number) {
    this.#gate = gate
    this.start = start
  }

  get isWaiting(): boolean {
    return this.#gate.isWaiting(this)
  }

  /** The message is sent, or not wanted any more. Idempotent. */
  leave(): void {
    this.#gate.release(this)
  }
}

export class SendGate {
  readonly #clock: Clock
  readonly #mostBytes: number
  /** In the order of their coming; at most one for each stream. */
  readonly #waiting = new Set<Place>()
  readonly #sending = new Set<Place>()
  #bytes = 0
  #isOpening = false

  constructor({ clock, mostBytes = MOST_BYTES }: GateOptions) {
    this.#clock = clock
    this.#mostBytes = mostBytes
  }

  /** `start` runs when it is its turn, perhaps before this returns. */
  enter(start: (place: Place) => number): Place {
    const place = new Place(this, start)
    this.#waiting.add(place)
    this.#open()
    return place
  }

  isWaiting(place: Place): boolean {
    return this.#waiting.has(place)
  }

  release(place: Place): void {
    this.#waiting.delete(place)
    place.cancelHold?.()
    if (!this.#sending.delete(place)) return
    this.#bytes -= place.bytes
    this.#open()
  }

  #open(): void {
    // A message that is sent at once releases its place from within: one loop goes on, not one inside the other.
    if (this.#isOpening) return
    this.#isOpening = true
    try {
      for (const place of this.#waiting) {
        if (this.#bytes >= this.#mostBytes) break
        this.#waiting.delete(place)
        this.#sending.add(place)
        const bytes = place.start(place)
        if (!this.#sending.has(place)) continue
        place.bytes = bytes
        this.#bytes += bytes
        place.cancelHold = this.#clock.after(HOLD_MS, () => place.leave())
      }
    } finally {
      this.#isOpening = false
    }
  }
}
