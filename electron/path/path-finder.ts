// The driver of path discovery: feeds what arrives into each peer's state machine (peer-path.ts), does what it asks for,
// and keeps its timer. Owns no socket: packets come in by the handle… methods and leave through PathIo.

import type { Endpoint } from '../base/endpoint.ts'
import { SharedBox } from '../crypto/box.ts'
import type { NodePublic } from '../crypto/keys.ts'
import type { AllocateResponse } from '../wire/disco/allocate-response.ts'
import type { DiscoMessage } from '../wire/disco/message.ts'
import type { Pong } from '../wire/disco/pong.ts'
import { DiscoInbox, type Arrival } from './disco-inbox.ts'
import { DiscoOutbox } from './disco-outbox.ts'
import type { DerpMap } from './derp-map.ts'
import type { OwnEndpoint } from './endpoints.ts'
import { contactOf, type Contact, type FinderPeer as Peer } from './finder-peer.ts'
import { OwnNetwork } from './own-network.ts'
import { PathError, type PathFinderOptions, type PathPeer, type PingResult } from './path-io.ts'
import { type Flaw, flaws, refusesPings } from './avoidance.ts'
import { FULL_PADDING_BYTES } from './size-check.ts'
import { PathHistory, type PathChange } from './path-history.ts'
import { AUTOMATIC, type PathPolicy } from './path-policy.ts'
import { pathView, worthTelling, type PathView } from './path-view.ts'
import { derpRegion, inSession, isTrusted, newPeerPath, nextWakeMs } from './peer-state.ts'
import { PeerTable, type DiscoName } from './peer-table.ts'
import type { SentBy } from './ping-table.ts'
import type { NetcheckReport, PortMapping } from './report.ts'
import type { PeerEffect, PeerInput } from './peer-input.ts'
import { PeerCaller } from './peer-caller.ts'
import { step } from './peer-path.ts'
import { PingWaiters } from './ping-waiters.ts'
import { type Counted, nextTraffic } from './traffic-watch.ts'
import { RelayClient, type RelayFailure, type RelayServer } from './relay-client.ts'

/** Errors that mean this destination cannot be sent to now, as against a packet lost. */
const DEAD_END: ReadonlySet<string> = new Set([
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'EAFNOSUPPORT',
])
/** With a path left alone, a peer that is there answers over DERP each second while data flows, and else each 15 s. */
const HEARD_MS = 20_000

export class PathFinder {
  readonly #options: PathFinderOptions
  readonly #own: OwnNetwork
  readonly #peers: PeerTable<Peer>
  readonly #outbox: DiscoOutbox<Peer>
  readonly #relays: RelayClient<Peer>
  readonly #inbox: DiscoInbox<Peer>
  readonly #caller: PeerCaller<Peer>
  #policies: { readonly policy: PathPolicy; readonly exceptions: ReadonlyMap<number, PathPolicy> } = {
    policy: AUTOMATIC,
    exceptions: new Map(),
  }
  /** By node key: a peer that restarts may come back under another number. */
  readonly #histories = new Map<string, PathHistory>()
  #closed = false

  constructor(options: PathFinderOptions) {
    this.#options = options
    this.#peers = new PeerTable<Peer>(options.discoKey)
    this.#outbox = new DiscoOutbox<Peer>(options)
    this.#relays = new RelayClient<Peer>({
      clock: options.clock,
      log: options.log,
      ourDisco: options.discoKey.public,
      boxFor: (server) => new SharedBox(options.discoKey.secretBytes(), server.bytes),
      sendControl: (to, vni, box, message) => this.#outbox.toRelay(to, vni, box, message),
      sendPing: (peer, endpoint, vni) =>
        void this.#outbox.ping(peer, { kind: 'relay', endpoint, vni, ping: undefined }),
      sendOverDerp: (node, message) => this.#sendOverDerp(node, message),
      allocateOwn: options.io.allocateOwnRelay?.bind(options.io),
      isInUse: ({ path }, server, vni) => {
        const { best } = path
        if (best?.leg.kind !== 'relay' || !isTrusted(path, options.clock.now())) return false
        return best.relay?.server === server && best.leg.vni === vni
      },
      onReady: (peer, ready) => this.#give(peer, { type: 'relay-ready', ...ready }),
    })
    this.#inbox = new DiscoInbox<Peer>(this.#peers, this.#relays, {
      give: (peer, input) => this.#give(peer, input),
      refuses: ({ path, padsPings }, from) => refusesPings(path, from, padsPings, options.clock.now()),
      pong: (sender, pong, kind, receivedAtMs) => this.#pong(sender, pong, kind, receivedAtMs),
      answerUdp: (to, message, at, vni) => this.#outbox.overUdp(to, message, at, vni),
      answerDerp: (to, message, region, node) => this.#outbox.overDerp(to, message, region, node),
      relayRequest: (from, fromDisco, request) => options.events.onRelayRequest?.(from, fromDisco, request),
    })
    this.#own = new OwnNetwork({
      clock: options.clock,
      log: options.log,
      io: options.io,
      events: {
        onEndpoints: (list) => this.#tellEndpoints(list),
        onNetInfo: (report, info) => options.events.onNetInfo(report, info),
        onHomeRegion: (region) => options.events.onHomeRegion(region),
      },
      random: options.random ?? Math.random,
      ignoreInterfaces: options.ignoreInterfaces ?? [],
    })
    this.#caller = new PeerCaller<Peer>({
      freshen: () => this.#own.freshen(),
      endpoints: () => this.#own.endpoints.map(({ endpoint }) => endpoint),
      send: (peer, endpoints) => this.#call(peer, endpoints),
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
    return this.#inbox.counters
  }

  /** Sizes of the tables, for tests against leaks. */
  get sizes(): { readonly peers: number; readonly discoKeys: number; readonly pings: number } {
    return { peers: this.#peers.sizes.ids, discoKeys: this.#peers.sizes.discoKeys, pings: this.#outbox.pings.size }
  }

  start(): void {
    this.#own.start()
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#own.close()
    this.#relays.close()
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
    const keys = new Set(list.map(({ nodeKey }) => nodeKey.text))
    for (const key of this.#histories.keys()) if (!keys.has(key)) this.#histories.delete(key)
  }

  #historyOf(nodeKey: NodePublic): PathHistory {
    const history = this.#histories.get(nodeKey.text) ?? new PathHistory()
    this.#histories.set(nodeKey.text, history)
    return history
  }

  /** The relays that we may ask, this node's own among them; each of the others must be a peer. */
  setRelayServers(servers: readonly RelayServer[]): void {
    this.#relays.setServers(servers)
  }

  /** The default for all peers, and what differs from it, by the peer's number. Peers not named have the default. */
  setPolicy(policy: PathPolicy, exceptions: ReadonlyMap<number, PathPolicy> = new Map()): void {
    this.#policies = { policy, exceptions }
    for (const peer of this.#peers.all()) this.#give(peer, { type: 'policy', policy: this.#policyOf(peer.id) })
  }

  /** The default for all peers. */
  get policy(): PathPolicy {
    return this.#policies.policy
  }

  #policyOf(id: number): PathPolicy {
    return this.#policies.exceptions.get(id) ?? this.#policies.policy
  }

  /** The changes of a peer's path in the last 24 hours, oldest first. */
  history(id: number): readonly PathChange[] {
    return this.#peers.get(id)?.history.list(this.#options.clock.wallNow()) ?? []
  }

  contact(id: number): Contact | undefined {
    const peer = this.#peers.get(id)
    return peer && contactOf(peer.path)
  }

  /** Relays that we tried to reach this peer through, and where that ended; a later success clears it. */
  relayFailures(id: number): readonly RelayFailure[] {
    return this.#relays.failures(id)
  }

  /** The answer of this node's relay to onRelayRequest. False when the node is not (any more) reachable. */
  sendRelayResponse(to: NodePublic, response: AllocateResponse): boolean {
    return this.#sendOverDerp(to, { kind: 'allocateResponse', ...response })
  }

  #sendOverDerp(node: NodePublic, message: DiscoMessage): boolean {
    const peer = this.#peers.byNode(node)
    const region = peer && derpRegion(peer.path)
    if (!peer?.disco || region === undefined || this.#closed) return false
    this.#outbox.overDerp(peer.disco, message, region, node)
    return true
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

  /** What was counted of a peer's data, to be told about once a second; and whether it has ever answered `askInTunnel`. */
  noteTraffic(id: number, counted: Counted, answersAsks = false): void {
    const peer = this.#peers.get(id)
    if (!peer) return
    const traffic = nextTraffic(peer.traffic, counted, answersAsks, this.#options.clock.now())
    peer.traffic = traffic
    if (traffic.hasSent) this.noteActive(id)
    if (inSession(peer.path)) this.#give(peer, { type: 'load', load: traffic.load })
  }

  /** What is wrong with paths to the peer that answer and are left alone. */
  flaws(id: number): readonly Flaw[] {
    const peer = this.#peers.get(id)
    const nowMs = this.#options.clock.now()
    // Of a peer that is gone, nothing is known any more.
    const isHeard = nowMs - (peer?.path.heardAtMs ?? -Infinity) <= HEARD_MS
    return peer && isHeard ? flaws(peer.path, nowMs) : []
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

  #tellEndpoints(list: readonly OwnEndpoint[]): void {
    this.#options.events.onEndpoints(list)
    for (const peer of this.#peers.all()) this.#give(peer, { type: 'found-ourselves' })
  }

  /** A region's DERP server owes us answers. */
  noteDerpSilent(region: number): void {
    if (region === this.homeRegion) void this.#own.leaveSilentHome()
  }

  handleStun(packet: { readonly from: Endpoint; readonly bytes: Uint8Array; readonly receivedAtMs: number }): void {
    if (!this.#own.handleStun(packet)) this.#inbox.count('stun.unasked')
  }

  /** A disco packet from the UDP socket. */
  handleDisco(packet: Arrival): void {
    if (!this.#closed) this.#inbox.takeUdp(packet)
  }

  /** A packet of a relay itself, by the control bit of its header. */
  handleRelayControl(packet: Arrival): void {
    if (!this.#closed) this.#inbox.takeControl(packet)
  }

  /** A disco packet out of DERP. The server vouches for `fromNode`, the box for the disco key; both must be one peer. */
  handleDerpDisco(region: number, fromNode: NodePublic, bytes: Uint8Array): void {
    if (!this.#closed) this.#inbox.takeDerp(region, fromNode, bytes, this.#options.clock.now())
  }

  /** One ping over whatever path there is, and over all that might be when there is no sure one; the first pong counts. */
  ping(id: number, { timeoutMs }: { readonly timeoutMs: number }): Promise<PingResult> {
    const peer = this.#peers.get(id)
    if (!peer) return Promise.reject(new PathError('path/no-such-peer', 'There is no such machine in the network.'))
    if (!peer.disco)
      return Promise.reject(
        new PathError('path/no-disco', 'The machine is not online, or too old to answer this ping.'),
      )
    const { clock } = this.#options
    const waiting = peer.waiters.wait(clock, timeoutMs)
    this.#own.noteActive()
    this.#give(peer, { type: 'probe' })
    const region = derpRegion(peer.path)
    if (region !== undefined && !isTrusted(peer.path, clock.now())) this.#outbox.ping(peer, { kind: 'derp', region })
    return waiting
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
      relayCapable: false,
      traffic: undefined,
      padsPings: false,
      waiters: new PingWaiters(),
      history: this.#historyOf(want.nodeKey),
    }
    this.#peers.add(peer)
    this.#give(peer, { type: 'policy', policy: this.#policyOf(want.id) })
    return peer
  }

  #update(peer: Peer, want: PathPeer): void {
    const hadDisco = peer.disco
    const discoChanged = peer.disco?.key.text !== want.discoKey?.text
    if (discoChanged) {
      this.#peers.setDisco(peer, want.discoKey)
      this.#relays.forget(peer)
      this.#outbox.pings.forgetPeer(peer.id)
    }
    const sameList = sameStrings(peer.endpoints, want.endpoints)
    const relayCapable = want.relayCapable === true
    if (!sameList || peer.homeRegion !== want.homeRegion || peer.relayCapable !== relayCapable) {
      peer.endpoints = want.endpoints
      peer.homeRegion = want.homeRegion
      peer.relayCapable = relayCapable
      this.#give(peer, { type: 'netmap', endpoints: want.endpoints, home: want.homeRegion, relayCapable })
    }
    if (discoChanged && hadDisco) this.#give(peer, { type: 'disco-changed' })
  }

  #drop(peer: Peer): void {
    peer.wake?.cancel()
    peer.wake = undefined
    this.#peers.remove(peer)
    this.#outbox.pings.forgetPeer(peer.id)
    this.#relays.forget(peer)
    const why = this.#closed
      ? new PathError('path/closed', 'Peerway is stopping.')
      : new PathError('path/no-such-peer', 'The machine left the network.')
    peer.waiters.fail(why)
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
        const { ping, endpoint, vni, full } = effect
        const errno = this.#outbox.ping(
          peer,
          vni === undefined ? { kind: 'direct', endpoint, ping } : { kind: 'relay', endpoint, vni, ping },
          full ? FULL_PADDING_BYTES : 0,
        )
        if (errno !== undefined && DEAD_END.has(errno)) unreachable.push(effect.endpoint)
        return
      }
      case 'derp-ping':
        this.#outbox.ping(peer, { kind: 'derp', region: effect.region })
        return
      case 'ask-in-tunnel':
        return io.askInTunnel?.(peer.id)
      case 'call-me-maybe':
        return this.#caller.call(peer)
      case 'withdraw':
        return this.#caller.withdraw(peer)
      case 'find-relay':
        return this.#relays.find(peer, peer.path.policy.mode === 'only-relay' ? peer.path.policy.relay : undefined)
    }
  }

  #call(peer: Peer, endpoints: readonly Endpoint[]): void {
    const region = derpRegion(peer.path)
    if (!peer.disco || region === undefined || this.#closed || !this.#isCurrent(peer)) return
    this.#outbox.overDerp(peer.disco, { kind: 'callMeMaybe', endpoints }, region, peer.nodeKey)
  }

  #pong(sender: DiscoName<Peer>, { txId, source }: Pong, kind: SentBy['kind'], receivedAtMs: number): void {
    const ping = this.#outbox.pings.take(txId, kind, (id) => {
      const peer = this.#peers.get(id)
      return peer !== undefined && sender.peers.has(peer)
    })
    const peer = ping && this.#peers.get(ping.peer)
    if (!peer) return this.#inbox.count('disco.unasked-pong')
    const latencyMs = Math.max(receivedAtMs - ping.sentAtMs, 0)
    const { by } = ping
    if (by.kind === 'direct') this.#caller.noteSeen(peer, source)
    if (by.kind === 'derp') this.#give(peer, { type: 'derp-pong', latencyMs })
    else if (by.ping !== undefined) this.#give(peer, { type: 'pong', ping: by.ping, latencyMs })
    else if (by.kind === 'relay') this.#relays.takePong(peer, by.endpoint, by.vni, latencyMs)
    peer.waiters.answer(ping, latencyMs)
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
    const view = pathView(peer.path, this.#options.clock.now(), peer.view.sinceWallMs)
    if (view.kind !== 'peer-relay' || view.relay !== undefined) return view
    // The peer named the place, and only later did we learn from the relay whose it is.
    const relay = this.#relays.nodeOf(peer.path.best?.relay?.server ?? '')
    return relay === undefined ? view : { ...view, relay }
  }

  #show(peer: Peer, activityChanged: boolean): void {
    const { clock, log, events } = this.#options
    if (!this.#isCurrent(peer)) return
    const next = this.#viewOf(peer)
    const { kind, endpoint, vni, region } = peer.view
    const moved = next.kind !== kind || next.endpoint !== endpoint || next.vni !== vni || next.region !== region
    if (moved) peer.history.note(peer.view, next, clock.wallNow())
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
}

function sameStrings(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((one, index) => one === b[index])
}
