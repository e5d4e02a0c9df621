/**
 * Delays between attempts: n² × 10 ms, capped, each times a random 0.5 to 1.5 (the schedule stock clients use, so that a
 * fleet does not return in step after a server restart).
 */
export class Backoff {
  readonly #capMs: number
  readonly #random: () => number
  #failures = 0

  constructor(capMs: number, random: () => number = Math.random) {
    this.#capMs = capMs
    this.#random = random
  }

  /** Counts one more failure and returns how long to wait, in ms. */
  next(): number {
    this.#failures++
    return Math.min(this.#failures ** 2 * 10, this.#capMs) * (0.5 + this.#random())
  }

  reset(): void {
    this.#failures = 0
  }

  get failures(): number {
    return this.#failures
  }
}
