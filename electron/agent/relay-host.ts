// This node as a relay for others: turns the wish in the settings into a running RelayService, and asks the netmap who may
// use it. paths.md §6.

import type { NetworkInterfaceInfo } from 'node:os'
import type { Clock } from '../base/clock.ts'
import type { Endpoint } from '../base/endpoint.ts'
import { codeOf, messageOf } from '../base/errors.ts'
import { Listeners } from '../base/lifetime.ts'
import type { Logger } from '../base/log.ts'
import type { RelayTestView } from '../contract/relay-test-view.ts'
import type { RelayClientView, RelayPauseView, RelayStatusView } from '../contract/relay-view.ts'
import type { Problem } from '../contract/snapshot.ts'
import { isExpired, type Netmap } from '../control/netmap.ts'
import { type DiscoPrivate, type DiscoPublic, NodePublic } from '../crypto/keys.ts'
import type { RelayForwarder, RelayForwarderOptions } from '../dataplane/relay-forwarder.ts'
import { localAddresses } from '../path/endpoints.ts'
import { DEFAULT_MANNERS, type Pause } from '../relay/manners.ts'
import { PortMapper } from '../portmap/port-mapper.ts'
import type { PortmapIo } from '../portmap/portmap-io.ts'
import { RelayService, type RelaySideStatus } from '../relay/relay-service.ts'
import type { AllocateRequest } from '../wire/disco/allocate-request.ts'
import type { AllocateResponse } from '../wire/disco/allocate-response.ts'
import type { RelayEndpoint } from '../wire/disco/relay-endpoint.ts'
import type { Node } from '../wire/tailcfg/node.ts'
import { livePeers } from './netmap-config.ts'
import { nodeIdOf } from './netmap-views.ts'
import { capsFrom, CAP_RELAY } from './peer-caps.ts'
import type { RelayBriefFacts } from './relay-brief.ts'
import { RelayManners, type RelaySurroundings } from './relay-manners.ts'
import { NOT_RUNNING, type RelaySettings } from './relay-settings.ts'
import { outsideEndpoints, relayStunServers } from './relay-surroundings.ts'
import type { Knock } from './relay-capacity.ts'
import { testRelay } from './relay-test.ts'

/** The server can keep a node from relaying, whatever its settings say. */
const DISABLED_BY_SERVER = 'disable-relay-server'
const REOPEN_MS = 10_000
/**
 * Nothing in the protocol tells a client that its relay is about to go. Those who are carried get this long, in which stock
 * clients too learn from the network map that this is no relay any more; then their paths fall silent.
 */
const WIND_DOWN_MS = 30_000

export interface RelayHostOptions {
  readonly clock: Clock
  readonly log: Logger
  readonly firewallMark: number
  readonly openForwarder: (options: RelayForwarderOptions) => RelayForwarder
  /** How the home router is asked to let clients in to the relay's port. */
  readonly portmapIo: PortmapIo
  /** Outlives the process: mappings of a crashed run are given back with it. */
  readonly portmapSecret: Uint8Array
  /** Without the tunnel's own. */
  readonly interfaces: () => NodeJS.Dict<NetworkInterfaceInfo[]>
  readonly resolve: (host: string) => Promise<readonly string[]>
  readonly discoKey: DiscoPrivate
  /** A disco packet to a peer over its home DERP region. */
  readonly sendOverDerp: (peer: Node, bytes: Uint8Array) => void
  /** Where this node itself is reached. */
  readonly ownEndpoints: () => readonly Endpoint[]
  readonly surroundings: RelaySurroundings
  /** It began or stopped relaying, or its addresses or its trouble changed. */
  readonly onChange: () => void
}

export class RelayHost {
  readonly #options: RelayHostOptions
  readonly #log: Logger
  #settings: RelaySettings | undefined
  #netmap: Netmap | undefined
  /** Who may ask for places, by node key, as of the newest netmap. */
  readonly #askers = new Map<string, Node>()
  /** Who is who at the relay, by disco key. */
  readonly #byDisco = new Map<string, Node>()
  #service: RelayService | undefined
  #port: number | undefined
  #problem: Problem | undefined
  readonly #mapper: PortMapper
  readonly #manners: RelayManners
  /** Set while it takes nobody new and those who are carried go on. */
  #windDown: { readonly untilMs: number; readonly cancel: () => void } | undefined
  #mapsPort = true
  readonly #knocks = new Listeners<Knock>()
  #testing: Promise<RelayTestView> | undefined
  #cancelReopen = (): void => {}
  #closed = false

  constructor(options: RelayHostOptions) {
    this.#options = options
    this.#log = options.log.scoped('relay')
    this.#mapper = new PortMapper({
      clock: options.clock,
      log: this.#log.scoped('portmap'),
      io: options.portmapIo,
      secret: options.portmapSecret,
      onChange: () => this.#service?.refreshAddresses(),
    })
    this.#manners = new RelayManners({
      clock: options.clock,
      surroundings: options.surroundings,
      onChange: () => this.#settle(),
    })
  }

  /** Whether others may be told that this node relays. */
  get isOn(): boolean {
    return this.#service !== undefined && this.#windDown === undefined
  }

  get problem(): Problem | undefined {
    return this.#problem
  }

  configure(settings: RelaySettings | undefined): void {
    const before = this.#settings
    this.#settings = settings
    this.#heedManners()
    const samePlace =
      before?.port === settings?.port && before?.staticEndpoints.join() === settings?.staticEndpoints.join()
    if (this.#service && settings && samePlace) this.#service.setRate(settings.bytesPerSecond)
    else this.#restart()
  }

  /** Whether the home router is asked to forward the relay's port. */
  setPortMapping(isAllowed: boolean): void {
    this.#mapsPort = isAllowed
    this.#mapper.setLocalPort(isAllowed ? this.#service?.status().ports.v4 : undefined)
  }

  setNetmap(netmap: Netmap): void {
    this.#netmap = netmap
    this.#heedManners()
    this.#settle()
    this.#learn(netmap)
    this.#service?.retain((requester) => requester === netmap.self.key.text || this.#askers.has(requester))
  }

  #learn(netmap: Netmap): void {
    this.#askers.clear()
    this.#byDisco.clear()
    const peers = this.#peers()
    for (const node of [netmap.self, ...peers]) if (node.discoKey) this.#byDisco.set(node.discoKey.text, node)
    for (const peer of peers) if (this.#mayAsk(peer)) this.#askers.set(peer.key.text, peer)
  }

  linkChanged(): void {
    this.#manners.look()
    this.#mapper.networkChanged()
    this.#service?.linkChanged()
  }

  /** A peer, whose disco key is proven and in the pair, asks for a place. No answer is a refusal. */
  handleRequest(from: NodePublic, fromDisco: DiscoPublic, request: AllocateRequest): AllocateResponse | undefined {
    const peer = this.#askers.get(from.text)
    const mayAsk = peer?.discoKey?.equals(fromDisco) === true && !this.#isExpired(peer)
    if (!this.isOn || !mayAsk) {
      this.#log.debug('relay request refused', { from: from.text.slice(0, 16), on: this.isOn })
      return undefined
    }
    return this.#allocate(from, fromDisco, request)
  }

  /** The same for this node's own traffic: both as relay and as client. */
  allocateOwn(pair: readonly [DiscoPublic, DiscoPublic]): RelayEndpoint | undefined {
    const self = this.#netmap?.self.key
    if (!self) return undefined
    return this.#allocate(self, this.#options.discoKey.public, { clientDisco: pair, generation: 1 })?.relay
  }

  #allocate(from: NodePublic, disco: DiscoPublic, request: AllocateRequest): AllocateResponse | undefined {
    const made = this.#service?.allocate(from, disco, request)
    if (!made || 'refused' in made) {
      if (made) this.#log.debug('relay request refused', { from: from.text.slice(0, 16), why: made.refused })
      return undefined
    }
    return { generation: made.generation, relay: made.relay }
  }

  #isExpired(node: Node): boolean {
    return this.#netmap === undefined || isExpired(this.#netmap, node, this.#options.clock.wallNow())
  }

  /** What is told with every snapshot: counted, not listed. */
  brief(): RelayBriefFacts {
    const { pause } = this.#manners
    const isPaused = pause !== undefined && this.#isWanted()
    return {
      state: this.#state(isPaused),
      wantedPort: this.#settings?.port,
      pause: isPaused ? pause : undefined,
      pairs: this.#service?.openPairs ?? 0,
    }
  }

  #state(isPaused: boolean): RelayStatusView['state'] {
    if (!this.#service && this.#problem) return 'failed'
    if (isPaused) return 'paused'
    if (this.#service) return 'running'
    return this.#isWanted() ? 'starting' : 'off'
  }

  status(): RelayStatusView {
    const settings = this.#settings
    const common = {
      wantedPort: settings?.port,
      staticEndpoints: settings?.staticEndpoints ?? [],
      limitBytesPerSecond: settings?.bytesPerSecond ?? 0,
      problem: this.#problem,
      pause: this.#pauseView(),
      manners: this.#manners.view(settings?.manners),
      mapsPorts: this.#mapsPort,
    }
    const state = this.#state(common.pause !== undefined)
    const service = this.#service?.status()
    if (!service) return { ...common, ...NOT_RUNNING, state }
    const { clock } = this.#options
    return {
      ...common,
      state,
      port: service.ports.v4,
      endpoints: service.endpoints,
      mapping: service.mapping,
      portMapped: this.#mapper.view.endpoint,
      portMappedVia: this.#mapper.view.via,
      portMapRefusal: this.#mapper.view.refusal,
      totals: service.totals,
      sessions: service.sessions.map(({ vni, sinceMs, sides }) => ({
        vni,
        state: sides.every(({ endpoint }) => endpoint !== undefined) ? 'open' : 'connecting',
        sinceAt: clock.wallNow() - (clock.now() - sinceMs),
        clients: sides.map((side) => this.#clientView(side)),
      })),
    }
  }

  /** One at a time: whoever asks during a test gets its result. */
  test(): Promise<RelayTestView> {
    const self = this.#netmap?.self.key
    const { clock, discoKey, sendOverDerp, ownEndpoints } = this.#options
    this.#testing ??= testRelay({
      clock,
      discoKey,
      sendOverDerp,
      ownEndpoints,
      service: self && this.#service,
      problem: this.#problem,
      pause: this.#manners.pause?.reason,
      self: self ?? NodePublic.zero,
      peers: this.#peers(),
      mayAsk: (peer) => this.#mayAsk(peer),
      onKnock: (listener) => this.#knocks.add(listener),
    }).finally(() => {
      this.#testing = undefined
    })
    return this.#testing
  }

  #clientView(side: RelaySideStatus): RelayClientView {
    const { clock } = this.#options
    const node = this.#byDisco.get(side.client.text)
    return {
      id: node && nodeIdOf(node),
      name: node?.name.split('.')[0],
      disco: side.client.text.slice('discokey:'.length, 'discokey:'.length + 16),
      endpoint: side.endpoint,
      packets: side.packets,
      bytes: side.bytes,
      bytesPerSecond: side.bytesPerSecond,
      lastSeenAt: side.lastSeenMs === 0 ? undefined : clock.wallNow() - (clock.now() - side.lastSeenMs),
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#stop()
    await Promise.all([this.#mapper.close(), this.#manners.close()])
  }

  #peers(): Node[] {
    return this.#netmap ? livePeers(this.#netmap, this.#options.clock.wallNow()) : []
  }

  #mayAsk(peer: Node): boolean {
    return this.#netmap !== undefined && capsFrom(this.#netmap, peer).has(CAP_RELAY)
  }

  #isWanted(): boolean {
    return (
      !this.#closed &&
      this.#settings?.port !== undefined &&
      this.#netmap !== undefined &&
      !this.#netmap.self.capMap.has(DISABLED_BY_SERVER)
    )
  }

  #mayRun(): boolean {
    return this.#isWanted() && this.#manners.isReady && this.#manners.pause === undefined
  }

  #heedManners(): void {
    this.#manners.configure(this.#isWanted() ? (this.#settings?.manners ?? DEFAULT_MANNERS) : undefined)
  }

  /** Makes what runs fit what is wanted and allowed. A pause lets those who are carried go on for a little. */
  #settle(): void {
    const service = this.#service
    const { pause } = this.#manners
    if (!this.#isWanted() || (!service && !pause)) {
      if (this.#mayRun() !== (service !== undefined) && this.#problem === undefined) this.#restart()
      return
    }
    if (service && pause && !this.#windDown) this.#startWindDown(service, pause)
    if (service && !pause && this.#windDown) {
      this.#endWindDown()
      service.windDown(false)
      this.#log.info('relaying again')
    }
    this.#options.onChange()
  }

  #startWindDown(service: RelayService, pause: Pause): void {
    this.#log.info('the relay pauses', { why: pause.reason })
    service.windDown(true)
    if (service.places === 0) {
      this.#stop()
      return
    }
    const { clock } = this.#options
    const cancel = clock.after(WIND_DOWN_MS, () => this.#restart())
    this.#windDown = { untilMs: clock.now() + WIND_DOWN_MS, cancel }
  }

  #endWindDown(): void {
    this.#windDown?.cancel()
    this.#windDown = undefined
  }

  #pauseView(): RelayPauseView | undefined {
    const { pause } = this.#manners
    if (!pause || !this.#isWanted()) return undefined
    const { clock } = this.#options
    const carriesUntil = this.#windDown && clock.wallNow() + (this.#windDown.untilMs - clock.now())
    return { reason: pause.reason, endsAt: pause.endsAt, carriesUntil }
  }

  #stop(): void {
    this.#cancelReopen()
    this.#endWindDown()
    this.#service?.close()
    this.#service = undefined
    this.#problem = undefined
    this.#mapper.setLocalPort(undefined)
  }

  #restart(): void {
    const before = this.isOn
    this.#stop()
    const settings = this.#settings
    if (this.#mayRun() && settings?.port !== undefined) this.#open(settings, settings.port)
    if (before || this.isOn || this.#problem || this.#manners.pause) this.#options.onChange()
  }

  #open(settings: RelaySettings, port: number): void {
    const { clock, firewallMark, openForwarder } = this.#options
    let sockets: RelayForwarder
    try {
      // A port that the system picked is kept over a restart where it can be had: mappings and rules of routers name it.
      sockets = openForwarder({ udpPort: port === 0 ? (this.#port ?? 0) : port, firewallMark })
    } catch (error) {
      this.#port = undefined
      this.#trouble({ code: codeOf(error) ?? 'relay/failed', message: messageOf(error) })
      return
    }
    this.#port = sockets.ports.v4
    this.#service = new RelayService({
      sockets,
      clock,
      log: this.#log,
      staticEndpoints: settings.staticEndpoints,
      bytesPerSecond: settings.bytesPerSecond,
      localAddresses: () => localAddresses(this.#options.interfaces(), []),
      stunServers: () => relayStunServers(this.#netmap?.derpMap, this.#options.resolve),
      extraEndpoints: () => {
        const { endpoint } = this.#mapper.view
        return endpoint === undefined ? [] : [endpoint]
      },
      endpointsOf: (client) => {
        const node = this.#byDisco.get(client.text)
        // Our own traffic comes from this machine.
        if (!node || node === this.#netmap?.self) return []
        return outsideEndpoints(node.endpoints, this.#options.interfaces())
      },
      onEndpoints: (endpoints) => {
        this.#log.info('relay addresses', { endpoints: endpoints.join(' ') })
        this.#options.onChange()
      },
      onCarried: (bytes) => this.#manners.add(bytes),
      onKnock: (from, bytes, receivedAtMs) => this.#knocks.emit({ from, bytes, receivedAtMs }),
      onFatal: (message) => {
        this.#stop()
        this.#trouble({ code: 'relay/engine-stopped', message: `Relaying stopped: ${message}. It is started anew.` })
        this.#options.onChange()
      },
    })
    if (this.#mapsPort) this.#mapper.setLocalPort(sockets.ports.v4)
    this.#log.info('relaying', { port: this.#port })
  }

  #trouble(problem: Problem): void {
    this.#problem = problem
    this.#log.warn(problem.message, { code: problem.code })
    this.#cancelReopen = this.#options.clock.after(REOPEN_MS, () => this.#restart())
  }
}
