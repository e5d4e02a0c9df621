/** Where code asks for the time and for a wake-up, so that a test can run an hour in a millisecond. */
export interface Clock {
  /** Monotonic milliseconds; only differences mean anything. The same scale as `performance.now()` in the real clock. */
  now(): number
  /** Milliseconds since the epoch; may jump. */
  wallNow(): number
  /** Calls back once after `delayMs`; the returned function cancels. A pending timer never keeps the process alive. */
  after(delayMs: number, callback: () => void): () => void
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  after(delayMs, callback) {
    // setTimeout overflows past 2^31-1 ms and would then fire at once.
    const timer = setTimeout(callback, Math.min(Math.max(delayMs, 0), 2_147_483_647))
    timer.unref()
    return () => clearTimeout(timer)
  },
}

interface Timer {
  readonly at: number
  readonly order: number
  readonly callback: () => void
}

/** A clock that moves only when told to. */
export class VirtualClock implements Clock {
  #nowMs: number
  readonly #wallOffsetMs: number
  #order = 0
  readonly #timers = new Set<Timer>()

  constructor(startMs = 1_000, wallAtStartMs = Date.UTC(2026, 0, 1)) {
    this.#nowMs = startMs
    this.#wallOffsetMs = wallAtStartMs - startMs
  }

  now(): number {
    return this.#nowMs
  }

  wallNow(): number {
    // Whole, as the system's is, also when a timer with a fraction is what it stands at.
    return Math.floor(this.#nowMs + this.#wallOffsetMs)
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer: Timer = { at: this.#nowMs + Math.max(delayMs, 0), order: this.#order++, callback }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  get pendingTimers(): number {
    return this.#timers.size
  }

  /** Moves on by `ms`, firing due timers in order of time, then of creation. */
  advance(ms: number): void {
    const end = this.#nowMs + ms
    for (;;) {
      let next: Timer | undefined
      for (const timer of this.#timers) {
        if (timer.at > end) continue
        if (!next || timer.at < next.at || (timer.at === next.at && timer.order < next.order)) next = timer
      }
      if (!next) break
      this.#timers.delete(next)
      this.#nowMs = next.at
      next.callback()
    }
    this.#nowMs = end
  }

  /** Like `advance`, letting promise callbacks run between steps of at most `stepMs`. */
  async advanceAsync(ms: number, stepMs = 100): Promise<void> {
    let left = ms
    while (left > 0) {
      const step = Math.min(left, stepMs)
      this.advance(step)
      left -= step
      for (let i = 0; i < 5; i++) await Promise.resolve()
    }
  }
}
