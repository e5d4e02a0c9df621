// The mesh node: owns the state on disk and the snapshot, carries out wishes (up, down, logout), and keeps one session going
// while the wish is "on".

import { randomBytes } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { CodedError, isCoded, messageOf } from '../base/errors.ts'
import { Lifetime, Listeners } from '../base/lifetime.ts'
import { VERSION } from '../base/version.ts'
import type { AgentHandlers, PingArgument, PingReply, SetArgument, UpArgument } from '../contract/calls.ts'
import type { PathHistoryView } from '../contract/path-history-view.ts'
import type { RelayStatusView } from '../contract/relay-view.ts'
import type { NetcheckView } from '../contract/netcheck-view.ts'
import type {
  AgentEvent,
  AgentSnapshot,
  NodeId,
  PeerTraffic,
  RelayBriefView,
  TailnetView,
  TrafficView,
} from '../contract/snapshot.ts'
import type { RelayTestView } from '../contract/relay-test-view.ts'
import type { PingVia } from '../path/path-io.ts'
import { DEFAULT_MANNERS } from '../relay/manners.ts'
import { relayBrief } from './relay-brief.ts'
import { PathLog } from './path-log.ts'
import { changedPaths, NO_PATH_SETTINGS } from './path-settings.ts'
import { mannersView } from './relay-manners.ts'
import { changedRelay, relayOff } from './relay-settings.ts'
import { newProfileId, profileNamed, profileViews } from './profiles.ts'
import { RelayUsage } from './relay-usage.ts'
import { withoutPaths } from './at-rest.ts'
import { changedRouting, NO_ROUTING, type RoutingSettings, routingView } from './routing/routing-settings.ts'
import type { DerpMapInput } from '../wire/tailcfg/derp-map.ts'
import { netcheckView } from './netcheck-words.ts'
import { Session } from './session.ts'
import type { AgentSurroundings } from './session-options.ts'
import { normalServerUrl } from './server-url.ts'
import { SnapshotStore } from './snapshot-store.ts'
import { type AgentState, currentProfile, type Profile, StateFile, withoutProfile, withProfile } from './state-file.ts'

export interface AgentOptions extends AgentSurroundings {
  readonly stateDir: string
}

/** Sent or received within this long counts as active (the field's session window, paths.md §5.7). */
const ACTIVE_MS = 45_000
const RESTART_AFTER_MS = 2_000
/** Failures after which only a new login helps. */
const NEEDS_LOGIN: ReadonlySet<string> = new Set(['agent/key-refused', 'agent/key-expired', 'agent/login-gone'])

export class Agent {
  readonly #options: AgentOptions
  readonly #file: StateFile
  readonly #usage: RelayUsage
  readonly #pathLog: PathLog
  readonly #store = new SnapshotStore(VERSION)
  readonly #events = new Listeners<AgentEvent>()
  #session: Session | undefined
  #closed = false
  readonly #lifetime = new Lifetime()
  /** Wishes are carried out one after the other. */
  #queue: Promise<unknown> = Promise.resolve()

  readonly handlers: AgentHandlers = {
    'agent.snapshot': () => Promise.resolve(this.snapshot()),
    'agent.traffic': () => Promise.resolve(this.traffic()),
    'agent.up': (wish) => this.#inTurn(() => this.#up(wish)),
    'agent.down': () => this.#inTurn(() => this.#down()),
    'agent.logout': () => this.#inTurn(() => this.#logout()),
    'agent.switch': ({ profile }) => this.#inTurn(() => this.#switch(profile)),
    'agent.removeProfile': ({ profile }) => this.#inTurn(() => this.#removeProfile(profile)),
    'agent.set': (wish) => this.#inTurn(() => this.#set(wish)),
    'agent.relayTest': () => this.#relayTest(),
    'agent.relayStatus': () => Promise.resolve(this.#relayStatus()),
    'agent.ping': (question) => this.#ping(question),
    'agent.pathHistory': async ({ peer }) => this.#pathHistory(peer),
    'agent.netcheck': () => this.#netcheck(),
    'agent.dns': () => Promise.resolve(this.#session?.dns()),
  }

  private constructor(options: AgentOptions, file: StateFile, usage: RelayUsage, pathLog: PathLog) {
    this.#options = options
    this.#file = file
    this.#usage = usage
    this.#pathLog = pathLog
  }

  /** Reads the state and goes on where the last run stopped. Throws 'agent/state-…' when the state cannot be used. */
  static async open(options: AgentOptions): Promise<Agent> {
    const file = await StateFile.open(options.stateDir)
    const usage = await RelayUsage.open(options.stateDir, options.log)
    const agent = new Agent(options, file, usage, await PathLog.open(options.stateDir, options.clock, options.log))
    await agent.#sweep()
    agent.#showProfiles()
    const profile = currentProfile(agent.#file.state)
    if (profile?.nodeKey && agent.#file.state.wantRunning) agent.#start(profile, {})
    else agent.#rest()
    return agent
  }

  /** A run that was killed left rules behind, and this one may end before it gets to setting its own. */
  async #sweep(): Promise<void> {
    try {
      await this.#options.openSystemDns?.().close()
      await this.#options.openHostNetwork().close()
    } catch (error) {
      // A system whose network cannot be set up is told when it is to be.
      this.#options.log.debug('nothing swept', { error })
    }
  }

  snapshot(): AgentSnapshot {
    return this.#store.now
  }

  derpMap(): DerpMapInput {
    return this.#session?.derpMap() ?? {}
  }

  /** False on a machine that has never been in any network. */
  hasLogins(): boolean {
    return this.#file.state.profiles.length > 0
  }

  onSnapshot(listener: (snapshot: AgentSnapshot) => void): () => void {
    return this.#store.subscribe(listener)
  }

  onEvent(listener: (event: AgentEvent) => void): () => void {
    return this.#events.add(listener)
  }

  traffic(): TrafficView {
    const counters = this.#session?.counters()
    const peers: Record<string, PeerTraffic> = {}
    if (counters) {
      const now = this.#options.clock.now()
      for (const peer of Object.values(this.#store.now.peers)) {
        const counted = counters.get(peer.nodeKey)
        if (!counted) continue
        const last = Math.max(counted.lastReceiveMs, counted.lastSendMs)
        peers[peer.id] = {
          rxBytes: counted.rxBytes,
          txBytes: counted.txBytes,
          lastHandshakeAt: counted.lastHandshakeAt,
          active: last > 0 && now - last < ACTIVE_MS,
        }
      }
    }
    return { peers }
  }

  /** The machine's network changed, or it woke up. */
  linkChanged(): void {
    this.#session?.linkChanged()
  }

  /** Runs `undo` when the agent closes. */
  onClose(undo: () => void): void {
    this.#lifetime.defer(undo)
  }

  /** Stops without changing the wish: the next start goes on. */
  close(): Promise<void> {
    this.#closed = true
    return this.#inTurn(async () => {
      await this.#lifetime.end()
      await this.#stop()
      await this.#file.close()
    })
  }

  async #up(wish: UpArgument): Promise<void> {
    const before = currentProfile(this.#file.state)
    const serverUrl = wish.serverUrl === undefined ? before?.serverUrl : normalServerUrl(wish.serverUrl)
    if (serverUrl === undefined)
      throw new CodedError(
        'agent/no-server',
        'Name the coordination server of the network to join: --login-server URL.',
      )
    const known =
      wish.isNew === true
        ? undefined
        : [before, ...this.#file.state.profiles].find((profile) => profile?.serverUrl === serverUrl)
    const peers = Object.values(this.#store.now.peers)
    const profile: Profile = {
      id: known?.id ?? newProfileId(),
      serverUrl,
      nodeKey: known?.nodeKey,
      oldNodeKey: known?.oldNodeKey,
      lockSeed: known?.lockSeed ?? randomBytes(32),
      hostname: wish.hostname ?? known?.hostname,
      loginName: known?.loginName,
      tailnetName: known?.tailnetName,
      relay: known?.relay,
      paths: known?.paths,
      portMapping: known?.portMapping,
      routing: wish.routing ? changedRouting(known?.routing ?? NO_ROUTING, wish.routing, peers) : known?.routing,
    }
    const isCurrent = before !== undefined && before.id === profile.id
    const running = this.#store.now.state === 'running' && isCurrent && wish.forceReauth !== true
    if (running && profile.hostname === before.hostname && wish.authKey === undefined) {
      if (wish.routing) await this.#setRouting(profile, profile.routing ?? NO_ROUTING)
      return
    }
    await this.#stop()
    // A server that has not taken this machine in yet does not replace one that has: only its acceptance is written down.
    const keepsBefore = before?.nodeKey !== undefined && profile.nodeKey === undefined
    await this.#save((state) => ({ ...(keepsBefore ? state : withProfile(state, profile)), wantRunning: true }))
    this.#start(profile, { authKey: wish.authKey, forceReauth: wish.forceReauth === true })
  }

  /** Every change of what is kept goes through here, so that the list of networks is always the one on disk. */
  async #save(change: (now: AgentState) => AgentState): Promise<void> {
    await this.#file.update(change)
    this.#showProfiles()
  }

  #showProfiles(): void {
    const { state } = this.#file
    const profiles = profileViews(state)
    const current = currentProfile(state)
    const routing = current && routingView(current.routing ?? NO_ROUTING)
    this.#store.update((now) => ({
      ...(isDeepStrictEqual(now.profiles, profiles) ? {} : { profiles }),
      ...(isDeepStrictEqual(now.routing, routing) ? {} : { routing }),
    }))
  }

  async #switch(wanted: string): Promise<void> {
    const profile = profileNamed(wanted, this.#file.state)
    if (this.#session?.profileId === profile.id) return
    if (!profile.nodeKey)
      throw new CodedError('agent/not-logged-in', 'This machine is logged out of that network. Log in: peerway up')
    await this.#stop()
    await this.#save((state) => ({ ...state, currentProfile: profile.id, wantRunning: true }))
    this.#start(profile, {})
  }

  async #removeProfile(wanted: string): Promise<void> {
    const profile = profileNamed(wanted, this.#file.state)
    const isCurrent = currentProfile(this.#file.state)?.id === profile.id
    if (isCurrent && profile.nodeKey) await this.#logout()
    else if (profile.nodeKey) {
      const session = this.#newSession(profile, {})
      await session.logOutAtServer().catch((error: unknown) => this.#sayLogoutUnsaid(messageOf(error)))
      await session.close()
    }
    await this.#save((state) => withoutProfile(state, profile.id))
    if (isCurrent) this.#rest()
  }

  async #set(wish: SetArgument): Promise<void> {
    const profile = currentProfile(this.#file.state)
    if (!profile) throw new CodedError('agent/not-logged-in', 'This machine is not in a network yet: peerway up')
    const relay = changedRelay(profile.relay, wish)
    const { self, peers: others } = this.#store.now
    const peers = Object.values(others)
    const machines = [...(self ? [self] : []), ...peers]
    const paths = wish.path ? changedPaths(profile.paths ?? NO_PATH_SETTINGS, wish.path, machines) : profile.paths
    const portMapping = wish.portMapping ?? profile.portMapping
    const routing = wish.routing ? changedRouting(profile.routing ?? NO_ROUTING, wish.routing, peers) : profile.routing
    await this.#save((state) => withProfile(state, { ...profile, relay, paths, portMapping, routing }))
    if (this.#session?.profileId === profile.id) {
      this.#session.setRelay(relay)
      if (paths) this.#session.setPaths(paths)
      this.#session.setPortMapping(portMapping ?? true)
      if (wish.routing && routing) await this.#session.setRouting(routing)
    }
    this.#store.update((now) => ({ relay: this.#relayBrief(now) }))
  }

  async #setRouting(profile: Profile, routing: RoutingSettings): Promise<void> {
    await this.#save((state) => withProfile(state, { ...profile, routing }))
    if (this.#session?.profileId === profile.id) await this.#session.setRouting(routing)
  }

  #relayStatus(): RelayStatusView {
    return this.#session?.relayStatus() ?? this.#relayAtRest(currentProfile(this.#file.state))
  }

  #relayAtRest(profile: Profile | undefined): RelayStatusView {
    const settings = profile?.relay
    const known = { power: 'unknown', metered: 'unknown' } as const
    const nowWallMs = this.#options.clock.wallNow()
    const manners = mannersView(settings?.manners ?? DEFAULT_MANNERS, this.#usage, nowWallMs, known)
    return relayOff(settings, manners, profile?.portMapping ?? true)
  }

  #relayBrief(now: AgentSnapshot): RelayBriefView | undefined {
    return (
      currentProfile(this.#file.state) &&
      relayBrief(
        this.#session?.relayFacts() ?? { ...this.#relayAtRest(currentProfile(this.#file.state)), pairs: 0 },
        now.relay,
      )
    )
  }

  #pathHistory(id: string): PathHistoryView {
    const peer = Object.values(this.#store.now.peers).find((one) => one.id === id)
    if (!peer) throw new CodedError('agent/unknown-node', 'There is no such machine in this network.')
    return this.#session?.pathHistory(peer.nodeKey) ?? { changes: [] }
  }

  #relayTest(): Promise<RelayTestView> {
    if (!this.#session || this.#store.now.state !== 'running')
      throw new CodedError('agent/not-running', 'Peerway is not connected. Connect first: peerway up')
    return this.#session.relayTest()
  }

  async #down(): Promise<void> {
    await this.#stop()
    await this.#save((state) => ({ ...state, wantRunning: false }))
    this.#rest()
  }

  async #logout(): Promise<void> {
    const profile = currentProfile(this.#file.state)
    if (!profile?.nodeKey) throw new CodedError('agent/not-logged-in', 'This machine is not logged in.')
    // A login under way at another server ends too; it has nothing to be told.
    if (this.#session?.profileId !== profile.id) await this.#stop()
    let trouble: string | undefined
    try {
      await this.#sessionFor(profile).logOutAtServer()
    } catch (error) {
      // The login is forgotten here in any case; the server's own copy then waits for its expiry or its owner.
      trouble = messageOf(error)
    }
    await this.#stop()
    await this.#save((state) => ({
      ...withProfile(state, {
        ...profile,
        nodeKey: undefined,
        oldNodeKey: undefined,
        loginName: undefined,
        tailnetName: undefined,
      }),
      wantRunning: false,
    }))
    this.#rest()
    if (trouble !== undefined) this.#sayLogoutUnsaid(trouble)
  }

  #sayLogoutUnsaid(trouble: string): void {
    this.#events.emit({
      type: 'notice',
      code: 'agent/logout-unsaid',
      text: `Logged out here, but the server could not be told: ${trouble}`,
    })
  }

  #sessionFor(profile: Profile): Session {
    return this.#session ?? this.#newSession(profile, {})
  }

  #start(profile: Profile, login: { authKey?: string | undefined; forceReauth?: boolean }): void {
    this.#store.update((now) => ({
      state: 'starting',
      waitingFor: 'the coordination server',
      loginUrl: undefined,
      problem: undefined,
      warnings: [],
      tailnet: rememberedTailnet(profile),
      self: undefined,
      peers: {},
      controlHeardAt: undefined,
      controlConnected: false,
      relay: relayBrief({ ...this.#relayAtRest(profile), pairs: 0 }, now.relay),
    }))
    const session = this.#newSession(profile, login)
    this.#session = session
    session.run().catch((error: unknown) => {
      if (this.#session !== session) return
      this.#session = undefined
      this.#fail(error)
    })
  }

  #newSession(profile: Profile, login: { authKey?: string | undefined; forceReauth?: boolean }): Session {
    return new Session({
      ...this.#options,
      log: this.#options.log,
      profile,
      machineKey: this.#file.state.machineKey,
      authKey: login.authKey,
      forceReauth: login.forceReauth === true,
      store: this.#store,
      events: this.#events,
      pathLog: this.#pathLog,
      relaySurroundings: { usage: this.#usage, power: this.#options.power, metered: this.#options.metered },
      saveProfile: (changed) => this.#save((state: AgentState) => withProfile(state, changed)),
    })
  }

  /** A session ended by itself: say why, and rest in the state that fits. */
  #fail(error: unknown): void {
    const code = isCoded(error) ? error.code : 'internal/failed'
    this.#options.log.warn('session ended', { code, error })
    if (code === 'dataplane/engine-stopped') this.#restartLater()
    const profile = currentProfile(this.#file.state)
    this.#store.update(() => ({
      state: profile?.nodeKey && !NEEDS_LOGIN.has(code) ? 'stopped' : 'needs-login',
      waitingFor: undefined,
      loginUrl: undefined,
      problem: { code, message: messageOf(error) },
      controlConnected: false,
    }))
  }

  /** The engine died under a running session: once more, after a breath. */
  #restartLater(): void {
    this.#options.clock.after(RESTART_AFTER_MS, () => {
      void this.#inTurn(async () => {
        const { wantRunning } = this.#file.state
        const profile = currentProfile(this.#file.state)
        if (wantRunning && profile?.nodeKey && !this.#session && !this.#closed) this.#start(profile, {})
      })
    })
  }

  async #stop(): Promise<void> {
    const session = this.#session
    this.#session = undefined
    await session?.close()
  }

  /** Off: by wish, or because nobody has logged in yet. */
  #rest(): void {
    const profile = currentProfile(this.#file.state)
    const loggedIn = profile?.nodeKey !== undefined
    this.#store.update((now) => ({
      state: loggedIn ? 'stopped' : 'needs-login',
      waitingFor: undefined,
      loginUrl: undefined,
      problem: undefined,
      warnings: [],
      controlConnected: false,
      tailnet: loggedIn ? (now.tailnet ?? rememberedTailnet(profile)) : undefined,
      self: loggedIn ? now.self : undefined,
      peers: loggedIn ? withoutPaths(now.peers) : {},
      relay: loggedIn ? this.#relayBrief(now) : undefined,
    }))
  }

  async #ping({ target, timeoutMs }: PingArgument): Promise<PingReply> {
    const session = this.#session
    if (!session || this.#store.now.state !== 'running')
      throw new CodedError('agent/not-running', 'Peerway is not connected. Connect first: peerway up')
    const wanted = target.toLowerCase().replace(/\.$/, '')
    const matches = (node: { name: string; dnsName: string; addresses: readonly string[] }): boolean =>
      node.name.toLowerCase() === wanted || node.dnsName.toLowerCase() === wanted || node.addresses.includes(wanted)
    const self = this.#store.now.self
    if (self && matches(self)) throw new CodedError('agent/ping-self', `${target} is this machine.`)
    const peer = Object.values(this.#store.now.peers).find(matches)
    if (!peer) throw new CodedError('agent/unknown-node', `There is no machine "${target}" in this network.`)
    const { latencyMs, via } = await session.ping(peer.nodeKey, timeoutMs)
    return {
      node: peer.name,
      address: peer.addresses[0] ?? '',
      latencyMs,
      kind: via.kind,
      via: this.#placeOf(via, peer.id),
    }
  }

  async #netcheck(): Promise<NetcheckView> {
    const facts = await this.#session?.netcheck()
    if (!facts)
      throw new CodedError(
        'agent/not-running',
        'Peerway is not connected, so nothing was measured yet. Connect: peerway up',
      )
    return netcheckView({ ...facts, regions: this.#store.now.derpRegions, clock: this.#options.clock })
  }

  /** The region's code, the relay's name or the endpoint. */
  #placeOf(via: PingVia, peer: NodeId): string {
    const { derpRegions, peers } = this.#store.now
    if (via.kind === 'derp') return derpRegions[via.region]?.code ?? String(via.region)
    const path = peers[peer]?.path
    return via.kind === 'peer-relay' && path?.kind === 'peer-relay' ? (path.via ?? via.endpoint) : via.endpoint
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#queue.then(work)
    this.#queue = next.catch(() => {})
    return next
  }
}

/** The tailnet of an earlier login, until the server says it anew. */
function rememberedTailnet({ nodeKey, tailnetName, loginName, serverUrl }: Profile): TailnetView | undefined {
  if (!nodeKey || tailnetName === undefined) return undefined
  return { name: tailnetName, serverUrl, account: loginName ?? '', accountName: loginName ?? '' }
}
