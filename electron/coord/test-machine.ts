// A machine for tests: a real handshake, real HTTP/2, real JSON, and no data plane. Hundreds fit in one process.

import { connect as connectHttp2, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2'
import { request } from 'node:http'
import type { Duplex } from 'node:stream'
import { DiscoPrivate, MachinePrivate, MachinePublic, NodePrivate } from '../crypto/keys.ts'
import { clientHandshake, RESPONSE_BYTES } from '../wire/noise/handshake.ts'
import { NoiseStream } from '../wire/noise/noise-stream.ts'
import { MapFrameDecoder, parseMapPayload } from '../wire/tailcfg/map-frame.ts'
import { mapRequest, type MapRequestInput } from '../wire/tailcfg/map-request.ts'
import type { MapResponse } from '../wire/tailcfg/map-response.ts'
import {
  registerRequest,
  registerResponse,
  type RegisterRequestInput,
  type RegisterResponse,
} from '../wire/tailcfg/register.ts'
import { encodeMessage, parseMessage } from '../wire/tailcfg/schema.ts'

export const CAP_VERSION = 130

export interface Answer {
  readonly status: number
  readonly body: Uint8Array
}

/** How it comes to the server, where that is not as everybody does. */
export interface TestRoute {
  /** Asked for at each connection when left out. */
  readonly serverKey?: MachinePublic
  /** One of this host's addresses. */
  readonly localAddress?: string
}

export class TestMachine {
  readonly machineKey: MachinePrivate
  nodeKey = NodePrivate.generate()
  readonly discoKey = DiscoPrivate.generate()
  readonly hostname: string
  readonly #url: string
  readonly #route: TestRoute
  #session: ClientHttp2Session | undefined

  constructor(url: string, hostname: string, machineKey = MachinePrivate.generate(), route: TestRoute = {}) {
    this.#url = url
    this.#route = route
    this.hostname = hostname
    this.machineKey = machineKey
  }

  async connect(): Promise<ClientHttp2Session> {
    if (this.#session && !this.#session.destroyed && !this.#session.closed) return this.#session
    const noise = await dial(this.#url, this.machineKey, this.#route)
    this.#session = connectHttp2('http://control', { createConnection: () => noise })
    this.#session.on('error', () => {})
    return this.#session
  }

  async post(path: string, body: Uint8Array, method = 'POST'): Promise<Answer> {
    const session = await this.connect()
    const stream = session.request({ ':method': method, ':path': path }, { endStream: false })
    stream.end(body)
    return readAnswer(stream)
  }

  async register(more: RegisterRequestInput = {}): Promise<RegisterResponse> {
    const answer = await this.post('/machine/register', this.registerBody(more))
    if (answer.status !== 200) throw new Error(`register: ${answer.status} ${Buffer.from(answer.body).toString()}`)
    return parseMessage(registerResponse, answer.body)
  }

  registerBody(more: RegisterRequestInput = {}): Uint8Array {
    return encodeMessage(registerRequest, {
      version: CAP_VERSION,
      nodeKey: this.nodeKey.public,
      hostinfo: { hostname: this.hostname, os: 'linux' },
      ...more,
    })
  }

  mapBody(more: MapRequestInput = {}): Uint8Array {
    return encodeMessage(mapRequest, {
      version: CAP_VERSION,
      compress: 'zstd',
      keepAlive: true,
      nodeKey: this.nodeKey.public,
      discoKey: this.discoKey.public,
      hostinfo: { hostname: this.hostname, os: 'linux' },
      ...more,
    })
  }

  /** A lite update. */
  async update(more: MapRequestInput = {}): Promise<number> {
    return (await this.post('/machine/map', this.mapBody({ omitPeers: true, ...more }))).status
  }

  async poll(): Promise<TestPoll> {
    const session = await this.connect()
    const stream = session.request({ ':method': 'POST', ':path': '/machine/map' }, { endStream: false })
    stream.end(this.mapBody({ stream: true }))
    return new TestPoll(stream)
  }

  close(): void {
    this.#session?.destroy()
  }
}

/** A map stream being read. */
export class TestPoll {
  readonly messages: MapResponse[] = []
  readonly ended: Promise<void>
  readonly status: Promise<number>
  readonly #stream: ClientHttp2Stream
  #wake: () => void = () => {}

  constructor(stream: ClientHttp2Stream) {
    this.#stream = stream
    const frames = new MapFrameDecoder()
    stream.on('data', (chunk: Uint8Array) => {
      for (const payload of frames.push(chunk)) this.messages.push(parseMapPayload(payload, 'zstd'))
      this.#wake()
    })
    stream.on('error', () => {})
    this.ended = new Promise((resolve) => stream.once('close', () => resolve()))
    this.status = new Promise((resolve) => stream.once('response', (headers) => resolve(Number(headers[':status']))))
  }

  /** The first message, past or to come, that `is`; taken out with all before it. */
  async until(is: (message: MapResponse) => boolean, timeoutMs = 10_000): Promise<MapResponse> {
    const endMs = Date.now() + timeoutMs
    for (;;) {
      const at = this.messages.findIndex(is)
      if (at >= 0) return this.messages.splice(0, at + 1)[at] as MapResponse
      if (Date.now() >= endMs) throw new Error('the expected map message did not come')
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, endMs - Date.now())
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  close(): void {
    this.#stream.destroy()
  }
}

async function readAnswer(stream: ClientHttp2Stream): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = []
    let status = 0
    stream.on('response', (headers) => (status = Number(headers[':status'])))
    stream.on('data', (chunk: Uint8Array) => chunks.push(chunk))
    stream.on('error', reject)
    stream.on('close', () => {
      if (status === 0) reject(new Error('the stream was closed without an answer'))
      else resolve({ status, body: Buffer.concat(chunks) })
    })
  })
}

export async function serverKeyOf(url: string): Promise<MachinePublic> {
  const answer = (await (await fetch(`${url}/key?v=${CAP_VERSION}`)).json()) as { publicKey: string }
  return MachinePublic.parse(answer.publicKey)
}

/** A connection on which nothing was said yet inside the encrypted channel. */
export async function dial(url: string, machineKey: MachinePrivate, route: TestRoute = {}): Promise<Duplex> {
  const handshake = clientHandshake(CAP_VERSION, machineKey, route.serverKey ?? (await serverKeyOf(url)))
  const [socket, head] = await upgrade(url, Buffer.from(handshake.initiation).toString('base64'), route)
  let received = Buffer.from(head)
  while (received.length < RESPONSE_BYTES) {
    const chunk = await new Promise<Buffer>((resolve, reject) => {
      socket.once('data', resolve)
      socket.once('close', () => reject(new Error('the server hung up')))
    })
    socket.pause()
    received = Buffer.concat([received, chunk])
  }
  const keys = handshake.finish(received.subarray(0, RESPONSE_BYTES))
  if (received.length > RESPONSE_BYTES) socket.unshift(received.subarray(RESPONSE_BYTES))
  // Not every server sends one; what it says is of no interest here.
  return new NoiseStream(socket, keys, { onEarlyPayload: () => {} })
}

function upgrade(
  url: string,
  initiation: string,
  { localAddress }: TestRoute,
): Promise<[socket: Duplex, head: Buffer]> {
  return new Promise((resolve, reject) => {
    const headers = {
      connection: 'upgrade',
      upgrade: 'tailscale-control-protocol',
      'x-tailscale-handshake': initiation,
    }
    const outgoing = request(`${url}/ts2021`, {
      method: 'POST',
      headers,
      ...(localAddress !== undefined && { localAddress }),
    })
    outgoing.on('upgrade', (_response, socket, head) => resolve([socket, head]))
    outgoing.on('response', (response) => {
      response.resume()
      reject(new Error(`the upgrade was refused: ${response.statusCode}`))
    })
    outgoing.on('error', reject)
    outgoing.end()
  })
}
