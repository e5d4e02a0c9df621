import type { Duplex } from 'node:stream'
import type { Clock } from '../base/clock.ts'
import { DerpError } from './errors.ts'
import { FrameFifo } from './frame-fifo.ts'
import type { PacketKind } from './packet-kind.ts'

/** Per kind, while the far side does not take what was written: the queue that the protocol knows (paths.md §3.7). */
const STALLED_QUEUE_FRAMES = 32
/** Per kind, while it does: one turn of the event loop brings more than 32 packets from a fast sender. */
const FLOWING_QUEUE_FRAMES = 1024
/** Per kind, either way. */
const QUEUE_BYTES = 2 * 1024 * 1024
/** A write not taken after this long counts as stalled; our own event loop may be that late, too. */
const STALLED_AFTER_MS = 100
/** Keep-alives, pongs and notices are small; past this many the new one is dropped. */
const CONTROL_FRAMES = 1024

/** One write while the far side keeps up, and while it does not: short ones, so that their deadline means something. */
const FLOWING_WRITE_BYTES = 128 * 1024
const STALLED_WRITE_BYTES = 16 * 1024
/** A write that took longer than this makes the next one short. */
const SLOW_WRITE_MS = 50

/** The reference server's. Allowed for the first 16 KiB of a write; each further 16 KiB adds half of it. */
export const WRITE_DEADLINE_MS = 2_000

export interface FrameWriterOptions {
  readonly clock: Clock
  readonly writeDeadlineMs?: number
  /** The far side takes nothing any more; the owner ends the connection. */
  readonly onStuck: (error: DerpError) => void
}

/**
 * Writes frames to a stream, never waiting for it: control frames first, then disco, then data, each in order. What is
 * handed in within one turn of the event loop leaves in one write; at most one write is under way, the rest waits in
 * bounded queues that lose their oldest packet first.
 */
export class FrameWriter {
  readonly #stream: Duplex
  readonly #clock: Clock
  readonly #deadlineMs: number
  readonly #onStuck: (error: DerpError) => void
  readonly #control = new FrameFifo()
  readonly #disco = new FrameFifo()
  readonly #data = new FrameFifo()
  readonly #dropped: Record<PacketKind, number> = { disco: 0, wireguard: 0 }
  #isScheduled = false
  #isClosed = false
  /** Undefined while no write is under way. */
  #writeStartedMs: number | undefined
  #writeDueMs = 0
  #isSlow = false
  #cancelTimer: (() => void) | undefined

  constructor(stream: Duplex, options: FrameWriterOptions) {
    this.#stream = stream
    this.#clock = options.clock
    this.#deadlineMs = options.writeDeadlineMs ?? WRITE_DEADLINE_MS
    this.#onStuck = options.onStuck
  }

  /** Packets dropped from full queues since the start. */
  get dropped(): Readonly<Record<PacketKind, number>> {
    return this.#dropped
  }

  /** Queues a packet frame: `key`, then `bytes[start..end)`; copied. Returns how many older packets it pushed out. */
  packet(kind: PacketKind, type: number, key: Uint8Array, bytes: Uint8Array, start: number, end: number): number {
    if (this.#isClosed) return 0
    const fifo = kind === 'disco' ? this.#disco : this.#data
    fifo.packet(type, key, bytes, start, end)
    let dropped = 0
    if (fifo.frames > STALLED_QUEUE_FRAMES) {
      const most = this.#isStalled() ? STALLED_QUEUE_FRAMES : FLOWING_QUEUE_FRAMES
      while (fifo.frames > most || fifo.bytes > QUEUE_BYTES) {
        fifo.dropOldest()
        dropped++
      }
      this.#dropped[kind] += dropped
    }
    this.#schedule()
    return dropped
  }

  /** Queues an encoded frame ahead of all packets; false when too many wait already. */
  control(frame: Uint8Array): boolean {
    if (this.#isClosed || this.#control.frames >= CONTROL_FRAMES) return false
    this.#control.frame(frame)
    this.#schedule()
    return true
  }

  close(): void {
    this.#isClosed = true
    this.#cancelTimer?.()
    for (const fifo of [this.#control, this.#disco, this.#data]) fifo.clear()
  }

  #isStalled(): boolean {
    if (this.#writeStartedMs === undefined) return false
    return this.#isSlow || this.#clock.now() - this.#writeStartedMs > STALLED_AFTER_MS
  }

  #schedule(): void {
    if (this.#isScheduled || this.#writeStartedMs !== undefined) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#flush()
    })
  }

  #flush(): void {
    if (this.#isClosed || this.#writeStartedMs !== undefined) return
    let left = this.#isSlow ? STALLED_WRITE_BYTES : FLOWING_WRITE_BYTES
    const runs: Uint8Array[] = []
    for (const fifo of [this.#control, this.#disco, this.#data]) {
      while (left > 0) {
        const run = fifo.take(left)
        if (!run) break
        runs.push(run)
        left -= run.length
      }
    }
    const last = runs.pop()
    if (!last) return
    const bytes = runs.reduce((sum, run) => sum + run.length, last.length)
    this.#writeStartedMs = this.#clock.now()
    this.#writeDueMs = this.#writeStartedMs + this.#deadlineMs * (1 + Math.floor((bytes - 1) / STALLED_WRITE_BYTES) / 2)
    this.#watch()
    this.#stream.cork()
    for (const run of runs) this.#stream.write(run)
    this.#stream.write(last, (error) => {
      if (!error) this.#written() // the owner hears of errors from the stream
    })
    this.#stream.uncork()
  }

  #written(): void {
    if (this.#writeStartedMs === undefined) return
    this.#isSlow = this.#clock.now() - this.#writeStartedMs > SLOW_WRITE_MS
    this.#writeStartedMs = undefined
    this.#flush()
  }

  /** One timer looks after all writes: setting and clearing one for each would cost more than the write. */
  #watch(): void {
    if (this.#cancelTimer) return
    this.#cancelTimer = this.#clock.after(this.#writeDueMs - this.#clock.now(), () => {
      this.#cancelTimer = undefined
      if (this.#isClosed || this.#writeStartedMs === undefined) return
      if (this.#clock.now() < this.#writeDueMs) return this.#watch()
      this.#onStuck(new DerpError('derp/timeout', 'The far side of the DERP connection takes no more bytes.'))
    })
  }
}
