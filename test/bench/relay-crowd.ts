// A thousand machines at one relay: what a place and a bind cost, that no two pairs share a VNI, what is carried, and whether
// pairs are still carried while strangers and greedy members flood it. Everything runs over loopback in this process, with the
// real forwarding loop; every machine has an address of its own in 127.0.0.0/8.
//
//   node --import tsx test/bench/relay-crowd.ts [--machines 1000]

import { createSocket, type Socket } from 'node:dgram'
import { readdirSync, readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { fileURLToPath } from 'node:url'
import { concat } from '../../electron/base/bytes.ts'
import { systemClock } from '../../electron/base/clock.ts'
import { silentLogger } from '../../electron/base/log.ts'
import { SharedBox } from '../../electron/crypto/box.ts'
import { DiscoPrivate, type DiscoPublic, NodePrivate } from '../../electron/crypto/keys.ts'
import { openRelayForwarder } from '../../electron/dataplane/native-relay-forwarder.ts'
import { type RelayLimits } from '../../electron/relay/relay-server.ts'
import { RelayService } from '../../electron/relay/relay-service.ts'
import { openDisco, sealDisco } from '../../electron/wire/disco/envelope.ts'
import type { DiscoMessage } from '../../electron/wire/disco/message.ts'
import type { RelayEndpoint } from '../../electron/wire/disco/relay-endpoint.ts'
import { GENEVE_BYTES, geneveHeader, readGeneve } from '../../electron/wire/geneve/header.ts'

const BIND_WITHIN_MS = 5_000
/** Handshakes under way at once. */
const AT_ONCE = 64
const PAYLOAD_BYTES = 1_200
/** Some 120 Mbit/s. */
const HOSTILE_PER_MS = 20

export function openRelay(limits?: RelayLimits): RelayService {
  return new RelayService({
    sockets: openRelayForwarder({ udpPort: 0, firewallMark: 0 }),
    clock: systemClock,
    log: silentLogger,
    staticEndpoints: [],
    bytesPerSecond: 0,
    localAddresses: () => ['127.0.0.1'],
    stunServers: () => Promise.resolve([]),
    extraEndpoints: () => [],
    endpointsOf: () => [],
    onEndpoints: () => {},
    onKnock: () => {},
    onFatal: (message) => {
      throw new Error(message)
    },
    ...(limits ? { limits } : {}),
  })
}

/** One machine: its keys and a socket at an address of its own. */
export class Machine {
  readonly node = NodePrivate.generate().public
  readonly #secret = DiscoPrivate.generate()
  readonly socket: Socket
  readonly #port: number
  /** Data packets that came, by VNI. */
  readonly arrived = new Map<number, number>()
  readonly #waiting = new Map<number, (packet: Uint8Array) => void>()

  private constructor(socket: Socket, port: number) {
    this.socket = socket
    this.#port = port
    socket.on('error', () => {})
    socket.on('message', (packet) => {
      const header = readGeneve(packet)
      if (!header) return
      if (header.control) this.#waiting.get(header.vni)?.(packet)
      else this.arrived.set(header.vni, (this.arrived.get(header.vni) ?? 0) + 1)
    })
  }

  /** The `index` makes the address. */
  static async at(index: number, port: number): Promise<Machine> {
    const socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 })
    const address = `127.${1 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.bind(0, address, resolve)
    })
    return new Machine(socket, port)
  }

  get disco(): DiscoPublic {
    return this.#secret.public
  }

  /** False when the relay does not answer; asked up to five times, as a client would. */
  async bind({ vni, serverDisco }: RelayEndpoint, remoteKey: DiscoPublic): Promise<boolean> {
    const box = new SharedBox(this.#secret.secretBytes(), serverDisco.bytes)
    const header = geneveHeader({ control: true, protocol: 'disco', vni })
    const say = (message: DiscoMessage): void => this.#send(concat(header, sealDisco(this.disco, box, message)))
    for (let generation = 1; generation <= 5; generation++) {
      const answer = this.#control(vni, BIND_WITHIN_MS / 5)
      say({ kind: 'bind', vni, generation, remoteKey, challenge: new Uint8Array(32) })
      const packet = await answer
      const challenge = packet && openDisco(packet.subarray(GENEVE_BYTES), box)
      if (challenge?.kind !== 'bindChallenge') continue
      say({ ...challenge, kind: 'bindAnswer' })
      return true
    }
    return false
  }

  data(vni: number): void {
    this.#send(concat(geneveHeader({ control: false, protocol: 'wireguard', vni }), new Uint8Array(PAYLOAD_BYTES)))
  }

  /** Bytes as they are, from this address. */
  raw(bytes: Uint8Array): void {
    this.#send(bytes)
  }

  close(): void {
    this.socket.close()
  }

  #send(bytes: Uint8Array): void {
    this.socket.send(bytes, this.#port, '127.0.0.1')
  }

  #control(vni: number, timeoutMs: number): Promise<Uint8Array | undefined> {
    return new Promise((resolve) => {
      const end = (packet: Uint8Array | undefined): void => {
        clearTimeout(timer)
        this.#waiting.delete(vni)
        resolve(packet)
      }
      const timer = setTimeout(() => end(undefined), timeoutMs)
      this.#waiting.set(vni, end)
    })
  }
}

export interface Pair {
  readonly a: Machine
  readonly b: Machine
  readonly relay: RelayEndpoint
}

/** Gives the pair a place; undefined when it is refused. */
export function place(service: RelayService, a: Machine, b: Machine): Pair | undefined {
  const made = service.allocate(a.node, a.disco, { clientDisco: [a.disco, b.disco], generation: 1 })
  return 'refused' in made ? undefined : { a, b, relay: made.relay }
}

export async function bindBoth({ a, b, relay }: Pair): Promise<boolean> {
  const bound = await Promise.all([a.bind(relay, b.disco), b.bind(relay, a.disco)])
  return bound.every(Boolean)
}

export interface Crowd {
  readonly pairs: readonly Pair[]
  readonly refused: number
  readonly bound: number
  readonly vnis: number
  readonly allocateMicroseconds: number
  readonly bindSeconds: number
  readonly bindCpuSeconds: number
}

/** Every machine talks to the first one through the relay: the hub of a network where nobody is reached directly. */
export async function crowd(service: RelayService, machines: readonly Machine[]): Promise<Crowd> {
  const [hub, ...spokes] = machines
  if (!hub) throw new Error('no machines')
  const startedMs = performance.now()
  const pairs = spokes.flatMap((spoke) => place(service, spoke, hub) ?? [])
  const allocateMs = performance.now() - startedMs
  const cpu = process.cpuUsage()
  const bindsMs = performance.now()
  for (let next = 0; next < pairs.length; next += AT_ONCE)
    await Promise.all(pairs.slice(next, next + AT_ONCE).map(bindBoth))
  await pause(50)
  const { user, system } = process.cpuUsage(cpu)
  return {
    pairs,
    refused: spokes.length - pairs.length,
    bound: service.openPairs,
    vnis: new Set(pairs.map(({ relay }) => relay.vni)).size,
    allocateMicroseconds: (allocateMs * 1_000) / spokes.length,
    bindSeconds: (performance.now() - bindsMs) / 1_000,
    bindCpuSeconds: (user + system) / 1e6,
  }
}

/** Sends from the spokes to the hub, paced; how many of the packets arrived. */
export async function carry(pairs: readonly Pair[], packetsEach: number): Promise<{ sent: number; arrived: number }> {
  const before = arrivedAt(pairs)
  for (let round = 0; round < packetsEach; round++) {
    for (const [index, { a, relay }] of pairs.entries()) {
      a.data(relay.vni)
      if (index % 50 === 49) await pause(2)
    }
    await pause(2)
  }
  await pause(200)
  return { sent: pairs.length * packetsEach, arrived: arrivedAt(pairs) - before }
}

const arrivedAt = (pairs: readonly Pair[]): number =>
  pairs.reduce((sum, { b, relay }) => sum + (b.arrived.get(relay.vni) ?? 0), 0)

export const pause = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms))

/**
 * What hostile machines send for as long as it lasts: binds for VNIs that are none and for those that are, with keys that are
 * none of theirs; data for sessions that are not theirs; noise. Ends with `stop`.
 */
export function flood(
  strangers: readonly Machine[],
  vnis: readonly number[],
  packetsPerMs: number,
): { readonly stop: () => Promise<number> } {
  const over = new AbortController()
  let sent = 0
  const junk = new Uint8Array(160).map((_, index) => index)
  const control = (vni: number): Uint8Array => concat(geneveHeader({ control: true, protocol: 'disco', vni }), junk)
  const running = (async () => {
    const startedMs = performance.now()
    while (!over.signal.aborted) {
      for (const due = (performance.now() - startedMs) * packetsPerMs; sent < due; sent += 2) {
        const stranger = strangers[(sent / 2) % strangers.length]
        const vni = vnis[sent % Math.max(vnis.length, 1)] ?? 1
        stranger?.raw(control(sent % 4 === 0 ? vni : (sent * 7919) & 0xffffff))
        stranger?.data(vni)
      }
      await pause(1)
    }
    return sent
  })()
  return {
    stop: () => {
      over.abort()
      return running
    },
  }
}

/** User and kernel time of the forwarding thread so far. */
export function forwardingSeconds(): number {
  const tasks = '/proc/self/task'
  for (const task of readdirSync(tasks)) {
    if (readFileSync(`${tasks}/${task}/comm`, 'utf8').trim() !== 'peerway-relay') continue
    const fields = readFileSync(`${tasks}/${task}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ')
    return (Number(fields[11]) + Number(fields[12])) / 100
  }
  return 0
}

async function main(count: number): Promise<void> {
  const say = (line: string): void => void process.stdout.write(`${line}\n`)
  const service = openRelay()
  const port = service.status().ports.v4
  const machines: Machine[] = []
  for (let index = 0; index < count; index++) machines.push(await Machine.at(index, port))
  const rssBefore = process.memoryUsage().rss
  const found = await crowd(service, machines)
  say(
    `${count} machines: ${found.pairs.length} places (${found.refused} refused), ${found.vnis} VNIs, ` +
      `${found.allocateMicroseconds.toFixed(0)} µs each; ${found.bound} pairs bound in ${found.bindSeconds.toFixed(1)} s, ` +
      `${found.bindCpuSeconds.toFixed(1)} CPU s with the clients'`,
  )
  const [cpu, quietMs] = [forwardingSeconds(), performance.now()]
  const quiet = await carry(found.pairs, 20)
  say(
    `carried ${quiet.arrived} of ${quiet.sent} packets in ${((performance.now() - quietMs) / 1_000).toFixed(1)} s, ` +
      `${(forwardingSeconds() - cpu).toFixed(2)} CPU s forwarding`,
  )
  const vnis = found.pairs.slice(50).map(({ relay }) => relay.vni)
  const attack = flood(machines.slice(1, 51), vnis, HOSTILE_PER_MS)
  const attackedMs = performance.now()
  const attacked = await carry(found.pairs, 20)
  const sent = await attack.stop()
  const { totals } = service.status()
  const rate = sent / (performance.now() - attackedMs)
  say(`under ${rate.toFixed(0)},000 hostile packets a second: carried ${attacked.arrived} of ${attacked.sent}`)
  say(`memory ${((process.memoryUsage().rss - rssBefore) / 1e6).toFixed(0)} MB more, the clients' included`)
  say(`counted: ${JSON.stringify(totals)}`)
  const startedMs = performance.now()
  for (let round = 0; round < 20; round++) service.status()
  say(`a status takes ${((performance.now() - startedMs) / 20).toFixed(1)} ms`)
  for (const machine of machines) machine.close()
  service.close()
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { machines: { type: 'string', default: '1000' } } })
  await main(Number(values.machines))
}
