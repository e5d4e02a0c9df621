// One node key's life on the wire: the data plane, the path finder and the DERP pool, wired to each other. It knows nothing
// of logins; it is told the netmap and tells what it finds about paths and about the network it is in.

import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os'
import { isDeepStrictEqual } from 'node:util'
import { CodedError } from '../base/errors.ts'
import { Lifetime } from '../base/lifetime.ts'
import type { Logger } from '../base/log.ts'
import type { Netmap } from '../control/netmap.ts'
import { DiscoPrivate, type NodePublic } from '../crypto/keys.ts'
import type { Dataplane, DataplaneRecord, PeerCounters } from '../dataplane/dataplane.ts'
import { type DerpMap, regionsOf } from '../derp/derp-map.ts'
import { DerpPool, type DerpRegionStatus } from '../derp/derp-pool.ts'
import { measureHttpsLatency } from '../derp/https-latency.ts'
import { defaultGateway } from '../os/gateway.ts'
import type { HostConfig } from '../os/host-network.ts'
import type { Flaw } from '../path/avoidance.ts'
import type { OwnEndpoint } from '../path/endpoints.ts'
import { PathFinder } from '../path/path-finder.ts'
import type { PathChange } from '../path/path-history.ts'
import { AUTOMATIC, type PathPolicy } from '../path/path-policy.ts'
import type { RelayFailure } from '../path/relay-client.ts'
import type { NetcheckReport } from '../path/report.ts'
import { PortMapper } from '../portmap/port-mapper.ts'
import type { PortmapView } from '../portmap/portmap-io.ts'
import { systemPortmapIo } from '../portmap/system-io.ts'
import type { Node } from '../wire/tailcfg/node.ts'
import { detectPortal, portalQuestions } from './captive-portal.ts'
import {
  dataplanePeers,
  filterRules,
  hostConfig,
  livePeers,
  localPrefixes,
  pathDerpMap,
  pathPeers,
  poolDerpMap,
  restartedPeers,
} from './netmap-config.ts'
import type { PeerContact } from './doctor/facts.ts'
import type { MeshOptions } from './mesh-options.ts'
import { relayServers } from './peer-caps.ts'
import { PeerContacts } from './peer-contacts.ts'
import { PeerIds } from './peer-ids.ts'
import { RelayHost } from './relay-host.ts'
import { NetworkUse, type Networks, NO_NETWORKS } from './routing/network-use.ts'
import type { RoutingSettings } from './routing/routing-settings.ts'
import { resolveHost, withoutInterface } from './surroundings.ts'
import { TunnelMessages } from './tunnel-messages.ts'

/** IPv6's minimum: nothing inside needs fragmenting, and the outer packet fits nearly every path (paths.md §7.5). */
export const MTU_BYTES = 1280
/** The mark that keeps our own packets out of the tunnel's routes. */
export const FIREWALL_MARK = 0x80000
/** Often enough for the path finder to know whether data flows at the moment. */
const TRAFFIC_MS = 1_000
/** A network check this young is shown as it is; while there is traffic none is older. */
const FRESH_CHECK_MS = 30_000
/** Longer than any check takes. */
const CHECK_WITHIN_MS = 7_000
const LOOK_MS = 50

export class Mesh {
  readonly discoKey = DiscoPrivate.generate()
  readonly tunName: string
  readonly #options: MeshOptions
  readonly #log: Logger
  readonly #lifetime = new Lifetime()
  readonly #ids = new PeerIds()
  readonly #keys = new Map<number, NodePublic>()
  readonly #dataplane: Dataplane
  readonly #derp: DerpPool
  readonly #paths: PathFinder
  readonly #portMapper: PortMapper
  readonly relay: RelayHost
  #netmap: Netmap | undefined
  /** What the system was last made to look like. */
  #hostConfig: HostConfig | undefined
  #policy: { readonly policy: PathPolicy; readonly exceptions: ReadonlyMap<string, PathPolicy> } = {
    policy: AUTOMATIC,
    exceptions: new Map(),
  }
  #regions: DerpMap = {}
  #routing: RoutingSettings
  readonly #networkUse: NetworkUse
  #networks: Networks = NO_NETWORKS
  #hostProblems: readonly CodedError[] = []
  #started = false
  #mapsPorts: boolean
  readonly #messages: TunnelMessages
  readonly #contacts: PeerContacts
  #cancelTraffic = (): void => {}

  /** Opens the device and sockets; throws the data plane's CodedError when it cannot. */
  constructor(options: MeshOptions) {
    this.#options = options
    this.#log = options.log.scoped('mesh')
    this.#dataplane = options.openDataplane({
      privateKey: options.nodeKey.secretBytes(),
      tun: { kind: 'name', name: options.tunName, mtuBytes: MTU_BYTES },
      udpPort: options.udpPort,
      firewallMark: FIREWALL_MARK,
    })
    this.#lifetime.defer(() => this.#dataplane.close())
    this.#lifetime.defer(() => this.#cancelTraffic())
    this.tunName = this.#dataplane.tunName
    this.#lifetime.defer(() => options.hostNetwork.close())
    this.#derp = new DerpPool({
      nodeKey: options.nodeKey,
      clock: options.clock,
      log: options.log.scoped('derp'),
      onDisco: (region, from, bytes) => this.#paths.handleDerpDisco(region, from, bytes),
      onWireGuard: (region, chunk, spans) => this.#dataplane.injectDerp(region, chunk, spans),
      onSilent: (region) => this.#paths.noteDerpSilent(region),
      onPeerGone: (region, { text }) => this.#noteGone(region, text),
      onStatus: (status) => options.listener.onDerpStatus(status),
    })
    this.#lifetime.defer(() => this.#derp.close())
    this.relay = new RelayHost({
      clock: options.clock,
      log: options.log,
      firewallMark: FIREWALL_MARK,
      openForwarder: options.openRelayForwarder,
      portmapIo: options.portmapIo ?? systemPortmapIo(defaultGateway),
      portmapSecret: options.nodeKey.secretBytes(),
      interfaces: () => withoutInterface(networkInterfaces(), this.tunName),
      resolve: resolveHost,
      discoKey: this.discoKey,
      sendOverDerp: ({ homeDerp, key }, bytes) => this.#derp.send(homeDerp, key.bytes, bytes, 'disco'),
      ownEndpoints: () => this.endpoints.map(({ endpoint }) => endpoint),
      surroundings: options.relaySurroundings,
      onChange: () => {
        this.#tellRelayServers()
        options.listener.onRelay()
      },
    })
    this.#lifetime.defer(() => this.relay.close())
    this.#messages = new TunnelMessages({
      log: this.#log,
      send: (peer, ipPacket) => this.#dataplane.sendTunnel(peer, ipPacket),
      discoKey: this.discoKey.public.bytes,
      onRejected: (peer) => {
        const key = this.#ids.keyOf(peer)
        if (key !== undefined) this.#contacts.noteRejected(key)
      },
      peerApiPort: options.peerApiPort,
    })
    this.#contacts = new PeerContacts(options.clock, (nodeKey) => this.#paths.contact(this.#ids.of(nodeKey)))
    this.#mapsPorts = options.portMapping
    this.#routing = options.routing
    this.#networkUse = new NetworkUse({
      clock: options.clock,
      log: options.log.scoped('routes'),
      serverUrl: options.serverUrl,
      resolve: resolveHost,
      gateway: () => defaultGateway()?.address,
      systemServers: options.systemServers,
    })
    this.relay.setPortMapping(options.portMapping)
    this.relay.configure(options.relay)
    this.#paths = new PathFinder({
      clock: options.clock,
      log: options.log.scoped('path'),
      nodeKey: options.nodeKey.public,
      discoKey: this.discoKey,
      io: {
        sendUdp: (endpoint, bytes, geneve) => this.#dataplane.sendRaw(endpoint, bytes, geneve),
        sendDerp: (region, to, bytes) => this.#derp.send(region, to.bytes, bytes, 'disco'),
        setPath: (peer, spec) => this.#dataplane.setPath(peer, spec),
        trust: (peer, untilMs) => this.#dataplane.trust(peer, untilMs),
        askInTunnel: (peer) => this.#askInTunnel(peer),
        interfaces: () => withoutInterface(networkInterfaces(), this.tunName),
        ports: () => ({ ...this.#dataplane.ports, isFixed: options.udpPort !== 0 }),
        resolve: resolveHost,
        httpsLatency: (region, signal) => this.#httpsLatency(region, signal),
        captivePortal: (signal) =>
          detectPortal(portalQuestions(this.#netmap?.derpMap.regions, this.homeRegion, options.serverUrl), signal),
        derpHeardAtMs: (region) => this.#derp.status().find((status) => status.region === region)?.lastFrameMs,
        reachDerp: (region, withinMs) => this.#derp.reach(region, withinMs),
        isDerpSilent: (region) => this.#derp.isSilent(region),
        controlConnected: () => options.listener.controlConnected(),
        allocateOwnRelay: (pair) => Promise.resolve(this.relay.allocateOwn(pair)),
      },
      events: {
        onEndpoints: (endpoints) => options.listener.onEndpoints(endpoints),
        onNetInfo: (_, netInfo) => options.listener.onNetInfo(netInfo),
        onHomeRegion: (region) => this.#derp.setHome(region),
        onRelayRequest: (from, disco, request) => {
          const response = this.relay.handleRequest(from, disco, request)
          if (response) this.#paths.sendRelayResponse(from, response)
        },
        onPath: (peer, path) => {
          const key = this.#ids.keyOf(peer)
          if (key !== undefined) options.listener.onPath(key, path)
        },
      },
    })
    this.#lifetime.defer(() => this.#paths.close())
    this.#portMapper = new PortMapper({
      clock: options.clock,
      log: options.log.scoped('portmap'),
      io: options.portmapIo ?? systemPortmapIo(defaultGateway),
      secret: options.nodeKey.secretBytes(),
      onChange: ({ endpoint, upnp, pmp, pcp }) => this.#paths.setPortMapping({ endpoint, upnp, pmp, pcp }),
    })
    this.#lifetime.defer(() => this.#portMapper.close())
    this.#dataplane.onRecords((records) => {
      for (const record of records) this.#take(record)
    })
  }

  /** Makes everything below look like `netmap`. Throws what the host network throws. */
  async apply(netmap: Netmap): Promise<void> {
    const before = this.#netmap
    this.#netmap = netmap
    const peers = livePeers(netmap, this.#options.clock.wallNow())
    const cutOff = this.#forgetSessions(restartedPeers(peers, before ? [...before.peers.values()] : []))
    this.#learnKeys(peers)
    if (before?.derpMap !== netmap.derpMap) {
      this.#regions = poolDerpMap(netmap.derpMap)
      this.#derp.setMap(this.#regions)
      this.#paths.setDerpMap(pathDerpMap(netmap.derpMap))
    }
    // The data plane first: it has to know a peer before its path is set.
    this.#networks = await this.#networkUse.look(netmap, peers, this.#routing, () => this.interfaces)
    if (this.#lifetime.ended) return
    this.#dataplane.setPeers(dataplanePeers(peers, this.#ids, this.#networks.accepted))
    this.#tellPolicy()
    this.#paths.setPeers(pathPeers(peers, this.#ids))
    this.#tellRelayServers()
    for (const peer of peers)
      if (cutOff.has(peer.key.text)) this.#messages.greet(this.#ids.of(peer.key.text), peer, netmap.self)
    const { shieldsUp } = this.#routing
    const { served = { routes: [], isExit: false } } = this.#networks
    const rules = shieldsUp ? [] : [...filterRules(netmap), ...this.#options.moreRules(netmap)]
    this.#dataplane.setFilter(rules, localPrefixes(netmap, served))
    this.relay.setNetmap(netmap)
    if (!this.#started) {
      this.#started = true
      this.#paths.start()
      this.#mapPort()
      this.#noteTraffic()
    }
    await this.#setHost(netmap, peers)
  }

  async #setHost(netmap: Netmap, peers: readonly Node[]): Promise<void> {
    const tun = { name: this.tunName, mtuBytes: MTU_BYTES }
    const want = hostConfig(netmap, peers, tun, FIREWALL_MARK, this.#networks)
    // Most changes of a netmap are endpoints and presence: nothing of them shows in the system.
    if (isDeepStrictEqual(want, this.#hostConfig)) return
    this.#hostProblems = await this.#options.hostNetwork.set(want)
    this.#hostConfig = want
  }

  /** What of the settings does not work at the moment, while the rest does. */
  get hostProblems(): readonly CodedError[] {
    return [...this.#hostProblems, ...(this.#networks.problem ? [this.#networks.problem] : [])]
  }

  /** Which networks of others are used, and which are offered. */
  async setRouting(routing: RoutingSettings): Promise<void> {
    this.#routing = routing
    if (this.#netmap) await this.apply(this.#netmap)
  }

  /** Returns which of these peers had a session. */
  #forgetSessions(keys: readonly string[]): ReadonlySet<string> {
    if (keys.length === 0) return new Set()
    const counters = this.counters()
    for (const key of keys) this.#ids.renew(key)
    return new Set(keys.filter((key) => (counters.get(key)?.lastHandshakeAt ?? 0) > 0))
  }

  #askInTunnel(id: number): void {
    const peer = [...(this.#netmap?.peers.values() ?? [])].find(({ key }) => key.text === this.#ids.keyOf(id))
    if (this.#netmap && peer) this.#messages.ask(id, peer, this.#netmap.self)
  }

  #tellRelayServers(): void {
    const netmap = this.#netmap
    if (!netmap) return
    const others = relayServers(netmap, livePeers(netmap, this.#options.clock.wallNow()))
    this.#paths.setRelayServers([
      ...(this.relay.isOn ? [{ nodeKey: netmap.self.key, isSelf: true }] : []),
      ...others.map(({ key }) => ({ nodeKey: key, isSelf: false })),
    ])
  }

  #learnKeys(peers: readonly Node[]): void {
    this.#keys.clear()
    for (const peer of peers) this.#keys.set(this.#ids.of(peer.key.text), peer.key)
    const texts = new Set(peers.map((peer) => peer.key.text))
    this.#ids.keepOnly(texts)
    this.#contacts.keepOnly(texts)
  }

  async #httpsLatency(id: number, signal: AbortSignal): Promise<number> {
    const region = regionsOf(this.#regions).get(id)
    if (!region) throw new CodedError('path/no-region', `There is no DERP region ${id}.`)
    return measureHttpsLatency(region, { signal })
  }

  #take(record: DataplaneRecord): void {
    switch (record.kind) {
      case 'disco':
        this.#paths.handleDisco(record)
        break
      case 'stun':
        this.#paths.handleStun(record)
        break
      case 'geneve-control':
        this.#paths.handleRelayControl(record)
        break
      case 'derp-out': {
        const to = this.#keys.get(record.peer)
        if (to) this.#derp.send(record.region, to.bytes, record.bytes, 'wireguard')
        break
      }
      case 'tsmp':
        this.#messages.take(record.peer, record.bytes)
        break
      case 'refused':
        this.#messages.tellRefused(record.peer, record.bytes)
        break
      case 'need-path':
      case 'peer-active':
        this.#paths.noteActive(record.peer)
        break
      case 'path-stale':
        this.#paths.noteStale(record.peer)
        break
      case 'send-error':
        this.#paths.noteSendError(record.endpoint, record.errno)
        break
      case 'peer-seen':
        this.#paths.noteSeen(record.peer, {
          // Behind a VNI it is a relay's, and no place of the peer.
          ...(record.endpoint === undefined || record.vni !== undefined ? {} : { endpoint: record.endpoint }),
          ...(record.region === undefined ? {} : { region: record.region }),
        })
        break
      case 'handshake':
      case 'handshake-failed':
        this.#log.debug(record.kind, { peer: record.peer })
        break
      case 'fatal':
        this.#options.listener.onFatal(
          new CodedError(
            'dataplane/engine-stopped',
            `The network engine stopped: ${record.message}. Peerway starts it anew.`,
          ),
        )
        break
    }
  }

  /** The data plane tells of traffic that begins; traffic that goes on is looked at here. */
  #noteTraffic(): void {
    for (const counted of this.#dataplane.counters().peers)
      this.#paths.noteTraffic(counted.id, counted, this.#messages.isAnswering(counted.id))
    this.#messages.keepOnly((id) => this.#ids.keyOf(id) !== undefined)
    this.#cancelTraffic = this.#options.clock.after(TRAFFIC_MS, () => this.#noteTraffic())
  }

  #noteGone(region: number, nodeKey: string): void {
    if ([...this.#keys.values()].some(({ text }) => text === nodeKey)) this.#contacts.noteGone(region, nodeKey)
  }

  /** What is known of the peer's being there at all; monotonic ms. */
  contactOf(nodeKey: string): PeerContact {
    return this.#contacts.of(nodeKey)
  }

  /** Rejects with a 'path/…' code, 'path/no-answer' when none came in time. */
  ping(nodeKey: string, timeoutMs: number): ReturnType<PathFinder['ping']> {
    return this.#paths.ping(this.#ids.of(nodeKey), { timeoutMs })
  }

  /** Off: the router is asked for nothing any more, and has its mappings back. */
  setPortMapping(isAllowed: boolean): void {
    this.#mapsPorts = isAllowed
    this.relay.setPortMapping(isAllowed)
    if (this.#started) this.#mapPort()
  }

  #mapPort(): void {
    this.#portMapper.setLocalPort(this.#mapsPorts ? this.#dataplane.ports.v4 : undefined)
  }

  get portMapping(): PortmapView {
    return this.#portMapper.view
  }

  /** The last network check, after a new one when it is old. Undefined when none comes to an end. */
  async netcheck(): Promise<NetcheckReport | undefined> {
    const { clock } = this.#options
    const askedAtMs = clock.now()
    const isFresh = (report: NetcheckReport | undefined): boolean =>
      report !== undefined && askedAtMs - report.startedAtMs < FRESH_CHECK_MS
    if (!isFresh(this.#paths.report)) this.#paths.linkChanged({ rebound: false })
    while (!isFresh(this.#paths.report) && clock.now() - askedAtMs < CHECK_WITHIN_MS && !this.#lifetime.ended)
      await new Promise<void>((resolve) => void clock.after(LOOK_MS, resolve))
    return this.#paths.report
  }

  /** Looks at the network anew; the report changes when it is done. */
  checkNetwork(): void {
    this.#paths.linkChanged({ rebound: false })
  }

  /** The last network check. */
  get report(): NetcheckReport | undefined {
    return this.#paths.report
  }

  get interfaces(): NodeJS.Dict<NetworkInterfaceInfo[]> {
    return withoutInterface(networkInterfaces(), this.tunName)
  }

  /** Changes of the peer's path in the last 24 hours, oldest first. */
  pathHistory(nodeKey: string): readonly PathChange[] {
    return this.#paths.history(this.#ids.of(nodeKey))
  }

  /** What is wrong with paths to the peer that answer and are left alone. */
  pathFlaws(nodeKey: string): readonly Flaw[] {
    return this.#paths.flaws(this.#ids.of(nodeKey))
  }

  /** Relays that were tried for the peer in vain, the newest last. */
  relayFailures(nodeKey: string): readonly RelayFailure[] {
    return this.#paths.relayFailures(this.#ids.of(nodeKey))
  }

  pathPolicyOf(nodeKey: string): PathPolicy {
    return this.#policy.exceptions.get(nodeKey) ?? this.#policy.policy
  }

  /** Which paths may be used; `exceptions` by the node key's text. */
  setPathPolicy(policy: PathPolicy, exceptions: ReadonlyMap<string, PathPolicy>): void {
    this.#policy = { policy, exceptions }
    this.#tellPolicy()
  }

  #tellPolicy(): void {
    const { policy, exceptions } = this.#policy
    const present = new Set([...this.#keys.values()].map((key) => key.text))
    const byId = [...exceptions]
      .filter(([key]) => present.has(key))
      .map(([key, one]) => [this.#ids.of(key), one] as const)
    this.#paths.setPolicy(policy, new Map(byId))
  }

  get endpoints(): readonly OwnEndpoint[] {
    return this.#paths.endpoints
  }

  derpStatus(): readonly DerpRegionStatus[] {
    return this.#derp.status()
  }

  get homeRegion(): number | undefined {
    return this.#paths.homeRegion
  }

  /** By the node key's text. */
  counters(): Map<string, PeerCounters> {
    const all = new Map<string, PeerCounters>()
    for (const counted of this.#dataplane.counters().peers) {
      const key = this.#ids.keyOf(counted.id)
      if (key !== undefined) all.set(key, counted)
    }
    return all
  }

  /** The machine's network changed or it woke up. */
  linkChanged(): void {
    // First: peers are told through it at once that we may have moved.
    this.#derp.linkChanged()
    // Our sockets are bound to no address, so they live on; what was known through them does not.
    this.#paths.linkChanged({ rebound: true })
    this.#portMapper.networkChanged()
    this.relay.linkChanged()
  }

  close(): Promise<void> {
    return this.#lifetime.end()
  }
}
