// The network check: asks STUN servers from the same UDP socket that carries disco and WireGuard, so that the answers show
// the mapping peers will use. What is asked is probe-plan.ts, what came of it report.ts.

import { randomBytes } from 'node:crypto'
import { toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { canonicalIp, isV6, joinEndpoint, splitEndpoint, type Endpoint, type IpAddress } from '../base/endpoint.ts'
import { readStunResponse, type StunResponse } from '../wire/stun/response.ts'
import { stunRequest } from '../wire/stun/request.ts'
import { STUN_TX_ID_BYTES } from '../wire/stun/attributes.ts'
import { nodeAddress, stunPort, type DerpMap, type DerpNode, type Family } from './derp-map.ts'
import { measurable, probePlan, quickPlan, type PlanInput, type ProbeSet } from './probe-plan.ts'
import type { NetcheckReport } from './report.ts'

const STUN_WAIT_MS = 3_000
const HTTPS_WAIT_MS = 5_000
const QUICK_WAIT_MS = 500
const MOST_HTTPS_REGIONS = 20
/** This many regions are enough to stop waiting for the rest. */
const ENOUGH_REGIONS = 3
/** On top of the slowest answer, for the other family and for jitter. */
const STRAGGLER_MS = 100
/** DNS answers are kept this long; failing DNS leaves the last answer in use. */
const DNS_KEEP_MS = 60_000
const MOST_HOSTS = 200

export interface NetcheckIo {
  /** The errno name when it failed. */
  sendUdp(endpoint: Endpoint, bytes: Uint8Array): string | undefined
  resolve(host: string): Promise<readonly string[]>
  /** Round trip in ms of one HTTPS request to the region's DERP server, without the connection set-up. */
  httpsLatency?(region: number, signal: AbortSignal): Promise<number>
  /** Whether a web page holds everything back; undefined when that cannot be told. Never rejects. */
  captivePortal?(signal: AbortSignal): Promise<boolean | undefined>
}

/** What a check found, still without the choice of a home. */
export type Findings = Omit<NetcheckReport, 'preferredDerp' | 'portMapping'>

interface Probe {
  readonly sentAtMs: number
  readonly onAnswer: (latencyMs: number, observed: Endpoint) => void
}

export class Netcheck {
  readonly #clock: Clock
  readonly #io: NetcheckIo
  readonly #probes = new Map<string, Probe>()
  readonly #hosts = new Map<string, { readonly ips: readonly IpAddress[]; readonly atMs: number }>()
  /** What ends each round of questions that is under way. */
  readonly #rounds = new Set<() => void>()
  #isClosed = false

  constructor(options: { readonly clock: Clock; readonly io: NetcheckIo }) {
    this.#clock = options.clock
    this.#io = options.io
  }

  /** A whole check. Ends within 8 s and never fails: what does not answer is not in the findings. */
  async run(input: PlanInput & { readonly osHasIpv6: boolean }): Promise<Findings> {
    const full = input.last === undefined
    const collector = new Collector(this.#clock.now(), full, input.osHasIpv6)
    await this.#probe(probePlan(input), collector, STUN_WAIT_MS)
    const findings = collector.findings()
    if (findings.udp || !this.#io.httpsLatency) return findings
    const portal = this.#captivePortal()
    await this.#httpsFallback(input.map, collector)
    const hasHttps = collector.regions > 0
    return { ...collector.findings(), captivePortal: hasHttps ? false : await portal }
  }

  /** Only our public endpoints, from the nearest server, within half a second. */
  async quick(input: PlanInput): Promise<Findings> {
    const collector = new Collector(this.#clock.now(), false, false)
    await this.#probe(quickPlan(input), collector, QUICK_WAIT_MS)
    return collector.findings()
  }

  /** False when the packet answers no question of ours. */
  handleStun(packet: { readonly bytes: Uint8Array; readonly receivedAtMs: number }): boolean {
    let response: StunResponse
    try {
      response = readStunResponse(packet.bytes)
    } catch {
      return false
    }
    const txId = toHex(response.txId)
    const probe = this.#probes.get(txId)
    if (!probe) return false
    this.#probes.delete(txId)
    probe.onAnswer(Math.max(packet.receivedAtMs - probe.sentAtMs, 0), response.endpoint)
    return true
  }

  /** Nothing is sent from now on: the socket goes. What is under way ends with what it has. */
  close(): void {
    this.#isClosed = true
    for (const end of this.#rounds) end()
  }

  get outstanding(): number {
    return this.#probes.size
  }

  /** Sends the sets' tries; resolves when all are settled, when enough regions answered, or after `waitMs`. */
  #probe(sets: readonly ProbeSet[], collector: Collector, waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const undo: (() => void)[] = []
      let open = sets.length
      let ended = false
      const end = (): void => {
        ended = true
        this.#rounds.delete(end)
        for (const one of undo) one()
        resolve()
      }
      if (open === 0 || this.#isClosed) return end()
      this.#rounds.add(end)
      undo.push(this.#clock.after(waitMs, end))
      const enough = Math.min(ENOUGH_REGIONS, new Set(sets.map((set) => set.region)).size)
      let ending = false
      const settled = (): void => {
        open--
        if (ended) return
        if (open === 0) return end()
        if (ending || collector.regions < enough) return
        ending = true
        undo.push(this.#clock.after(collector.slowestMs * (collector.full ? 2 : 1) + STRAGGLER_MS, end))
      }
      for (const set of sets) undo.push(this.#probeSet(set, collector, settled))
      return undefined
    })
  }

  /** Calls `settled` once: at the first answer, or when no try could be sent. Returns what cancels the rest. */
  #probeSet(set: ProbeSet, collector: Collector, settled: () => void): () => void {
    const timers: (() => void)[] = []
    const txIds: string[] = []
    let failures = 0
    let done = false
    const cancel = (): void => {
      done = true
      for (const timer of timers) timer()
    }
    const settle = (): void => {
      if (done) return
      cancel()
      settled()
    }
    const fail = (): void => {
      failures++
      if (failures === set.tries.length) settle()
    }
    const send = (server: Endpoint): void => {
      const txId = new Uint8Array(randomBytes(STUN_TX_ID_BYTES))
      const name = toHex(txId)
      const request = stunRequest(txId)
      this.#probes.set(name, {
        sentAtMs: this.#clock.now(),
        onAnswer: (latencyMs, observed) => {
          collector.answer(set.region, set.family, server, latencyMs, observed)
          settle()
        },
      })
      txIds.push(name)
      const errno = this.#io.sendUdp(server, request)
      // A local firewall that says EPERM has dropped the packet, as one further on would have.
      if (errno === undefined || errno === 'EPERM') return collector.sent(set.family)
      this.#probes.delete(name)
      return fail()
    }
    for (const { node, delayMs } of set.tries) {
      const go = (): void =>
        void this.#address(node, set.family).then((server) => {
          if (done) return
          if (server === undefined) fail()
          else send(server)
        })
      if (delayMs === 0) go()
      else timers.push(this.#clock.after(delayMs, go))
    }
    return () => {
      cancel()
      for (const name of txIds) this.#probes.delete(name)
    }
  }

  async #address(node: DerpNode, family: Family): Promise<Endpoint | undefined> {
    const port = stunPort(node)
    const address = nodeAddress(node, family)
    if (port === undefined || address === undefined) return undefined
    const ips = 'ip' in address ? [address.ip] : await this.#lookUp(address.host)
    const ip = ips.find((one) => isV6(one) === (family === 'v6'))
    return ip === undefined ? undefined : joinEndpoint(ip, port)
  }

  async #lookUp(host: string): Promise<readonly IpAddress[]> {
    const known = this.#hosts.get(host)
    if (known && this.#clock.now() - known.atMs < DNS_KEEP_MS) return known.ips
    let ips: readonly IpAddress[]
    try {
      ips = (await this.#io.resolve(host)).flatMap((text) => canonicalIp(text) ?? [])
    } catch {
      return known?.ips ?? []
    }
    if (this.#hosts.size >= MOST_HOSTS) this.#hosts.clear()
    this.#hosts.set(host, { ips, atMs: this.#clock.now() })
    return ips
  }

  async #captivePortal(): Promise<boolean | undefined> {
    const abort = new AbortController()
    const stop = this.#clock.after(HTTPS_WAIT_MS, () => abort.abort())
    const found = await this.#io.captivePortal?.(abort.signal)
    stop()
    return found
  }

  async #httpsFallback(map: DerpMap, collector: Collector): Promise<void> {
    const abort = new AbortController()
    const stop = this.#clock.after(HTTPS_WAIT_MS, () => abort.abort())
    const late = new Promise<void>((resolve) => abort.signal.addEventListener('abort', () => resolve(), { once: true }))
    const ask = async (region: number): Promise<void> => {
      try {
        const latencyMs = await this.#io.httpsLatency?.(region, abort.signal)
        if (latencyMs !== undefined) collector.https(region, latencyMs)
      } catch {
        // No answer is an answer: the region stays unmeasured.
      }
    }
    const regions = measurable(map).slice(0, MOST_HTTPS_REGIONS)
    await Promise.race([Promise.all(regions.map((region) => ask(region.id))), late])
    stop()
    abort.abort()
  }
}

/** Gathers the answers of one check. */
class Collector {
  readonly full: boolean
  readonly #startedAtMs: number
  readonly #osHasIpv6: boolean
  readonly #latency = { v4: new Map<number, number>(), v6: new Map<number, number>(), any: new Map<number, number>() }
  readonly #observed = new Map<Endpoint, number>()
  /** What each server saw over IPv4. */
  readonly #seenBy = new Map<Endpoint, Endpoint>()
  readonly #canSend = { v4: false, v6: false }

  constructor(startedAtMs: number, full: boolean, osHasIpv6: boolean) {
    this.#startedAtMs = startedAtMs
    this.full = full
    this.#osHasIpv6 = osHasIpv6
  }

  get regions(): number {
    return this.#latency.any.size
  }

  get slowestMs(): number {
    return Math.max(0, ...this.#latency.any.values())
  }

  sent(family: Family): void {
    this.#canSend[family] = true
  }

  answer(region: number, family: Family, server: Endpoint, latencyMs: number, observed: Endpoint): void {
    keepLeast(this.#latency[family], region, latencyMs)
    keepLeast(this.#latency.any, region, latencyMs)
    this.#observed.set(observed, (this.#observed.get(observed) ?? 0) + 1)
    if (family === 'v4') this.#seenBy.set(server, observed)
  }

  https(region: number, latencyMs: number): void {
    keepLeast(this.#latency.any, region, latencyMs)
  }

  findings(): Findings {
    const { v4, v6, any } = this.#latency
    return {
      startedAtMs: this.#startedAtMs,
      full: this.full,
      udp: v4.size > 0 || v6.size > 0,
      ipv4: v4.size > 0,
      ipv6: v6.size > 0,
      ipv4CanSend: this.#canSend.v4,
      ipv6CanSend: this.#canSend.v6,
      osHasIpv6: this.#osHasIpv6,
      mappingVariesByDestIp: mappingVaries(this.#seenBy),
      regionLatencyMs: new Map(any),
      regionV4LatencyMs: new Map(v4),
      regionV6LatencyMs: new Map(v6),
      observed: new Map(this.#observed),
    }
  }
}

/**
 * By what each server saw. Two ports of one address show a router that uses a new port for each: nearly every hard one. That
 * it keeps its port for them does not say what it does for another address.
 */
export function mappingVaries(seenBy: ReadonlyMap<Endpoint, Endpoint>): boolean | undefined {
  if (new Set(seenBy.values()).size > 1) return true
  return new Set([...seenBy.keys()].map((server) => splitEndpoint(server)?.address)).size > 1 ? false : undefined
}

function keepLeast(map: Map<number, number>, region: number, latencyMs: number): void {
  map.set(region, Math.min(map.get(region) ?? Infinity, latencyMs))
}
