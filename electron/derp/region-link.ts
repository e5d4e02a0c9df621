import { networkInterfaces } from 'node:os'
import { Backoff } from '../base/backoff.ts'
import type { Clock } from '../base/clock.ts'
import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { NodePrivate, NodePublic } from '../crypto/keys.ts'
import { type DerpConnection, openDerpConnection } from './derp-connection.ts'
import type { DerpRegion } from './derp-map.ts'
import { DerpError, type DerpErrorCode } from './errors.ts'
import type { PacketKind } from './packet-kind.ts'

/** The cap of the delay between attempts (paths.md §3.4). */
const RECONNECT_CAP_MS = 5_000
/** A connection that held this long ends a series of failures. */
const STEADY_MS = 10_000
/** A region that is not home is left after this long without a packet sent there. */
const IDLE_CLOSE_MS = 60_000
/** What waits while a connection is made, per kind; the oldest goes first. */
const WAITING_PACKETS = 32
const WAITING_BYTES = 128 * 1024
/** After a change of network a server must answer within this. */
const LINK_CHECK_MS = 3_000
/** The longest delay that a restarting server may ask for. */
const MAX_RESTART_WAIT_MS = 30_000

export type DerpLinkState = 'idle' | 'connecting' | 'connected' | 'waiting'

export interface DerpRegionStatus {
  readonly region: number
  readonly state: DerpLinkState
  readonly connected: boolean
  /** Connected, but the server owes an answer; or it broke, and could not be made again at once. */
  readonly silent: boolean
  readonly isHome: boolean
  /** Monotonic ms since when it is in this state. */
  readonly sinceMs: number
  /** Monotonic ms of the last byte heard; undefined when nothing was. */
  readonly lastFrameMs: number | undefined
  /** Why it is not connected, or was not at the last attempt; cleared by success. */
  readonly errorCode: DerpErrorCode | undefined
  readonly errorText: string | undefined
  /** What the server itself complains about. */
  readonly problem: string | undefined
  readonly droppedPackets: number
}

export interface RegionLinkOptions {
  readonly nodeKey: NodePrivate
  readonly clock: Clock
  readonly log: Logger
  readonly random: () => number
  onPackets(region: number, chunk: Uint8Array, spans: Uint32Array): void
  onPeerGone(region: number, peer: NodePublic): void
  /** The connection ended, and with it what was learned through it. */
  onDisconnected(region: number): void
  onChanged(): void
  onSilent(region: number): void
}

interface WaitingPackets {
  readonly packets: { readonly to: Uint8Array; readonly payload: Uint8Array }[]
  bytes: number
}

/** Our connection to one region: made when wanted, kept while it is home or used, made again when it breaks. */
export class RegionLink {
  readonly region: DerpRegion
  readonly #options: RegionLinkOptions
  readonly #backoff: Backoff
  readonly #closing = new AbortController()
  readonly #waiting: Record<PacketKind, WaitingPackets> = {
    disco: { packets: [], bytes: 0 },
    wireguard: { packets: [], bytes: 0 },
  }
  #state: DerpLinkState = 'idle'
  #sinceMs: number
  #isHome = false
  #connection: DerpConnection | undefined
  /** The attempt under way. */
  #attempt = new AbortController()
  #cancelTimer: (() => void) | undefined
  #lastSendMs = 0
  #lastHeardMs: number | undefined
  #error: DerpError | undefined
  #problem = ''
  #dropped = 0
  #restartWaitMs: number | undefined
  #isSilent = false
  /** Whoever waits for a connection. */
  readonly #reached = new Set<(isReached: boolean) => void>()

  constructor(region: DerpRegion, options: RegionLinkOptions) {
    this.region = region
    this.#options = options
    this.#backoff = new Backoff(RECONNECT_CAP_MS, options.random)
    this.#sinceMs = options.clock.now()
  }

  get isConnected(): boolean {
    return this.#state === 'connected'
  }

  get isSilent(): boolean {
    return this.#isSilent
  }

  /** What is sent now arrives as far as we know. */
  get isWell(): boolean {
    return this.isConnected && !this.#isSilent
  }

  status(): DerpRegionStatus {
    return {
      region: this.region.RegionID,
      state: this.#state,
      connected: this.isConnected,
      silent: this.#isSilent,
      isHome: this.#isHome,
      sinceMs: this.#sinceMs,
      lastFrameMs: this.#connection?.lastHeardMs ?? this.#lastHeardMs,
      errorCode: this.#error?.code,
      errorText: this.#error?.message,
      problem: this.#problem || undefined,
      droppedPackets: this.#dropped + (this.#connection?.dropped ?? 0),
    }
  }

  setHome(isHome: boolean): void {
    if (isHome === this.#isHome) return
    this.#isHome = isHome
    this.#lastSendMs = this.#options.clock.now()
    this.#connection?.notePreferred(isHome)
    if (isHome && this.#state === 'idle') this.#connect()
    this.#options.onChanged()
  }

  /** Sends, or keeps a bounded number while a connection is made. The payload is copied. */
  send(to: Uint8Array, payload: Uint8Array, kind: PacketKind): void {
    this.#lastSendMs = this.#options.clock.now()
    if (this.#connection) {
      this.#connection.send(to, payload, kind)
      return
    }
    const queue = this.#waiting[kind]
    queue.packets.push({ to: Uint8Array.from(to), payload: Uint8Array.from(payload) })
    queue.bytes += payload.length
    while (queue.packets.length > WAITING_PACKETS || queue.bytes > WAITING_BYTES) {
      queue.bytes -= queue.packets.shift()?.payload.length ?? 0
      this.#dropped++
    }
    if (this.#state === 'idle') this.#connect()
  }

  /** Connects, if it is not connected; false when the server does not answer within `withinMs`. */
  async reach(withinMs: number): Promise<boolean> {
    this.#lastSendMs = this.#options.clock.now()
    if (this.isWell) return true
    if (this.#state === 'idle') this.#connect()
    return new Promise((resolve) => {
      const settle = (isReached: boolean): void => {
        cancel()
        this.#reached.delete(settle)
        resolve(isReached)
      }
      const cancel = this.#options.clock.after(withinMs, () => settle(false))
      this.#reached.add(settle)
    })
  }

  /** Called now and then: leaves a region that nobody needs. */
  closeIfIdle(): void {
    if (this.#isHome || !this.#connection) return
    if (this.#options.clock.now() - this.#lastSendMs < IDLE_CLOSE_MS) return
    const connection = this.#connection
    this.#detach()
    this.#enter('idle')
    connection.close(undefined)
  }

  /** The network changed: tries again at once, and makes sure that what seems connected still is. */
  linkChanged(): void {
    const gone = new DerpError('derp/closed', 'The network changed.')
    this.#backoff.reset()
    if (this.#state === 'waiting') this.#connect()
    else this.#attempt.abort(gone)
    const connection = this.#connection
    if (!connection) return
    const address = connection.localAddress // unknown inside of TLS with a proxy
    if (address !== undefined && !localAddresses().has(address)) {
      connection.close(gone)
      return
    }
    void connection.ping(LINK_CHECK_MS).then((rttMs) => {
      if (rttMs === undefined) connection.close(gone)
    })
  }

  close(): void {
    this.#cancelTimer?.()
    this.#closing.abort(new DerpError('derp/closed', 'No longer wanted.'))
    const connection = this.#connection
    this.#detach()
    connection?.close(undefined)
    for (const settle of this.#reached) settle(false)
  }

  #setSilent(isSilent: boolean): void {
    if (isSilent === this.#isSilent) return
    this.#isSilent = isSilent
    this.#options.onChanged()
    if (isSilent) this.#options.onSilent(this.region.RegionID)
  }

  #enter(state: DerpLinkState): void {
    this.#state = state
    this.#sinceMs = this.#options.clock.now()
    this.#options.onChanged()
  }

  #detach(): void {
    const connection = this.#connection
    if (!connection) return
    this.#connection = undefined
    this.#lastHeardMs = connection.lastHeardMs
    this.#dropped += connection.dropped
    this.#problem = ''
    this.#options.onDisconnected(this.region.RegionID)
  }

  #connect(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    this.#enter('connecting')
    const { nodeKey, clock } = this.#options
    const region = this.region.RegionID
    let opened: DerpConnection | undefined
    // The very chunk that ends the login may hold more: packets, or what makes us close again at once.
    let closedEarly: DerpError | undefined
    const events = {
      onPackets: (chunk: Uint8Array, spans: Uint32Array) => this.#options.onPackets(region, chunk, spans),
      onPeerGone: (peer: NodePublic) => this.#options.onPeerGone(region, peer),
      onHealth: (problem: string) => {
        this.#problem = problem
        this.#options.onChanged()
      },
      onRestarting: (notice: { readonly reconnectInMs: number }) => {
        this.#restartWaitMs = Math.min(notice.reconnectInMs, MAX_RESTART_WAIT_MS)
      },
      onSilent: (isSilent: boolean) => this.#setSilent(isSilent),
      onClosed: (error: DerpError) => {
        if (!opened) closedEarly = error
        if (this.#connection !== opened || !opened) return
        this.#detach()
        this.#failed(error)
      },
    }
    this.#attempt = new AbortController()
    const signal = AbortSignal.any([this.#closing.signal, this.#attempt.signal])
    openDerpConnection(this.region, { nodeKey, clock, events }, signal).then(
      (connection) => {
        opened = connection
        if (this.#closing.signal.aborted) connection.close(undefined)
        else if (closedEarly) this.#failed(closedEarly)
        else this.#opened(connection)
      },
      (error: unknown) => {
        if (!this.#closing.signal.aborted) this.#failed(error)
      },
    )
  }

  #opened(connection: DerpConnection): void {
    this.#connection = connection
    this.#setSilent(false)
    for (const settle of this.#reached) settle(true)
    this.#error = undefined
    this.#restartWaitMs = undefined
    if (this.#isHome) connection.notePreferred(true)
    for (const kind of ['disco', 'wireguard'] as const) {
      const queue = this.#waiting[kind]
      queue.bytes = 0
      for (const { to, payload } of queue.packets.splice(0)) connection.send(to, payload, kind)
    }
    this.#options.log.debug('connected', { region: this.region.RegionID, node: connection.node.Name })
    this.#enter('connected')
  }

  #failed(error: unknown): void {
    // One that broke is made again at once: a server that restarts is back before anyone notices.
    if (this.#state === 'connecting' && this.#backoff.failures > 0) this.#setSilent(true)
    const wasSteady = this.#state === 'connected' && this.#options.clock.now() - this.#sinceMs >= STEADY_MS
    this.#error = error instanceof DerpError ? error : new DerpError('derp/closed', messageOf(error), { cause: error })
    this.#options.log.debug('not connected', { region: this.region.RegionID, error: this.#error })
    if (wasSteady) this.#backoff.reset()
    const delayMs = this.#restartWaitMs ?? this.#backoff.next()
    this.#restartWaitMs = undefined
    this.#enter('waiting')
    this.#cancelTimer = this.#options.clock.after(delayMs, () => {
      const isUsed = this.#waiting.disco.packets.length + this.#waiting.wireguard.packets.length > 0
      if (this.#isHome || isUsed) this.#connect()
      else this.#enter('idle')
    })
  }
}

function localAddresses(): ReadonlySet<string> {
  const all = new Set<string>()
  for (const addresses of Object.values(networkInterfaces()))
    for (const { address } of addresses ?? []) all.add(address)
  return all
}
