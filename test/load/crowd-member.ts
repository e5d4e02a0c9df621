// One machine of a crowd: real handshake, real HTTP/2, and of each map only what a count needs. Thousands fit in a process.

import type { ClientHttp2Stream } from 'node:http2'
import { fromUtf8 } from '../../electron/base/bytes.ts'
import { TestMachine, type TestRoute } from '../../electron/coord/test-machine.ts'
import { MapFrameDecoder } from '../../electron/wire/tailcfg/map-frame.ts'
import { decompressZstd } from '../../electron/wire/zstd/zstd.ts'

/** A stock server refuses a registration without one; it is used for nothing. */
const NL_KEY = `nlpub:${'0'.repeat(64)}`
const MOST_MAP_BYTES = 64 * 1024 * 1024

/** The members that are read; names as on the wire. */
interface WireMap {
  readonly KeepAlive?: boolean
  readonly Node?: WireNode
  readonly Peers?: readonly WireNode[]
  readonly PeersChanged?: readonly WireNode[]
  readonly PeersRemoved?: readonly number[]
  readonly PeersChangedPatch?: readonly WirePatch[]
}

interface WireNode {
  readonly ID: number
  readonly Online?: boolean
  readonly Endpoints?: readonly string[] | null
}

interface WirePatch {
  readonly NodeID: number
  readonly Online?: boolean
  readonly Endpoints?: readonly string[] | null
}

/** Endpoints of a peer came in a message of `bytes` on the wire. */
export type OnEndpoints = (member: CrowdMember, peer: number, endpoints: readonly string[], bytes: number) => void

export interface CrowdMemberOptions {
  readonly url: string
  readonly hostname: string
  readonly authKey: string
  readonly route: TestRoute
  /** Peers in a complete map. */
  readonly expected: number
  readonly onEndpoints: OnEndpoints
}

export class CrowdMember {
  readonly options: CrowdMemberOptions
  id = 0
  /** Messages of the stream that is open. */
  messages = 0
  #url: string
  #machine: TestMachine
  /** Whether each peer is shown online. */
  readonly #peers = new Map<number, boolean>()
  #stream: ClientHttp2Stream | undefined
  #onComplete: (() => void) | undefined
  #onEnd: (() => void) | undefined

  constructor(options: CrowdMemberOptions) {
    this.options = options
    this.#url = options.url
    this.#machine = new TestMachine(options.url, options.hostname, undefined, options.route)
  }

  get url(): string {
    return this.#url
  }

  /** The next stream is at that server. */
  moveTo(url: string): void {
    this.drop()
    const { machineKey, nodeKey, hostname } = this.#machine
    this.#url = url
    this.#machine = new TestMachine(url, hostname, machineKey, this.options.route)
    this.#machine.nodeKey = nodeKey
  }

  get isConnected(): boolean {
    return this.#stream !== undefined
  }

  get isComplete(): boolean {
    return this.#stream !== undefined && this.#peers.size === this.options.expected
  }

  offlinePeers(): number[] {
    return [...this.#peers].filter(([, isOnline]) => !isOnline).map(([id]) => id)
  }

  async register(): Promise<void> {
    const { error } = await this.#machine.register({ auth: { authKey: this.options.authKey }, nlKey: NL_KEY })
    if (error) throw new Error(error)
  }

  async setEndpoints(endpoints: readonly string[]): Promise<void> {
    const status = await this.#machine.update({ endpoints })
    if (status !== 200) throw new Error(`an update was answered with ${status}`)
  }

  /** Opens the map stream. Resolves when the map is complete, rejects when the stream ends before. */
  async poll(): Promise<void> {
    this.#peers.clear()
    this.messages = 0
    const session = await this.#machine.connect()
    const stream = session.request({ ':method': 'POST', ':path': '/machine/map' }, { endStream: false })
    this.#stream = stream
    const frames = new MapFrameDecoder()
    return new Promise((resolve, reject) => {
      this.#onComplete = resolve
      this.#onEnd = () => reject(new Error('the stream ended'))
      stream.on('response', (headers) => {
        if (headers[':status'] !== 200) reject(new Error(`the map was answered with ${headers[':status']}`))
      })
      stream.on('data', (chunk: Uint8Array) => {
        for (const payload of frames.push(chunk)) this.#take(payload)
      })
      stream.on('error', () => {})
      stream.once('close', () => {
        if (this.#stream === stream) this.#stream = undefined
        this.#onEnd?.()
      })
      stream.end(this.#machine.mapBody({ stream: true }))
    })
  }

  /** As a machine that lost its network: no goodbye on any layer above TCP. */
  drop(): void {
    this.#stream = undefined
    this.#machine.close()
  }

  #take(payload: Uint8Array): void {
    const text = payload[0] === 0x7b ? payload : decompressZstd(payload, MOST_MAP_BYTES)
    const map = JSON.parse(fromUtf8(text)) as WireMap
    if (map.KeepAlive !== true) this.messages++
    if (map.Node) this.id = map.Node.ID
    if (map.Peers) this.#peers.clear()
    for (const node of [...(map.Peers ?? []), ...(map.PeersChanged ?? [])]) {
      this.#peers.set(node.ID, node.Online === true)
      if (map.PeersChanged && node.Endpoints) this.options.onEndpoints(this, node.ID, node.Endpoints, payload.length)
    }
    for (const id of map.PeersRemoved ?? []) this.#peers.delete(id)
    for (const patch of map.PeersChangedPatch ?? []) {
      if (patch.Online !== undefined && this.#peers.has(patch.NodeID)) this.#peers.set(patch.NodeID, patch.Online)
      if (patch.Endpoints) this.options.onEndpoints(this, patch.NodeID, patch.Endpoints, payload.length)
    }
    if (this.#peers.size === this.options.expected) this.#onComplete?.()
  }
}
