import type { Clock } from '../base/clock.ts'

/** Does its work once, shortly after it was first asked for: a burst of reasons is one occasion. */
export class Soon {
  readonly #clock: Clock
  readonly #afterMs: number
  readonly #work: () => void
  #cancel: (() => void) | undefined

  constructor(clock: Clock, afterMs: number, work: () => void) {
    this.#clock = clock
    this.#afterMs = afterMs
    this.#work = work
  }

  ask(): void {
    this.#cancel ??= this.#clock.after(this.#afterMs, () => {
      this.#cancel = undefined
      this.#work()
    })
  }

  cancel(): void {
    this.#cancel?.()
    this.#cancel = undefined
  }
}
