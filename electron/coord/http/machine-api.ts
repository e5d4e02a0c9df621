// The endpoints inside Noise (control.md §3.2). The connection proves a machine key and nothing more: each handler checks
// that the node key it is asked about belongs to it.

import type { ServerHttp2Stream } from 'node:http2'
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/log.ts'
import type { MachinePublic, NodePublic } from '../../crypto/keys.ts'
import { WireError } from '../../wire/codec.ts'
import { PATH_REPORT_ROUTE, pathReport, pathReportAnswer } from '../../wire/path-report.ts'
import { mapRequest } from '../../wire/tailcfg/map-request.ts'
import { registerRequest, registerResponse, type RegisterResponseInput } from '../../wire/tailcfg/register.ts'
import { encodeMessage, parseMessage } from '../../wire/tailcfg/schema.ts'
import type { AdviceDesks } from '../advice/advice-desks.ts'
import { isStorageOut } from '../errors.ts'
import { hostFacts, updatedReport } from '../host-facts.ts'
import { isExpired, type Node, type NodeId, type User } from '../model.ts'
import { MIN_CAP_VERSION } from '../register-decision.ts'
import type { Caller, RegisterAnswer, Registrar } from '../registrar.ts'
import type { ServerRegistry } from '../server-registry.ts'
import type { TailnetHubs } from '../tailnet-hubs.ts'
import type { Clock } from '../../base/clock.ts'
import { readBody } from './body.ts'
import { RateLimiter } from './rate-limiter.ts'

const KNOWN_BODY_BYTES = 1024 * 1024
/** For machines that have no node yet. */
const UNKNOWN_BODY_BYTES = 64 * 1024
/** How many requests of one kind a machine may make; clients make a few in a minute, some dozens when networks change. */
const REGISTER_LIMIT = { perSecond: 2, burst: 60 }
const MAP_LIMIT = { perSecond: 10, burst: 200 }
const PATH_REPORT_LIMIT = { perSecond: 1 / 30, burst: 6 }

export interface Connection {
  readonly machineKey: MachinePublic
  readonly source: string
}

export interface MachineApiOptions {
  readonly registry: ServerRegistry
  readonly registrar: Registrar
  readonly hubs: Pick<TailnetHubs, 'of'>
  readonly advice: AdviceDesks
  readonly clock: Clock
  readonly log: Logger
}

/** Every endpoint there is. A new one needs a line in the test of key binding, which walks this list. */
export const MACHINE_ROUTES = ['POST /machine/register', 'POST /machine/map', `POST ${PATH_REPORT_ROUTE}`] as const
type MachineRoute = (typeof MACHINE_ROUTES)[number]

type Handler = (stream: ServerHttp2Stream, connection: Connection, body: Uint8Array) => Promise<void>

export class MachineApi {
  readonly #registry: ServerRegistry
  readonly #registrar: Registrar
  readonly #hubs: Pick<TailnetHubs, 'of'>
  readonly #advice: AdviceDesks
  readonly #clock: Clock
  readonly #log: Logger
  readonly #limits: Readonly<Record<MachineRoute, RateLimiter>>
  readonly #handlers: Readonly<Record<MachineRoute, Handler>> = {
    'POST /machine/register': (stream, connection, body) => this.#register(stream, connection, body),
    'POST /machine/map': (stream, connection, body) => this.#map(stream, connection, body),
    'POST /machine/path-report': (stream, connection, body) => this.#pathReport(stream, connection, body),
  }

  constructor(options: MachineApiOptions) {
    this.#registry = options.registry
    this.#registrar = options.registrar
    this.#hubs = options.hubs
    this.#advice = options.advice
    this.#clock = options.clock
    this.#log = options.log
    this.#limits = {
      'POST /machine/register': new RateLimiter(options.clock, REGISTER_LIMIT),
      'POST /machine/map': new RateLimiter(options.clock, MAP_LIMIT),
      'POST /machine/path-report': new RateLimiter(options.clock, PATH_REPORT_LIMIT),
    }
  }

  /** Answers one request; never throws. */
  handle(stream: ServerHttp2Stream, method: string, path: string, connection: Connection): void {
    stream.on('error', () => {})
    this.#answer(stream, `${method} ${path.split('?')[0]}`, connection).catch((error: unknown) => {
      if (error instanceof WireError) {
        reply(stream, 400, `malformed request: ${error.message}`)
        return
      }
      this.#log.error('request failed', { path, error })
      if (isStorageOut(error)) {
        reply(stream, 503, 'the server cannot write just now', { 'retry-after': '10' })
        return
      }
      reply(stream, 500, 'internal error')
    })
  }

  async #answer(stream: ServerHttp2Stream, route: string, connection: Connection): Promise<void> {
    if (!isMachineRoute(route)) {
      stream.resume()
      reply(stream, route.includes(' /machine/') ? 501 : 404, 'not implemented')
      return
    }
    if (!this.#limits[route].take(connection.machineKey.text)) {
      stream.resume()
      reply(stream, 429, 'too many requests', { 'retry-after': '5' })
      return
    }
    const isKnown = this.#registry.hasMachine(connection.machineKey)
    const body = await readBody(stream, isKnown ? KNOWN_BODY_BYTES : UNKNOWN_BODY_BYTES)
    if (body.kind === 'whole') {
      // A request its sender took back may be older than one already carried out.
      if (!stream.aborted && !stream.destroyed) await this.#handlers[route](stream, connection, body.bytes)
    } else if (body.kind === 'too-long') reply(stream, 413, 'request too long')
    else stream.close()
  }

  async #register(stream: ServerHttp2Stream, connection: Connection, body: Uint8Array): Promise<void> {
    const request = parseMessage(registerRequest, body)
    const gone = new AbortController()
    stream.once('close', () => gone.abort())
    const caller: Caller = { ...connection, signal: gone.signal }
    const authKey = request.auth?.authKey ?? ''
    const answer = await this.#registrar.register(
      {
        capVersion: request.version,
        nodeKey: request.nodeKey,
        authKey: authKey === '' ? undefined : authKey,
        expiryMs: request.expiryMs,
        followup: request.followup,
        ephemeral: request.ephemeral,
        hostinfo: hostFacts(request.hostinfo),
        requestTags: request.hostinfo?.requestTags ?? [],
      },
      caller,
    )
    this.#sendRegisterAnswer(stream, answer)
  }

  #sendRegisterAnswer(stream: ServerHttp2Stream, answer: RegisterAnswer): void {
    switch (answer.kind) {
      case 'welcome':
        return sendRegister(stream, welcome(answer.user, !answer.isWaiting))
      case 'renew-key':
        return sendRegister(stream, { nodeKeyExpired: true })
      case 'login':
        return sendRegister(stream, { authUrl: answer.url })
      case 'refused':
        return sendRegister(stream, { error: answer.text })
      case 'rejected':
        return reply(stream, answer.status, answer.text, answer.status === 429 ? { 'retry-after': '30' } : {})
      case 'gone':
        stream.close()
    }
  }

  async #map(stream: ServerHttp2Stream, connection: Connection, body: Uint8Array): Promise<void> {
    const request = parseMessage(mapRequest, body)
    if (request.version < MIN_CAP_VERSION) {
      reply(stream, 400, `unsupported client version (capability ${request.version})`)
      return
    }
    const node = await this.#boundNode(request.nodeKey, connection, 'map.rejected')
    const hub = node && this.#hubs.of(node.tailnetId)
    if (!node || !hub) {
      reply(stream, 404, 'node not found')
      return
    }
    const compression = request.compress === 'zstd' ? 'zstd' : ''
    if (request.stream) {
      // Nothing of the body is stored: lite updates carry it, and this request may be older than one of them.
      stream.respond({ ':status': 200 })
      hub.open(node, stream, { compression, wantsKeepAlive: request.keepAlive, probe: () => ping(stream) })
      return
    }
    if (!request.readOnly && !isExpired(node, this.#clock.wallNow())) {
      const report = updatedReport(node.report, request)
      this.#registry.report(node.id, report)
      this.#advice.of(node.tailnetId)?.noteNetwork(node, request.hostinfo?.netInfo)
      await this.#noteWishes(node.id, report.hostinfo.hostname, request.hostinfo?.requestTags)
    }
    stream.respond({ ':status': 200 })
    if (request.omitPeers && !request.readOnly) stream.end()
    else stream.end(hub.once(node.id, compression))
  }

  /** What a node wants of us may wait; that it told of itself must not fail with it. */
  async #noteWishes(id: NodeId, hostname: string, tags: readonly string[] | undefined): Promise<void> {
    try {
      await this.#registrar.noteHostname(id, hostname)
      if (tags) await this.#registrar.noteTags(id, tags)
    } catch (error) {
      if (!isStorageOut(error)) throw error
      this.#log.warn('a name or tags could not be saved', { node: id, error })
    }
  }

  /** The node of this key and this machine. One that is unknown may have come to another server a moment ago. */
  async #boundNode(nodeKey: NodePublic, connection: Connection, action: string): Promise<Node | undefined> {
    const known = this.#registry.boundNode(nodeKey, connection.machineKey)
    if (known) return known
    // Throws while the store is out: "not found" would be a reason for the machine to log in anew.
    await this.#registry.transaction((tx) => this.#registrar.auditForeignKey(tx, nodeKey, connection, action))
    return this.#registry.boundNode(nodeKey, connection.machineKey)
  }

  async #pathReport(stream: ServerHttp2Stream, connection: Connection, body: Uint8Array): Promise<void> {
    const report = parseMessage(pathReport, body)
    const node = await this.#boundNode(report.nodeKey, connection, 'path-report.rejected')
    const desk = node && this.#advice.of(node.tailnetId)
    if (!node || !desk || isExpired(node, this.#clock.wallNow())) {
      reply(stream, 404, 'node not found')
      return
    }
    const { afterSeconds, measure } = desk.take(node, report)
    stream.respond({ ':status': 200, 'content-type': 'application/json' })
    stream.end(encodeMessage(pathReportAnswer, { afterSeconds, measure: measure.map(String) }))
  }
}

/** An HTTP/2 ping, which every client answers below its own code. */
const ping = (stream: ServerHttp2Stream): Promise<boolean> =>
  new Promise((resolve) => {
    const isSent = stream.session?.ping((error) => resolve(error === null)) === true
    if (!isSent) resolve(false)
  })

function isMachineRoute(route: string): route is MachineRoute {
  return MACHINE_ROUTES.some((known) => known === route)
}

function sendRegister(stream: ServerHttp2Stream, answer: RegisterResponseInput): void {
  if (stream.destroyed || stream.headersSent) return
  stream.respond({ ':status': 200, 'content-type': 'application/json' })
  stream.end(encodeMessage(registerResponse, answer))
}

function welcome(user: User, isAuthorized: boolean): RegisterResponseInput {
  const id = String(user.id)
  return {
    user: { id, displayName: user.displayName, profilePicUrl: '' },
    login: {
      id,
      provider: 'peerway',
      loginName: user.email ?? user.name,
      displayName: user.displayName,
      profilePicUrl: '',
    },
    machineAuthorized: isAuthorized,
  }
}

function reply(stream: ServerHttp2Stream, status: number, text: string, headers: Record<string, string> = {}): void {
  if (stream.destroyed || stream.headersSent) return
  try {
    stream.respond({ ':status': status, 'content-type': 'text/plain; charset=utf-8', ...headers })
    stream.end(text)
  } catch (error) {
    stream.destroy(error instanceof Error ? error : new Error(messageOf(error)))
  }
}
