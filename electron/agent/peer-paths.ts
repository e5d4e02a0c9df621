// The paths to peers as they are shown, and what happened to them.

import type { Listeners } from '../base/lifetime.ts'
import type { PathHistoryView } from '../contract/path-history-view.ts'
import type { AgentEvent, NodeId, PathView } from '../contract/snapshot.ts'
import type { Netmap } from '../control/netmap.ts'
import type { PathChange } from '../path/path-history.ts'
import type { Node } from '../wire/tailcfg/node.ts'
import { nodeIdOf } from './netmap-views.ts'
import type { PathLog } from './path-log.ts'
import { type PathSettings, pathPolicyView } from './path-settings.ts'
import { contractHistory } from './path-words.ts'

export interface PeerPathsOptions {
  readonly pathLog: PathLog
  readonly events: Listeners<AgentEvent>
  /** All nodes of the network, this one included. */
  readonly nodes: () => readonly Node[]
  readonly history: (nodeKey: string) => readonly PathChange[]
  readonly regionCode: (region: number) => string
}

export class PeerPaths {
  readonly #options: PeerPathsOptions
  readonly #views = new Map<string, PathView>()

  constructor(options: PeerPathsOptions) {
    this.#options = options
  }

  /** By the node key's text. */
  get views(): ReadonlyMap<string, PathView> {
    return this.#views
  }

  take(nodeKey: string, path: PathView): void {
    const { pathLog, events, history } = this.#options
    const before = this.#views.get(nodeKey)
    this.#views.set(nodeKey, path)
    if (before?.sinceAt !== path.sinceAt) pathLog.take(nodeKey, history(nodeKey))
    const peer = before && before.kind !== path.kind && this.#nodeOf(nodeKey)
    if (!peer) return
    const [from, to] = [before.kind, path.kind]
    events.emit({ type: 'path-changed', peer: nodeIdOf(peer), from, to, reasonText: path.reasonText })
  }

  forgetGone(netmap: Netmap): void {
    const present = new Set([...netmap.peers.values()].map((peer) => peer.key.text))
    for (const key of this.#views.keys()) if (!present.has(key)) this.#views.delete(key)
  }

  /** What happened to the path of the peer with that node key, and what it may be. */
  historyOf(nodeKey: string, settings: PathSettings): PathHistoryView {
    const { pathLog, history, regionCode } = this.#options
    const all = pathLog.list(nodeKey, history(nodeKey))
    const { changes } = contractHistory(all, regionCode, this.nameOf)
    const peer = this.#nodeOf(nodeKey)
    if (!peer) return { changes }
    const nameOf = (id: NodeId): string | undefined => this.nameOf(this.keyOf(id) ?? '')
    return { changes, policy: pathPolicyView(settings, nodeIdOf(peer), nameOf) }
  }

  /** The short name of the node with that key, this one included. */
  readonly nameOf = (nodeKey: string): string | undefined => this.#nodeOf(nodeKey)?.name.split('.')[0]

  readonly keyOf = (id: NodeId): string | undefined =>
    this.#options.nodes().find((node) => nodeIdOf(node) === id)?.key.text

  #nodeOf(nodeKey: string): Node | undefined {
    return this.#options.nodes().find(({ key }) => key.text === nodeKey)
  }
}
