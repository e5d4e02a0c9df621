// Reads the queue of a native engine in batches and hands the records on: the data plane's and the relay's work alike.

import type { DataplaneRecord } from './dataplane.ts'
import { readRecords } from './records.ts'

export interface RecordQueue {
  /** Fills `into` with whole records; the number of bytes, 0 when nothing waits. */
  drain(into: Uint8Array): number
  /** Asks for the next wake-up; true when something came meanwhile. */
  arm(): boolean
}

export class RecordPump {
  readonly #batch: Uint8Array
  readonly #batchesPerTurn: number
  #queue: RecordQueue | undefined
  #listener: ((records: readonly DataplaneRecord[]) => void) | undefined

  /** `batchBytes` holds any record whole; after `batchesPerTurn` other events of the loop get their turn. */
  constructor({ batchBytes, batchesPerTurn }: { readonly batchBytes: number; readonly batchesPerTurn: number }) {
    this.#batch = new Uint8Array(batchBytes)
    this.#batchesPerTurn = batchesPerTurn
  }

  /** Where to read; wake-ups before this are lost on nobody, since a queue is read when someone listens. */
  connect(queue: RecordQueue): void {
    this.#queue = queue
  }

  listen(listener: (records: readonly DataplaneRecord[]) => void): void {
    this.#listener = listener
    // What came before anyone listened is still in the queue.
    this.drain()
  }

  stop(): void {
    this.#queue = undefined
  }

  /**
   * Reads until nothing waits, then asks for the next wake-up. While listeners are slower than the threads this goes on in
   * later turns, so that sockets and timers are served in between.
   */
  drain(): void {
    for (let batch = 0; batch < this.#batchesPerTurn; batch++) {
      if (!this.#queue || !this.#listener) return
      const bytes = this.#queue.drain(this.#batch)
      if (bytes > 0) this.#listener(readRecords(this.#batch.subarray(0, bytes)))
      else if (!this.#queue.arm()) return
    }
    setImmediate(() => this.drain())
  }
}
