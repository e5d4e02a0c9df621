// A transaction on store and memory. Memory is what the last committed transaction left, until this one is through; then
// the effects gathered here are carried out on it.

import type { Clock } from '../base/clock.ts'
import { CoordError } from './errors.ts'
import type { KeptName } from './kept-settings.ts'
import { LOGIN_LIFE_MS, type LoginVerdict, type LoginWish, type PendingLogin } from './login/pending-logins.ts'
import { loginText, verdictText } from './login/login-text.ts'
import type { Node, NodeId, NodeReport, Role, Tailnet, TailnetId, User, UserId } from './model.ts'
import { type StoredPolicy, savePolicy } from './policy/stored-policy.ts'
import type { News } from './registry-sharing.ts'
import { type RouteDecision, routeDecisions, withDecisions } from './routes/decisions.ts'
import type { ServerMemory } from './server-memory.ts'
import {
  FIRST_TAILNET,
  type NewNode,
  type NewTailnet,
  type NewUser,
  type NodeChange,
  type StoreTransaction,
  type UserChange,
} from './store/store.ts'

export type Change =
  /** Added, changed or removed: whoever listens looks the node up. */
  | { readonly type: 'node'; readonly id: NodeId }
  | { readonly type: 'user'; readonly id: UserId }
  | { readonly type: 'policy' }
  /** Came to, or left, another server on the same database. */
  | { readonly type: 'presence'; readonly id: NodeId }
  | { readonly type: 'setting'; readonly name: KeptName }
  /** What the machines of a user tell their person changed. */
  | { readonly type: 'notices'; readonly id: UserId }

/**
 * Who hears of a change: one tailnet, or the server when a tailnet itself came, changed or went, people there sign in
 * otherwise, or DERP regions came or went.
 */
export type Heard =
  | { readonly tailnetId: TailnetId; readonly change: Change }
  | { readonly tailnetId: TailnetId; readonly change: 'tailnet' | 'sign-in' | 'regions' }

/** Brings memory to what the disk holds. */
export type Effect = (memory: ServerMemory) => readonly Heard[]

/** Of one tailnet, or of the whole server, as its `store` is. */
export interface RegistryTransaction {
  readonly store: StoreTransaction
  inTailnet(id: TailnetId): RegistryTransaction
  insertTailnet(tailnet: NewTailnet): Promise<Tailnet>
  updateTailnet(id: TailnetId, change: Partial<Pick<Tailnet, 'name' | 'domain'>>): Promise<void>
  deleteTailnet(id: TailnetId): Promise<void>
  insertUser(user: NewUser): Promise<User>
  insertMember(id: UserId, role: Role): Promise<User>
  updateUser(id: UserId, change: UserChange): Promise<void>
  deleteUser(id: UserId): Promise<void>
  /** After something changed of how people sign in. */
  touchSignIn(): void
  /** After something changed of the accounts elsewhere that a person signs in with. */
  refreshGroups(id: UserId): Promise<void>
  insertNode(node: NewNode, report: NodeReport): Promise<Node>
  updateNode(id: NodeId, change: NodeChange): Promise<Node>
  deleteNode(id: NodeId): Promise<void>
  setPolicy(policy: StoredPolicy): Promise<void>
  setKept(name: KeptName, text: string): Promise<void>
  /** Undefined when too many wait. */
  openLogin(wanted: LoginWish): Promise<PendingLogin | undefined>
  /** Throws CoordError when it waits no more. */
  settleLogin(id: string, verdict: LoginVerdict): Promise<void>
  decideRoutes(id: NodeId, routes: readonly string[], decision: RouteDecision): Promise<void>
  audit(actor: string, action: string, subject: string, detail?: string): Promise<void>
}

export class MemoryTransaction implements RegistryTransaction {
  readonly store: StoreTransaction
  readonly #memory: ServerMemory
  readonly #effects: Effect[]
  readonly #news: News[]
  readonly #clock: Clock

  constructor(store: StoreTransaction, memory: ServerMemory, effects: Effect[], news: News[], clock: Clock) {
    this.store = store
    this.#memory = memory
    this.#effects = effects
    this.#news = news
    this.#clock = clock
  }

  inTailnet(id: TailnetId): MemoryTransaction {
    return new MemoryTransaction(this.store.inTailnet(id), this.#memory, this.#effects, this.#news, this.#clock)
  }

  async insertTailnet(wish: NewTailnet): Promise<Tailnet> {
    const tailnet = await this.store.insertTailnet(wish)
    this.#news.push({ type: 'tailnet', id: tailnet.id })
    this.#effects.push((memory) => {
      memory.putTailnet(tailnet)
      return [{ tailnetId: tailnet.id, change: 'tailnet' }]
    })
    return tailnet
  }

  async updateTailnet(id: TailnetId, change: Partial<Pick<Tailnet, 'name' | 'domain'>>): Promise<void> {
    await this.store.updateTailnet(id, change)
    this.#news.push({ type: 'tailnet', id })
    this.#effects.push((memory) => {
      const known = memory.tailnets.get(id)
      if (known) memory.putTailnet({ ...known.tailnet, ...change })
      return [{ tailnetId: id, change: 'tailnet' }]
    })
  }

  async deleteTailnet(id: TailnetId): Promise<void> {
    await this.store.deleteTailnet(id)
    this.#news.push({ type: 'tailnet', id })
    this.#effects.push((memory) => {
      memory.tailnets.delete(id)
      return [{ tailnetId: id, change: 'tailnet' }]
    })
  }

  async insertUser(user: NewUser): Promise<User> {
    const added = await this.store.insertUser(user)
    this.#news.push({ type: 'user', id: added.id })
    this.#effects.push((memory) => {
      memory.putMember(added.homeId, added)
      return [{ tailnetId: added.homeId, change: { type: 'user', id: added.id } }]
    })
    return added
  }

  async insertMember(id: UserId, role: Role): Promise<User> {
    const added = await this.store.insertMember(id, role)
    this.#news.push({ type: 'user', id })
    const { tailnetId } = this.store
    if (tailnetId !== undefined)
      this.#effects.push((memory) => {
        memory.putMember(tailnetId, added)
        return [{ tailnetId, change: { type: 'user', id } }]
      })
    return added
  }

  async updateUser(id: UserId, change: UserChange): Promise<void> {
    await this.store.updateUser(id, change)
    this.#news.push({ type: 'user', id })
    const { tailnetId } = this.store
    this.#effects.push((memory) => {
      memory.changeUser(id, change, tailnetId)
      return heardOfUser(memory, id)
    })
  }

  async deleteUser(id: UserId): Promise<void> {
    await this.store.deleteUser(id)
    this.#news.push({ type: 'user', id })
    const { tailnetId } = this.store
    this.#effects.push((memory) => {
      const heard = heardOfUser(memory, id)
      memory.removeUser(id, tailnetId)
      return heard
    })
  }

  touchSignIn(): void {
    const tailnetId = this.store.tailnetId ?? FIRST_TAILNET
    this.#news.push({ type: 'sign-in', id: tailnetId })
    this.#effects.push(() => [{ tailnetId, change: 'sign-in' }])
  }

  async refreshGroups(id: UserId): Promise<void> {
    const groups = await this.store.identity.oidc.groupsOf(id)
    this.#news.push({ type: 'user', id })
    this.#effects.push((memory) => (memory.setGroups(id, groups) ? heardOfUser(memory, id) : []))
  }

  async insertNode(node: NewNode, report: NodeReport): Promise<Node> {
    const added = await this.store.insertNode(node, report)
    this.#news.push({ type: 'node', id: added.id })
    this.#putNode(added.id, () => added)
    return added
  }

  async updateNode(id: NodeId, change: NodeChange): Promise<Node> {
    await this.store.updateNode(id, change)
    this.#news.push({ type: 'node', id })
    const node = this.#memory.node(id)
    if (!node) throw new CoordError('coord/not-found', `There is no node ${id}.`)
    this.#putNode(id, (now) => now && { ...now, ...change })
    return { ...node, ...change }
  }

  #putNode(id: NodeId, next: (now: Node | undefined) => Node | undefined): void {
    this.#effects.push((memory) => {
      const node = next(memory.node(id))
      if (!node) return []
      memory.putNode(node)
      return [{ tailnetId: node.tailnetId, change: { type: 'node', id } }]
    })
  }

  async deleteNode(id: NodeId): Promise<void> {
    await this.store.deleteNode(id)
    this.#news.push({ type: 'node', id })
    this.#effects.push((memory) => {
      const node = memory.node(id)
      memory.removeNode(id)
      return node ? [{ tailnetId: node.tailnetId, change: { type: 'node', id } }] : []
    })
  }

  async setPolicy(policy: StoredPolicy): Promise<void> {
    await savePolicy(this.store, policy)
    const { tailnetId } = this.store
    if (tailnetId === undefined) return
    this.#news.push({ type: 'policy', id: tailnetId })
    this.#effects.push((memory) => {
      const known = memory.tailnets.get(tailnetId)
      if (known) known.policy = policy
      return [{ tailnetId, change: { type: 'policy' } }]
    })
  }

  async setKept(name: KeptName, text: string): Promise<void> {
    await this.store.setTailnetSetting(name, text)
    const { tailnetId } = this.store
    if (tailnetId === undefined) return
    this.#news.push({ type: 'setting', id: tailnetId, name })
    this.#effects.push((memory) => {
      memory.tailnets.get(tailnetId)?.kept.set(name, text)
      return [{ tailnetId, change: { type: 'setting', name } }]
    })
  }

  async openLogin(wanted: LoginWish): Promise<PendingLogin | undefined> {
    const opening = this.#memory.logins?.decide(wanted)
    if (!opening?.isNew) return opening?.login
    const { login, instead } = opening
    const { shared } = this.store
    if (instead !== undefined) {
      await shared?.deleteLogin(instead)
      this.#news.push({ type: 'login', id: instead })
    }
    const endsAtMs = login.createdAtMs + LOGIN_LIFE_MS
    await shared?.insertLogin(login.id, loginText(login), this.#clock.wallNow(), endsAtMs)
    this.#news.push({ type: 'login', id: login.id })
    this.#effects.push((memory) => {
      memory.logins?.carryOut(opening)
      return []
    })
    return login
  }

  async settleLogin(id: string, verdict: LoginVerdict): Promise<void> {
    const { shared } = this.store
    const isFirst = shared ? await shared.settleLogin(id, verdictText(verdict)) : this.#memory.logins?.get(id)
    if (!isFirst)
      throw new CoordError('coord/not-found', 'This login is over or was never begun. Start again on the device.')
    this.#news.push({ type: 'login', id })
    this.#effects.push((memory) => {
      memory.logins?.settle(id, verdict)
      return []
    })
  }

  async decideRoutes(id: NodeId, routes: readonly string[], decision: RouteDecision): Promise<void> {
    // Of the store's own, so that several in one transaction add up.
    const known = routeDecisions.parse(await this.store.tailnetSetting(routeDecisions.name))
    const isThere = (one: NodeId): boolean => one === id || this.#memory.node(one) !== undefined
    await this.setKept(routeDecisions.name, withDecisions(known, id, routes, decision, isThere))
  }

  /**
   * What happens to a person's ways to sign in is for the owners of the person's home to read, and what is nobody's for
   * those of the first tailnet.
   */
  async audit(actor: string, action: string, subject: string, detail = ''): Promise<void> {
    const homeId = this.store.tailnetId ?? (await this.#homeOf(subject)) ?? (await this.#homeOf(actor))
    return this.store
      .inTailnet(homeId ?? FIRST_TAILNET)
      .audit({ atMs: this.#clock.wallNow(), actor, action, subject, detail })
  }

  async #homeOf(text: string): Promise<TailnetId | undefined> {
    const id = /^user:(\d+)$/.exec(text)?.[1]
    return id === undefined ? undefined : (await this.store.tailnetsOf(Number(id)))[0]
  }
}

export const heardOfUser = (memory: ServerMemory, id: UserId): Heard[] =>
  memory.tailnetsOfUser(id).map(({ tailnet }) => ({ tailnetId: tailnet.id, change: { type: 'user', id } }))
