// One login's time online: log in, open the mesh, follow the map, until closed. What goes wrong for good is thrown by `run`.

import { CodedError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { DnsView } from '../contract/dns-view.ts'
import type { PathHistoryView } from '../contract/path-history-view.ts'
import type { RelayTestView } from '../contract/relay-test-view.ts'
import type { RelayStatusView } from '../contract/relay-view.ts'
import type { RelayBriefView, TailnetView } from '../contract/snapshot.ts'
import { ControlClient, type PollStatus } from '../control/control-client.ts'
import type { KnownEndpoint, NodeState } from '../control/map-stream.ts'
import { isExpired, type Netmap } from '../control/netmap.ts'
import type { NodePrivate, NodePublic } from '../crypto/keys.ts'
import type { DerpRegionStatus } from '../derp/derp-pool.ts'
import type { PeerCounters } from '../dataplane/dataplane.ts'
import type { PathFinder } from '../path/path-finder.ts'
import type { DerpMap } from '../wire/tailcfg/derp-map.ts'
import { type HostinfoInput, type NetInfo as WireNetInfo, netInfo as netInfoShape } from '../wire/tailcfg/hostinfo.ts'
import type { Node } from '../wire/tailcfg/node.ts'
import { readMessage } from '../wire/tailcfg/schema.ts'
import { Doctor } from './doctor/doctor.ts'
import { vpnOnRoute } from './doctor/vpn-route.ts'
import { HomeDerpWatch } from './home-derp-watch.ts'
import { hostinfoOf } from './hostinfo.ts'
import { lockPublicText, logIn } from './login.ts'
import { FIREWALL_MARK, type Mesh } from './mesh.ts'
import type { NetcheckFacts } from './netcheck-words.ts'
import { NodeNames } from './naming/node-names.ts'
import { netmapViews } from './netmap-views.ts'
import { PathReporter } from './path-reporter.ts'
import { contractPath } from './path-words.ts'
import { PeerPaths } from './peer-paths.ts'
import { Soon } from './soon.ts'
import { NO_PATH_SETTINGS, pathPolicies, type PathSettings } from './path-settings.ts'
import { relayBrief, type RelayBriefFacts } from './relay-brief.ts'
import type { RelaySettings } from './relay-settings.ts'
import { ServerContact } from './server-contact.ts'
import { doctorFacts, openMesh } from './session-mesh.ts'
import type { SessionOptions } from './session-options.ts'
import { loginState, onlineState, warningsOf } from './session-words.ts'
import { rememberTailnet } from './tailnet-memory.ts'
import { NO_ROUTING, type RoutingSettings } from './routing/routing-settings.ts'
import type { Profile } from './state-file.ts'

/** Snapshots are made at most this often: a burst of path changes is one repaint. */
const PUBLISH_MS = 50
/** How often expiry of keys and traffic are looked at. */
const TICK_MS = 5_000
const LOGOUT_WITHIN_MS = 10_000
/** The path finder's endpoint types (the wire's numbers) by the control client's names. */
const ENDPOINT_NAMES = { 1: 'local', 2: 'stun', 3: 'portMapped', 4: 'stunLocalPort', 5: 'explicit' } as const

export class Session {
  readonly #options: SessionOptions
  readonly #log: Logger
  readonly #abort = new AbortController()
  readonly #control: ControlClient
  #mesh: Mesh | undefined
  #profile: Profile
  #netmap: Netmap | undefined
  /** The newest netmap that the machine already looks like: what is shown. */
  #applied: Netmap | undefined
  #netInfo: WireNetInfo | undefined
  #endpoints: readonly KnownEndpoint[] = []
  #nodeKey: NodePublic | undefined
  readonly #paths: PeerPaths
  readonly #publishing: Soon
  readonly #server = new ServerContact()
  readonly #homeDerp: HomeDerpWatch
  readonly #names: NodeNames | undefined
  readonly #pathReporter: PathReporter
  #applying: Promise<void> = Promise.resolve()
  readonly #doctor: Doctor
  #done: Promise<void> = Promise.resolve()
  #fail: (error: unknown) => void = () => {}

  constructor(options: SessionOptions) {
    this.#options = options
    this.#log = options.log.scoped('session')
    this.#homeDerp = new HomeDerpWatch(options.clock, this.#regionCode)
    this.#profile = options.profile
    const { clock, log, openSystemDns, profile } = options
    if (openSystemDns)
      this.#names = new NodeNames({ clock, log, serverUrl: profile.serverUrl, system: openSystemDns() })
    this.#publishing = new Soon(clock, PUBLISH_MS, () => {
      if (!this.#abort.signal.aborted) this.#publishNow()
    })
    this.#paths = new PeerPaths({
      pathLog: options.pathLog,
      events: options.events,
      nodes: () => this.#nodes(),
      history: (nodeKey) => this.#mesh?.pathHistory(nodeKey) ?? [],
      regionCode: this.#regionCode,
    })
    this.#doctor = new Doctor(options.clock, () => vpnOnRoute(FIREWALL_MARK))
    this.#control = new ControlClient({
      serverUrl: options.profile.serverUrl,
      machineKey: options.machineKey,
      clock: options.clock,
      log: options.log.scoped('control'),
    })
    this.#pathReporter = new PathReporter({
      clock: options.clock,
      log: options.log.scoped('path-report'),
      send: (report) => this.#control.reportPaths(report),
      ping: (nodeKey, timeoutMs) => this.ping(nodeKey, timeoutMs),
      carried: () => new Map([...this.counters()].map(([key, { rxBytes, txBytes }]) => [key, rxBytes + txBytes])),
    })
  }

  get profileId(): string {
    return this.#profile.id
  }

  /** Resolves when closed; rejects with the CodedError that ended it, after everything is undone. */
  run(): Promise<void> {
    const running = this.#runAndRelease()
    this.#done = running.catch(() => {})
    return running
  }

  async #runAndRelease(): Promise<void> {
    try {
      await this.#run()
    } catch (error) {
      // Told apart before the release aborts everything: a stop by wish is no failure.
      if (!this.#abort.signal.aborted) throw error
    } finally {
      await this.#release()
    }
  }

  async #run(): Promise<void> {
    const { store } = this.#options
    const failed = new Promise<never>((_, reject) => {
      this.#fail = reject
    })
    failed.catch(() => {})
    const loggedIn = await this.#logIn()
    this.#profile = {
      ...this.#profile,
      nodeKey: loggedIn.nodeKey,
      oldNodeKey: loggedIn.oldNodeKey,
      loginName: loggedIn.loginName ?? this.#profile.loginName,
    }
    await this.#options.saveProfile(this.#profile)
    store.update(() => ({ waitingFor: 'the network map', problem: undefined }))
    this.#nodeKey = loggedIn.nodeKey.public
    const state = this.#nodeState()
    if (!state) throw new CodedError('internal/failed', 'The mesh was not opened.')
    this.#tick()
    await Promise.race([
      failed,
      this.#control.poll(
        state,
        (netmap) => this.#takeNetmap(netmap),
        (status) => this.#takePollStatus(status),
        this.#abort.signal,
      ),
    ])
  }

  /** What the server is told about this node; undefined before it is logged in. */
  #nodeState(): NodeState | undefined {
    if (!this.#mesh || !this.#nodeKey) return undefined
    return {
      nodeKey: this.#nodeKey,
      discoKey: this.#mesh.discoKey.public,
      hostinfo: this.#hostinfo(),
      endpoints: this.#endpoints,
    }
  }

  #logIn(): ReturnType<typeof logIn> {
    const { store, authKey, forceReauth } = this.#options
    return logIn(
      this.#control,
      {
        nodeKey: this.#profile.nodeKey,
        oldNodeKey: this.#profile.oldNodeKey,
        lockSeed: this.#profile.lockSeed,
        authKey,
        hostinfo: this.#hostinfo(),
        forceReauth,
        onNodeKey: (nodeKey) => this.#openMesh(nodeKey),
        onTrouble: (problem) => store.update(() => ({ problem })),
        clock: this.#options.clock,
      },
      (loginUrl) => store.update(() => loginState(loginUrl)),
      this.#abort.signal,
    )
  }

  async #openMesh(nodeKey: NodePrivate): Promise<void> {
    await this.#mesh?.close()
    this.#mesh = undefined
    this.#options.pathLog.endRun()
    if (this.#abort.signal.aborted) return
    const options = this.#options
    this.#mesh = openMesh(options, {
      profile: this.#profile,
      nodeKey,
      names: this.#names,
      listener: {
        onEndpoints: (endpoints) => {
          this.#endpoints = endpoints.map(({ endpoint, type }) => ({ endpoint, type: ENDPOINT_NAMES[type] }))
          this.#tellControl()
        },
        onNetInfo: (netInfo) => {
          this.#netInfo = readMessage(netInfoShape, netInfo)
          this.#tellControl()
        },
        onPath: (nodeKeyText, view) => {
          this.#pathReporter.notePath(nodeKeyText, view)
          this.#paths.take(
            nodeKeyText,
            contractPath(view, this.#regionCode, options.clock.wallNow(), this.#paths.nameOf),
          )
          this.#publish()
        },
        onDerpStatus: (status) => this.#takeDerpStatus(status),
        onRelay: () => this.#tellControl(),
        onFatal: (problem) => this.#fail(problem),
        controlConnected: () => this.#server.isConnected,
      },
    })
  }

  readonly #regionCode = (region: number): string =>
    this.#netmap?.derpMap.regions?.get(region)?.regionCode || String(region)

  #hostinfo(): HostinfoInput {
    const { hostname, routing = NO_ROUTING } = this.#profile
    const relays = this.#mesh?.relay.isOn === true
    return hostinfoOf(this.#options.facts, {
      hostname,
      relays,
      netInfo: this.#netInfo,
      routing,
      services: this.#names?.services() ?? [],
    })
  }

  #tellControl(): void {
    const state = this.#nodeState()
    if (state) void this.#control.update(state)
    this.#publish()
  }

  #takeNetmap(netmap: Netmap): void {
    // Applied one after the other; a newer one that came meanwhile replaces those that wait.
    if (!this.#netmap) this.#log.info('first netmap', { peers: netmap.peers.size })
    this.#netmap = netmap
    this.#applying = this.#applying.then(async () => {
      if (this.#abort.signal.aborted || this.#netmap !== netmap) return
      try {
        if (this.#profile.paths) this.#tellPolicies()
        await this.#names?.look(netmap, this.#profile.routing ?? NO_ROUTING)
        await this.#mesh?.apply(netmap)
        await this.#applyNames(netmap)
        this.#applied = netmap
        this.#paths.forgetGone(netmap)
        this.#pathReporter.setNetmap(netmap)
        this.#publish()
      } catch (error) {
        this.#fail(error)
      }
    })
  }

  async #applyNames(netmap: Netmap): Promise<void> {
    const routing = this.#profile.routing ?? NO_ROUTING
    const [mesh, names] = [this.#mesh, this.#names]
    if (!mesh || !names) return
    const { port } = names
    await names.apply(netmap, routing, mesh.tunName)
    if (names.port === port) return
    // Others are let in there, and hear of it.
    await mesh.setRouting(routing)
    this.#tellControl()
  }

  /** Undefined before names were asked for at all. */
  dns(): DnsView | undefined {
    return this.#names?.view()
  }

  #takePollStatus(status: PollStatus): void {
    const end = this.#server.take(status, this.#options.clock.wallNow())
    if (end) this.#fail(end)
    this.#publish()
  }

  #takeDerpStatus(status: readonly DerpRegionStatus[]): void {
    this.#homeDerp.take(status)
    this.#publish()
  }

  /** Looks at what changes with time alone: keys that run out, a DERP server that stays away. */
  #tick(): void {
    if (this.#abort.signal.aborted) return
    const netmap = this.#netmap
    const nowWallMs = this.#options.clock.wallNow()
    if (netmap && isExpired(netmap, netmap.self, nowWallMs)) {
      this.#fail(
        new CodedError('agent/key-expired', "This machine's key has run out. Log in again: peerway up --force-reauth"),
      )
      return
    }
    void this.#names?.check()
    if (this.#homeDerp.isAway) this.#takeDerpStatus(this.#mesh?.derpStatus() ?? [])
    if (this.#applied && (this.#askDoctor(this.#applied) || this.#relayBrief() !== this.#options.store.now.relay))
      this.#publish()
    this.#options.clock.after(TICK_MS, () => this.#tick())
  }

  /** True when what hinders some peer's direct path changed. */
  #askDoctor(netmap: Netmap): boolean {
    if (!this.#mesh) return false
    const facts = { netmap, paths: this.#paths.views, controlConnected: this.#server.isConnected }
    return this.#doctor.look(doctorFacts(this.#mesh, facts))
  }

  #publish(): void {
    if (!this.#abort.signal.aborted) this.#publishing.ask()
  }

  #publishNow(): void {
    const { store, clock } = this.#options
    const netmap = this.#applied
    const problem = this.#server.problem
    const base = { controlConnected: this.#server.isConnected, controlHeardAt: this.#server.heardAt }
    if (!netmap) {
      store.update(() => ({ ...base, ...(problem ? { problem } : {}) }))
      return
    }
    this.#askDoctor(netmap)
    const views = netmapViews(netmap, {
      serverUrl: this.#profile.serverUrl,
      tunName: this.#mesh?.tunName,
      endpoints: this.#endpoints.map(({ endpoint }) => endpoint),
      homeRegion: this.#mesh?.homeRegion,
      paths: this.#paths.views,
      doctor: this.#doctor.views,
      nowWallMs: clock.wallNow(),
    })
    this.#rememberTailnet(views.tailnet)
    store.update(() => ({
      ...base,
      ...views,
      ...onlineState(netmap.self.machineAuthorized),
      warnings: this.#warnings(netmap),
      relay: this.#relayBrief(),
    }))
  }

  #relayBrief(): RelayBriefView | undefined {
    const facts = this.#mesh?.relay.brief()
    return facts && relayBrief(facts, this.#options.store.now.relay)
  }

  #rememberTailnet(tailnet: TailnetView): void {
    const { profile: former, events, saveProfile: save } = this.#options
    const kept = rememberTailnet({ former, events, save }, this.#profile, tailnet)
    if (!kept) return
    this.#profile = kept.profile
    kept.saved.catch((error: unknown) => this.#log.warn('profile not saved', { error }))
  }

  #warnings(netmap: Netmap): ReturnType<typeof warningsOf> {
    const { relay, hostProblems = [] } = this.#mesh ?? {}
    const problems = [this.#server.problem, this.#homeDerp.problem, relay?.problem, ...hostProblems]
    return warningsOf(netmap, [...problems, ...(this.#names?.problems ?? [])])
  }

  ping(nodeKey: string, timeoutMs: number): ReturnType<PathFinder['ping']> {
    if (!this.#mesh) throw new CodedError('agent/not-running', 'Peerway is not connected. Connect first: peerway up')
    return this.#mesh.ping(nodeKey, timeoutMs)
  }

  /** Undefined before the first check is done. */
  async netcheck(): Promise<Pick<NetcheckFacts, 'report' | 'portMapping' | 'endpoints'> | undefined> {
    const mesh = this.#mesh
    const report = await mesh?.netcheck()
    return mesh && report && { report, portMapping: mesh.portMapping, endpoints: mesh.endpoints }
  }

  /** What happened to the path of the peer with that node key, and what it may be. */
  pathHistory(nodeKey: string): PathHistoryView {
    return this.#paths.historyOf(nodeKey, this.#profile.paths ?? NO_PATH_SETTINGS)
  }

  /** New path policies; already on disk. */
  setPaths(paths: PathSettings): void {
    this.#profile = { ...this.#profile, paths }
    this.#tellPolicies()
  }

  #tellPolicies(): void {
    const { policy, exceptions } = pathPolicies(this.#profile.paths ?? NO_PATH_SETTINGS, this.#paths.keyOf)
    this.#mesh?.setPathPolicy(policy, exceptions)
  }

  #nodes(): readonly Node[] {
    return this.#netmap ? [this.#netmap.self, ...this.#netmap.peers.values()] : []
  }

  derpMap(): DerpMap | undefined {
    return this.#netmap?.derpMap
  }

  counters(): ReadonlyMap<string, PeerCounters> {
    return this.#mesh?.counters() ?? new Map()
  }

  /** New settings of this node as a relay; already on disk. */
  setRelay(relay: RelaySettings): void {
    this.#profile = { ...this.#profile, relay }
    this.#mesh?.relay.configure(relay)
  }

  /** Whether the home router is asked to forward ports; already on disk. */
  setPortMapping(isAllowed: boolean): void {
    this.#profile = { ...this.#profile, portMapping: isAllowed }
    this.#mesh?.setPortMapping(isAllowed)
  }

  /** Which networks of others are used, and which are offered; already on disk. */
  async setRouting(routing: RoutingSettings): Promise<void> {
    this.#profile = { ...this.#profile, routing }
    this.#applyRouting(routing)
    this.#tellControl()
    await this.#applying
  }

  /** After a netmap that is being applied: the two would set up the machine at the same time. */
  #applyRouting(routing: RoutingSettings): void {
    this.#applying = this.#applying
      .then(async () => {
        if (this.#netmap) await this.#names?.look(this.#netmap, routing)
        await this.#mesh?.setRouting(routing)
        if (this.#applied) await this.#applyNames(this.#applied)
      })
      .catch((error: unknown) => this.#fail(error))
  }

  async relayTest(): Promise<RelayTestView> {
    if (!this.#mesh) throw new CodedError('agent/not-running', 'Peerway is not connected. Connect first: peerway up')
    return this.#mesh.relay.test()
  }

  relayFacts(): RelayBriefFacts | undefined {
    return this.#mesh?.relay.brief()
  }

  relayStatus(): RelayStatusView | undefined {
    return this.#mesh?.relay.status()
  }

  linkChanged(): void {
    this.#control.networkChanged()
    this.#doctor.networkChanged()
    this.#mesh?.linkChanged()
    // Which networks this machine stands in decides which routes it takes.
    const { routing } = this.#profile
    if (routing?.acceptRoutes || routing?.exitNode !== undefined) this.#applyRouting(routing)
  }

  /** Expires the node key at the server. */
  async logOutAtServer(): Promise<void> {
    const { nodeKey } = this.#profile
    if (nodeKey)
      await this.#control.logout(
        { nodeKey: nodeKey.public, nlKey: lockPublicText(this.#profile.lockSeed), hostinfo: this.#hostinfo() },
        AbortSignal.timeout(LOGOUT_WITHIN_MS),
      )
  }

  async close(): Promise<void> {
    this.#abort.abort(new CodedError('agent/stopped', 'Peerway was stopped.'))
    await this.#done
    await this.#release()
  }

  async #release(): Promise<void> {
    this.#abort.abort(new CodedError('agent/stopped', 'Peerway was stopped.'))
    this.#pathReporter.close()
    await this.#applying
    // First: while the tunnel goes, names are found as before.
    await this.#names?.close()
    const mesh = this.#mesh
    this.#mesh = undefined
    this.#control.close()
    await mesh?.close().catch((error: unknown) => this.#log.warn('closing the mesh failed', { error }))
    this.#options.pathLog.endRun()
    await this.#options.pathLog.save()
  }
}
