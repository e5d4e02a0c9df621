// What this node knows of its own place in the network: its endpoints, the last network check, its home DERP region; and
// when to look again.

import type { Clock } from '../base/clock.ts'
import { isV6, joinEndpoint, splitEndpoint, type Endpoint } from '../base/endpoint.ts'
import type { Logger } from '../base/log.ts'
import type { DerpMap } from './derp-map.ts'
import {
  familiesOf,
  localAddresses,
  OwnEndpoints,
  sameEndpoints,
  type Interfaces,
  type OwnEndpoint,
  type Ports,
} from './endpoints.ts'
import { chooseHome, HISTORY_MS } from './home-region.ts'
import { Netcheck, type Findings, type NetcheckIo } from './netcheck.ts'
import { measurable, type PlanInput } from './probe-plan.ts'
import {
  basicallyEqual,
  netInfo,
  NO_PORT_MAPPING,
  publicEndpoints,
  type NetcheckReport,
  type NetInfo,
  type PortMapping,
} from './report.ts'

/** Below 30 s, so that routers keep the mapping of our socket while there is traffic. */
const RECHECK_MS = { least: 20_000, most: 26_000 }
const FULL_EVERY_MS = 5 * 60_000
/** Without traffic for this long, checks stop. */
const IDLE_MS = 45_000
/** How long one region may take to answer when a new home is looked for in haste, and how many are asked. */
const REFUGE_MS = 1_500
const MOST_REFUGES = 4
const REFUGE_AGAIN_MS = 2_000
/** A home that was left for its silence is none again for this long, however near it is. */
const AVOID_MS = 2 * 60_000

/** An endpoint list older than this is looked at again before peers are asked to ping it. */
export const FRESH_MS = 27_000

export interface OwnNetworkIo extends NetcheckIo {
  interfaces(): Interfaces
  ports(): Ports
  /** Monotonic ms of the last DERP frame from the region. */
  derpHeardAtMs?(region: number): number | undefined
  /** Connects to a region's DERP server; true once it answers. */
  reachDerp?(region: number, withinMs: number): Promise<boolean>
  /** That region's server owes us answers. */
  isDerpSilent?(region: number): boolean
  /** While false, the home is not moved: peers could not learn it. */
  controlConnected?(): boolean
}

export interface OwnNetworkEvents {
  /** The set of our endpoints changed. */
  onEndpoints(endpoints: readonly OwnEndpoint[]): void
  /** Something that control should know changed. */
  onNetInfo(report: NetcheckReport, info: NetInfo): void
  onHomeRegion(region: number): void
}

export interface OwnNetworkOptions {
  readonly clock: Clock
  readonly log: Logger
  readonly io: OwnNetworkIo
  readonly events: OwnNetworkEvents
  readonly random: () => number
  /** Our own TUN, whose addresses lead back to ourselves. */
  readonly ignoreInterfaces: readonly string[]
}

export class OwnNetwork {
  readonly #options: OwnNetworkOptions
  readonly #netcheck: Netcheck
  readonly #seen = new OwnEndpoints()
  #map: DerpMap = { regions: [] }
  #hasMap = false
  #home: number | undefined
  #endpoints: readonly OwnEndpoint[] = []
  #history: readonly NetcheckReport[] = []
  #info: NetInfo | undefined
  #portMapping = NO_PORT_MAPPING
  #state: 'new' | 'running' | 'closed' = 'new'
  #checking = false
  /** Asked for during a check, to be done after it. */
  #again: 'no' | 'yes' | 'full' = 'no'
  #lastFullAtMs = -Infinity
  #lastCheckAtMs = -Infinity
  #activeAtMs = -Infinity
  #cancelTimer: (() => void) | undefined
  #quick: Promise<void> | undefined
  #leaving = false
  /** Regions that were left, and until when they are no home. */
  readonly #avoided = new Map<number, number>()

  constructor(options: OwnNetworkOptions) {
    this.#options = options
    this.#netcheck = new Netcheck({ clock: options.clock, io: options.io })
  }

  get endpoints(): readonly OwnEndpoint[] {
    return this.#endpoints
  }

  get report(): NetcheckReport | undefined {
    return this.#history[0]
  }

  get home(): number | undefined {
    return this.#home
  }

  setDerpMap(map: DerpMap): void {
    this.#map = map
    this.#hasMap = true
    this.check({ full: true })
  }

  start(): void {
    if (this.#state !== 'new') return
    this.#state = 'running'
    this.check({ full: true })
  }

  close(): void {
    this.#state = 'closed'
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    this.#netcheck.close()
  }

  handleStun(packet: { readonly bytes: Uint8Array; readonly receivedAtMs: number }): boolean {
    return this.#netcheck.handleStun(packet)
  }

  /** Data flows to some peer: keep looking. */
  noteActive(): void {
    const nowMs = this.#options.clock.now()
    this.#activeAtMs = nowMs
    if (this.#state !== 'running' || this.#checking || this.#cancelTimer) return
    if (nowMs - this.#lastCheckAtMs >= RECHECK_MS.most) this.check({ full: false })
    else this.#schedule()
  }

  /** The machine is on another network: nothing that was seen from the old one holds. */
  forget(): void {
    this.#seen.clear()
  }

  /** What the router was found to offer, or gave, or took back. */
  setPortMapping(mapping: PortMapping): void {
    this.#portMapping = mapping
    // Before the first check is done there is nothing to amend, and it takes this in when it is.
    const [latest, ...older] = this.#history
    if (this.#state !== 'running' || !latest) return
    const report = { ...latest, portMapping: mapping }
    this.#history = [report, ...older]
    this.#publish()
    this.#tell(report)
  }

  /** Looks now; when a check is running, again after it. */
  check({ full }: { full: boolean }): void {
    if (this.#state !== 'running' || !this.#hasMap) return
    if (this.#checking) {
      if (this.#again !== 'full') this.#again = full ? 'full' : 'yes'
      return
    }
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    this.#checking = true
    void this.#check(full).then(this.#settled, (error: unknown) => {
      this.#options.log.error('network check failed', { error })
      this.#settled()
    })
  }

  readonly #settled = (): void => {
    this.#checking = false
    const again = this.#again
    this.#again = 'no'
    if (again !== 'no') this.check({ full: again === 'full' })
    else this.#schedule()
  }

  /** Resolves once the endpoints are fresh enough for peers to be sent to, or half a second later. */
  freshen(): Promise<void> | undefined {
    const nowMs = this.#options.clock.now()
    if (this.#seen.freshAtMs !== undefined && nowMs - this.#seen.freshAtMs < FRESH_MS) return undefined
    if (this.#state !== 'running') return undefined
    this.#quick ??= this.#netcheck
      .quick(this.#plan(undefined))
      .then((findings) => {
        this.#noteStun(findings)
        this.#publish()
      })
      .catch((error: unknown) => this.#options.log.error('quick STUN failed', { error }))
      .finally(() => {
        this.#quick = undefined
      })
    return this.#quick
  }

  /**
   * The home's server owes us answers. The next network check would find out half a minute later; so take the nearest of the
   * others that answers now. When none does, it is our own network that is silent, and a move would help nobody.
   */
  async leaveSilentHome(): Promise<void> {
    const { clock, io } = this.#options
    const home = this.#home
    if (this.#leaving || home === undefined) return
    const isSilent = (): boolean => this.#state === 'running' && this.#home === home && io.isDerpSilent?.(home) === true
    this.#leaving = true
    while (isSilent() && this.#refuges(home).length > 0) {
      for (const region of this.#refuges(home)) {
        const isReached = (await io.reachDerp?.(region, REFUGE_MS)) === true
        if (!isSilent()) break
        if (!isReached) continue
        this.#avoided.set(home, clock.now() + AVOID_MS)
        this.#moveTo(region)
        break
      }
      if (isSilent()) await new Promise<void>((resolve) => void clock.after(REFUGE_AGAIN_MS, resolve))
    }
    this.#leaving = false
  }

  #refuges(home: number): readonly number[] {
    const latencyMs = (region: number): number =>
      Math.min(...this.#history.map((report) => report.regionLatencyMs.get(region) ?? Infinity))
    // Those that were left come last, but they may be all that works by now.
    const rank = (region: number): number => (this.#avoided.has(region) ? 1 : 0)
    return measurable(this.#map)
      .map(({ id }) => id)
      .filter((id) => id !== home)
      .sort((a, b) => rank(a) - rank(b) || latencyMs(a) - latencyMs(b) || 0)
      .slice(0, MOST_REFUGES)
  }

  /** The regions that may be home. */
  #homeMap(): DerpMap {
    const nowMs = this.#options.clock.now()
    for (const [region, untilMs] of this.#avoided) if (untilMs <= nowMs) this.#avoided.delete(region)
    const regions = this.#map.regions.filter(({ id }) => !this.#avoided.has(id))
    return regions.length === 0 ? this.#map : { ...this.#map, regions }
  }

  /** Between two network checks. */
  #moveTo(region: number): void {
    this.#options.log.info('the home DERP server is silent', { region: this.#home, instead: region })
    this.#home = region
    this.#options.events.onHomeRegion(region)
    const [latest, ...older] = this.#history
    if (!latest) return
    const report = { ...latest, preferredDerp: region }
    this.#history = [report, ...older]
    this.#tell(report)
  }

  async #check(full: boolean): Promise<void> {
    const { clock, io } = this.#options
    const nowMs = clock.now()
    this.#lastCheckAtMs = nowMs
    const wantFull = full || nowMs - this.#lastFullAtMs >= FULL_EVERY_MS
    if (wantFull) this.#lastFullAtMs = nowMs
    const input = this.#plan(wantFull ? undefined : this.report)
    const findings = await this.#netcheck.run({ ...input, osHasIpv6: io.ports().v6 !== undefined })
    if (this.#state !== 'running') return
    this.#noteStun(findings)
    this.#conclude(findings)
    this.#publish()
  }

  #plan(last: NetcheckReport | undefined): PlanInput {
    const families = familiesOf(this.#localAddresses())
    const has = { v4: families.v4, v6: families.v6 && this.#options.io.ports().v6 !== undefined }
    return { map: this.#map, last, home: this.#home, has }
  }

  #localAddresses(): readonly string[] {
    return localAddresses(this.#options.io.interfaces(), this.#options.ignoreInterfaces)
  }

  #noteStun(findings: Findings): void {
    this.#seen.noteStun(publicEndpoints(findings.observed), this.#options.clock.now())
  }

  /** Chooses the home and tells control what changed. */
  #conclude(findings: Findings): void {
    const { clock, io, events, log } = this.#options
    const nowMs = clock.now()
    this.#history = this.#history.filter((report) => nowMs - report.startedAtMs < HISTORY_MS)
    const before = this.#home
    const chosen = chooseHome({
      map: this.#homeMap(),
      report: { ...findings, preferredDerp: before, portMapping: this.#portMapping },
      history: this.#history,
      current: before,
      nowMs,
      heardAtMs: (region) => (io.isDerpSilent?.(region) === true ? undefined : io.derpHeardAtMs?.(region)),
    })
    const home = chosen ?? this.#homeWithoutMeasurement()
    const mayMove = before === undefined || (io.controlConnected?.() ?? true)
    if (mayMove) this.#home = home
    const report: NetcheckReport = { ...findings, preferredDerp: this.#home, portMapping: this.#portMapping }
    this.#history = [report, ...this.#history]
    if (this.#home !== undefined && this.#home !== before) {
      log.info('home DERP region', { region: this.#home, before })
      events.onHomeRegion(this.#home)
    }
    this.#tell(report)
  }

  #tell(report: NetcheckReport): void {
    const info = netInfo(report)
    if (this.#info && basicallyEqual(this.#info, info)) return
    this.#info = info
    this.#options.events.onNetInfo(report, info)
  }

  /** Reachable somewhere is better than nowhere: the home so far, else any region, the same one as long as we run. */
  #homeWithoutMeasurement(): number | undefined {
    const ids = measurable(this.#homeMap()).map((region) => region.id)
    if (this.#home !== undefined && this.#map.regions.some((region) => region.id === this.#home)) return this.#home
    return ids[Math.floor(this.#options.random() * ids.length)]
  }

  #publish(): void {
    const { clock, io, events } = this.#options
    const ports = io.ports()
    const more = { portMapped: this.#portMapping.endpoint, guessed: this.#guessedEndpoint(ports) }
    const next = this.#seen.list(clock.now(), this.#localAddresses(), ports, more)
    const changed = !sameEndpoints(this.#endpoints, next)
    this.#endpoints = next
    if (changed) events.onEndpoints(next)
  }

  /** Behind a router that maps anew for each destination, what STUN saw is of no use to peers; a port forwarded by hand is. */
  #guessedEndpoint(ports: Ports): Endpoint | undefined {
    if (ports.isFixed !== true || this.report?.mappingVariesByDestIp !== true) return undefined
    for (const seen of this.report.observed.keys()) {
      const address = splitEndpoint(seen)?.address
      if (address !== undefined && !isV6(address)) return joinEndpoint(address, ports.v4)
    }
    return undefined
  }

  #schedule(): void {
    const { clock, random } = this.#options
    if (this.#state !== 'running' || this.#cancelTimer || clock.now() - this.#activeAtMs > IDLE_MS) return
    const waitMs = RECHECK_MS.least + random() * (RECHECK_MS.most - RECHECK_MS.least)
    this.#cancelTimer = clock.after(waitMs, () => {
      this.#cancelTimer = undefined
      if (clock.now() - this.#activeAtMs <= IDLE_MS) this.check({ full: false })
    })
  }
}
