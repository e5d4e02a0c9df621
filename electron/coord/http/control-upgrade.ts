// POST /ts2021: from HTTP/1.1 to Noise to HTTP/2 (control.md §2.3 to §2.7).

import type { IncomingMessage } from 'node:http'
import { performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Clock } from '../../base/clock.ts'
import { codeOf, messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/log.ts'
import type { MachinePrivate } from '../../crypto/keys.ts'
import { WireError } from '../../wire/codec.ts'
import { encodeHandshakeError, INITIATION_BYTES, serverHandshake } from '../../wire/noise/handshake.ts'
import { NoiseStream } from '../../wire/noise/noise-stream.ts'
import type { MachineApi } from './machine-api.ts'
import { clientAddressOf } from './client-address.ts'
import { RateLimiter, sourceOf } from './rate-limiter.ts'

const PROTOCOL = 'tailscale-control-protocol'
/** A handshake costs four curve multiplications. All machines of an office come from one address after a restart. */
const HANDSHAKE_LIMIT = { perSecond: 50, burst: 2_000 }
const MOST_CONNECTIONS = 20_000
const MOST_FROM_ONE_SOURCE = 5_000
/** A new connection must have sent its first HTTP/2 request by then. */
const FIRST_REQUEST_MS = 30_000
/** A connection with no stream on it is of no use to a client, which keeps its map poll open. */
const IDLE_MS = 180_000
/** Finds clients that vanished without a word: asleep, unplugged, behind a NAT that forgot. */
const PING_EVERY_MS = 25_000
const PING_ANSWER_MS = 20_000

export interface ControlUpgradeOptions {
  readonly serverKey: MachinePrivate
  readonly api: MachineApi
  readonly clock: Clock
  readonly log: Logger
}

export class ControlUpgrade {
  readonly #options: ControlUpgradeOptions
  readonly #limiter: RateLimiter
  readonly #sessions = new Set<ServerHttp2Session>()
  readonly #bySource = new Map<string, number>()

  constructor(options: ControlUpgradeOptions) {
    this.#options = options
    this.#limiter = new RateLimiter(options.clock, HANDSHAKE_LIMIT)
  }

  get connectionCount(): number {
    return this.#sessions.size
  }

  /** Takes over the socket of an upgrade request. Never throws. */
  handle(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy())
    if (request.method !== 'POST' || (request.headers.upgrade ?? '').toLowerCase() !== PROTOCOL)
      return refuse(socket, '400 Bad Request', 'unknown next protocol')
    const initiation = decodeInitiation(request.headers['x-tailscale-handshake'])
    if (!initiation) return refuse(socket, '400 Bad Request', 'missing or malformed handshake')
    const source = sourceOf(clientAddressOf(request))
    const fromSource = this.#bySource.get(source) ?? 0
    if (!this.#limiter.take(source) || fromSource >= MOST_FROM_ONE_SOURCE || this.#sessions.size >= MOST_CONNECTIONS)
      return refuse(socket, '503 Service Unavailable', 'too many connections')
    if (head.length > 0) socket.unshift(head)
    const answer = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: ${PROTOCOL}\r\nConnection: upgrade\r\n\r\n`
    try {
      const { response, peer, keys } = serverHandshake(initiation, this.#options.serverKey)
      socket.write(Buffer.concat([Buffer.from(answer), response]))
      this.#serve(new NoiseStream(socket, keys), request.socket, { machineKey: peer, source })
    } catch (error) {
      this.#options.log.debug('handshake refused', { source, code: codeOf(error) })
      if (error instanceof WireError)
        socket.end(Buffer.concat([Buffer.from(answer), encodeHandshakeError(error.message)]))
      else socket.destroy()
    }
  }

  close(): void {
    for (const session of this.#sessions) session.destroy()
  }

  #serve(noise: NoiseStream, socket: Socket, connection: Parameters<MachineApi['handle']>[3]): void {
    socket.setTimeout(0)
    socket.setNoDelay(true)
    noise.on('error', () => {})
    const session = performServerHandshake(noise, {
      settings: { maxConcurrentStreams: 128, enablePush: false },
      maxHeaderListPairs: 100,
      maxSendHeaderBlockLength: 32 * 1024,
      maxSessionInvalidFrames: 100,
      maxOutstandingPings: 4,
      // In MB: a full map of a large tailnet waits here while the client reads it.
      maxSessionMemory: 64,
    })
    this.#sessions.add(session)
    const { source } = connection
    this.#bySource.set(source, (this.#bySource.get(source) ?? 0) + 1)
    const watch = new Watch(session, this.#options.clock)
    session.on('error', (error) => this.#options.log.debug('connection failed', { source, reason: messageOf(error) }))
    session.on('stream', (stream: ServerHttp2Stream, headers) => {
      watch.streamBegins(stream)
      this.#options.api.handle(stream, headers[':method'] ?? '', headers[':path'] ?? '', connection)
    })
    session.on('close', () => {
      watch.end()
      this.#sessions.delete(session)
      const left = (this.#bySource.get(source) ?? 1) - 1
      if (left > 0) this.#bySource.set(source, left)
      else this.#bySource.delete(source)
      noise.destroy()
    })
  }
}

/** Ends connections that nobody is at the other end of, or that nothing is asked on. */
class Watch {
  readonly #session: ServerHttp2Session
  readonly #clock: Clock
  #streams = 0
  #cancelIdle: () => void
  #cancelPing: () => void = () => {}
  #isOver = false

  constructor(session: ServerHttp2Session, clock: Clock) {
    this.#session = session
    this.#clock = clock
    this.#cancelIdle = clock.after(FIRST_REQUEST_MS, () => session.destroy())
    this.#schedulePing()
  }

  streamBegins(stream: ServerHttp2Stream): void {
    this.#streams++
    this.#cancelIdle()
    stream.once('close', () => {
      this.#streams--
      if (this.#streams === 0 && !this.#isOver) {
        this.#cancelIdle()
        this.#cancelIdle = this.#clock.after(IDLE_MS, () => this.#session.close())
      }
    })
  }

  end(): void {
    this.#isOver = true
    this.#cancelIdle()
    this.#cancelPing()
  }

  #schedulePing(): void {
    this.#cancelPing = this.#clock.after(PING_EVERY_MS, () => {
      this.#cancelPing = this.#clock.after(PING_ANSWER_MS, () => this.#session.destroy())
      const isSent = this.#session.ping((error) => {
        if (error || this.#isOver) return
        this.#cancelPing()
        this.#schedulePing()
      })
      if (!isSent) this.#session.destroy()
    })
  }
}

function decodeInitiation(header: string | string[] | undefined): Uint8Array | undefined {
  // Base64 of the exact length, so that the decoder is never given more.
  if (typeof header !== 'string' || header.length !== Math.ceil(INITIATION_BYTES / 3) * 4) return undefined
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(header)) return undefined
  return new Uint8Array(Buffer.from(header, 'base64'))
}

function refuse(socket: Duplex, status: string, text: string): void {
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: text/plain\r\nContent-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`,
  )
  setTimeout(() => socket.destroy(), 1_000).unref()
}
