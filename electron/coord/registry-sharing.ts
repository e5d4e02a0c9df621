// Several servers on one database. Each writes what it changed into a log, in the same transaction; each reads what others
// wrote before it does anything of its own, and as soon as it is woken. What a change was is read from the database again,
// so that the log says only where to look.

import { randomUUID } from 'node:crypto'
import type { DerpMapInput } from '../wire/tailcfg/derp-map.ts'
import { ownDerpMap } from './derp-map/own-derp-map.ts'
import { SharedRegions } from './derp-map/shared-regions.ts'
import { KEPT_SETTINGS, type KeptName } from './kept-settings.ts'
import { loginOf, verdictOf } from './login/login-text.ts'
import type { Node, NodeId, TailnetId, User, UserId } from './model.ts'
import { loadPolicy } from './policy/stored-policy.ts'
import type { Effect, Heard } from './registry-transaction.ts'
import type { ServerMemory } from './server-memory.ts'
import type { SharedTables } from './store/shared-tables.ts'
import { FIRST_TAILNET, type StoreTransaction } from './store/store.ts'

/** How often a server says that it lives, and looks for what it was not woken for. */
export const BEAT_MS = 2_000
/** Of a server that was silent for so long nobody is connected any more. */
const SILENT_MS = 10_000
/** What reports and comings may wait where other servers wait for them too. */
export const SHARED_FLUSH_MS = 200
/** PostgreSQL takes 65,535 values in a query. */
const NODES_A_QUERY = 5_000

export type News =
  | { readonly type: 'tailnet' | 'policy' | 'sign-in'; readonly id: TailnetId }
  | { readonly type: 'setting'; readonly id: TailnetId; readonly name: KeptName }
  | { readonly type: 'user'; readonly id: UserId }
  | { readonly type: 'login'; readonly id: string }
  /** The id says nothing. */
  | { readonly type: 'regions'; readonly id: 0 }
  | { readonly type: 'node' | 'online' | 'offline'; readonly id: NodeId }

const TYPES: readonly string[] = [
  'tailnet',
  'policy',
  'sign-in',
  'setting',
  'user',
  'login',
  'regions',
  'node',
  'online',
  'offline',
]

/** What a later version may write besides is left out. */
function parseNews(text: string): News[] {
  const all = JSON.parse(text) as readonly Partial<News>[]
  const isOurs = (news: Partial<News>): news is News =>
    TYPES.includes(news.type ?? '') &&
    (news.type === 'login' ? typeof news.id === 'string' : Number.isSafeInteger(news.id))
  return all.filter(isOurs)
}

export class RegistrySharing {
  readonly #memory: ServerMemory
  /** Names this process, and no later one. */
  readonly #id: string = randomUUID()
  #seen = 0
  readonly #here = new Set<NodeId>()
  readonly #untold = new Set<NodeId>()
  readonly #regions = new SharedRegions(this.#id)
  readonly #elsewhere = new Map<string, Set<NodeId>>()
  /** Of nodes whose report here is newer than that on disk. */
  readonly #isUnsaved: (id: NodeId) => boolean
  /** Those that began before this server listened. */
  #hasLogins = true

  constructor(memory: ServerMemory, isUnsaved: (id: NodeId) => boolean) {
    this.#memory = memory
    this.#isUnsaved = isUnsaved
  }

  /** In the transaction that loads the memory. */
  async join(shared: SharedTables): Promise<void> {
    this.#seen = await shared.lastSeq()
    await shared.beat(this.#id)
    await shared.forgetSilent(SILENT_MS)
    await this.#readOnline(shared)
    ;(await this.#regions.read(shared))()
  }

  /** Of all servers, as far as they live. */
  get regions(): DerpMapInput['regions'] {
    return this.#regions.all
  }

  /** What this server has; others hear of it at the next `tellRegions`. */
  set ownRegions(map: DerpMapInput) {
    this.#regions.own = map
  }

  missBeat(): void {
    this.#regions.missBeat()
  }

  async tellRegions({ shared }: StoreTransaction, news: News[]): Promise<Effect[]> {
    if (!shared) return []
    const isTaken = (id: number): boolean =>
      [...this.#memory.tailnets.values()].some(({ kept }) => kept.get(ownDerpMap).map.regions?.has(id) === true)
    if (!(await this.#regions.tell(shared, isTaken))) return []
    news.push({ type: 'regions', id: 0 })
    return [await this.#rereadRegions(shared)]
  }

  async #rereadRegions(shared: SharedTables): Promise<Effect> {
    const put = await this.#regions.read(shared)
    return () => {
      put()
      return [{ tailnetId: FIRST_TAILNET, change: 'regions' }]
    }
  }

  /** From now on logins of other servers are in memory too. */
  takeLogins(): void {
    this.#hasLogins = false
  }

  async #readOnline(shared: SharedTables): Promise<NodeId[]> {
    const before = [...this.#elsewhere.values()].flatMap((ids) => [...ids])
    this.#elsewhere.clear()
    for (const { server, node } of await shared.online()) if (server !== this.#id) this.#of(server).add(node)
    return [...before, ...[...this.#elsewhere.values()].flatMap((ids) => [...ids])]
  }

  #of(server: string): Set<NodeId> {
    const known = this.#elsewhere.get(server) ?? new Set()
    this.#elsewhere.set(server, known)
    return known
  }

  isElsewhere(id: NodeId): boolean {
    for (const ids of this.#elsewhere.values()) if (ids.has(id)) return true
    return false
  }

  /** Connected to this server, or no more. */
  sayHere(id: NodeId, isHere: boolean): void {
    if (isHere) this.#here.add(id)
    else this.#here.delete(id)
    this.#untold.add(id)
  }

  async hasCompany(shared: SharedTables | undefined): Promise<boolean> {
    if (!shared) return false
    await shared.forgetSilent(SILENT_MS)
    return (await shared.servers()).some((id) => id !== this.#id)
  }

  get hasUntold(): boolean {
    return this.#untold.size > 0
  }

  /** First in a transaction: what is in the log and not yet in memory. */
  async catchUp(store: StoreTransaction): Promise<Effect[]> {
    const { shared } = store
    if (!shared) return []
    const early = this.#hasLogins ? [] : await rereadLogins(store)
    const changes = await shared.since(this.#seen)
    this.#hasLogins = true
    if (changes?.length === 0) return early
    const effects: Effect[] = []
    let news: News[]
    if (changes) {
      // One's own are among them only where the database did not say whether it kept them.
      news = changes.flatMap((change) => parseNews(change.news))
      for (const { sender, news: text } of changes)
        if (sender !== this.#id) this.#note(sender, parseNews(text), effects)
    } else {
      news = await this.#everything(store)
      effects.push(...(await rereadLogins(store)), this.#presenceOf(await this.#readOnline(shared)))
    }
    const seen = changes?.at(-1)?.seq ?? (await shared.lastSeq())
    const reread = await this.#reread(store, news)
    this.#seen = seen
    return [...reread, ...early, ...effects]
  }

  #note(sender: string, all: readonly News[], effects: Effect[]): void {
    const ids = all.flatMap(({ type, id }) => (type === 'online' || type === 'offline' ? [id] : []))
    if (ids.length === 0) return
    effects.push((memory) => {
      for (const { type, id } of all) {
        if (type === 'online') this.#of(sender).add(id)
        else if (type === 'offline') this.#of(sender).delete(id)
      }
      return this.#presenceOf(ids)(memory)
    })
  }

  #presenceOf(ids: readonly NodeId[]): Effect {
    return (memory) =>
      [...new Set(ids)].flatMap((id) => {
        const node = memory.node(id)
        return node ? [{ tailnetId: node.tailnetId, change: { type: 'presence', id } }] : []
      })
  }

  async #everything(store: StoreTransaction): Promise<News[]> {
    const tailnets = new Set([...this.#memory.tailnets.keys(), ...(await store.tailnets()).map(({ id }) => id)])
    const users = new Set([...this.#memory.people.keys(), ...(await store.users()).map(({ id }) => id)])
    const nodes = new Set([...this.#nodeIds(), ...(await store.nodes()).map(({ id }) => id)])
    return [
      ...[...tailnets].flatMap((id): News[] => [
        { type: 'tailnet', id },
        { type: 'policy', id },
        ...KEPT_SETTINGS.map((name): News => ({ type: 'setting', id, name })),
        { type: 'sign-in', id },
      ]),
      ...[...users].map((id): News => ({ type: 'user', id })),
      ...[...nodes].map((id): News => ({ type: 'node', id })),
      { type: 'regions', id: 0 },
    ]
  }

  #nodeIds(): NodeId[] {
    return [...this.#memory.tailnets.values()].flatMap(({ nodes }) => [...nodes.keys()])
  }

  async #reread(store: StoreTransaction, news: readonly News[]): Promise<Effect[]> {
    const ids = (type: Exclude<News['type'], 'login'>): number[] => [
      ...new Set(news.flatMap((one) => (one.type === type ? [one.id] : []))),
    ]
    const effects: Effect[] = []
    const known = new Set((await store.tailnets()).map(({ id }) => id))
    if (ids('tailnet').length > 0) effects.push(await rereadTailnets(store, ids('tailnet')))
    for (const id of ids('user')) effects.push(await rereadUser(store, id))
    const settings = new Map(news.flatMap((one) => (one.type === 'setting' ? [[`${one.id} ${one.name}`, one]] : [])))
    for (const { id, name } of settings.values()) if (known.has(id)) effects.push(await rereadSetting(store, id, name))
    for (const id of ids('policy')) if (known.has(id)) effects.push(await rereadPolicy(store, id))
    const nodes = ids('node')
    for (let from = 0; from < nodes.length; from += NODES_A_QUERY) {
      const some = nodes.slice(from, from + NODES_A_QUERY)
      const found = new Map((await store.nodes(some)).map((node) => [node.id, node]))
      effects.push(...some.map((id) => this.#nodeEffect(id, found.get(id))))
    }
    const logins = news.flatMap((one) => (one.type === 'login' ? [one.id] : []))
    // Behind the nodes, since who waits looks for one.
    if (logins.length > 0) effects.push(...(await rereadLogins(store, [...new Set(logins)])))
    if (store.shared && ids('regions').length > 0) effects.push(await this.#rereadRegions(store.shared))
    for (const id of ids('sign-in')) effects.push(() => [{ tailnetId: id, change: 'sign-in' }])
    return effects
  }

  #nodeEffect(id: NodeId, found: Node | undefined): Effect {
    return (memory) => {
      const before = memory.node(id)
      if (found) memory.putNode(before && this.#isUnsaved(id) ? { ...found, report: before.report } : found)
      else memory.removeNode(id)
      const tailnetId = (found ?? before)?.tailnetId
      return tailnetId === undefined ? [] : [{ tailnetId, change: { type: 'node', id } }]
    }
  }

  /** Last in a transaction. Answers what to call when it is through. */
  async say({ shared }: StoreTransaction, news: readonly News[]): Promise<() => void> {
    const told = [...this.#untold]
    if (!shared || (news.length === 0 && told.length === 0)) return () => {}
    const isHere = (id: NodeId): boolean => this.#here.has(id)
    const [here, gone] = [told.filter(isHere), told.filter((id) => !isHere(id))]
    await shared.setOnline(this.#id, here, true)
    await shared.setOnline(this.#id, gone, false)
    const all: News[] = [
      ...news,
      ...here.map((id): News => ({ type: 'online', id })),
      ...gone.map((id): News => ({ type: 'offline', id })),
    ]
    const seq = await shared.append(this.#id, JSON.stringify(all))
    return () => {
      this.#seen = seq
      const isToldRight = new Set(here)
      for (const id of told) if (isHere(id) === isToldRight.has(id)) this.#untold.delete(id)
    }
  }

  /** Now and then: says that this server lives, and finds out who does not. */
  async beat(store: StoreTransaction, news: News[]): Promise<Effect[]> {
    const { shared } = store
    if (!shared) return []
    const regions = await this.tellRegions(store, news)
    if (await shared.beat(this.#id)) {
      // Others took this server for dead, and its nodes for gone.
      for (const id of this.#here) this.#untold.add(id)
    }
    await shared.forgetSilent(SILENT_MS)
    const alive = new Set(await shared.servers())
    const gone = [...this.#elsewhere].flatMap(([server, ids]): Effect[] =>
      alive.has(server)
        ? []
        : [
            (memory: ServerMemory): readonly Heard[] => {
              this.#elsewhere.delete(server)
              return this.#presenceOf([...ids])(memory)
            },
          ],
    )
    return [...regions, ...gone]
  }

  async leave({ shared }: StoreTransaction, news: News[]): Promise<void> {
    await shared?.leave(this.#id)
    if (((await shared?.deleteRegionsOf(this.#id)) ?? 0) > 0) news.push({ type: 'regions', id: 0 })
  }

  isNews(seq: number | undefined): boolean {
    return seq === undefined || seq > this.#seen
  }
}

async function rereadTailnets(store: StoreTransaction, ids: readonly TailnetId[]): Promise<Effect> {
  const all = new Map((await store.tailnets()).map((tailnet) => [tailnet.id, tailnet]))
  return (memory) =>
    ids.map((id) => {
      const tailnet = all.get(id)
      if (tailnet) memory.putTailnet(tailnet)
      else memory.tailnets.delete(id)
      return { tailnetId: id, change: 'tailnet' }
    })
}

async function rereadUser(store: StoreTransaction, id: UserId): Promise<Effect> {
  const members: (readonly [TailnetId, User])[] = []
  for (const tailnetId of await store.tailnetsOf(id)) {
    const user = (await store.inTailnet(tailnetId).users()).find((one) => one.id === id)
    if (user) members.push([tailnetId, user])
  }
  const groups = await store.identity.oidc.groupsOf(id)
  return (memory) => {
    const now = new Set(members.map(([tailnetId]) => tailnetId))
    const before = memory.tailnetsOfUser(id).map(({ tailnet }) => tailnet.id)
    if (now.size === 0) memory.removeUser(id, undefined)
    else {
      for (const tailnetId of before) if (!now.has(tailnetId)) memory.tailnets.get(tailnetId)?.members.delete(id)
      for (const [tailnetId, user] of members) memory.putMember(tailnetId, user)
      memory.setGroups(id, groups)
    }
    return [...new Set([...before, ...now])].map((tailnetId) => ({ tailnetId, change: { type: 'user', id } }))
  }
}

/** All that wait, or those of these ids. */
async function rereadLogins({ shared }: StoreTransaction, ids?: readonly string[]): Promise<Effect[]> {
  const rows = new Map(((await shared?.logins(ids)) ?? []).map((row) => [row.id, row]))
  return [...(ids ?? rows.keys())].map((id) => (memory) => {
    const row = rows.get(id)
    const login = row && loginOf(row.login)
    if (login) memory.logins?.put(login)
    else memory.logins?.drop(id)
    if (login && row.verdict !== null) memory.logins?.settle(id, verdictOf(row.verdict))
    return []
  })
}

async function rereadSetting(store: StoreTransaction, tailnetId: TailnetId, name: KeptName): Promise<Effect> {
  const text = await store.inTailnet(tailnetId).tailnetSetting(name)
  return (memory) => {
    if (text === undefined) return []
    memory.tailnets.get(tailnetId)?.kept.set(name, text)
    return [{ tailnetId, change: { type: 'setting', name } }]
  }
}

async function rereadPolicy(store: StoreTransaction, tailnetId: TailnetId): Promise<Effect> {
  const policy = await loadPolicy(store.inTailnet(tailnetId))
  return (memory) => {
    const known = memory.tailnets.get(tailnetId)
    if (known) known.policy = policy
    return [{ tailnetId, change: { type: 'policy' } }]
  }
}
