// Who is connected. Streams are counted, since a client's new one may begin before its old one has ended; a node goes
// offline a little after its last one, so that a reconnect is not news.

import type { Clock } from '../../base/clock.ts'
import type { NodeId } from '../model.ts'

/** Longer than a client's first retries, short enough that the list of machines tells the truth. */
export const OFFLINE_GRACE_MS = 4_000

interface Entry {
  streams: number
  cancelGrace: (() => void) | undefined
}

export class Presence {
  readonly #clock: Clock
  readonly #onChange: (id: NodeId, isOnline: boolean) => void
  readonly #onHere: (id: NodeId, isHere: boolean) => void
  readonly #entries = new Map<NodeId, Entry>()
  readonly #here = new Map<NodeId, number>()
  /** Nodes of other servers, and what to call when they leave those. */
  readonly #elsewhere = new Map<NodeId, () => void>()

  /** `onHere` hears at once of the first and the last stream of a node to this server. */
  constructor(
    clock: Clock,
    onChange: (id: NodeId, isOnline: boolean) => void,
    onHere: (id: NodeId, isHere: boolean) => void = () => {},
  ) {
    this.#clock = clock
    this.#onChange = onChange
    this.#onHere = onHere
  }

  isOnline(id: NodeId): boolean {
    return this.#entries.has(id)
  }

  /** A stream begins; the function returned ends it, once, however often it is called. */
  connect(id: NodeId): () => void {
    const count = this.#here.get(id) ?? 0
    this.#here.set(id, count + 1)
    if (count === 0) this.#onHere(id, true)
    const release = this.#begin(id)
    let isOver = false
    return () => {
      if (isOver) return
      isOver = true
      const left = (this.#here.get(id) ?? 1) - 1
      if (left > 0) this.#here.set(id, left)
      else {
        this.#here.delete(id)
        this.#onHere(id, false)
      }
      release()
    }
  }

  /** It is connected to another server of the same network, or no more. */
  setElsewhere(id: NodeId, isElsewhere: boolean): void {
    const release = this.#elsewhere.get(id)
    if (isElsewhere === (release !== undefined)) return
    if (isElsewhere) this.#elsewhere.set(id, this.#begin(id))
    else {
      this.#elsewhere.delete(id)
      release?.()
    }
  }

  #begin(id: NodeId): () => void {
    const known = this.#entries.get(id)
    const entry = known ?? { streams: 0, cancelGrace: undefined }
    entry.cancelGrace?.()
    entry.cancelGrace = undefined
    entry.streams++
    this.#entries.set(id, entry)
    if (!known) this.#onChange(id, true)
    return () => this.#release(id, entry)
  }

  /** The node is gone: no grace, and no news of it. */
  forget(id: NodeId): void {
    this.#entries.get(id)?.cancelGrace?.()
    this.#entries.delete(id)
    this.#elsewhere.delete(id)
  }

  /** It is known to be gone although its stream may seem to live: no grace. */
  lose(id: NodeId): void {
    const entry = this.#entries.get(id)
    if (!entry || this.#elsewhere.has(id)) return
    this.forget(id)
    this.#onChange(id, false)
  }

  close(): void {
    for (const id of this.#entries.keys()) this.forget(id)
  }

  #release(id: NodeId, entry: Entry): void {
    entry.streams--
    if (entry.streams > 0 || this.#entries.get(id) !== entry) return
    entry.cancelGrace = this.#clock.after(OFFLINE_GRACE_MS, () => {
      this.#entries.delete(id)
      this.#onChange(id, false)
    })
  }
}
