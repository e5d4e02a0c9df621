import type { TLSSocket } from 'node:tls'
import type { Clock } from '../base/clock.ts'
import { toHex } from '../base/bytes.ts'
import { messageOf } from '../base/errors.ts'
import type { NodePrivate, NodePublic } from '../crypto/keys.ts'
import { WireError } from '../wire/codec.ts'
import { DERP_PROTOCOL_VERSION, FrameType, MAX_PACKET_BYTES, NODE_KEY_BYTES } from '../wire/derp/frame.ts'
import { FrameDecoder } from '../wire/derp/frame-decoder.ts'
import { MAX_SERVER_KEY_BYTES, openServerInfo, sealClientInfo } from '../wire/derp/handshake.ts'
import { decodeFrame, encodeFrame, type DerpMessage } from '../wire/derp/message.ts'
import { MAX_PING_BYTES, PING_BYTES, type Restarting } from '../wire/derp/notices.ts'
import { relayNodesOf, type DerpNode, type DerpRegion } from './derp-map.ts'
import { dialNode } from './dial.ts'
import { DerpError } from './errors.ts'
import { FrameWriter } from './frame-writer.ts'
import type { PacketKind } from './packet-kind.ts'
import { ServerWatch } from './server-watch.ts'
import { TokenBucket } from './token-bucket.ts'
import { upgradeToDerp } from './upgrade.ts'

/** Dialling all nodes, TLS, upgrade and login together. */
const OPEN_MS = 10_000
const MAX_SERVER_INFO_BYTES = 64 * 1024
const MAX_NOTICE_BYTES = 64 * 1024
/** Pings of our own that wait for an answer, at most. */
const MAX_PENDING_PINGS = 16
const HEALTH_CHARS = 500

export interface DerpConnectionEvents {
  /**
   * Packets of one read: `spans` holds start and length of each in `chunk`; the 32 bytes before a start are the key of its
   * sender. `chunk` is not written again; `spans` is the listener's to keep.
   */
  onPackets(chunk: Uint8Array, spans: Uint32Array): void
  onPeerGone(peer: NodePublic, reason: number): void
  /** The server's own complaint, for people; empty when it has none any more. */
  onHealth(problem: string): void
  onRestarting(notice: Restarting): void
  /** The server owes an answer for a while, or says something again. */
  onSilent(isSilent: boolean): void
  /** Once, after which nothing else is called. */
  onClosed(error: DerpError): void
}

export interface DerpConnectionOptions {
  readonly nodeKey: NodePrivate
  readonly clock: Clock
  readonly events: DerpConnectionEvents
}

/** Reaches the first node of the region that works, logs in, and keeps watch that the server lives. */
export async function openDerpConnection(
  region: DerpRegion,
  options: DerpConnectionOptions,
  signal: AbortSignal,
): Promise<DerpConnection> {
  const nodes = relayNodesOf(region)
  const [ideal] = nodes
  if (!ideal) throw new DerpError('derp/no-such-region', `DERP region ${region.RegionID} has no node that relays.`)
  const late = new AbortController()
  const cancelLate = options.clock.after(OPEN_MS, () =>
    late.abort(
      new DerpError('derp/timeout', `DERP region ${region.RegionID} did not answer within ${OPEN_MS / 1000} s.`),
    ),
  )
  const either = AbortSignal.any([signal, late.signal])
  try {
    let failure: unknown
    for (const node of nodes) {
      try {
        return await openNode(node, node === ideal ? undefined : ideal.Name, options, either)
      } catch (error) {
        if (either.aborted) throw error
        failure = error
      }
    }
    throw failure
  } finally {
    cancelLate()
  }
}

async function openNode(
  node: DerpNode,
  idealNode: string | undefined,
  options: DerpConnectionOptions,
  signal: AbortSignal,
): Promise<DerpConnection> {
  const socket = await dialNode(node, signal)
  try {
    const head = await upgradeToDerp(socket, node, idealNode, signal)
    const connection = new DerpConnection(socket, node, options)
    await connection.login(head, signal)
    return connection
  } catch (error) {
    socket.destroy()
    throw error
  }
}

/** One connection to one DERP server, from the upgrade to its end; it is not reused. */
export class DerpConnection {
  readonly node: DerpNode
  readonly #socket: TLSSocket
  readonly #options: DerpConnectionOptions
  readonly #decoder = new FrameDecoder((type) => this.#limitOf(type))
  readonly #writer: FrameWriter
  readonly #pings = new Map<string, () => void>()
  #state: 'server-key' | 'server-info' | 'open' | 'closed' = 'server-key'
  #serverKey: NodePublic | undefined
  #settleLogin: ((error: DerpError | undefined) => void) | undefined
  #sendLimit: TokenBucket | undefined
  #lastHeardMs: number
  /** Once logged in. */
  #watch: ServerWatch | undefined
  #droppedByLimit = 0
  /** Packets of the read under way. */
  #spans = new Uint32Array(128)
  #spanCount = 0
  #spanChunk: Uint8Array | undefined

  constructor(socket: TLSSocket, node: DerpNode, options: DerpConnectionOptions) {
    this.node = node
    this.#socket = socket
    this.#options = options
    this.#lastHeardMs = options.clock.now()
    this.#writer = new FrameWriter(socket, { clock: options.clock, onStuck: (error) => this.close(error) })
  }

  /** Monotonic ms of the last byte from the server. */
  get lastHeardMs(): number {
    return this.#lastHeardMs
  }

  get localAddress(): string | undefined {
    return this.#socket.localAddress
  }

  /** Packets that were dropped before they left: full queues, or over the rate that the server asks for. */
  get dropped(): number {
    return this.#writer.dropped.disco + this.#writer.dropped.wireguard + this.#droppedByLimit
  }

  /** Resolves when the server has accepted us. Called once, by `openDerpConnection`. */
  login(head: Uint8Array, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = (): void => this.close(signal.reason)
      this.#settleLogin = (error) => {
        this.#settleLogin = undefined
        signal.removeEventListener('abort', abort)
        if (error) reject(error)
        else resolve()
      }
      if (signal.aborted) {
        abort()
        return
      }
      signal.addEventListener('abort', abort, { once: true })
      this.#socket.on('error', (error) => this.close(error))
      this.#socket.on('close', () => this.close(undefined))
      this.#socket.on('end', () => this.close(undefined))
      this.#socket.on('data', (chunk: Uint8Array) => this.#received(chunk))
      if (head.length > 0) this.#received(head)
      this.#socket.resume()
    })
  }

  /** Queues a packet for `to` (32 bytes); the payload is copied before this returns. */
  send(to: Uint8Array, payload: Uint8Array, kind: PacketKind): void {
    const now = this.#options.clock.now()
    if (this.#sendLimit && !this.#sendLimit.tryTake(payload.length + NODE_KEY_BYTES, now)) {
      this.#droppedByLimit++
      return
    }
    this.#watch?.sent()
    this.#writer.packet(kind, FrameType.sendPacket, to, payload, 0, payload.length)
  }

  /** Tells the server whether it is our home. */
  notePreferred(isHome: boolean): void {
    this.#writer.control(encodeFrame('notePreferred', { isHome }))
  }

  /** Milliseconds until the server's pong; undefined when it did not come in time. */
  ping(timeoutMs: number): Promise<number | undefined> {
    const data = globalThis.crypto.getRandomValues(new Uint8Array(PING_BYTES))
    if (this.#state !== 'open' || this.#pings.size >= MAX_PENDING_PINGS) return Promise.resolve(undefined)
    const startMs = this.#options.clock.now()
    return new Promise((resolve) => {
      const id = toHex(data)
      const cancel = this.#options.clock.after(timeoutMs, () => {
        this.#pings.delete(id)
        resolve(undefined)
      })
      this.#pings.set(id, () => {
        cancel()
        this.#pings.delete(id)
        resolve(this.#state === 'open' ? this.#options.clock.now() - startMs : undefined)
      })
      this.#writer.control(encodeFrame('ping', { data }))
    })
  }

  /** Ends the connection; without a reason, because the far side did. */
  close(reason: unknown): void {
    if (this.#state === 'closed') return
    const error = this.#describe(reason)
    this.#state = 'closed'
    this.#watch?.stop()
    this.#writer.close()
    this.#socket.destroy()
    for (const settle of this.#pings.values()) settle()
    if (this.#settleLogin) this.#settleLogin(error)
    else this.#options.events.onClosed(error)
  }

  #describe(reason: unknown): DerpError {
    if (reason instanceof DerpError) return reason
    const where = `DERP node ${this.node.Name}`
    if (reason instanceof WireError)
      return new DerpError('derp/protocol', `${where}: ${reason.message}`, { cause: reason })
    if (this.#state === 'server-info' && reason === undefined)
      return new DerpError('derp/refused', `${where} closed at our login: it does not relay for this node.`)
    const why = reason === undefined ? 'closed the connection' : `is lost: ${messageOf(reason)}`
    return new DerpError('derp/closed', `${where} ${why}.`, { cause: reason })
  }

  #limitOf(type: number): number | undefined {
    switch (type) {
      case FrameType.serverKey:
        // Comes later than expected after a fast start, and then is of no interest.
        return this.#state === 'server-key' ? MAX_SERVER_KEY_BYTES : undefined
      case FrameType.serverInfo:
        return this.#state === 'server-info' ? MAX_SERVER_INFO_BYTES : undefined
      case FrameType.recvPacket:
        return NODE_KEY_BYTES + MAX_PACKET_BYTES
      case FrameType.ping:
      case FrameType.pong:
        return MAX_PING_BYTES
      case FrameType.peerGone:
      case FrameType.health:
      case FrameType.restarting:
        return MAX_NOTICE_BYTES
      default:
        return undefined
    }
  }

  #received(chunk: Uint8Array): void {
    if (this.#state === 'closed') return
    this.#lastHeardMs = this.#options.clock.now()
    this.#watch?.heard()
    try {
      this.#decoder.push(chunk, this.#onFrame)
      this.#deliver()
    } catch (error) {
      this.close(error)
    }
  }

  readonly #onFrame = (type: number, bytes: Uint8Array, start: number, end: number): void => {
    if (this.#state === 'closed') return
    if (this.#state === 'server-key') {
      if (type !== FrameType.serverKey) throw new WireError('wire/bad-value', 'The first frame is no server key.')
    } else if (type === FrameType.recvPacket) {
      this.#packet(bytes, start, end)
      return
    }
    this.#message(decodeFrame(type, bytes.subarray(start, end)))
  }

  #packet(bytes: Uint8Array, start: number, end: number): void {
    if (end - start < NODE_KEY_BYTES) throw new WireError('wire/short', 'A packet without a source.')
    if (bytes !== this.#spanChunk) {
      this.#deliver()
      this.#spanChunk = bytes
    }
    if (this.#spanCount === this.#spans.length) {
      const larger = new Uint32Array(2 * this.#spanCount)
      larger.set(this.#spans)
      this.#spans = larger
    }
    this.#spans[this.#spanCount++] = start + NODE_KEY_BYTES
    this.#spans[this.#spanCount++] = end - start - NODE_KEY_BYTES
  }

  #deliver(): void {
    const chunk = this.#spanChunk
    if (!chunk) return
    const spans = this.#spans.slice(0, this.#spanCount)
    this.#spanChunk = undefined
    this.#spanCount = 0
    this.#options.events.onPackets(chunk, spans)
  }

  #message(message: DerpMessage): void {
    const { events, nodeKey } = this.#options
    switch (message.kind) {
      case 'serverKey':
        this.#serverKey = message.body.key
        this.#state = 'server-info'
        this.#writer.control(
          encodeFrame(
            'clientInfo',
            sealClientInfo(nodeKey, message.body.key, {
              version: DERP_PROTOCOL_VERSION,
              canAckPings: true,
              isProber: false,
              appName: undefined,
              meshKey: undefined,
            }),
          ),
        )
        break
      case 'serverInfo': {
        if (!this.#serverKey) return
        const info = openServerInfo(nodeKey, this.#serverKey, message.body)
        if (info.tokenBucketBytesPerSecond && info.tokenBucketBytesBurst)
          this.#sendLimit = new TokenBucket(
            info.tokenBucketBytesPerSecond,
            info.tokenBucketBytesBurst,
            this.#options.clock.now(),
          )
        this.#state = 'open'
        this.#watch = this.#startWatch()
        this.#settleLogin?.(undefined)
        break
      }
      case 'ping':
        this.#writer.control(encodeFrame('pong', message.body))
        break
      case 'pong':
        this.#pings.get(toHex(message.body.data))?.()
        break
      case 'peerGone':
        events.onPeerGone(message.body.peer, message.body.reason)
        break
      case 'health':
        events.onHealth(message.body.problem.slice(0, HEALTH_CHARS))
        break
      case 'restarting':
        events.onRestarting(message.body)
        break
      default:
        break
    }
  }

  #startWatch(): ServerWatch {
    return new ServerWatch({
      clock: this.#options.clock,
      ask: () => {
        const data = globalThis.crypto.getRandomValues(new Uint8Array(PING_BYTES))
        this.#writer.control(encodeFrame('ping', { data }))
      },
      onSilent: (isSilent) => this.#options.events.onSilent(isSilent),
      onDead: () => this.close(new DerpError('derp/timeout', `DERP node ${this.node.Name} does not answer any more.`)),
    })
  }
}
