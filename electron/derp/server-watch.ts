// Watches whether a server that holds the connection still does anything: asks it when it says nothing, suspects it when it
// owes an answer, and gives it up later. No timer runs oftener than once a second, whatever flows.

import type { Clock } from '../base/clock.ts'

/** With nothing heard for this long we ask; much sooner when something was sent meanwhile. */
const IDLE_ASK_MS = 20_000
const BUSY_ASK_MS = 1_000
/** An asked server that says nothing for this long is not relied on alone any more: another way is looked for. */
const SILENT_MS = 1_000
/** And after this long the connection is given up. Well below the protocol's 120 s, which a frozen server would cost us. */
const DEAD_MS = 5_000
/** A timer this late means that this process slept or was busy: what the server said meanwhile was not read yet. */
const STALLED_MS = 500

export interface ServerWatchOptions {
  readonly clock: Clock
  /** Sends a ping; any byte from the server answers it. */
  readonly ask: () => void
  readonly onSilent: (isSilent: boolean) => void
  readonly onDead: () => void
}

export class ServerWatch {
  readonly #options: ServerWatchOptions
  #heardMs: number
  /** When the first packet since then was sent. */
  #busySinceMs: number | undefined
  #askedMs: number | undefined
  #isSilent = false
  #timer: { readonly atMs: number; readonly cancel: () => void } | undefined

  constructor(options: ServerWatchOptions) {
    this.#options = options
    this.#heardMs = options.clock.now()
    this.#arm()
  }

  /** Monotonic ms of the last byte from the server. */
  get heardMs(): number {
    return this.#heardMs
  }

  get isSilent(): boolean {
    return this.#isSilent
  }

  heard(): void {
    this.#heardMs = this.#options.clock.now()
    this.#busySinceMs = undefined
    this.#askedMs = undefined
    if (!this.#isSilent) return
    this.#isSilent = false
    this.#options.onSilent(false)
  }

  sent(): void {
    if (this.#busySinceMs !== undefined) return
    this.#busySinceMs = this.#options.clock.now()
    this.#arm()
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #dueMs(): number {
    if (this.#askedMs !== undefined) return this.#askedMs + (this.#isSilent ? DEAD_MS : SILENT_MS)
    const idleMs = this.#heardMs + IDLE_ASK_MS
    return this.#busySinceMs === undefined ? idleMs : Math.min(idleMs, this.#busySinceMs + BUSY_ASK_MS)
  }

  /** A timer that comes too early looks again; only one that would come too late is set anew. */
  #arm(): void {
    const atMs = this.#dueMs()
    if (this.#timer && this.#timer.atMs <= atMs) return
    this.#timer?.cancel()
    const { clock } = this.#options
    this.#timer = { atMs, cancel: clock.after(Math.max(atMs - clock.now(), 1), () => this.#look(atMs)) }
  }

  #look(plannedMs: number): void {
    this.#timer = undefined
    const nowMs = this.#options.clock.now()
    if (nowMs >= this.#dueMs()) {
      if (this.#askedMs === undefined || nowMs - plannedMs > STALLED_MS) this.#ask(nowMs)
      else if (this.#isSilent) return this.#options.onDead()
      else {
        this.#isSilent = true
        this.#options.onSilent(true)
      }
    }
    this.#arm()
  }

  #ask(nowMs: number): void {
    this.#askedMs = nowMs
    this.#options.ask()
  }
}
