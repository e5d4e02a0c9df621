import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Clock } from '../base/clock.ts'
import { withDeadline } from '../base/deadline.ts'
import type { IpAddress } from '../base/endpoint.ts'
import type { NodePrivate, NodePublic } from '../crypto/keys.ts'
import { DERP_PROTOCOL_VERSION, FrameType, MAX_PACKET_BYTES, NODE_KEY_BYTES } from '../wire/derp/frame.ts'
import { FrameDecoder } from '../wire/derp/frame-decoder.ts'
import { MAX_CLIENT_INFO_BYTES, openClientInfo, sealServerInfo, type ClientInfo } from '../wire/derp/handshake.ts'
import { decodeFrame, encodeFrame } from '../wire/derp/message.ts'
import { MAX_PING_BYTES, PING_BYTES, PeerGoneReason } from '../wire/derp/notices.ts'
import type { ClientEntry } from './client-registry.ts'
import { DerpError } from './errors.ts'
import { FrameWriter } from './frame-writer.ts'
import { packetKind } from './packet-kind.ts'
import type { DerpServerCounters } from './server-counters.ts'
import { TokenBucket } from './token-bucket.ts'

/** From the upgrade to a whole ClientInfo. */
const LOGIN_MS = 10_000
/** The longest an admission check may take; longer counts as no. */
const ADMISSION_MS = 5_000
const KEEP_ALIVE_MS = 60_000
/** Per connection, so that the keep-alives of a fleet spread out. */
const KEEP_ALIVE_JITTER_MS = 5_000
/** A client that can answer pings is asked after one silent keep-alive period and given up after this many. */
const SILENT_PERIODS = 3
/** "That peer is not here" answers to disco packets: one a second, three at once (paths.md §3.7). */
const NOT_HERE_PER_SECOND = 1
const NOT_HERE_BURST = 3

export interface RateLimit {
  /** Of frame payloads that a client sends; kept by reading more slowly. */
  readonly bytesPerSecond: number
  /** Raised to what one packet needs. */
  readonly burstBytes: number
}

/**
 * What one client may send when nobody said otherwise (reliability.md, Appendix A): more than a video call needs, and little
 * enough that one client does not fill a home's line for all.
 */
export const DEFAULT_RATE_LIMIT: RateLimit = { bytesPerSecond: 10_000_000, burstBytes: 2_000_000 }

/** A client that is held back hears this often that we live: its ping waits behind its own data, and ours leave after 2 s. */
const HELD_BACK_BEAT_MS = 500

const MIN_BURST_BYTES = MAX_PACKET_BYTES + NODE_KEY_BYTES

/** What a session needs of its server. */
export interface SessionHost {
  readonly privateKey: NodePrivate
  readonly clock: Clock
  readonly counters: DerpServerCounters
  readonly rateLimit: RateLimit | undefined
  readonly writeDeadlineMs: number | undefined
  admit(key: NodePublic, source: IpAddress): boolean | Promise<boolean>
  register(session: ServerSession): ClientEntry
  find(keys: Uint8Array, at: number): ClientEntry | undefined
  /** Called once, when the connection has ended for whatever reason. */
  ended(session: ServerSession, error: unknown): void
}

/** One connection to our server: the login, then packets. */
export class ServerSession {
  readonly source: IpAddress
  readonly writer: FrameWriter
  /** Valid once registered. */
  clientKey: NodePublic | undefined
  clientInfo: ClientInfo | undefined
  isHome = false

  readonly #host: SessionHost
  readonly #stream: Duplex
  readonly #decoder = new FrameDecoder((type) => this.#limitOf(type))
  readonly #bucket: TokenBucket | undefined
  readonly #notHere: TokenBucket
  /** The login deadline, later the keep-alive. */
  #cancelTimer: (() => void) | undefined
  /** Set while reading is stopped to keep the client's rate. */
  #cancelResume: (() => void) | undefined
  #state: 'login' | 'admission' | 'open' | 'closed' = 'login'
  /** Frames that came in one chunk with the ClientInfo, kept while admission is asked. */
  #early: (readonly [number, Uint8Array, number, number])[] = []
  #entry: ClientEntry | undefined
  #lastDestination: ClientEntry | undefined
  #silentPeriods = 0
  #beatMs = 0

  constructor(host: SessionHost, stream: Duplex, source: IpAddress) {
    this.#host = host
    this.#stream = stream
    this.source = source
    this.writer = new FrameWriter(stream, {
      clock: host.clock,
      ...(host.writeDeadlineMs === undefined ? {} : { writeDeadlineMs: host.writeDeadlineMs }),
      onStuck: (error) => {
        host.counters.closedStuck++
        this.close(error)
      },
    })
    const { rateLimit, clock } = host
    this.#notHere = new TokenBucket(NOT_HERE_PER_SECOND, NOT_HERE_BURST, clock.now())
    if (rateLimit)
      this.#bucket = new TokenBucket(
        rateLimit.bytesPerSecond,
        Math.max(rateLimit.burstBytes, MIN_BURST_BYTES),
        clock.now(),
      )
  }

  /** Sends the server key and waits for the login. `head` is what came with the upgrade request. */
  start(head: Uint8Array): void {
    const { clock, privateKey } = this.#host
    if (this.#stream instanceof Socket) {
      this.#stream.setNoDelay(true)
      this.#stream.setKeepAlive(true, KEEP_ALIVE_MS)
      this.#stream.setTimeout(0)
    }
    this.#stream.on('error', (error) => this.close(error))
    this.#stream.on('close', () => this.close(undefined))
    this.#stream.on('end', () => this.close(undefined))
    this.#stream.on('data', (chunk: Uint8Array) => this.#received(chunk))
    this.#cancelTimer = clock.after(LOGIN_MS, () => {
      if (this.#state === 'login') this.close(new DerpError('derp/timeout', 'The client did not log in in time.'))
    })
    this.writer.control(encodeFrame('serverKey', { key: privateKey.public }))
    if (head.length > 0) this.#received(head)
  }

  close(error: unknown): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.writer.close()
    this.#cancelTimer?.()
    this.#cancelResume?.()
    this.#early = []
    this.#lastDestination = undefined
    this.#stream.destroy()
    this.#host.ended(this, error)
  }

  #limitOf(type: number): number | undefined {
    if (this.#state === 'login') {
      if (type !== FrameType.clientInfo) throw new DerpError('derp/protocol', 'The first frame is no ClientInfo.')
      return MAX_CLIENT_INFO_BYTES
    }
    switch (type) {
      case FrameType.sendPacket:
        return NODE_KEY_BYTES + MAX_PACKET_BYTES
      case FrameType.ping:
        return MAX_PING_BYTES
      case FrameType.notePreferred:
        return 1
      case FrameType.forwardPacket:
      case FrameType.watchConns:
      case FrameType.closePeer:
        throw new DerpError('derp/refused', 'Only servers of the same region may send this.')
      default:
        return undefined
    }
  }

  #received(chunk: Uint8Array): void {
    if (this.#state === 'closed') return
    this.#host.counters.bytesReceived += chunk.length
    this.#silentPeriods = 0
    try {
      this.#decoder.push(chunk, this.#onFrame)
    } catch (error) {
      this.close(error)
      return
    }
    const { clock } = this.#host
    const waitMs = this.#bucket?.take(chunk.length, clock.now()) ?? 0
    if (waitMs > 0 && !this.#isClosed()) {
      this.#stream.pause()
      this.#cancelResume?.()
      this.#hold(clock.now() + waitMs)
    }
  }

  /** Reads nothing until then, and says meanwhile that we live. */
  #hold(untilMs: number): void {
    const { clock } = this.#host
    if (this.#state === 'open' && clock.now() - this.#beatMs >= HELD_BACK_BEAT_MS) {
      this.#beatMs = clock.now()
      this.writer.control(encodeFrame('keepAlive', {}))
    }
    this.#cancelResume = clock.after(Math.min(untilMs - clock.now(), HELD_BACK_BEAT_MS), () => {
      if (clock.now() < untilMs) this.#hold(untilMs)
      else if (this.#state !== 'admission') this.#stream.resume()
    })
  }

  /** Through a call, so that the compiler does not believe that the state cannot have changed meanwhile. */
  #isClosed(): boolean {
    return this.#state === 'closed'
  }

  readonly #onFrame = (type: number, bytes: Uint8Array, start: number, end: number): void => {
    switch (this.#state) {
      case 'login':
        this.#login(bytes.subarray(start, end))
        break
      case 'admission':
        this.#early.push([type, bytes, start, end])
        break
      case 'open':
        this.#frame(type, bytes, start, end)
        break
      case 'closed':
        break
    }
  }

  #login(payload: Uint8Array): void {
    const message = decodeFrame(FrameType.clientInfo, payload)
    if (message.kind !== 'clientInfo') return
    const info = openClientInfo(this.#host.privateKey, message.body)
    const key = message.body.clientKey
    this.#state = 'admission'
    this.#stream.pause()
    const late = (): DerpError => new DerpError('derp/timeout', 'The admission check takes too long.')
    const asked = Promise.resolve()
      .then(() => this.#host.admit(key, this.source))
      .then((isAllowed) => {
        if (!isAllowed) throw new DerpError('derp/refused', 'This server does not relay for that node.')
      })
    withDeadline(asked, ADMISSION_MS, late).then(
      () => this.#admitted(key, info),
      (error: unknown) => {
        this.#host.counters.refused++
        this.close(error)
      },
    )
  }

  #admitted(key: NodePublic, info: ClientInfo): void {
    if (this.#isClosed()) return
    const { privateKey, clock } = this.#host
    this.clientKey = key
    this.clientInfo = info
    this.writer.control(
      encodeFrame(
        'serverInfo',
        sealServerInfo(privateKey, key, {
          version: DERP_PROTOCOL_VERSION,
          tokenBucketBytesPerSecond: undefined,
          tokenBucketBytesBurst: undefined,
        }),
      ),
    )
    this.#entry = this.#host.register(this)
    this.#state = 'open'
    const everyMs = KEEP_ALIVE_MS + Math.random() * KEEP_ALIVE_JITTER_MS
    const beat = (): void => {
      this.#keepAlive(info.canAckPings)
      if (!this.#isClosed()) this.#cancelTimer = clock.after(everyMs, beat)
    }
    this.#cancelTimer?.()
    this.#cancelTimer = clock.after(everyMs, beat)
    const early = this.#early
    this.#early = []
    try {
      for (const [type, bytes, start, end] of early) this.#onFrame(type, bytes, start, end)
    } catch (error) {
      this.close(error)
      return
    }
    this.#stream.resume()
  }

  #keepAlive(canAckPings: boolean): void {
    this.writer.control(encodeFrame('keepAlive', {}))
    // TCP alone would keep a vanished client for a quarter of an hour.
    this.#silentPeriods++
    if (!canAckPings || this.#silentPeriods < 2) return
    if (this.#silentPeriods > SILENT_PERIODS)
      this.close(new DerpError('derp/timeout', 'The client answers no pings any more.'))
    else
      this.writer.control(encodeFrame('ping', { data: globalThis.crypto.getRandomValues(new Uint8Array(PING_BYTES)) }))
  }

  #frame(type: number, bytes: Uint8Array, start: number, end: number): void {
    const entry = this.#entry
    if (!entry) return
    entry.noteActivity(this)
    if (type === FrameType.sendPacket) {
      this.#packet(entry, bytes, start, end)
      return
    }
    const message = decodeFrame(type, bytes.subarray(start, end))
    if (message.kind === 'ping') {
      this.writer.control(encodeFrame('pong', message.body))
    } else if (message.kind === 'notePreferred') {
      this.isHome = message.body.isHome
    }
  }

  #packet(from: ClientEntry, bytes: Uint8Array, start: number, end: number): void {
    const { counters } = this.#host
    if (end - start < NODE_KEY_BYTES) throw new DerpError('derp/protocol', 'A packet without a destination.')
    const dataStart = start + NODE_KEY_BYTES
    const kind = packetKind(bytes, dataStart, end)
    let to = this.#lastDestination
    if (!to?.isAt(bytes, start)) {
      to = this.#host.find(bytes, start)
      this.#lastDestination = to
    }
    if (!to) {
      counters.droppedUnknown++
      if (kind === 'disco') this.#answerNotHere(bytes.subarray(start, dataStart))
      return
    }
    from.noteSentTo(to)
    const dropped = to.active.writer.packet(kind, FrameType.recvPacket, from.key.bytes, bytes, dataStart, end)
    counters.packets++
    counters.packetBytes += end - dataStart
    if (dropped === 0) return
    if (kind === 'disco') counters.droppedDisco += dropped
    else counters.droppedData += dropped
  }

  #answerNotHere(key: Uint8Array): void {
    if (!this.#notHere.tryTake(1, this.#host.clock.now())) return
    const gone = decodeFrame(FrameType.peerGone, key)
    if (gone.kind === 'peerGone')
      this.writer.control(encodeFrame('peerGone', { peer: gone.body.peer, reason: PeerGoneReason.notHere }))
  }
}
