// The tailnet in memory, in step with the store: memory changes after the disk did, and never without it. Only what nodes
// report about themselves is the other way round, since a lost report is simply told again.

import type { Clock } from '../base/clock.ts'
import { Listeners } from '../base/lifetime.ts'
import type { Logger } from '../base/log.ts'
import type { MachinePublic, NodePublic } from '../crypto/keys.ts'
import { CoordError } from './errors.ts'
import { type KeptName, type KeptSetting, KeptSettings } from './kept-settings.ts'
import type { Node, NodeId, NodeReport, User, UserId } from './model.ts'
import { type StoredPolicy, loadPolicy, savePolicy } from './policy/stored-policy.ts'
import { type RouteDecision, routeDecisions, withDecisions } from './routes/decisions.ts'
import type { NewNode, NewUser, NodeChange, Store, StoreTransaction } from './store/store.ts'

/** What reports may wait for the disk; a burst of them becomes one transaction. */
const REPORT_FLUSH_MS = 1_000

export type Change =
  /** Added, changed or removed: whoever listens looks the node up. */
  | { readonly type: 'node'; readonly id: NodeId }
  | { readonly type: 'user'; readonly id: UserId }
  | { readonly type: 'policy' }
  | { readonly type: 'setting'; readonly name: KeptName }
  /** What the machines of a user tell their person changed. */
  | { readonly type: 'notices'; readonly id: UserId }

/** A transaction on store and memory. Memory is what the last committed transaction left, until this one is through. */
export interface RegistryTransaction {
  readonly store: StoreTransaction
  insertUser(user: NewUser): Promise<User>
  updateUser(id: UserId, change: Partial<Pick<User, 'name' | 'displayName' | 'email' | 'role'>>): Promise<void>
  deleteUser(id: UserId): Promise<void>
  insertNode(node: NewNode, report: NodeReport): Promise<Node>
  updateNode(id: NodeId, change: NodeChange): Promise<Node>
  deleteNode(id: NodeId): Promise<void>
  setPolicy(policy: StoredPolicy): Promise<void>
  setKept(name: KeptName, text: string): Promise<void>
  decideRoutes(id: NodeId, routes: readonly string[], decision: RouteDecision): Promise<void>
  audit(actor: string, action: string, subject: string, detail?: string): Promise<void>
}

export class Registry {
  readonly changes = new Listeners<Change>()
  readonly #store: Store
  readonly #clock: Clock
  readonly #log: Logger
  readonly #users = new Map<UserId, User>()
  #notices: ReadonlyMap<UserId, readonly string[]> = new Map()
  readonly #nodes = new Map<NodeId, Node>()
  readonly #byNodeKey = new Map<string, NodeId>()
  /** Machine key to its nodes: one for each account it is logged in to. */
  readonly #machines = new Map<string, Set<NodeId>>()
  readonly #names = new Set<string>()
  readonly #addresses = new Set<string>()
  #policy: StoredPolicy | undefined
  readonly #kept = new KeptSettings()
  #queue: Promise<unknown> = Promise.resolve()
  readonly #unsaved = new Set<NodeId>()
  #cancelFlush: (() => void) | undefined

  private constructor(store: Store, clock: Clock, log: Logger) {
    this.#store = store
    this.#clock = clock
    this.#log = log
  }

  static async load(store: Store, clock: Clock, log: Logger): Promise<Registry> {
    const registry = new Registry(store, clock, log)
    await store.transaction(async (tx) => {
      for (const user of await tx.users()) registry.#users.set(user.id, user)
      for (const node of await tx.nodes()) registry.#put(node)
      registry.#policy = await loadPolicy(tx)
      await registry.#kept.load(tx)
    })
    return registry
  }

  /** Undefined while nobody has set one: then all is allowed. */
  get policy(): StoredPolicy | undefined {
    return this.#policy
  }

  kept<T>(setting: KeptSetting<T>): T {
    return this.#kept.get(setting)
  }

  users(): Iterable<User> {
    return this.#users.values()
  }

  user(id: UserId): User | undefined {
    return this.#users.get(id)
  }

  /** What the machines of this user tell the person before them; made anew at each start, kept nowhere. */
  notices(id: UserId): readonly string[] {
    return this.#notices.get(id) ?? []
  }

  /** For all users; who is left out has none. */
  setNotices(notices: ReadonlyMap<UserId, readonly string[]>): void {
    const former = this.#notices
    this.#notices = notices
    for (const id of new Set([...former.keys(), ...notices.keys()]))
      if (former.get(id)?.join('\n') !== notices.get(id)?.join('\n'))
        this.changes.emit({ type: 'notices', id }, (error) => this.#log.error('listener failed', { error }))
  }

  nodes(): Iterable<Node> {
    return this.#nodes.values()
  }

  get nodeCount(): number {
    return this.#nodes.size
  }

  node(id: NodeId): Node | undefined {
    return this.#nodes.get(id)
  }

  /**
   * A node key is public: finding a node by it proves nothing. Whoever acts for the node must also show its machine key,
   * which `boundNode` checks.
   */
  nodeByKey(key: NodePublic): Node | undefined {
    const id = this.#byNodeKey.get(key.text)
    return id === undefined ? undefined : this.#nodes.get(id)
  }

  /** The node of this key, if the connection's machine key is the one it belongs to: the check of every endpoint. */
  boundNode(key: NodePublic, machineKey: MachinePublic): Node | undefined {
    const node = this.nodeByKey(key)
    return node?.machineKey.equals(machineKey) === true ? node : undefined
  }

  nodesOfMachine(machineKey: MachinePublic): Node[] {
    return [...(this.#machines.get(machineKey.text) ?? [])].flatMap((id) => this.#nodes.get(id) ?? [])
  }

  hasMachine(machineKey: MachinePublic): boolean {
    return this.#machines.has(machineKey.text)
  }

  isNameTaken(label: string): boolean {
    return this.#names.has(label)
  }

  isAddressTaken(address: string): boolean {
    return this.#addresses.has(address)
  }

  /** One after the other; when `work` throws, neither disk nor memory has changed. Resolves once it is on disk. */
  transaction<T>(work: (tx: RegistryTransaction) => Promise<T>): Promise<T> {
    const turn = this.#queue.then(async () => {
      const effects: (() => Change)[] = []
      const result = await this.#store.transaction((store) => work(this.#transactionOn(store, effects)))
      const changes = effects.map((apply) => apply())
      for (const change of changes) this.changes.emit(change, (error) => this.#log.error('listener failed', { error }))
      return result
    })
    this.#queue = turn.catch(() => undefined)
    return turn
  }

  /** For reading what memory does not hold. */
  read<T>(work: (store: StoreTransaction) => Promise<T>): Promise<T> {
    return this.#store.transaction(work)
  }

  /** Counts at once, is on disk a second later. False when the node is gone or said nothing new. */
  report(id: NodeId, report: NodeReport): boolean {
    const node = this.#nodes.get(id)
    if (!node || node.report === report) return false
    this.#nodes.set(id, { ...node, report })
    this.#unsaved.add(id)
    this.#scheduleFlush()
    this.changes.emit({ type: 'node', id }, (error) => this.#log.error('listener failed', { error }))
    return true
  }

  #scheduleFlush(): void {
    this.#cancelFlush ??= this.#clock.after(REPORT_FLUSH_MS, () => {
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
    if (this.#unsaved.size === 0) return
    const waiting = [...this.#unsaved]
    this.#unsaved.clear()
    try {
      await this.#store.transaction(async (tx) => {
        for (const id of waiting) {
          const node = this.#nodes.get(id)
          if (node) await tx.writeReport(id, node.report)
        }
      })
    } catch (error) {
      for (const id of waiting) this.#unsaved.add(id)
      throw error
    }
  }

  async close(): Promise<void> {
    await this.#queue
    await this.flush()
    await this.#store.close()
  }

  #transactionOn(store: StoreTransaction, effects: (() => Change)[]): RegistryTransaction {
    const { users, nodes } = { users: this.#users, nodes: this.#nodes }
    const clock = this.#clock
    const setKept = async (name: KeptName, text: string): Promise<void> => {
      await store.setSetting(name, text)
      effects.push(() => {
        this.#kept.set(name, text)
        return { type: 'setting', name }
      })
    }
    return {
      store,
      async insertUser(user) {
        const added = await store.insertUser(user)
        effects.push(() => {
          users.set(added.id, added)
          return { type: 'user', id: added.id }
        })
        return added
      },
      async updateUser(id, change) {
        await store.updateUser(id, change)
        effects.push(() => {
          const user = users.get(id)
          if (user) users.set(id, { ...user, ...change })
          return { type: 'user', id }
        })
      },
      async deleteUser(id) {
        await store.deleteUser(id)
        effects.push(() => {
          users.delete(id)
          return { type: 'user', id }
        })
      },
      insertNode: async (node, report) => {
        const added = await store.insertNode(node, report)
        effects.push(() => {
          this.#put(added)
          return { type: 'node', id: added.id }
        })
        return added
      },
      updateNode: async (id, change) => {
        await store.updateNode(id, change)
        const node = nodes.get(id)
        if (!node) throw new CoordError('coord/not-found', `There is no node ${id}.`)
        effects.push(() => {
          const now = nodes.get(id)
          if (now) this.#put({ ...now, ...change })
          return { type: 'node', id }
        })
        return { ...node, ...change }
      },
      deleteNode: async (id) => {
        await store.deleteNode(id)
        effects.push(() => {
          this.#remove(id)
          return { type: 'node', id }
        })
      },
      setPolicy: async (policy) => {
        await savePolicy(store, policy)
        effects.push(() => {
          this.#policy = policy
          return { type: 'policy' }
        })
      },
      setKept,
      decideRoutes: async (id, routes, decision) => {
        // Of the store's own, so that several in one transaction add up.
        const known = routeDecisions.parse(await store.setting(routeDecisions.name))
        await setKept(
          routeDecisions.name,
          withDecisions(known, id, routes, decision, (one) => one === id || nodes.has(one)),
        )
      },
      audit: (actor, action, subject, detail = '') =>
        store.audit({ atMs: clock.wallNow(), actor, action, subject, detail }),
    }
  }

  #put(node: Node): void {
    const former = this.#nodes.get(node.id)
    if (former) this.#unindex(former)
    this.#nodes.set(node.id, node)
    this.#byNodeKey.set(node.nodeKey.text, node.id)
    const ofMachine = this.#machines.get(node.machineKey.text) ?? new Set()
    this.#machines.set(node.machineKey.text, ofMachine.add(node.id))
    this.#names.add(node.name)
    this.#addresses.add(node.addressV4)
    this.#addresses.add(node.addressV6)
  }

  #remove(id: NodeId): void {
    const node = this.#nodes.get(id)
    if (node) this.#unindex(node)
    this.#nodes.delete(id)
  }

  #unindex(node: Node): void {
    this.#byNodeKey.delete(node.nodeKey.text)
    const ofMachine = this.#machines.get(node.machineKey.text)
    ofMachine?.delete(node.id)
    if (ofMachine?.size === 0) this.#machines.delete(node.machineKey.text)
    this.#names.delete(node.name)
    this.#addresses.delete(node.addressV4)
    this.#addresses.delete(node.addressV6)
  }
}
