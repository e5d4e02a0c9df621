// All that the server knows, in memory, indexed. Changed only after the disk was; see server-registry.ts.

import type { MachinePublic, NodePublic } from '../crypto/keys.ts'
import { KeptSettings } from './kept-settings.ts'
import type { PendingLogins } from './login/pending-logins.ts'
import type { Node, NodeId, Role, Tailnet, TailnetId, User, UserId } from './model.ts'
import type { StoredPolicy } from './policy/stored-policy.ts'
import type { UserChange } from './store/store.ts'

/** One tailnet of them. */
export class TailnetMemory {
  tailnet: Tailnet
  policy: StoredPolicy | undefined
  readonly kept = new KeptSettings()
  readonly members = new Map<UserId, User>()
  readonly nodes = new Map<NodeId, Node>()
  readonly names = new Set<string>()
  readonly addresses = new Set<string>()

  constructor(tailnet: Tailnet) {
    this.tailnet = tailnet
  }
}

const NO_GROUPS: readonly string[] = []

export class ServerMemory {
  readonly tailnets = new Map<TailnetId, TailnetMemory>()
  /** With their role at home. */
  readonly people = new Map<UserId, User>()
  /** Which a running server has. */
  logins: PendingLogins | undefined
  notices: ReadonlyMap<UserId, readonly string[]> = new Map()
  /** Of providers, at the last sign-in: group@provider. */
  readonly #groups = new Map<UserId, readonly string[]>()
  /** Numbers of nodes are the server's, as node keys are. */
  readonly #tailnetOfNode = new Map<NodeId, TailnetMemory>()
  readonly #byNodeKey = new Map<string, NodeId>()
  /** Machine key to its nodes: one for each account it is logged in to. */
  readonly #machines = new Map<string, Set<NodeId>>()

  get nodeCount(): number {
    return this.#tailnetOfNode.size
  }

  node(id: NodeId): Node | undefined {
    return this.#tailnetOfNode.get(id)?.nodes.get(id)
  }

  nodeByKey(key: NodePublic): Node | undefined {
    const id = this.#byNodeKey.get(key.text)
    return id === undefined ? undefined : this.node(id)
  }

  nodesOfMachine(machineKey: MachinePublic): Node[] {
    return [...(this.#machines.get(machineKey.text) ?? [])].flatMap((id) => this.node(id) ?? [])
  }

  hasMachine(machineKey: MachinePublic): boolean {
    return this.#machines.has(machineKey.text)
  }

  tailnetsOfUser(id: UserId): TailnetMemory[] {
    return [...this.tailnets.values()].filter(({ members }) => members.has(id))
  }

  putTailnet(tailnet: Tailnet): void {
    const known = this.tailnets.get(tailnet.id)
    if (known) known.tailnet = tailnet
    else this.tailnets.set(tailnet.id, new TailnetMemory(tailnet))
  }

  putMember(tailnetId: TailnetId, user: User): void {
    this.tailnets.get(tailnetId)?.members.set(user.id, user)
    if (user.homeId === tailnetId) this.people.set(user.id, user)
  }

  changeUser(id: UserId, { role, ...change }: UserChange, tailnetId: TailnetId | undefined): void {
    const person = this.people.get(id)
    if (!person) return
    const rolePlace = tailnetId ?? person.homeId
    for (const { tailnet, members } of this.tailnetsOfUser(id)) {
      const member = members.get(id)
      if (!member) continue
      const isRolePlace = role !== undefined && tailnet.id === rolePlace
      this.putMember(tailnet.id, { ...member, ...change, ...(isRolePlace && { role: role satisfies Role }) })
    }
  }

  /** Everywhere from the person's home, or from one tailnet where they are a guest. */
  removeUser(id: UserId, tailnetId: TailnetId | undefined): void {
    const person = this.people.get(id)
    const isEverywhere = tailnetId === undefined || person?.homeId === tailnetId
    for (const { tailnet, members } of this.tailnetsOfUser(id))
      if (isEverywhere || tailnet.id === tailnetId) members.delete(id)
    if (!isEverywhere) return
    this.people.delete(id)
    this.#groups.delete(id)
  }

  groupsOf(id: UserId): readonly string[] {
    return this.#groups.get(id) ?? NO_GROUPS
  }

  /** False when they are the same as before. */
  setGroups(id: UserId, groups: readonly string[]): boolean {
    if (this.groupsOf(id).join('\n') === groups.join('\n')) return false
    if (groups.length > 0) this.#groups.set(id, groups)
    else this.#groups.delete(id)
    return true
  }

  putNode(node: Node): void {
    const former = this.node(node.id)
    if (former) this.#unindex(former)
    const here = this.tailnets.get(node.tailnetId)
    if (!here) return
    here.nodes.set(node.id, node)
    here.names.add(node.name)
    here.addresses.add(node.addressV4)
    here.addresses.add(node.addressV6)
    this.#tailnetOfNode.set(node.id, here)
    this.#byNodeKey.set(node.nodeKey.text, node.id)
    const ofMachine = this.#machines.get(node.machineKey.text) ?? new Set()
    this.#machines.set(node.machineKey.text, ofMachine.add(node.id))
  }

  /** What the node told of itself; nothing of that is indexed. */
  setReport(id: NodeId, report: Node['report']): void {
    const here = this.#tailnetOfNode.get(id)
    const node = here?.nodes.get(id)
    if (node) here?.nodes.set(id, { ...node, report })
  }

  removeNode(id: NodeId): void {
    const node = this.node(id)
    if (!node) return
    this.#unindex(node)
    this.#tailnetOfNode.get(id)?.nodes.delete(id)
    this.#tailnetOfNode.delete(id)
  }

  #unindex(node: Node): void {
    const here = this.#tailnetOfNode.get(node.id)
    here?.names.delete(node.name)
    here?.addresses.delete(node.addressV4)
    here?.addresses.delete(node.addressV6)
    this.#byNodeKey.delete(node.nodeKey.text)
    const ofMachine = this.#machines.get(node.machineKey.text)
    ofMachine?.delete(node.id)
    if (ofMachine?.size === 0) this.#machines.delete(node.machineKey.text)
  }
}
