import { Backoff } from '../base/backoff.ts'
import type { Clock } from '../base/clock.ts'
import { clockWait } from './clock-wait.ts'

const RETRY_CAP_MS = 30_000

/**
 * Sends the newest value, one at a time: a value that was overtaken while another was on its way is never sent, and an
 * older one never arrives after a newer one.
 */
export class LatestUpdate<T> {
  readonly #send: (value: T, signal: AbortSignal) => Promise<void>
  readonly #shouldRetry: (error: unknown, retryInMs: number) => boolean
  readonly #clock: Clock
  readonly #signal: AbortSignal
  readonly #backoff = new Backoff(RETRY_CAP_MS)
  #wanted: { readonly value: T } | undefined
  #running: Promise<void> | undefined
  #hurry = new AbortController()

  constructor(
    send: (value: T, signal: AbortSignal) => Promise<void>,
    shouldRetry: (error: unknown, retryInMs: number) => boolean,
    clock: Clock,
    signal: AbortSignal,
  ) {
    this.#send = send
    this.#shouldRetry = shouldRetry
    this.#clock = clock
    this.#signal = signal
  }

  /** Resolves when `value`, or a newer one, has arrived or was given up. Never rejects. */
  put(value: T): Promise<void> {
    this.#wanted = { value }
    this.hurry()
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  /** Ends a wait between attempts. */
  hurry(): void {
    this.#hurry.abort()
    this.#hurry = new AbortController()
  }

  async #run(): Promise<void> {
    while (this.#wanted && !this.#signal.aborted) {
      const sending = this.#wanted
      const hurry = this.#hurry.signal
      try {
        await this.#send(sending.value, this.#signal)
        this.#backoff.reset()
        if (this.#wanted === sending) this.#wanted = undefined
      } catch (error) {
        const retryInMs = this.#backoff.next()
        if (this.#signal.aborted) return
        if (!this.#shouldRetry(error, retryInMs)) {
          if (this.#wanted === sending) this.#wanted = undefined
          continue
        }
        await clockWait(this.#clock, retryInMs, AbortSignal.any([this.#signal, hurry])).catch(() => {})
      }
    }
  }
}
