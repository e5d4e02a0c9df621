import type { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { toHex } from '../base/bytes.ts'
import { systemClock, type Clock } from '../base/clock.ts'
import { canonicalIp, ipToBytes, type IpAddress } from '../base/endpoint.ts'
import { codeOf } from '../base/errors.ts'
import { silentLogger, type Logger } from '../base/log.ts'
import { NodePrivate, type NodePublic } from '../crypto/keys.ts'
import { DERP_PROTOCOL_VERSION } from '../wire/derp/frame.ts'
import { ClientRegistry, type ClientEntry } from './client-registry.ts'
import { answerProbe, DERP_PATH, refuseUpgrade } from './http-answers.ts'
import { zeroCounters, type DerpServerCounters } from './server-counters.ts'
import { DEFAULT_RATE_LIMIT, ServerSession, type RateLimit, type SessionHost } from './server-session.ts'
import { TokenBucket } from './token-bucket.ts'

export interface DerpServerOptions {
  /** Whether to relay for a node. Asked at every login; what it throws counts as no. Without it, everyone is welcome. */
  readonly admit?: (key: NodePublic, source: IpAddress) => boolean | Promise<boolean>
  /** A new key for each run by default: what was recorded of one login is then of no use at the next. */
  readonly privateKey?: NodePrivate
  readonly clock?: Clock
  readonly log?: Logger
  /** Per client; `DEFAULT_RATE_LIMIT` when left out. */
  readonly rateLimit?: RateLimit | 'off'
  readonly maxConnections?: number
  /** Per IPv4 address or IPv6 /64. */
  readonly maxConnectionsPerSource?: number
  readonly writeDeadlineMs?: number
}

const MAX_CONNECTIONS = 10_000
const MAX_CONNECTIONS_PER_SOURCE = 64
const NEW_CONNECTIONS_PER_SECOND = 100
const NEW_CONNECTIONS_BURST = 500

/**
 * A DERP server without its own port: mount it on any TLS server by handing it requests and upgrades (`listenDerp` does).
 * It relays packets between node keys and cannot read them.
 */
export class DerpServer {
  readonly publicKey: NodePublic
  readonly #options: DerpServerOptions
  readonly #clock: Clock
  readonly #log: Logger
  readonly #counters = zeroCounters()
  readonly #registry = new ClientRegistry()
  readonly #sessions = new Set<ServerSession>()
  readonly #bySource = new Map<string, number>()
  readonly #newConnections: TokenBucket
  readonly #host: SessionHost
  #isClosed = false

  constructor(options: DerpServerOptions = {}) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#log = options.log ?? silentLogger
    this.#newConnections = new TokenBucket(NEW_CONNECTIONS_PER_SECOND, NEW_CONNECTIONS_BURST, this.#clock.now())
    const privateKey = options.privateKey ?? NodePrivate.generate()
    this.publicKey = privateKey.public
    this.#host = {
      privateKey,
      clock: this.#clock,
      counters: this.#counters,
      rateLimit: options.rateLimit === 'off' ? undefined : (options.rateLimit ?? DEFAULT_RATE_LIMIT),
      writeDeadlineMs: options.writeDeadlineMs,
      admit: options.admit ?? (() => true),
      register: (session) => this.#register(session),
      find: (keys, at) => this.#registry.find(keys, at),
      ended: (session, error) => this.#ended(session, error),
    }
  }

  /** Answers what belongs to DERP and returns true; false for any other path, which stays untouched. */
  handleRequest(request: IncomingMessage, response: ServerResponse): boolean {
    return answerProbe(request, response)
  }

  /** Takes over the connection. Call it for upgrades of the path `/derp`. */
  handleUpgrade(request: IncomingMessage, stream: Duplex, head: Uint8Array): void {
    stream.on('error', () => {}) // until the session listens: a reset here must not end the process
    if ((request.headers.upgrade ?? '').toLowerCase() !== 'derp') {
      refuseUpgrade(stream, 426, 'Upgrade Required', { Upgrade: 'DERP' })
      return
    }
    if (request.method !== 'GET' || pathOf(request) !== DERP_PATH) {
      refuseUpgrade(stream, 404, 'Not Found')
      return
    }
    const source = (stream instanceof Socket && canonicalIp(stream.remoteAddress ?? '')) || '0.0.0.0'
    if (!this.#hasRoomFor(source)) {
      this.#counters.refusedBusy++
      refuseUpgrade(stream, 503, 'Service Unavailable', { 'Retry-After': '5' })
      return
    }
    // A client that took our key from the certificate does not wait for this answer, and does not want it.
    if (request.headers['derp-fast-start'] !== '1')
      stream.write(
        'HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n' +
          `Derp-Version: ${DERP_PROTOCOL_VERSION}\r\nDerp-Public-Key: ${toHex(this.publicKey.bytes)}\r\n\r\n`,
      )
    const session = new ServerSession(this.#host, stream, source)
    this.#sessions.add(session)
    this.#bySource.set(blockOf(source), (this.#bySource.get(blockOf(source)) ?? 0) + 1)
    this.#counters.accepted++
    session.start(head)
  }

  isConnected(key: NodePublic): boolean {
    return this.#registry.get(key) !== undefined
  }

  /** Ends all connections of a key: its node was removed, or its key has expired. */
  disconnect(key: NodePublic): void {
    for (const session of this.#registry.get(key)?.sessions ?? []) session.close(undefined)
  }

  counters(): Readonly<DerpServerCounters> {
    return { ...this.#counters, clients: this.#registry.size, connections: this.#sessions.size }
  }

  close(): Promise<void> {
    this.#isClosed = true
    for (const session of this.#sessions) session.close(undefined)
    return Promise.resolve()
  }

  #hasRoomFor(source: IpAddress): boolean {
    const most = this.#options.maxConnections ?? MAX_CONNECTIONS
    const mostPerSource = this.#options.maxConnectionsPerSource ?? MAX_CONNECTIONS_PER_SOURCE
    return (
      !this.#isClosed &&
      this.#sessions.size < most &&
      (this.#bySource.get(blockOf(source)) ?? 0) < mostPerSource &&
      this.#newConnections.tryTake(1, this.#clock.now())
    )
  }

  #register(session: ServerSession): ClientEntry {
    if (!session.clientKey) throw new RangeError('a session registers after its login')
    this.#log.debug('client connected', { key: session.clientKey, source: session.source })
    return this.#registry.add(session.clientKey, session)
  }

  #ended(session: ServerSession, error: unknown): void {
    this.#sessions.delete(session)
    const block = blockOf(session.source)
    const left = (this.#bySource.get(block) ?? 1) - 1
    if (left > 0) this.#bySource.set(block, left)
    else this.#bySource.delete(block)
    if (session.clientKey) this.#registry.remove(session.clientKey, session)
    this.#log.debug('connection ended', { source: session.source, code: codeOf(error), error })
  }
}

export function pathOf(request: IncomingMessage): string {
  return (request.url ?? '').split('?', 1)[0] ?? ''
}

/** One IPv4 address, or the /64 that one IPv6 customer has. */
function blockOf(source: IpAddress): string {
  const bytes = ipToBytes(source)
  return bytes?.length === 16 ? Buffer.from(bytes.subarray(0, 8)).toString('hex') : source
}
