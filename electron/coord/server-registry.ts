// The server's tailnets and people in memory, in step with the store: memory changes after the disk did, and never without
// it. Only what nodes report about themselves is the other way round, since a lost report is simply told again. Maps are
// made from memory alone: while the store is out nobody loses sight of anybody. What other servers on the same database
// changed is in memory before a transaction begins; see registry-sharing.ts.

import type { Clock } from '../base/clock.ts'
import { Listeners } from '../base/lifetime.ts'
import type { Logger } from '../base/log.ts'
import type { MachinePublic, NodePublic } from '../crypto/keys.ts'
import type { DerpMapInput } from '../wire/tailcfg/derp-map.ts'
import { CoordError } from './errors.ts'
import type { LoginWish, PendingLogin, PendingLogins } from './login/pending-logins.ts'
import type { Node, NodeId, NodeReport, TailnetId, User, UserId } from './model.ts'
import { loadPolicy } from './policy/stored-policy.ts'
import { Registry, type RegistryServer } from './registry.ts'
import { BEAT_MS, RegistrySharing, SHARED_FLUSH_MS, type News } from './registry-sharing.ts'
import { type Effect, type Heard, MemoryTransaction, type RegistryTransaction } from './registry-transaction.ts'
import { ServerMemory } from './server-memory.ts'
import { FIRST_TAILNET, type Store, type StoreTransaction } from './store/store.ts'

/** What reports may wait for the disk; a burst of them becomes one transaction. */
const REPORT_FLUSH_MS = 1_000
/** How long a question may wait for what other servers changed. */
const CURRENT_MS = 2_000

export class ServerRegistry implements RegistryServer {
  /** A tailnet came, changed its name, or went: whoever listens looks it up. */
  readonly tailnetChanges = new Listeners<TailnetId>()
  /** People there may sign in otherwise than before. */
  readonly signInChanges = new Listeners<TailnetId>()
  /** DERP regions of servers on the same database came or went. */
  readonly regionsChanged = new Listeners<undefined>()
  readonly #store: Store
  readonly #clock: Clock
  readonly #log: Logger
  readonly #memory = new ServerMemory()
  readonly #registries = new Map<TailnetId, Registry>()
  #queue: Promise<unknown> = Promise.resolve()
  readonly #unsaved = new Set<NodeId>()
  #cancelFlush: (() => void) | undefined
  readonly #sharing: RegistrySharing
  #stopHearing: (() => void) | undefined
  #cancelBeat: (() => void) | undefined
  #catchingUp: Promise<void> | undefined
  #isClosed = false

  private constructor(store: Store, clock: Clock, log: Logger) {
    this.#store = store
    this.#clock = clock
    this.#log = log
    this.#sharing = new RegistrySharing(this.#memory, (id) => this.#unsaved.has(id))
  }

  static async load(store: Store, clock: Clock, log: Logger): Promise<ServerRegistry> {
    const server = new ServerRegistry(store, clock, log)
    await store.transaction((tx) => server.#load(tx))
    if (!store.listen) return server
    server.#stopHearing = store.listen((seq) => server.#hear(seq))
    server.#scheduleBeat()
    return server
  }

  async #load(tx: StoreTransaction): Promise<void> {
    if (tx.shared) await this.#sharing.join(tx.shared)
    for (const tailnet of await tx.tailnets()) {
      this.#memory.putTailnet(tailnet)
      const here = tx.inTailnet(tailnet.id)
      for (const user of await here.users()) this.#memory.putMember(tailnet.id, user)
      for (const node of await here.nodes()) this.#memory.putNode(node)
      const known = this.#memory.tailnets.get(tailnet.id)
      if (known) {
        known.policy = await loadPolicy(here)
        await known.kept.load(here)
      }
      this.#follow(tailnet.id)
    }
    for (const [id, groups] of await tx.identity.oidc.groups()) this.#memory.setGroups(id, groups)
  }

  /** A registry for each tailnet there is, and none for others. */
  #follow(id: TailnetId): void {
    const here = this.#memory.tailnets.get(id)
    if (!here) this.#registries.delete(id)
    else if (!this.#registries.has(id)) this.#registries.set(id, new Registry(this, this.#memory, here))
  }

  tailnets(): Iterable<Registry> {
    return this.#registries.values()
  }

  tailnet(id: TailnetId): Registry | undefined {
    return this.#registries.get(id)
  }

  /** Other servers live on the same database. */
  hasCompany(): Promise<boolean> {
    return this.#store.transaction((tx) => this.#sharing.hasCompany(tx.shared))
  }

  /** The one of those who name none. */
  get first(): Registry {
    const first = this.#registries.get(FIRST_TAILNET) ?? [...this.#registries.values()][0]
    if (!first) throw new CoordError('coord/state-damaged', 'The database has no tailnet.')
    return first
  }

  /** All people of the server, with their role at home. */
  users(): Iterable<User> {
    return this.#memory.people.values()
  }

  user(id: UserId): User | undefined {
    return this.#memory.people.get(id)
  }

  /** Where the person is a member, home first. */
  tailnetsOf(id: UserId): Registry[] {
    const homeId = this.user(id)?.homeId
    const all = [...this.#registries.values()].filter((registry) => registry.user(id))
    return all.toSorted((a, b) => Number(b.tailnet.id === homeId) - Number(a.tailnet.id === homeId))
  }

  notices(id: UserId): readonly string[] {
    return this.#memory.notices.get(id) ?? []
  }

  /** For all users; who is left out has none. */
  setNotices(notices: ReadonlyMap<UserId, readonly string[]>): void {
    const former = this.#memory.notices
    this.#memory.notices = notices
    for (const id of new Set([...former.keys(), ...notices.keys()]))
      if (former.get(id)?.join('\n') !== notices.get(id)?.join('\n'))
        this.#tell(
          this.tailnetsOf(id).map(({ tailnet }) => ({ tailnetId: tailnet.id, change: { type: 'notices', id } })),
        )
  }

  get nodeCount(): number {
    return this.#memory.nodeCount
  }

  node(id: NodeId): Node | undefined {
    return this.#memory.node(id)
  }

  /**
   * A node key is public: finding a node by it proves nothing. Whoever acts for the node must also show its machine key,
   * which `boundNode` checks.
   */
  nodeByKey(key: NodePublic): Node | undefined {
    return this.#memory.nodeByKey(key)
  }

  /** The node of this key, if the connection's machine key is the one it belongs to: the check of every endpoint. */
  boundNode(key: NodePublic, machineKey: MachinePublic): Node | undefined {
    const node = this.nodeByKey(key)
    return node?.machineKey.equals(machineKey) === true ? node : undefined
  }

  nodesOfMachine(machineKey: MachinePublic): Node[] {
    return this.#memory.nodesOfMachine(machineKey)
  }

  hasMachine(machineKey: MachinePublic): boolean {
    return this.#memory.hasMachine(machineKey)
  }

  /** On the whole server; see Registry for those of one tailnet. */
  transaction<T>(work: (tx: RegistryTransaction) => Promise<T>): Promise<T> {
    return this.#alone((store, effects, news) =>
      work(new MemoryTransaction(store, this.#memory, effects, news, this.#clock)),
    )
  }

  #alone<T>(work: (store: StoreTransaction, effects: Effect[], news: News[]) => Promise<T>): Promise<T> {
    const turn = this.#queue.then(async () => {
      let effects: Effect[] = []
      let said = (): void => {}
      const result = await this.#store.transaction(async (store) => {
        effects = []
        const news: News[] = []
        this.#carryOut(await this.#sharing.catchUp(store))
        const done = await work(store, effects, news)
        said = await this.#sharing.say(store, news)
        return done
      })
      said()
      this.#carryOut(effects)
      return result
    })
    this.#queue = turn.catch(() => undefined)
    return turn
  }

  #carryOut(effects: readonly Effect[]): void {
    this.#tell(effects.flatMap((effect) => effect(this.#memory)))
  }

  /** Another server changed something. */
  #hear(seq: number | undefined): void {
    if (!this.#isClosed && this.#sharing.isNews(seq)) void this.#catchUp()
  }

  /** Never rejects. */
  #catchUp(): Promise<void> {
    // Behind what is under way here, and what comes in until then is read along.
    this.#catchingUp ??= this.#queue
      .then(() => {
        this.#catchingUp = undefined
        return this.#alone(async () => undefined)
      })
      .catch((error: unknown) => this.#log.warn('changes by other servers could not be read', { error }))
    return this.#catchingUp
  }

  /**
   * Memory holds what was changed before, on whatever server: for a person whose requests go now here, now there. While
   * the store is out it holds what it did, after two seconds. Not for use inside a transaction, which has it anyway.
   */
  async current(): Promise<void> {
    if (!this.#stopHearing || this.#isClosed) return
    await new Promise<void>((resolve) => {
      const cancel = this.#clock.after(CURRENT_MS, resolve)
      void this.#catchUp().then(() => {
        cancel()
        resolve()
      })
    })
  }

  /** Where logins wait; those of servers on the same database come there too. */
  attachLogins(logins: PendingLogins): void {
    this.#memory.logins = logins
    if (!this.#stopHearing) return
    this.#sharing.takeLogins()
    void this.#catchUp()
  }

  /** Undefined when too many wait. */
  async openLogin(wanted: LoginWish): Promise<PendingLogin | undefined> {
    return this.#stopHearing ? this.transaction((tx) => tx.openLogin(wanted)) : this.#memory.logins?.open(wanted)
  }

  #scheduleBeat(): void {
    this.#cancelBeat = this.#clock.after(BEAT_MS, () => {
      this.#alone(async (store, effects, news) => {
        effects.push(...(await this.#sharing.beat(store, news)))
      })
        .catch((error: unknown) => {
          this.#sharing.missBeat()
          this.#log.warn('other servers were not told that this one lives', { error })
        })
        .finally(() => {
          if (!this.#isClosed) this.#scheduleBeat()
        })
    })
  }

  /**
   * The DERP regions of all servers on the same database, where there may be others; then this server's are among them as
   * soon as the database knows, by numbers that may differ from these.
   */
  shareRegions(own: DerpMapInput): void {
    if (!this.#stopHearing) return
    this.#sharing.ownRegions = own
    this.#alone(async (store, effects, news) => {
      effects.push(...(await this.#sharing.tellRegions(store, news)))
    }).catch((error: unknown) => this.#log.warn('other servers were not told of the DERP server here', { error }))
  }

  /** Undefined where this server is alone by what it is. */
  get sharedRegions(): DerpMapInput['regions'] {
    return this.#stopHearing ? this.#sharing.regions : undefined
  }

  isElsewhere(id: NodeId): boolean {
    return this.#sharing.isElsewhere(id)
  }

  sayHere(id: NodeId, isHere: boolean): void {
    if (!this.#stopHearing) return
    this.#sharing.sayHere(id, isHere)
    this.#scheduleFlush()
  }

  #tell(heard: readonly Heard[]): void {
    const onError = (error: unknown): void => this.#log.error('listener failed', { error })
    for (const { tailnetId, change } of heard) {
      if (change === 'tailnet') {
        this.#follow(tailnetId)
        this.tailnetChanges.emit(tailnetId, onError)
      } else if (change === 'regions') this.regionsChanged.emit(undefined, onError)
      else if (change === 'sign-in') this.signInChanges.emit(tailnetId, onError)
      else this.#registries.get(tailnetId)?.changes.emit(change, onError)
    }
  }

  /** With other servers, or so that others may come. */
  get isShared(): boolean {
    return this.#store.listen !== undefined
  }

  read<T>(work: (store: StoreTransaction) => Promise<T>): Promise<T> {
    return this.#store.transaction(work)
  }

  /** Counts at once, is on disk a second later. False when the node is gone or said nothing new. */
  report(id: NodeId, report: NodeReport): boolean {
    const node = this.#memory.node(id)
    if (!node || node.report === report) return false
    this.#memory.setReport(id, report)
    this.#unsaved.add(id)
    this.#scheduleFlush()
    this.#tell([{ tailnetId: node.tailnetId, change: { type: 'node', id } }])
    return true
  }

  #scheduleFlush(): void {
    if (this.#isClosed) return
    this.#cancelFlush ??= this.#clock.after(this.#stopHearing ? SHARED_FLUSH_MS : REPORT_FLUSH_MS, () => {
      this.flush().catch((error: unknown) => {
        this.#log.error('reports could not be saved', { error })
        this.#scheduleFlush()
      })
    })
  }

  /** Brings waiting reports to disk. */
  async flush(): Promise<void> {
    this.#cancelFlush?.()
    this.#cancelFlush = undefined
    if (this.#unsaved.size === 0 && !this.#sharing.hasUntold) return
    const written = new Map<NodeId, NodeReport>()
    const save = async (tx: StoreTransaction, news: News[]): Promise<void> => {
      written.clear()
      for (const id of this.#unsaved) {
        const node = this.#memory.node(id)
        if (!node) continue
        await tx.writeReport(id, node.report)
        news.push({ type: 'node', id })
        written.set(id, node.report)
      }
    }
    if (this.#stopHearing) await this.#alone((tx, _effects, news) => save(tx, news))
    else await this.#store.transaction((tx) => save(tx, []))
    for (const id of this.#unsaved) {
      const now = this.#memory.node(id)?.report
      if (now === undefined || now === written.get(id)) this.#unsaved.delete(id)
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#cancelBeat?.()
    this.#stopHearing?.()
    await this.#queue
    await this.flush().catch((error: unknown) => this.#log.error('the last reports could not be saved', { error }))
    if (this.#stopHearing)
      await this.#alone((store, _effects, news) => this.#sharing.leave(store, news)).catch(() => {})
    await this.#store.close()
  }
}
