// Keeps one UDP port of this machine mapped at its router, by whatever protocol the router speaks: finds out, asks, renews,
// notices that the router restarted, moves when the network or the port changes, and gives the mapping back at the end.

import type { Clock } from '../base/clock.ts'
import { isPrivate } from '../base/endpoint.ts'
import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { LEASE_SECONDS, type MappingService, type MapResult } from './mapping-service.ts'
import { NatPmpService } from './nat-pmp-service.ts'
import { PcpService } from './pcp-service.ts'
import { type Gateway, NOTHING_KNOWN, type PortmapIo, type PortmapView } from './portmap-io.ts'
import { probe } from './probe.ts'
import { UpnpService } from './upnp-service.ts'

/** Whether the mapping is still there is looked at this often; a router that announces its restart is asked at once. */
const CHECK_MS = 30_000
const SILENT_CHECK_MS = 5_000
/** Checks without an answer, after which the mapping counts as gone. */
const MOST_SILENT = 3
/** However short the leases that a router grants. */
const LEAST_RENEW_MS = 15_000
/** Announcements are not proven to be the router's. */
const LEAST_ANNOUNCED_MS = 5_000
/** Without a mapping the router is asked again after a while, twice as long each time: one lost answer must not cost a minute. */
const RETRY_MS = { least: 4_000, most: 10 * 60_000 }
const RELEASE_MS = 1_000

export interface PortMapperOptions {
  readonly clock: Clock
  readonly log: Logger
  readonly io: PortmapIo
  readonly onChange: (view: PortmapView) => void
  /** 0 to below 1; for external ports. */
  readonly random?: () => number
  /**
   * A secret that outlives the process, of which PCP's nonces are made: after a crash, what is still mapped can then be renewed and
   * given back. Without one they are random.
   */
  readonly secret?: Uint8Array
}

interface Held {
  readonly gateway: Gateway
  readonly localPort: number
  readonly service: MappingService
  readonly stopListening: () => void
  renewAtMs: number
  expiresAtMs: number
  checkedAtMs: number
  silent: number
}

export class PortMapper {
  readonly #options: PortMapperOptions
  #localPort: number | undefined
  #view = NOTHING_KNOWN
  #held: Held | undefined
  /** The router that the view speaks of. */
  #known: Gateway | undefined
  #turn: Promise<void> | undefined
  #again = false
  /** Ends the waits of the turn under way, when what it works on has changed. */
  #stopTurn = new AbortController()
  #cancelTimer = (): void => {}
  #retryMs = RETRY_MS.least
  #closed = false

  constructor(options: PortMapperOptions) {
    this.#options = options
  }

  get view(): PortmapView {
    return this.#view
  }

  /** The port to map; undefined for none. Another port than before replaces its mapping. */
  setLocalPort(port: number | undefined): void {
    const wanted = port === 0 ? undefined : port
    if (this.#closed || wanted === this.#localPort) return
    this.#localPort = wanted
    this.#startAnew()
  }

  /** The machine may be in another network, or woke up. */
  networkChanged(): void {
    if (!this.#closed) this.#startAnew()
  }

  /** Gives the mapping back, within a second or so. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#localPort = undefined
    this.#startAnew()
    await this.#turn
    this.#cancelTimer()
  }

  #startAnew(): void {
    this.#retryMs = RETRY_MS.least
    this.#stopTurn.abort()
    if (this.#held) this.#held.checkedAtMs = -Infinity
    this.#wake()
  }

  /** One turn at a time; asked for during a turn, another follows. */
  #wake(): void {
    if (this.#turn) {
      this.#again = true
      return
    }
    this.#cancelTimer()
    this.#turn = this.#turns().finally(() => {
      this.#turn = undefined
    })
  }

  async #turns(): Promise<void> {
    do {
      this.#again = false
      this.#stopTurn = new AbortController()
      try {
        const waitMs = await this.#takeTurn(this.#stopTurn.signal)
        if (!this.#closed) this.#cancelTimer = this.#options.clock.after(waitMs, () => this.#wake())
      } catch (error) {
        this.#options.log.error('port mapping failed', { error: messageOf(error) })
        this.#cancelTimer = this.#options.clock.after(RETRY_MS.most, () => this.#wake())
      }
      if (this.#again) this.#cancelTimer()
    } while (this.#again)
  }

  /** Returns after how many ms to look again. */
  async #takeTurn(signal: AbortSignal): Promise<number> {
    const gateway = this.#usableGateway()
    const port = this.#localPort
    const held = this.#held
    if (held && (held.localPort !== port || !sameGateway(held.gateway, gateway))) await this.#letGo(held)
    if (!sameGateway(this.#known, gateway)) {
      this.#known = gateway
      this.#show(NOTHING_KNOWN)
    }
    if (!gateway || port === undefined) return RETRY_MS.most
    if (this.#held) await this.#keep(this.#held, signal)
    if (!this.#held && !signal.aborted) await this.#obtain(gateway, port, signal)
    return this.#nextLookMs()
  }

  /** Only a router at a private address is a home router; another is the internet's. */
  #usableGateway(): Gateway | undefined {
    if (this.#closed) return undefined
    const gateway = this.#options.io.gateway()
    return gateway && isPrivate(gateway.address) && isPrivate(gateway.ownAddress) ? gateway : undefined
  }

  async #obtain(gateway: Gateway, port: number, signal: AbortSignal): Promise<void> {
    const parts = { clock: this.#options.clock, io: this.#options.io, gateway }
    const running = probe(parts, signal)
    const first = await running.first
    if (signal.aborted) return
    this.#show({ ...this.#view, pmp: first.pmp, pcp: first.pcp })
    const small = [
      ...(first.pmp ? [new NatPmpService(parts, port)] : []),
      ...(first.pcp ? [new PcpService(parts, port, this.#options.secret)] : []),
    ]
    let refusal: string | undefined
    for (const service of small) refusal = (await this.#try(service, gateway, port, signal)) ?? refusal
    const { locations } = await running.whole
    if (signal.aborted) return
    this.#show({ ...this.#view, upnp: locations.length > 0 })
    if (!this.#held && locations.length > 0) {
      const random = this.#options.random ?? Math.random
      const service = new UpnpService({ ...parts, localPort: port, locations, random })
      refusal = (await this.#try(service, gateway, port, signal)) ?? refusal
    }
    this.#show({ ...this.#view, refusal: this.#held ? undefined : refusal })
  }

  /** Returns why there is no mapping, undefined when there is one (or was one before). */
  async #try(
    service: MappingService,
    gateway: Gateway,
    localPort: number,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    if (this.#held || signal.aborted) return undefined
    const result = await service.map(signal)
    if (result.kind !== 'mapped') {
      // It may have been granted, and the answer not waited for.
      if (signal.aborted) await this.#release(service)
      this.#options.log.info('no port mapping', { by: service.via, ...result })
      return result.kind === 'refused' ? result.reason : 'the router does not answer'
    }
    const nowMs = this.#options.clock.now()
    this.#held = {
      gateway,
      localPort,
      service,
      stopListening: this.#options.io.onAnnouncement(gateway, () => this.#hearAnnouncement()),
      renewAtMs: Infinity,
      expiresAtMs: Infinity,
      checkedAtMs: nowMs,
      silent: 0,
    }
    this.#noteMapped(this.#held, result)
    return undefined
  }

  #noteMapped(held: Held, result: MapResult & { kind: 'mapped' }): void {
    const nowMs = this.#options.clock.now()
    const lifetimeMs = Math.min(result.lifetimeSeconds, LEASE_SECONDS) * 1_000
    held.renewAtMs = nowMs + Math.max(lifetimeMs / 2, LEAST_RENEW_MS)
    held.expiresAtMs = nowMs + Math.max(lifetimeMs, LEAST_RENEW_MS)
    held.checkedAtMs = nowMs
    held.silent = 0
    this.#retryMs = RETRY_MS.least
    if (result.endpoint !== this.#view.endpoint)
      this.#options.log.info('port mapped', { endpoint: result.endpoint, by: held.service.via })
    this.#show({ ...this.#view, endpoint: result.endpoint, via: held.service.via, refusal: undefined })
  }

  /** Renews when due, else looks whether the mapping is still there, and makes it anew when not. */
  async #keep(held: Held, signal: AbortSignal): Promise<void> {
    const nowMs = this.#options.clock.now()
    const isDue = nowMs >= held.renewAtMs
    const check = isDue ? 'lost' : await held.service.check(signal)
    if (signal.aborted) return
    held.checkedAtMs = nowMs
    if (check === 'kept') {
      held.silent = 0
      return
    }
    if (check === 'lost') {
      if (!isDue) this.#options.log.info('the router forgot the port mapping')
      const result = await held.service.map(signal)
      if (result.kind === 'mapped') {
        // Also when the turn was aborted meanwhile: the router has it now.
        this.#noteMapped(held, result)
        return
      }
      if (signal.aborted) return
      if (result.kind === 'refused') {
        this.#drop(held, result.reason)
        return
      }
    }
    held.silent += 1
    if (held.silent >= MOST_SILENT || this.#options.clock.now() >= held.expiresAtMs)
      this.#drop(held, 'the router does not answer')
  }

  #hearAnnouncement(): void {
    const held = this.#held
    if (!held || this.#turn || this.#closed) return
    const waitMs = held.checkedAtMs + LEAST_ANNOUNCED_MS - this.#options.clock.now()
    this.#cancelTimer()
    this.#cancelTimer = this.#options.clock.after(Math.max(waitMs, 0), () => this.#wake())
  }

  #nextLookMs(): number {
    const held = this.#held
    if (!held) {
      const waitMs = this.#retryMs
      this.#retryMs = Math.min(waitMs * 2, RETRY_MS.most)
      return waitMs
    }
    if (held.silent > 0) return SILENT_CHECK_MS
    return Math.min(CHECK_MS, Math.max(held.renewAtMs - this.#options.clock.now(), 0))
  }

  #drop(held: Held, refusal: string): void {
    held.stopListening()
    this.#held = undefined
    this.#options.log.info('the port mapping is gone', { why: refusal })
    this.#show({ ...this.#view, endpoint: undefined, via: undefined, refusal })
  }

  /** Gives the mapping back, where the router that has it may still be there. */
  async #letGo(held: Held): Promise<void> {
    held.stopListening()
    this.#held = undefined
    this.#show({ ...this.#view, endpoint: undefined, via: undefined })
    await this.#release(held.service)
  }

  async #release(service: MappingService): Promise<void> {
    const limit = new AbortController()
    const cancel = this.#options.clock.after(RELEASE_MS, () => limit.abort())
    await service.release(limit.signal)
    cancel()
  }

  #show(view: PortmapView): void {
    const before = this.#view
    const isSame =
      before.endpoint === view.endpoint &&
      before.via === view.via &&
      before.upnp === view.upnp &&
      before.pmp === view.pmp &&
      before.pcp === view.pcp &&
      before.refusal === view.refusal
    if (isSame) return
    this.#view = view
    if (!this.#closed) this.#options.onChange(view)
  }
}

function sameGateway(a: Gateway | undefined, b: Gateway | undefined): boolean {
  return a?.address === b?.address && a?.ownAddress === b?.ownAddress
}
