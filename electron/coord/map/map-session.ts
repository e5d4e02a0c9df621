// One map stream. At most one message is on its way at a time: what changes meanwhile is remembered as "look at this node
// again", so that nothing queues up behind a slow reader, and one that stops reading is cut.

import type { Writable } from 'node:stream'
import type { Clock } from '../../base/clock.ts'
import type { NodePublic } from '../../crypto/keys.ts'
import { MAP_CHUNK_BYTES, type MapCompression, mapFrameChunks } from '../../wire/tailcfg/map-frame.ts'
import type { NodeId, UserId } from '../model.ts'
import type { Place, SendGate } from './send-gate.ts'
import type { TailnetView } from './tailnet-view.ts'
import { Told } from './told.ts'

/** How long a reader may take nothing. A client that is cut comes back for a full map. */
export const STALL_MS = 10_000
/** A message about more nodes waits its turn, as a full map does. */
const MANY_NODES = 100
/** Clients give up after 120 s of silence and warn after 125; proxies often cut at 60. */
const KEEP_ALIVE_MS = 50_000
/** So that a thousand streams do not speak in the same second. */
const KEEP_ALIVE_SPREAD_MS = 8_000

const KEEP_ALIVE = '{"KeepAlive":true}'

export interface MapSessionOptions {
  readonly nodeId: NodeId
  /** The key this stream was opened with; a rotated one ends it. */
  readonly nodeKey: NodePublic
  readonly compression: MapCompression
  readonly wantsKeepAlive: boolean
  readonly out: Writable
  readonly view: TailnetView
  readonly clock: Clock
  readonly gate: SendGate
  readonly onEnd: (session: MapSession) => void
  /** The first message waits for the next `pump`. */
  readonly isHeld?: boolean | undefined
}

export class MapSession {
  readonly nodeId: NodeId
  readonly nodeKey: NodePublic
  readonly #options: MapSessionOptions
  readonly #told = new Told()
  readonly #nodes = new Set<NodeId>()
  readonly #users = new Set<UserId>()
  #needsFull = true
  #isDirty = true
  #isBlocked = false
  #isOver = false
  #place: Place | undefined
  #cancelStall: (() => void) | undefined
  #cancelKeepAlive: (() => void) | undefined

  constructor(options: MapSessionOptions) {
    this.#options = options
    this.nodeId = options.nodeId
    this.nodeKey = options.nodeKey
    options.out.on('close', () => this.end())
    options.out.on('error', () => this.end())
    if (options.isHeld !== true) this.pump()
  }

  markNode(id: NodeId): void {
    this.#nodes.add(id)
    this.#isDirty = true
  }

  markUser(id: UserId): void {
    this.#users.add(id)
    this.#isDirty = true
  }

  /** Something of the node itself: its filter, its capabilities. */
  markOwn(): void {
    this.#isDirty = true
  }

  /** Something all share, or which nodes this one sees. */
  markAll(): void {
    for (const id of this.#options.view.nodeIds()) this.#nodes.add(id)
    for (const id of this.#told.peerIds()) this.#nodes.add(id)
    this.#isDirty = true
  }

  /** Sends what has changed, if the reader is ready for it; else as soon as it is. */
  pump(): void {
    if (this.#isOver || this.#isBlocked || this.#place || !this.#isDirty) return
    if (!this.#needsFull && this.#nodes.size <= MANY_NODES) {
      this.#flush()
      return
    }
    const place = this.#options.gate.enter((entered) => {
      this.#place = entered
      const bytes = this.#flush()
      if (!this.#isBlocked) this.#leave()
      return bytes
    })
    // It may be through already.
    if (place.isWaiting) this.#place = place
  }

  #leave(): void {
    this.#place?.leave()
    this.#place = undefined
  }

  /** Returns about the bytes of the message that are still to be made when the first of them are on their way. */
  #flush(): number {
    if (this.#isOver) return 0
    const { view, clock, compression } = this.#options
    const sight = view.sight(this.nodeId)
    if (!sight) {
      this.end()
      return 0
    }
    const nowMs = clock.wallNow()
    const message = this.#needsFull
      ? this.#told.full(sight, nowMs)
      : this.#told.delta(sight, this.#nodes, this.#users, nowMs)
    this.#needsFull = false
    this.#isDirty = false
    this.#nodes.clear()
    this.#users.clear()
    if (message === undefined) return 0
    const pieces = typeof message === 'string' ? [message] : message
    this.#send(mapFrameChunks(pieces, compression))
    return Math.max(pieces.reduce((sum, { length }) => sum + length, 0) - MAP_CHUNK_BYTES, 0)
  }

  /** Ends the stream in an orderly way; the client opens another. Idempotent. */
  end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#cancelStall?.()
    this.#cancelKeepAlive?.()
    this.#leave()
    const { out, onEnd } = this.#options
    out.end()
    onEnd(this)
  }

  /** Ends it without waiting for a reader that may be gone. */
  cut(): void {
    this.end()
    this.#options.out.destroy()
  }

  /** In chunks: a reader that takes one now and then is slow, and not stalled. */
  #send(frame: Iterable<Uint8Array>): void {
    this.#sendRest(frame[Symbol.iterator]())
  }

  #sendRest(chunks: Iterator<Uint8Array>): void {
    const { out, clock } = this.#options
    for (let next = chunks.next(); next.done !== true; next = chunks.next()) {
      if (out.write(next.value)) continue
      this.#isBlocked = true
      this.#cancelKeepAlive?.()
      this.#cancelStall = clock.after(STALL_MS, () => this.cut())
      out.once('drain', () => {
        this.#isBlocked = false
        this.#cancelStall?.()
        if (!this.#isOver) this.#sendRest(chunks)
      })
      return
    }
    this.#leave()
    this.#armKeepAlive()
    this.pump()
  }

  #armKeepAlive(): void {
    this.#cancelKeepAlive?.()
    if (this.#isOver || !this.#options.wantsKeepAlive) return
    const delayMs = KEEP_ALIVE_MS + Math.random() * KEEP_ALIVE_SPREAD_MS
    this.#cancelKeepAlive = this.#options.clock.after(delayMs, () => {
      if (!this.#isOver && !this.#isBlocked) this.#send(mapFrameChunks([KEEP_ALIVE], this.#options.compression))
    })
  }
}
