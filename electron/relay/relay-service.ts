// A running peer relay: its sockets, the sessions on them, and the addresses it can be reached at.

import { type Clock } from '../base/clock.ts'
import type { Endpoint, IpAddress } from '../base/endpoint.ts'
import type { Logger } from '../base/log.ts'
import type { DiscoPublic, NodePublic } from '../crypto/keys.ts'
import type { AllocateRequest } from '../wire/disco/allocate-request.ts'
import type { DiscoMessage } from '../wire/disco/message.ts'
import { type Mapping, RelayAddresses } from './relay-addresses.ts'
import {
  BIND_LIFETIME_MS,
  type RefusalReason,
  type RelayEffect,
  type RelayLimits,
  RelayServer,
  type RelaySession,
  STEADY_LIFETIME_MS,
} from './relay-server.ts'

/** The forwarding loop, as this part sees it. */
export interface RelaySockets {
  readonly ports: { readonly v4: number; readonly v6: number | undefined }
  bind(vni: number, sides: readonly [Endpoint | undefined, Endpoint | undefined]): void
  unbind(vni: number): void
  send(endpoint: Endpoint, bytes: Uint8Array, geneve?: { vni: number; control: boolean }): string | undefined
  expect(endpoint: Endpoint, packets: number): void
  setRate(bytesPerSecond: number): void
  onRecords(
    listener: (
      records: readonly (
        | { readonly kind: 'control'; readonly from: Endpoint; readonly vni: number; readonly bytes: Uint8Array }
        | {
            readonly kind: 'disco' | 'stun'
            readonly from: Endpoint
            readonly receivedAtMs: number
            readonly bytes: Uint8Array
          }
        | { readonly kind: 'fatal'; readonly message: string }
      )[],
    ) => void,
  ): void
  counters(): {
    readonly sessions: readonly { readonly vni: number; readonly sides: readonly SideCounters[] }[]
    readonly totals: Readonly<Record<string, number>>
  }
  close(): void
}

export interface SideCounters {
  readonly lastSeenMs: number
  readonly packets: number
  readonly bytes: number
}

/** How often sessions are looked through, and rates taken. */
const TICK_MS = 2_000
/** Again after an opening packet, while the client has not bound. */
const OPENING_REPEATS_MS = [400, 1_200, 3_000]
/**
 * Stock clients send each packet of the handshake once: without a repeat, a challenge that is lost costs them half a minute.
 * Only a client whose key is proven is answered, so this multiplies nobody's spoofed packets but a member's, by three.
 */
const CHALLENGE_REPEATS_MS = [250, 750]
/** Openings towards one client are not started again before this: a member may claim addresses of somebody else. */
const OPENING_AGAIN_MS = 5_000
const MOST_OPENED = 12
/** Sessions in a status; `totals` counts all. */
const MOST_SHOWN = 1_000
/** Receivers drop it: too short for any of the protocols. It only makes our router expect the client. */
const OPENING = Uint8Array.of(0)

export interface RelayServiceOptions {
  readonly sockets: RelaySockets
  readonly clock: Clock
  readonly log: Logger
  readonly random?: () => number
  readonly staticEndpoints: readonly Endpoint[]
  /** 0 for no limit. */
  readonly bytesPerSecond: number
  readonly localAddresses: () => readonly IpAddress[]
  readonly stunServers: () => Promise<readonly Endpoint[]>
  readonly extraEndpoints: () => readonly Endpoint[]
  /** Known endpoints of a client, where our router should let it in from. */
  readonly endpointsOf: (client: DiscoPublic) => readonly Endpoint[]
  readonly onEndpoints: (endpoints: readonly Endpoint[]) => void
  /** A disco packet outside any session came to the relay's port. `bytes` are only valid during the call. */
  readonly onKnock: (from: Endpoint, bytes: Uint8Array, receivedAtMs: number) => void
  readonly onFatal: (message: string) => void
  /** So many bytes were carried since it was told last; every two seconds, and at the end. */
  readonly onCarried?: (bytes: number) => void
  readonly limits?: RelayLimits
}

export interface RelaySideStatus extends SideCounters {
  readonly client: DiscoPublic
  readonly endpoint: Endpoint | undefined
  readonly bytesPerSecond: number
}

export interface RelaySessionStatus {
  readonly vni: number
  readonly sinceMs: number
  readonly sides: readonly RelaySideStatus[]
}

export interface RelayServiceStatus {
  readonly ports: { readonly v4: number; readonly v6: number | undefined }
  readonly endpoints: readonly Endpoint[]
  readonly mapping: Mapping
  readonly sessions: readonly RelaySessionStatus[]
  readonly totals: Readonly<Record<string, number>>
}

export class RelayService {
  readonly #options: RelayServiceOptions
  readonly #server: RelayServer
  readonly #addresses: RelayAddresses
  /** By client: however many sessions name it, its endpoints are written to once. */
  readonly #openings = new Map<string, { readonly atMs: number; cancel: () => void }>()
  /** Repeats of challenges, by VNI and client. */
  readonly #repeats = new Map<string, () => void>()
  readonly #rates = new Map<number, { readonly bytes: readonly number[]; readonly perSecond: readonly number[] }>()
  #ratesAtMs: number
  #cancelTick = (): void => {}
  #countedBytes = 0
  #isWindingDown = false
  #closed = false

  constructor(options: RelayServiceOptions) {
    this.#options = options
    const { clock, sockets } = options
    this.#ratesAtMs = clock.now()
    this.#server = new RelayServer({ nowMs: clock.now(), ...(options.limits ? { limits: options.limits } : {}) })
    this.#addresses = new RelayAddresses({
      clock,
      random: options.random ?? Math.random,
      ports: sockets.ports,
      staticEndpoints: options.staticEndpoints,
      send: (endpoint, bytes) => void sockets.send(endpoint, bytes),
      localAddresses: options.localAddresses,
      stunServers: options.stunServers,
      extraEndpoints: options.extraEndpoints,
      onChange: () => options.onEndpoints(this.#addresses.list),
    })
    sockets.setRate(options.bytesPerSecond)
    sockets.onRecords((records) => {
      for (const record of records) {
        if (record.kind === 'control')
          this.#do(this.#server.handleControl(record.from, record.vni, record.bytes, clock.now()))
        else if (record.kind === 'fatal') options.onFatal(record.message)
        else if (record.kind === 'stun') this.#addresses.handleStun(record.from, record.bytes)
        else options.onKnock(record.from, record.bytes, record.receivedAtMs)
      }
    })
    this.#addresses.start()
    this.#tick()
  }

  get discoKey(): DiscoPublic {
    return this.#server.discoKey
  }

  get endpoints(): readonly Endpoint[] {
    return this.#addresses.list
  }

  /** Where it is reached from outside, as far as known: no addresses of this machine's own networks. */
  get publicEndpoints(): readonly Endpoint[] {
    return [
      ...new Set([...this.#options.staticEndpoints, ...this.#options.extraEndpoints(), ...this.#addresses.public]),
    ]
  }

  /** Makes our router expect packets from there. */
  open(endpoints: readonly Endpoint[]): void {
    for (const to of endpoints.slice(0, MOST_OPENED)) this.#options.sockets.send(to, OPENING)
  }

  /** Sends a disco packet outside any session. */
  ask(to: Endpoint, bytes: Uint8Array): void {
    this.#options.sockets.send(to, bytes)
  }

  /** So many disco packets are to come from there: more than any source may send unasked. */
  expect(from: Endpoint, packets: number): void {
    this.#options.sockets.expect(from, packets)
  }

  get mapping(): Mapping {
    return this.#addresses.mapping
  }

  /** The response to a permitted requester, whose disco key is proven; or why there is none. */
  allocate(
    requester: NodePublic,
    requesterDisco: DiscoPublic,
    request: AllocateRequest,
  ):
    | Extract<DiscoMessage, { kind: 'allocateResponse' }>
    | { readonly refused: RefusalReason | 'no-address' | 'paused' } {
    if (this.#isWindingDown) return { refused: 'paused' }
    const endpoints = this.#addresses.list
    if (endpoints.length === 0) return { refused: 'no-address' }
    const { clock, sockets } = this.#options
    const made = this.#server.allocate(requester, requesterDisco, request.clientDisco, clock.now())
    if ('refused' in made) return made
    const { session, isNew, ended } = made
    this.#forget(ended)
    // From now on control packets of this VNI come up.
    if (isNew) sockets.bind(session.vni, [undefined, undefined])
    this.#openFor(session)
    return {
      kind: 'allocateResponse',
      generation: request.generation,
      relay: {
        serverDisco: this.#server.discoKey,
        clientDisco: [session.sides[0].client, session.sides[1].client],
        lamportId: session.lamportId,
        vni: session.vni,
        bindLifetimeNs: BigInt(BIND_LIFETIME_MS) * 1_000_000n,
        steadyStateLifetimeNs: BigInt(STEADY_LIFETIME_MS) * 1_000_000n,
        endpoints,
      },
    }
  }

  /** Sessions that only others asked for end. */
  retain(isPermitted: (requester: string) => boolean): void {
    this.#forget(this.#server.retain(isPermitted))
  }

  end(vni: number): void {
    this.#forget(this.#server.end(vni))
  }

  setRate(bytesPerSecond: number): void {
    this.#options.sockets.setRate(bytesPerSecond)
  }

  /** Takes nobody new; those who are bound go on. Takes back with false. */
  windDown(isWindingDown: boolean): void {
    this.#isWindingDown = isWindingDown
    if (!isWindingDown) return
    const unbound = this.#server.sessions.filter(({ sides }) => sides.some(({ endpoint }) => endpoint === undefined))
    for (const { vni } of unbound) this.end(vni)
  }

  /** Pairs that hold a place. */
  get places(): number {
    return this.#server.count
  }

  linkChanged(): void {
    this.#addresses.linkChanged()
  }

  /** Pairs that are bound at both ends. */
  get openPairs(): number {
    return this.#server.openCount
  }

  /** Something about `extraEndpoints` or `localAddresses` may have changed. */
  refreshAddresses(): void {
    this.#addresses.refresh()
  }

  status(): RelayServiceStatus {
    const { sockets } = this.#options
    const { sessions, totals } = sockets.counters()
    const counted = new Map(sessions.map((session) => [session.vni, session.sides]))
    const nothing = { lastSeenMs: 0, packets: 0, bytes: 0 }
    return {
      ports: sockets.ports,
      endpoints: this.#addresses.list,
      mapping: this.#addresses.mapping,
      sessions: this.#shownSessions().map(({ vni, sides, allocatedAtMs }) => ({
        vni,
        sinceMs: allocatedAtMs,
        sides: sides.map((side, index) => ({
          ...side,
          ...(counted.get(vni)?.[index] ?? nothing),
          bytesPerSecond: this.#rates.get(vni)?.perSecond[index] ?? 0,
        })),
      })),
      totals: {
        ...totals,
        'sessions.open': this.#server.openCount,
        'sessions.connecting': this.#server.count - this.#server.openCount,
        ...Object.fromEntries([...this.#server.refusals].map(([why, n]) => [`refused.${why}`, n])),
      },
    }
  }

  /** All, or those that carry most now. */
  #shownSessions(): RelaySession[] {
    const all = this.#server.sessions
    if (all.length <= MOST_SHOWN) return all
    const rateOf = ({ vni }: RelaySession): number =>
      (this.#rates.get(vni)?.perSecond ?? []).reduce((sum, rate) => sum + rate, 0)
    return all.toSorted((a, b) => rateOf(b) - rateOf(a)).slice(0, MOST_SHOWN)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#cancelTick()
    for (const { cancel } of this.#openings.values()) cancel()
    for (const cancel of this.#repeats.values()) cancel()
    this.#addresses.close()
    this.#countCarried(this.#options.sockets.counters().totals)
    this.#options.sockets.close()
  }

  #do(effects: readonly RelayEffect[]): void {
    const { sockets } = this.#options
    for (const effect of effects) {
      if (effect.type === 'challenge') this.#challenge(effect, 0)
      else {
        const [first, second] = effect.session.sides
        sockets.bind(effect.session.vni, [first.endpoint, second.endpoint])
      }
    }
  }

  #challenge(effect: Extract<RelayEffect, { type: 'challenge' }>, repeat: number): void {
    const { clock, sockets } = this.#options
    const { endpoint, bytes, vni, client, generation } = effect
    const name = `${vni} ${client.text}`
    this.#repeats.get(name)?.()
    this.#repeats.delete(name)
    sockets.send(endpoint, bytes, { vni, control: true })
    const waitMs = CHALLENGE_REPEATS_MS[repeat]
    if (waitMs === undefined) return
    const cancel = clock.after(waitMs, () => {
      if (this.#server.awaits(vni, client, generation)) this.#challenge(effect, repeat + 1)
      else this.#repeats.delete(name)
    })
    this.#repeats.set(name, cancel)
  }

  /**
   * Our router may let in only whom we have written to. Both clients' addresses are written to before they learn of the
   * session, so that their binds get through; a client whose router picks a new port per destination cannot be met so.
   */
  #openFor({ vni, sides }: RelaySession): void {
    const { clock, sockets, endpointsOf } = this.#options
    for (const { client, endpoint } of sides) {
      const before = this.#openings.get(client.text)
      if (endpoint !== undefined || (before && clock.now() - before.atMs < OPENING_AGAIN_MS)) continue
      before?.cancel()
      const opening = { atMs: clock.now(), cancel: (): void => {} }
      this.#openings.set(client.text, opening)
      const write = (repeat: number): void => {
        const side = this.#server.session(vni)?.sides.find((one) => one.client.equals(client))
        if (!side || side.endpoint !== undefined) return
        for (const to of endpointsOf(client).slice(0, MOST_OPENED)) sockets.send(to, OPENING)
        const waitMs = OPENING_REPEATS_MS[repeat]
        if (waitMs !== undefined) opening.cancel = clock.after(waitMs, () => write(repeat + 1))
      }
      write(0)
    }
  }

  #tick(): void {
    if (this.#closed) return
    const { clock, sockets } = this.#options
    const { sessions: counters, totals } = sockets.counters()
    this.#countCarried(totals)
    const seen = new Map(counters.map(({ vni, sides }) => [vni, sides.map(({ lastSeenMs }) => lastSeenMs)]))
    this.#forget(this.#server.collect(clock.now(), (vni) => seen.get(vni) ?? []))
    const seconds = Math.max((clock.now() - this.#ratesAtMs) / 1000, 0.001)
    this.#ratesAtMs = clock.now()
    for (const { vni, sides } of counters) {
      const before = this.#rates.get(vni)
      const bytes = sides.map((side) => side.bytes)
      const perSecond = bytes.map((count, index) => Math.round((count - (before?.bytes[index] ?? count)) / seconds))
      this.#rates.set(vni, { bytes, perSecond })
    }
    const known = new Set(counters.map(({ vni }) => vni))
    for (const vni of this.#rates.keys()) if (!known.has(vni)) this.#rates.delete(vni)
    for (const [client, { atMs }] of this.#openings)
      if (clock.now() - atMs >= OPENING_AGAIN_MS) this.#openings.delete(client)
    this.#addresses.refresh()
    this.#cancelTick = clock.after(TICK_MS, () => this.#tick())
  }

  #countCarried(totals: Readonly<Record<string, number>>): void {
    const bytes = totals['forwarded.bytes'] ?? 0
    const more = bytes - this.#countedBytes
    this.#countedBytes = bytes
    if (more > 0) this.#options.onCarried?.(more)
  }

  #forget(sessions: readonly RelaySession[]): void {
    for (const { vni } of sessions) {
      this.#options.sockets.unbind(vni)
      this.#rates.delete(vni)
    }
  }
}
