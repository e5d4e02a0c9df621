// The test's end of dataplane-driver.ts.

import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

import { x25519 } from '@noble/curves/ed25519.js'

import { until } from './process.ts'

import type {
  Dataplane,
  DataplaneCounters,
  DataplaneRecord,
  PathSpec,
  PeerId,
} from '../../electron/dataplane/dataplane.ts'
import type { Namespace, Namespaces } from './netns.ts'
import type { LabProcess } from './process.ts'

const DRIVER = fileURLToPath(new URL('dataplane-driver.ts', import.meta.url))

export interface KeyPair {
  readonly privateKey: Uint8Array
  readonly publicKey: Uint8Array
}

export function newKeyPair(): KeyPair {
  const privateKey = randomBytes(32)
  return { privateKey, publicKey: x25519.getPublicKey(privateKey) }
}

export interface NodeOptions {
  readonly name: string
  readonly ns: Namespace
  readonly keys: KeyPair
  /** CIDRs of the TUN, which is brought up with them. */
  readonly addresses: readonly string[]
  readonly udpPort: number
  readonly mtuBytes?: number
}

type Calls = Pick<
  Dataplane,
  'setPeers' | 'setFilter' | 'setPath' | 'trust' | 'sendRaw' | 'sendTunnel' | 'rebind' | 'close'
> & {
  ports(): Dataplane['ports']
  now(): number
  counters(): DataplaneCounters
  injectDerp(region: number, packet: Uint8Array): void
}

/** Lets everything in: for tests that are not about the filter. */
export const ALLOW_ALL = [
  {
    sources: ['*'],
    destinations: [{ ip: '*', firstPort: 0, lastPort: 65_535 }],
    protocols: [],
  },
] as const

export class DataplaneNode {
  readonly process: LabProcess
  readonly options: NodeOptions
  /** Everything that came up so far. */
  readonly records: DataplaneRecord[] = []
  onRecord: ((record: DataplaneRecord) => void) | undefined
  #socket: Socket
  #nextId = 1
  #pending = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>()

  private constructor(process: LabProcess, options: NodeOptions, socket: Socket) {
    this.process = process
    this.options = options
    this.#socket = socket
    socket.on('error', () => socket.destroy())
    createInterface({ input: socket }).on('line', (line) => this.#take(line))
  }

  static async start(nets: Namespaces, options: NodeOptions): Promise<DataplaneNode> {
    const socketPath = join(nets.dir, `${options.name}.sock`)
    const key = Buffer.from(options.keys.privateKey).toString('hex')
    const mtu = options.mtuBytes ?? 1280
    const driver = options.ns.start(
      ['node', '--import', 'tsx', DRIVER, socketPath, 'tun0', key, String(options.udpPort), String(mtu)],
      { name: options.name },
    )
    await driver.waitForOutput(/^ready$/m)
    await options.ns.ip(...options.addresses.map((cidr) => `addr add ${cidr} dev tun0`), 'link set tun0 up')
    const socket = connect(socketPath)
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve).once('error', reject)
    })
    return new DataplaneNode(driver, options, socket)
  }

  async call<N extends keyof Calls>(call: N, ...args: Parameters<Calls[N]>): Promise<ReturnType<Calls[N]>> {
    const id = this.#nextId++
    const replace = (_: string, value: unknown): unknown => {
      if (value === Infinity) return 'Infinity'
      return value
    }
    const bytes = (value: unknown): unknown => {
      if (value instanceof Uint8Array) return `hex:${Buffer.from(value).toString('hex')}`
      if (Array.isArray(value)) return value.map(bytes)
      if (typeof value !== 'object' || value === null) return value
      return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, bytes(entry)]))
    }
    this.#socket.write(`${JSON.stringify({ id, call, args: bytes(args) }, replace)}\n`)
    return new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject }))
  }

  /** The first record for which `fits`, past or future. */
  async record<K extends DataplaneRecord['kind']>(
    kind: K,
    fits: (record: DataplaneRecord & { kind: K }) => boolean = () => true,
    timeoutMs = 10_000,
  ): Promise<DataplaneRecord & { kind: K }> {
    const isIt = (record: DataplaneRecord): record is DataplaneRecord & { kind: K } =>
      record.kind === kind && fits(record as DataplaneRecord & { kind: K })
    return until(async () => this.records.find(isIt), {
      what: `a ${kind} record at ${this.options.name}`,
      timeoutMs,
      everyMs: 20,
      explain: () => JSON.stringify(this.records.map((record) => ({ ...record, bytes: undefined })).slice(-20)),
    })
  }

  async allowAll(): Promise<void> {
    await this.call(
      'setFilter',
      ALLOW_ALL,
      this.options.addresses.map((cidr) => cidr.split('/')[0] ?? cidr),
    )
  }

  async setDirect(peer: PeerId, endpoint: string | undefined, change: Partial<PathSpec> = {}): Promise<void> {
    const leg = endpoint === undefined ? undefined : ({ kind: 'direct', endpoint } as const)
    await this.call('setPath', peer, { leg, fallback: undefined, trustedUntilMs: Infinity, ...change })
  }

  #take(line: string): void {
    const message = JSON.parse(line, (_, value: unknown) =>
      typeof value === 'string' && value.startsWith('hex:') ? Buffer.from(value.slice(4), 'hex') : value,
    ) as { id?: number; value?: never; error?: string; code?: string; record?: DataplaneRecord }
    if (message.record) {
      this.records.push(message.record)
      this.onRecord?.(message.record)
      return
    }
    const pending = this.#pending.get(message.id ?? 0)
    this.#pending.delete(message.id ?? 0)
    if (message.error === undefined) pending?.resolve(message.value as never)
    else pending?.reject(new Error(`${message.code}: ${message.error}`))
  }
}
