// A coordination server for tests: real sockets, handshake and HTTP/2, and answers that a test scripts.

import { once } from 'node:events'
import * as http from 'node:http'
import * as http2 from 'node:http2'
import * as https from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { ChallengePublic, MachinePrivate, type MachinePublic, randomScalar } from '../crypto/keys.ts'
import { encodeEarlyPayload } from '../wire/noise/early-payload.ts'
import { encodeHandshakeError, serverHandshake } from '../wire/noise/handshake.ts'
import { NoiseStream } from '../wire/noise/noise-stream.ts'
import { encodeMapFrame } from '../wire/tailcfg/map-frame.ts'
import { type MapRequest, mapRequest } from '../wire/tailcfg/map-request.ts'
import type { MapResponseInput } from '../wire/tailcfg/map-response.ts'
import {
  keyResponse,
  type RegisterRequest,
  registerRequest,
  registerResponse,
  type RegisterResponseInput,
} from '../wire/tailcfg/register.ts'
import { encodeMessage, parseMessage } from '../wire/tailcfg/schema.ts'

export type RegisterAnswer =
  | RegisterResponseInput
  | { readonly status: number; readonly headers?: Record<string, string> }

export interface TinyServerOptions {
  readonly tls?: { readonly key: string; readonly cert: string }
  readonly earlyPayload?: boolean
}

export interface Poll {
  readonly request: MapRequest
  send(response: MapResponseInput): void
  sendRaw(bytes: Uint8Array): void
  end(): void
}

export class TinyServer {
  noiseKey = MachinePrivate.generate()
  /** What /key announces, when not the truth. */
  announcedKey: MachinePublic | undefined
  onRegister: (request: RegisterRequest) => RegisterAnswer | Promise<RegisterAnswer> = () => ({})
  /** Called for each poll; the HTTP status when it is a number. */
  onPoll: (poll: Poll) => number | void = () => 500
  onUpdate: (request: MapRequest) => number | Promise<number> = () => 200
  /** Refuses handshakes with this text. */
  refusal: string | undefined
  readonly machineKeys: MachinePublic[] = []
  readonly versions: number[] = []
  /** "METHOD path body" of requests that no handler above takes. */
  readonly others: string[] = []
  keyRequests = 0
  readonly #scheme: string
  readonly #server: http.Server
  readonly #earlyPayload: boolean
  readonly #http2 = http2.createServer()
  readonly #sockets = new Set<Duplex>()
  readonly #waiting: (() => void)[] = []

  constructor(options: TinyServerOptions = {}) {
    this.#scheme = options.tls ? 'https' : 'http'
    this.#earlyPayload = options.earlyPayload ?? true
    this.#server = options.tls ? https.createServer(options.tls) : http.createServer()
    this.#server.on('request', (request, response) => {
      if (request.url?.startsWith('/key?v=')) {
        this.keyRequests++
        response.end(encodeMessage(keyResponse, { publicKey: this.announcedKey ?? this.noiseKey.public }))
      } else {
        this.#note(`${request.method} ${request.url}`)
        response.end()
      }
    })
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head))
    this.#http2.on('request', (request, response) => {
      this.#answer(request, response).catch(() => response.stream.destroy())
    })
    this.#http2.on('sessionError', () => {})
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async start(port = 0): Promise<this> {
    this.#server.listen(port, '127.0.0.1')
    await once(this.#server, 'listening')
    return this
  }

  /** Cuts all encrypted connections, as a restart would. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async stop(): Promise<void> {
    this.cut()
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  /** Resolves at the next request that lands in `others`. */
  otherRequest(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  #note(what: string): void {
    this.others.push(what)
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  #upgrade(request: http.IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket))
    socket.on('error', () => {})
    if (head.length > 0) socket.unshift(head)
    const header = request.headers['x-tailscale-handshake']
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: tailscale-control-protocol\r\nConnection: upgrade\r\n\r\n',
    )
    if (this.refusal !== undefined) {
      socket.end(encodeHandshakeError(this.refusal))
      return
    }
    try {
      const handshake = serverHandshake(Buffer.from(String(header), 'base64'), this.noiseKey)
      this.machineKeys.push(handshake.peer)
      this.versions.push(handshake.version)
      socket.write(handshake.response)
      const stream = new NoiseStream(socket, handshake.keys)
      stream.on('error', () => {})
      if (this.#earlyPayload) stream.write(encodeEarlyPayload({ challenge: new ChallengePublic(randomScalar()) }))
      this.#http2.emit('connection', stream)
    } catch {
      socket.destroy()
    }
  }

  async #answer(request: http2.Http2ServerRequest, response: http2.Http2ServerResponse): Promise<void> {
    const parts: Uint8Array[] = []
    for await (const part of request) parts.push(part as Uint8Array)
    const body = Buffer.concat(parts)
    if (request.url === '/machine/register') {
      const answer = await this.onRegister(parseMessage(registerRequest, body))
      if ('status' in answer) {
        response.writeHead(answer.status, answer.headers ?? {})
        response.end('not now')
      } else response.end(encodeMessage(registerResponse, answer))
    } else if (request.url === '/machine/map') {
      const message = parseMessage(mapRequest, body)
      if (!message.stream) {
        response.writeHead(await this.onUpdate(message))
        response.end()
        return
      }
      const status = this.onPoll({
        request: message,
        send: (map) => response.write(encodeMapFrame(map, 'zstd')),
        sendRaw: (bytes) => response.write(bytes),
        end: () => response.end(),
      })
      if (status !== undefined) {
        response.writeHead(status)
        response.end('no such node')
      }
    } else {
      response.end()
      this.#note(`${request.method} ${request.url} ${body.toString('latin1')}`.trim())
    }
  }
}
