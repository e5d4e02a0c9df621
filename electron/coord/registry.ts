// One tailnet in memory, as all that works for one tailnet sees it: what others of the server have is not there.

import { Listeners } from '../base/lifetime.ts'
import type { KeptSetting } from './kept-settings.ts'
import type { Node, NodeId, NodeReport, Tailnet, User, UserId } from './model.ts'
import type { StoredPolicy } from './policy/stored-policy.ts'
import type { Change, RegistryTransaction } from './registry-transaction.ts'
import type { ServerMemory, TailnetMemory } from './server-memory.ts'
import type { StoreTransaction } from './store/store.ts'

export type { Change, RegistryTransaction } from './registry-transaction.ts'

/** What a tailnet needs of the server it is on. */
export interface RegistryServer {
  transaction<T>(work: (tx: RegistryTransaction) => Promise<T>): Promise<T>
  read<T>(work: (store: StoreTransaction) => Promise<T>): Promise<T>
  report(id: NodeId, report: NodeReport): boolean
  isElsewhere(id: NodeId): boolean
  sayHere(id: NodeId, isHere: boolean): void
}

export class Registry {
  readonly changes = new Listeners<Change>()
  readonly #server: RegistryServer
  readonly #memory: ServerMemory
  readonly #here: TailnetMemory

  constructor(server: RegistryServer, memory: ServerMemory, here: TailnetMemory) {
    this.#server = server
    this.#memory = memory
    this.#here = here
  }

  get tailnet(): Tailnet {
    return this.#here.tailnet
  }

  /** Undefined while nobody has set one: then all is allowed. */
  get policy(): StoredPolicy | undefined {
    return this.#here.policy
  }

  kept<T>(setting: KeptSetting<T>): T {
    return this.#here.kept.get(setting)
  }

  /** Its members, with their roles here. */
  users(): Iterable<User> {
    return this.#here.members.values()
  }

  user(id: UserId): User | undefined {
    return this.#here.members.get(id)
  }

  /** At the providers of this tailnet, as policies write them; a guest is in none. */
  groupsOf({ id, homeId }: User): readonly string[] {
    return homeId === this.tailnet.id ? this.#memory.groupsOf(id) : []
  }

  /** What the machines of this user tell the person before them; made anew at each start, kept nowhere. */
  notices(id: UserId): readonly string[] {
    return this.#memory.notices.get(id) ?? []
  }

  /** Whether nobody is on the server yet, in whatever tailnet: then the first account is still to be made. */
  get isServerEmpty(): boolean {
    return this.#memory.people.size === 0
  }

  nodes(): Iterable<Node> {
    return this.#here.nodes.values()
  }

  get nodeCount(): number {
    return this.#here.nodes.size
  }

  node(id: NodeId): Node | undefined {
    return this.#here.nodes.get(id)
  }

  isNameTaken(label: string): boolean {
    return this.#here.names.has(label)
  }

  isAddressTaken(address: string): boolean {
    return this.#here.addresses.has(address)
  }

  /** One after the other; when `work` throws, neither disk nor memory has changed. Resolves once it is on disk. */
  transaction<T>(work: (tx: RegistryTransaction) => Promise<T>): Promise<T> {
    return this.#server.transaction((tx) => work(tx.inTailnet(this.tailnet.id)))
  }

  /** For reading what memory does not hold. */
  read<T>(work: (store: StoreTransaction) => Promise<T>): Promise<T> {
    return this.#server.read((store) => work(store.inTailnet(this.tailnet.id)))
  }

  /** Counts at once, is on disk a second later. False when the node is not here or said nothing new. */
  report(id: NodeId, report: NodeReport): boolean {
    return this.#here.nodes.has(id) && this.#server.report(id, report)
  }

  /** Whether it is connected to another server on the same database. */
  isElsewhere(id: NodeId): boolean {
    return this.#server.isElsewhere(id)
  }

  /** It is connected to this server, or no more. */
  sayHere(id: NodeId, isHere: boolean): void {
    this.#server.sayHere(id, isHere)
  }
}
