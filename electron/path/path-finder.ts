// The driver of path discovery: feeds what arrives into each peer's state machine (peer-path.ts), does what it asks for,
// and keeps its timer. Owns no socket: packets come in by the handle… methods and leave through PathIo.

import type { Endpoint } from '../base/endpoint.ts'
import type { NodePublic } from '../crypto/keys.ts'
import { WireError } from '../wire/codec.ts'
import { discoSender, openDisco, sealDisco } from '../wire/disco/envelope.ts'
import type { DiscoMessage } from '../wire/disco/message.ts'
import { MAX_CALLED_ENDPOINTS } from './candidates.ts'
import type { DerpMap } from './derp-map.ts'
import type { OwnEndpoint } from './endpoints.ts'
import { OwnNetwork } from './own-network.ts'
import { PathError, type PathFinderOptions, type PathPeer, type PingResult, type PingVia } from './path-io.ts'
import { pathView, worthTelling, type PathView } from './path-view.ts'
import {
  derpRegion,
  inSession,
  isTrusted,
  newPeerPath,
  nextWakeMs,
  step,
  type PeerEffect,
  type PeerInput,
  type PeerPath,
} from './peer-path.ts'
import { PeerTable, type DiscoName } from './peer-table.ts'
import { PingTable, type SentBy, type SentPing } from './ping-table.ts'
import type { NetcheckReport, PortMapping } from './report.ts'

/** Errors that mean this destination cannot be sent to now, as against a packet lost. */
const DEAD_END: ReadonlySet<string> = new Set([
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'EAFNOSUPPORT',
])
/** In pongs over DERP, where an ip:port is expected: this address, with the region as port (tailscale tailcfg.DerpMagicIP). */
const DERP_MAGIC_IP = '127.3.3.40'
const MOST_WAITERS = 16

interface Waiter {
  readonly sinceMs: number
  readonly end: (result: PingResult | PathError) => void
}

interface Peer {
  readonly id: number
  readonly nodeKey: NodePublic
  disco: DiscoName<Peer> | undefined
  endpoints: readonly Endpoint[]
  homeRegion: number | undefined
  path: PeerPath
  view: PathView
  wake: { readonly atMs: number; readonly cancel: () => void } | undefined
  calling: boolean
  readonly waiters: Set<Waiter>
}

interface Arrival {
  readonly from: Endpoint
  /** Set when the packet came through a peer relay. */
  readonly vni: number | undefined
  readonly bytes: Uint8Array
  readonly receivedAtMs: number
}

export class PathFinder {
  readonly #options: PathFinderOptions
  readonly #own: OwnNetwork
  readonly #peers: PeerTable<Peer>
  readonly #pings = new PingTable()
  readonly #counters = new Map<string, number>()
  #closed = false

  constructor(options: PathFinderOptions) {
    this.#options = options
    this.#peers = new PeerTable<Peer>(options.discoKey)
    this.#own = new OwnNetwork({
      clock: options.clock,
      log: options.log,
      io: options.io,
      events: options.events,
      random: options.random ?? Math.random,
      ignoreInterfaces: options.ignoreInterfaces ?? [],
    })
  }

  get homeRegion(): number | undefined {
    return this.#own.home
  }

  get report(): NetcheckReport | undefined {
    return this.#own.report
  }

  get endpoints(): readonly OwnEndpoint[] {
    return this.#own.endpoints
  }

  /** What was refused, by reason. */
  get counters(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counters)
  }

  /** Sizes of the tables, for tests against leaks. */
  get sizes(): { readonly peers: number; readonly discoKeys: number; readonly pings: number } {
    return { peers: this.#peers.sizes.ids, discoKeys: this.#peers.sizes.discoKeys, pings: this.#pings.size }
  }

  start(): void {
    this.#own.start()
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#own.close()
    for (const peer of this.#peers.all()) this.#drop(peer)
  }

  setDerpMap(map: DerpMap): void {
    this.#own.setDerpMap(map)
  }

  setPortMapping(mapping: PortMapping): void {
    this.#own.setPortMapping(mapping)
  }

  /** The whole list of peers, whenever the netmap changed. */
  setPeers(list: readonly PathPeer[]): void {
    if (this.#closed) return
    const wanted = new Map(list.map((peer) => [peer.id, peer]))
    for (const peer of this.#peers.all()) {
      const next = wanted.get(peer.id)
      if (!next || !next.nodeKey.equals(peer.nodeKey)) this.#drop(peer)
    }
    for (const want of wanted.values()) this.#update(this.#peers.get(want.id) ?? this.#add(want), want)
  }

  view(id: number): PathView | undefined {
    const peer = this.#peers.get(id)
    return peer && this.#viewOf(peer)
  }

  views(): ReadonlyMap<number, PathView> {
    return new Map(this.#peers.all().map((peer) => [peer.id, this.#viewOf(peer)]))
  }

  /** Data goes out to the peer, or waits to. To be repeated while it flows: a session ends 45 s after the last call. */
  noteActive(id: number): void {
    const peer = this.#peers.get(id)
    if (!peer) return
    this.#own.noteActive()
    this.#give(peer, { type: 'active' })
  }

  /** The trust of the path ran out while data flows. */
  noteStale(id: number): void {
    this.noteActive(id)
  }

  /** An authenticated packet of the peer came some other way than we send. */
  noteSeen(
    id: number,
    where: { readonly endpoint?: Endpoint | undefined; readonly region?: number | undefined },
  ): void {
    const peer = this.#peers.get(id)
    if (!peer) return
    if (where.region !== undefined) this.#give(peer, { type: 'heard-derp', region: where.region })
    if (where.endpoint !== undefined) this.#give(peer, { type: 'heard', endpoint: where.endpoint })
  }

  noteSendError(endpoint: Endpoint, errno: string): void {
    if (!DEAD_END.has(errno)) return
    for (const peer of this.#peers.all())
      if (peer.path.best?.leg.endpoint === endpoint) this.#give(peer, { type: 'send-error', endpoint })
  }

  /** `rebound`: the socket, the addresses or the default route are new. Otherwise something smaller changed. */
  linkChanged({ rebound }: { readonly rebound: boolean }): void {
    if (this.#closed) return
    if (rebound) {
      this.#own.forget()
      for (const peer of this.#peers.all()) this.#give(peer, { type: 'network-changed' })
    }
    this.#own.check({ full: true })
  }

  handleStun(packet: { readonly from: Endpoint; readonly bytes: Uint8Array; readonly receivedAtMs: number }): void {
    if (!this.#own.handleStun(packet)) this.#count('stun.unasked')
  }

  /** A disco packet from the UDP socket. Authenticates first; nothing is believed of a sender that is not a peer. */
  handleDisco(packet: Arrival): void {
    const opened = this.#open(packet.bytes)
    if (!opened) return
    const { sender, message } = opened
    const { from, vni, receivedAtMs } = packet
    switch (message.kind) {
      case 'ping': {
        const peers = this.#claimants(sender, message.nodeKey)
        if (peers.length === 0) return this.#count('disco.node-key')
        const pong: DiscoMessage = { kind: 'pong', txId: message.txId, source: from }
        this.#options.io.sendUdp(
          from,
          this.#seal(sender, pong),
          vni === undefined ? undefined : { vni, control: false },
        )
        // A relay's endpoint is not the peer's: relay paths have their own discovery.
        if (vni === undefined) for (const peer of peers) this.#give(peer, { type: 'heard', endpoint: from })
        return
      }
      case 'pong':
        return this.#pong(sender, message.txId, vni === undefined ? 'direct' : undefined, receivedAtMs)
      default:
        // CallMeMaybe and allocation only come over DERP; the relay handshake has no place here yet.
        return this.#count(`disco.unexpected.${message.kind}`)
    }
  }

  /** A disco packet out of DERP. The server vouches for `fromNode`, the box for the disco key; both must be one peer. */
  handleDerpDisco(region: number, fromNode: NodePublic, bytes: Uint8Array): void {
    const receivedAtMs = this.#options.clock.now()
    const opened = this.#open(bytes)
    if (!opened) return
    const { sender, message } = opened
    const peer = this.#peers.byNode(fromNode)
    if (!peer || peer.disco !== sender) return this.#count('disco.derp-source')
    this.#give(peer, { type: 'heard-derp', region })
    switch (message.kind) {
      case 'ping': {
        if (message.nodeKey && !message.nodeKey.equals(fromNode)) return this.#count('disco.node-key')
        const pong: DiscoMessage = { kind: 'pong', txId: message.txId, source: `${DERP_MAGIC_IP}:${region}` }
        this.#options.io.sendDerp(region, fromNode, this.#seal(sender, pong))
        return
      }
      case 'pong':
        return this.#pong(sender, message.txId, 'derp', receivedAtMs)
      case 'callMeMaybe':
        return this.#give(peer, {
          type: 'call-me-maybe',
          endpoints: message.endpoints.slice(0, MAX_CALLED_ENDPOINTS),
        })
      default:
        return this.#count(`disco.unexpected.${message.kind}`)
    }
  }

  /** One ping over whatever path there is, and over all that might be when there is no sure one; the first pong counts. */
  ping(id: number, { timeoutMs }: { readonly timeoutMs: number }): Promise<PingResult> {
    const peer = this.#peers.get(id)
    if (!peer) return Promise.reject(new PathError('path/no-such-peer', 'There is no such machine in the network.'))
    if (!peer.disco)
      return Promise.reject(
        new PathError('path/no-disco', 'The machine is not online, or too old to answer this ping.'),
      )
    if (peer.waiters.size >= MOST_WAITERS)
      return Promise.reject(new PathError('path/busy', 'Too many pings to this machine are under way.'))
    const { clock } = this.#options
    return new Promise((resolve, reject) => {
      const timeout = clock.after(timeoutMs, () =>
        waiter.end(new PathError('path/no-answer', `No answer within ${timeoutMs} ms.`)),
      )
      const waiter: Waiter = {
        sinceMs: clock.now(),
        end: (result) => {
          timeout()
          peer.waiters.delete(waiter)
          if (result instanceof PathError) reject(result)
          else resolve(result)
        },
      }
      peer.waiters.add(waiter)
      this.#own.noteActive()
      this.#give(peer, { type: 'probe' })
      const region = derpRegion(peer.path)
      if (region !== undefined && !isTrusted(peer.path, clock.now())) this.#sendPing(peer, { kind: 'derp', region })
    })
  }

  #add(want: PathPeer): Peer {
    const { clock } = this.#options
    const path = newPeerPath(clock.now())
    const peer: Peer = {
      id: want.id,
      nodeKey: want.nodeKey,
      disco: undefined,
      endpoints: [],
      homeRegion: undefined,
      path,
      view: pathView(path, clock.now(), clock.wallNow()),
      wake: undefined,
      calling: false,
      waiters: new Set(),
    }
    this.#peers.add(peer)
    return peer
  }

  #update(peer: Peer, want: PathPeer): void {
    const hadDisco = peer.disco
    const discoChanged = peer.disco?.key.text !== want.discoKey?.text
    if (discoChanged) {
      this.#peers.setDisco(peer, want.discoKey)
      this.#pings.forgetPeer(peer.id)
    }
    const sameList = sameStrings(peer.endpoints, want.endpoints)
    if (!sameList || peer.homeRegion !== want.homeRegion) {
      peer.endpoints = want.endpoints
      peer.homeRegion = want.homeRegion
      this.#give(peer, { type: 'netmap', endpoints: want.endpoints, home: want.homeRegion })
    }
    if (discoChanged && hadDisco) this.#give(peer, { type: 'disco-changed' })
  }

  #drop(peer: Peer): void {
    peer.wake?.cancel()
    peer.wake = undefined
    this.#peers.remove(peer)
    this.#pings.forgetPeer(peer.id)
    const why = this.#closed
      ? new PathError('path/closed', 'Peerway is stopping.')
      : new PathError('path/no-such-peer', 'The machine left the network.')
    for (const waiter of peer.waiters) waiter.end(why)
  }

  #isCurrent(peer: Peer): boolean {
    return this.#peers.get(peer.id) === peer
  }

  #give(peer: Peer, input: PeerInput): void {
    if (!this.#isCurrent(peer)) return
    const wasActive = inSession(peer.path)
    const { path, effects } = step(peer.path, input, this.#options.clock.now())
    peer.path = path
    const unreachable: Endpoint[] = []
    for (const effect of effects) this.#do(peer, effect, unreachable)
    this.#arm(peer)
    for (const endpoint of unreachable) this.#give(peer, { type: 'send-error', endpoint })
    this.#show(peer, wasActive !== inSession(peer.path))
  }

  #do(peer: Peer, effect: PeerEffect, unreachable: Endpoint[]): void {
    const { io } = this.#options
    switch (effect.type) {
      case 'path':
        return io.setPath(peer.id, effect.spec)
      case 'trust':
        return io.trust(peer.id, effect.untilMs)
      case 'changed':
        return
      case 'ping': {
        const errno = this.#sendPing(peer, { kind: 'direct', endpoint: effect.endpoint, ping: effect.ping })
        if (errno !== undefined && DEAD_END.has(errno)) unreachable.push(effect.endpoint)
        return
      }
      case 'derp-ping':
        this.#sendPing(peer, { kind: 'derp', region: effect.region })
        return
      case 'call-me-maybe':
        return this.#callWhenFresh(peer)
    }
  }

  #sendPing(peer: Peer, by: SentBy): string | undefined {
    if (!peer.disco) return undefined
    const { clock, io, nodeKey } = this.#options
    // The first box of a peer costs an X25519; make it before the time is taken.
    const { box } = peer.disco
    const txId = this.#pings.add({ peer: peer.id, by, sentAtMs: clock.now() })
    const bytes = sealDisco(this.#options.discoKey.public, box, { kind: 'ping', txId, nodeKey, paddingBytes: 0 })
    if (by.kind === 'direct') return io.sendUdp(by.endpoint, bytes)
    io.sendDerp(by.region, peer.nodeKey, bytes)
    return undefined
  }

  /** Peers that are called ping at once, and only what the call lists: so look where we are first, if that is old. */
  #callWhenFresh(peer: Peer): void {
    if (peer.calling) return
    const wait = this.#own.freshen()
    if (!wait) return this.#call(peer)
    peer.calling = true
    void wait.then(() => {
      peer.calling = false
      if (this.#isCurrent(peer)) this.#call(peer)
    })
  }

  #call(peer: Peer): void {
    const region = derpRegion(peer.path)
    const endpoints = this.#own.endpoints.slice(0, MAX_CALLED_ENDPOINTS).map(({ endpoint }) => endpoint)
    if (!peer.disco || region === undefined || endpoints.length === 0) return
    const bytes = this.#seal(peer.disco, { kind: 'callMeMaybe', endpoints })
    this.#options.io.sendDerp(region, peer.nodeKey, bytes)
  }

  #pong(sender: DiscoName<Peer>, txId: Uint8Array, kind: SentBy['kind'] | undefined, receivedAtMs: number): void {
    const ping =
      kind &&
      this.#pings.take(txId, kind, (id) => {
        const peer = this.#peers.get(id)
        return peer !== undefined && sender.peers.has(peer)
      })
    const peer = ping && this.#peers.get(ping.peer)
    if (!peer) return this.#count('disco.unasked-pong')
    const latencyMs = Math.max(receivedAtMs - ping.sentAtMs, 0)
    this.#give(
      peer,
      ping.by.kind === 'direct' ? { type: 'pong', ping: ping.by.ping, latencyMs } : { type: 'derp-pong', latencyMs },
    )
    this.#answerWaiters(peer, ping, latencyMs)
  }

  #answerWaiters(peer: Peer, ping: SentPing, latencyMs: number): void {
    const { by } = ping
    const via: PingVia = by.kind === 'direct' ? { kind: 'direct', endpoint: by.endpoint } : by
    for (const waiter of peer.waiters) if (ping.sentAtMs >= waiter.sinceMs) waiter.end({ latencyMs, via })
  }

  /** The peers that a ping can be of: one when it names a node key that has this disco key, none when it names another. */
  #claimants(sender: DiscoName<Peer>, nodeKey: NodePublic | undefined): readonly Peer[] {
    const all = [...sender.peers]
    return nodeKey ? all.filter((peer) => peer.nodeKey.equals(nodeKey)) : all
  }

  #open(bytes: Uint8Array): { sender: DiscoName<Peer>; message: DiscoMessage } | undefined {
    if (this.#closed) return undefined
    const key = discoSender(bytes)
    const sender = key && this.#peers.byDisco(key)
    if (!sender) {
      this.#count(key ? 'disco.unknown-sender' : 'disco.not-whole')
      return undefined
    }
    try {
      const message = openDisco(bytes, sender.box)
      if (message) return { sender, message }
      this.#count('disco.sealed-otherwise')
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      this.#count(error.code === 'wire/unknown' ? 'disco.unknown-message' : 'disco.malformed')
    }
    return undefined
  }

  #seal(to: DiscoName<Peer>, message: DiscoMessage): Uint8Array {
    return sealDisco(this.#options.discoKey.public, to.box, message)
  }

  #arm(peer: Peer): void {
    const atMs = nextWakeMs(peer.path)
    if (atMs === peer.wake?.atMs) return
    peer.wake?.cancel()
    peer.wake = undefined
    if (atMs === undefined) return
    // Never zero: a timer that fires before its time is set again, and must not spin.
    const cancel = this.#options.clock.after(Math.max(atMs - this.#options.clock.now(), 1), () => {
      peer.wake = undefined
      this.#give(peer, { type: 'tick' })
    })
    peer.wake = { atMs, cancel }
  }

  #viewOf(peer: Peer): PathView {
    return pathView(peer.path, this.#options.clock.now(), peer.view.sinceWallMs)
  }

  #show(peer: Peer, activityChanged: boolean): void {
    const { clock, log, events } = this.#options
    if (!this.#isCurrent(peer)) return
    const next = this.#viewOf(peer)
    const moved =
      next.kind !== peer.view.kind || next.endpoint !== peer.view.endpoint || next.region !== peer.view.region
    if (!moved && !activityChanged && !worthTelling(peer.view.latencyMs, next.latencyMs)) return
    peer.view = moved ? { ...next, sinceWallMs: clock.wallNow() } : next
    if (moved)
      log.info('path changed', {
        peer: peer.id,
        kind: next.kind,
        endpoint: next.endpoint,
        region: next.region,
        reason: next.reason,
      })
    events.onPath(peer.id, peer.view)
  }

  #count(what: string): void {
    this.#counters.set(what, (this.#counters.get(what) ?? 0) + 1)
  }
}

function sameStrings(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((one, index) => one === b[index])
}
