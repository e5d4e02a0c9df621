// One map stream. At most one message is on its way at a time: what changes meanwhile is remembered as "look at this node
// again", so that nothing queues up behind a slow reader, and one that stops reading is cut.

import type { Writable } from 'node:stream'
import { concat, utf8 } from '../../base/bytes.ts'
import type { Clock } from '../../base/clock.ts'
import type { NodePublic } from '../../crypto/keys.ts'
import type { MapCompression } from '../../wire/tailcfg/map-frame.ts'
import { compressZstd } from '../../wire/zstd/zstd.ts'
import type { NodeId, UserId } from '../model.ts'
import type { TailnetView } from './tailnet-view.ts'
import { Told } from './told.ts'

/** How long a reader may take nothing. A client that is cut comes back for a full map. */
export const STALL_MS = 10_000
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
    if (this.#isOver || this.#isBlocked || !this.#isDirty) return
    const { view, clock } = this.#options
    const sight = view.sight(this.nodeId)
    if (!sight) {
      this.end()
      return
    }
    const nowMs = clock.wallNow()
    const text = this.#needsFull
      ? this.#told.full(sight, nowMs)
      : this.#told.delta(sight, this.#nodes, this.#users, nowMs)
    this.#needsFull = false
    this.#isDirty = false
    this.#nodes.clear()
    this.#users.clear()
    if (text !== undefined) this.#send(text)
  }

  /** Ends the stream in an orderly way; the client opens another. Idempotent. */
  end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#cancelStall?.()
    this.#cancelKeepAlive?.()
    const { out, onEnd } = this.#options
    out.end()
    onEnd(this)
  }

  /** Ends it without waiting for a reader that may be gone. */
  cut(): void {
    this.end()
    this.#options.out.destroy()
  }

  #send(text: string): void {
    const { out, compression, clock } = this.#options
    if (out.write(mapFrame(text, compression))) {
      this.#armKeepAlive()
      return
    }
    this.#isBlocked = true
    this.#cancelKeepAlive?.()
    this.#cancelStall = clock.after(STALL_MS, () => this.cut())
    out.once('drain', () => {
      this.#isBlocked = false
      this.#cancelStall?.()
      this.#armKeepAlive()
      this.pump()
    })
  }

  #armKeepAlive(): void {
    this.#cancelKeepAlive?.()
    if (this.#isOver || !this.#options.wantsKeepAlive) return
    const delayMs = KEEP_ALIVE_MS + Math.random() * KEEP_ALIVE_SPREAD_MS
    this.#cancelKeepAlive = this.#options.clock.after(delayMs, () => {
      if (!this.#isOver && !this.#isBlocked) this.#send(KEEP_ALIVE)
    })
  }
}

/** A message with its length before it, compressed by itself (control.md §5.3). */
export function mapFrame(json: string, compression: MapCompression): Uint8Array {
  const payload = compression === 'zstd' ? compressZstd(utf8(json)) : utf8(json)
  const length = new Uint8Array(4)
  new DataView(length.buffer).setUint32(0, payload.length, true)
  return concat(length, payload)
}
