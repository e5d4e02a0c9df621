import { systemClock, type Clock } from '../base/clock.ts'
import { silentLogger, type Logger } from '../base/log.ts'
import { KEY_BYTES, NodePublic, type NodePrivate } from '../crypto/keys.ts'
import { MAX_PACKET_BYTES } from '../wire/derp/frame.ts'
import { regionsOf, sameRegion, type DerpMap, type DerpRegion } from './derp-map.ts'
import { packetKind, type PacketKind } from './packet-kind.ts'
import { RegionLink, type DerpRegionStatus, type RegionLinkOptions } from './region-link.ts'
import { ReverseRoutes } from './reverse-routes.ts'

export type { DerpRegionStatus }

const IDLE_CHECK_MS = 15_000

export interface DerpPoolOptions {
  readonly nodeKey: NodePrivate
  readonly clock?: Clock
  readonly log?: Logger
  /** For the jitter of delays. */
  readonly random?: () => number
  /** A disco packet for us. `bytes` is a view that is not written again. */
  onDisco(region: number, from: NodePublic, bytes: Uint8Array): void
  /**
   * WireGuard packets of one read, as `Dataplane.injectDerp` takes them: start and length pairs into `chunk`. The key of
   * each sender is the 32 bytes before the start.
   */
  onWireGuard(region: number, chunk: Uint8Array, spans: Uint32Array): void
  /** A region's server owes us answers: what goes there may be lost. */
  onSilent?(region: number): void
  /** The region's server says that the peer is not connected there, or is not any more. */
  onPeerGone?(region: number, peer: NodePublic): void
  /** Some region's state changed. Not called for traffic. */
  onStatus?(status: readonly DerpRegionStatus[]): void
}

/** All our DERP connections: home, the homes of peers we talk to, and the choice between them. */
export class DerpPool {
  readonly #options: DerpPoolOptions
  readonly #clock: Clock
  readonly #linkOptions: RegionLinkOptions
  readonly #links = new Map<number, RegionLink>()
  readonly #routes = new ReverseRoutes()
  #regions: ReadonlyMap<number, DerpRegion> = new Map()
  #home: number | undefined
  #cancelIdleCheck: (() => void) | undefined
  #isStatusDue = false
  #isClosed = false
  #unroutable = 0

  constructor(options: DerpPoolOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#linkOptions = {
      nodeKey: options.nodeKey,
      clock: this.#clock,
      log: options.log ?? silentLogger,
      random: options.random ?? Math.random,
      onPackets: (region, chunk, spans) => this.#received(region, chunk, spans),
      onPeerGone: (region, peer) => {
        this.#routes.forget(peer.bytes, region)
        options.onPeerGone?.(region, peer)
      },
      onDisconnected: (region) => this.#routes.forgetRegion(region),
      onChanged: () => this.#changed(),
      onSilent: (region) => this.#options.onSilent?.(region),
    }
  }

  /** Packets for which no region was known, or that no DERP server takes. */
  get unroutable(): number {
    return this.#unroutable
  }

  /** Connections to regions that are gone, or are reached in another way now, end. */
  setMap(map: DerpMap): void {
    this.#regions = regionsOf(map)
    for (const [id, link] of this.#links) {
      const region = this.#regions.get(id)
      if (region && sameRegion(region, link.region)) continue
      this.#links.delete(id)
      this.#routes.forgetRegion(id)
      link.close()
    }
    if (this.#home !== undefined) this.#linkTo(this.#home)?.setHome(true)
    this.#changed()
  }

  /** Where others find us: connected at once and always. */
  setHome(region: number | undefined): void {
    if (region === this.#home) return
    this.#home = region
    for (const [id, link] of this.#links) if (id !== region) link.setHome(false)
    if (region !== undefined) this.#linkTo(region)?.setHome(true)
  }

  get home(): number | undefined {
    return this.#home
  }

  isSilent(region: number): boolean {
    return this.#links.get(region)?.isSilent ?? false
  }

  /** Connects there, if we are not; true once that region's server answers, false when it does not within `withinMs`. */
  async reach(region: number, withinMs: number): Promise<boolean> {
    const link = this.#linkTo(region)
    return link !== undefined && !this.#isClosed && (await link.reach(withinMs))
  }

  /**
   * Sends through `region`, the peer's home, or where the peer was last heard if only that is connected. Region 0 stands
   * for "home unknown". The payload is copied. False when there is no way at all.
   */
  send(region: number, to: Uint8Array, payload: Uint8Array, kind: PacketKind): boolean {
    const link = this.#choose(region, to)
    if (!link || this.#isClosed || payload.length > MAX_PACKET_BYTES) {
      this.#unroutable++
      return false
    }
    link.send(to, payload, kind)
    // The peer lost that server as well, and may have gone where we are.
    if (link.isSilent) this.#refuge(link)?.send(to, payload, kind)
    return true
  }

  /** Our home, when that is another region and works. */
  #refuge(silent: RegionLink): RegionLink | undefined {
    const home = this.#home === undefined ? undefined : this.#links.get(this.#home)
    return home !== silent && home?.isWell === true ? home : undefined
  }

  /** Where `peer` was last heard on a connection that still stands. */
  learnedRegionOf(peer: Uint8Array): number | undefined {
    return this.#routes.regionOf(peer)
  }

  linkChanged(): void {
    for (const link of this.#links.values()) link.linkChanged()
  }

  /** Regions that are connected or were wanted; by region number. */
  status(): readonly DerpRegionStatus[] {
    return [...this.#links.values()].map((link) => link.status()).sort((a, b) => a.region - b.region)
  }

  close(): Promise<void> {
    this.#isClosed = true
    this.#cancelIdleCheck?.()
    for (const link of this.#links.values()) link.close()
    this.#links.clear()
    return Promise.resolve()
  }

  #choose(region: number, to: Uint8Array): RegionLink | undefined {
    const home = this.#links.get(region)
    if (home?.isWell) return home
    const learned = this.#links.get(this.#routes.regionOf(to) ?? 0)
    if (learned?.isWell) return learned
    return home ?? this.#linkTo(region)
  }

  #linkTo(id: number): RegionLink | undefined {
    const known = this.#links.get(id)
    const region = this.#regions.get(id)
    if (known || !region || this.#isClosed) return known
    const link = new RegionLink(region, this.#linkOptions)
    this.#links.set(id, link)
    this.#cancelIdleCheck ??= this.#scheduleIdleCheck()
    return link
  }

  #scheduleIdleCheck(): () => void {
    return this.#clock.after(IDLE_CHECK_MS, () => {
      for (const link of this.#links.values()) link.closeIfIdle()
      this.#cancelIdleCheck = this.#links.size > 0 ? this.#scheduleIdleCheck() : undefined
    })
  }

  /** Disco goes to its listener one by one; what remains goes down in one call. */
  #received(region: number, chunk: Uint8Array, spans: Uint32Array): void {
    if (this.#isClosed) return
    let kept = 0
    for (let i = 0; i < spans.length; i += 2) {
      const start = spans[i] ?? 0
      const length = spans[i + 1] ?? 0
      this.#routes.heard(chunk, start - KEY_BYTES, region)
      if (packetKind(chunk, start, start + length) === 'disco') {
        const from = new NodePublic(chunk.subarray(start - KEY_BYTES, start))
        this.#options.onDisco(region, from, chunk.subarray(start, start + length))
      } else {
        spans[kept++] = start
        spans[kept++] = length
      }
    }
    if (kept > 0) this.#options.onWireGuard(region, chunk, kept === spans.length ? spans : spans.subarray(0, kept))
  }

  /** Several changes of one turn are told once. */
  #changed(): void {
    if (this.#isStatusDue || this.#isClosed || !this.#options.onStatus) return
    this.#isStatusDue = true
    queueMicrotask(() => {
      this.#isStatusDue = false
      if (!this.#isClosed) this.#options.onStatus?.(this.status())
    })
  }
}
