// What one stream has been told, and what it must be told next. A delta is the difference between the two states, never a
// replay of events: nothing can be lost or come twice, and a slow stream gets one delta for everything it missed.

import type { NodeId, UserId } from '../model.ts'
import { difference, type NodeView } from './node-view.ts'
import { ViewList } from './view-list.ts'

/** The tailnet as one viewer should see it now. Texts are JSON, ready to be sent. */
export interface Sight {
  readonly self: string
  /** Undefined for a node that is gone or not for this viewer's eyes. */
  peer(id: NodeId): NodeView | undefined
  peers(): Iterable<NodeView>
  profile(id: UserId): string | undefined
  readonly selfUser: UserId
  readonly domain: string
  readonly dns: string
  readonly derpMap: string
  readonly packetFilter: string
  /** Undefined while no policy speaks of SSH. */
  readonly sshPolicy: string | undefined
  /** What the person before the machine should know; undefined for nothing. */
  readonly health: string | undefined
}

type Shared = Pick<Sight, 'self' | 'domain' | 'dns' | 'derpMap' | 'packetFilter' | 'sshPolicy' | 'health'>

const members: { [K in keyof Shared]: string } = {
  self: 'Node',
  domain: 'Domain',
  dns: 'DNSConfig',
  derpMap: 'DERPMap',
  packetFilter: 'PacketFilter',
  sshPolicy: 'SSHPolicy',
  health: 'Health',
}

/** Takes back what was told before. */
const NOTHING: Partial<Record<keyof Shared, string>> = { sshPolicy: '{"rules":[]}', health: '[]' }

export class Told {
  readonly #peers = new ViewList()
  readonly #profiles = new Map<UserId, string>()
  readonly #shared = new Map<string, string>()

  /**
   * Everything; the first message of a stream. Always has Node, without which clients give up. In pieces that all streams
   * share: put together, a thousand peers are most of a megabyte.
   */
  full(sight: Sight, nowMs: number): readonly string[] {
    this.#profiles.clear()
    this.#shared.clear()
    const views = [...sight.peers()]
    this.#peers.replaceAll(views)
    const users = new Set([sight.selfUser, ...views.map(({ userId }) => userId)])
    const peers = views.flatMap(({ text }, at) => (at === 0 ? [text] : [',', text]))
    const before = this.#changedShared(sight)
    const after = [...this.#newProfiles(sight, users), '"CollectServices":false', '"Debug":{"DisableLogTail":true}']
    return [`{${before.join(',')},"Peers":[`, ...peers, `],${after.join(',')},${told(nowMs)}}`]
  }

  /**
   * What changed among the nodes and users named, and in the shared parts; undefined when nothing did. Never an empty
   * `Peers`, which clients read as "no change".
   */
  delta(sight: Sight, nodeIds: Iterable<NodeId>, userIds: Iterable<UserId>, nowMs: number): string | undefined {
    const parts = this.#changedShared(sight)
    const changed: NodeView[] = []
    const removed: NodeId[] = []
    const patches: string[] = []
    const users = new Set([...userIds].filter((id) => this.#profiles.has(id)))
    for (const id of nodeIds) {
      const before = this.#peers.get(id)
      const now = sight.peer(id)
      if (!now) {
        if (this.#peers.delete(id)) removed.push(id)
        continue
      }
      const change = before ? difference(before, now) : 'whole'
      this.#peers.set(now)
      if (change === 'whole') changed.push(now)
      else if (change) patches.push(change.patch)
      users.add(now.userId)
    }
    if (changed.length > 0) {
      changed.sort((a, b) => a.id - b.id)
      parts.push(`"PeersChanged":[${changed.map(({ text }) => text).join(',')}]`)
    }
    if (removed.length > 0) parts.push(`"PeersRemoved":[${removed.join(',')}]`)
    if (patches.length > 0) parts.push(`"PeersChangedPatch":[${patches.join(',')}]`)
    parts.push(...this.#newProfiles(sight, users))
    return parts.length === 0 ? undefined : message(parts, nowMs)
  }

  peerIds(): Iterable<NodeId> {
    return this.#peers.ids()
  }

  #changedShared(sight: Sight): string[] {
    const parts: string[] = []
    for (const [name, member] of Object.entries(members)) {
      const part = name as keyof Shared
      const text = sight[part] ?? (this.#shared.has(member) ? NOTHING[part] : undefined)
      if (text === undefined || this.#shared.get(member) === text) continue
      this.#shared.set(member, text)
      parts.push(`"${member}":${text}`)
    }
    return parts
  }

  #newProfiles(sight: Sight, users: Iterable<UserId>): string[] {
    const profiles: string[] = []
    for (const id of users) {
      const text = sight.profile(id)
      if (text === undefined || this.#profiles.get(id) === text) continue
      this.#profiles.set(id, text)
      profiles.push(text)
    }
    return profiles.length === 0 ? [] : [`"UserProfiles":[${profiles.join(',')}]`]
  }
}

const message = (parts: readonly string[], nowMs: number): string => `{${[...parts, told(nowMs)].join(',')}}`

const told = (atMs: number): string => `"ControlTime":"${new Date(atMs).toISOString()}"`
