// Placement advice for one tailnet: takes what its nodes report, asks them for what is missing, and says which node would
// help as a relay and what relays have brought.

import type { Clock } from '../../base/clock.ts'
import { MAX_MEASURED_PEERS, MAX_REPORTED_PEERS, type PathReport } from '../../wire/path-report.ts'
import type { NetInfo } from '../../wire/tailcfg/hostinfo.ts'
import { isExpired, type Node, type NodeId } from '../model.ts'
import type { Registry } from '../registry.ts'
import { advise, type AdviceInput, type AdviceNode, type Candidate, toMeasure } from './advise.ts'
import { derpDistances, type DerpDistances } from './derp-distance.ts'
import { gains, type RelayGain } from './gain.ts'
import { KnownPaths, PATH_LIFE_MS, type PathFact, type PathKind } from './known-paths.ts'

const KINDS: ReadonlySet<string> = new Set<PathKind>(['direct', 'peer-relay', 'derp'])

/** How often a node reports; sooner while it is asked for something, so that advice does not take a quarter of an hour. */
const REPORT_EVERY_S = 180
const REPORT_SOON_S = 60

/** What the desk asks of the tailnet's map streams. */
export interface Sights {
  isOnline(id: NodeId): boolean
  sees(viewer: NodeId, other: NodeId): boolean
  mayAskRelay(client: NodeId, relay: NodeId): boolean
}

export interface AdviceDeskOptions {
  readonly registry: Registry
  readonly sights: Sights
  readonly clock: Clock
}

export interface NextReport {
  readonly afterSeconds: number
  readonly measure: readonly NodeId[]
}

export class AdviceDesk {
  readonly #options: AdviceDeskOptions
  readonly #paths = new KnownPaths()
  readonly #distances = new Map<NodeId, DerpDistances>()

  constructor(options: AdviceDeskOptions) {
    this.#options = options
  }

  /** `from` is proven; what it says of others is its word alone. */
  take(from: Node, report: PathReport): NextReport {
    const { registry, sights, clock } = this.#options
    const nowMs = clock.now()
    this.#paths.keepOnly((id) => registry.node(id) !== undefined)
    this.#paths.noteReporter(from.id, nowMs)
    for (const peer of report.peers.slice(0, MAX_REPORTED_PEERS)) {
      const to = this.#idOf(peer.node)
      // Of what it cannot see it cannot know anything.
      if (to === undefined || !isPathKind(peer.kind) || !sights.sees(from.id, to)) continue
      const relay = peer.relay === undefined ? undefined : this.#idOf(peer.relay)
      const fact: PathFact = { kind: peer.kind, latencyMs: peer.latencyMs, relay, isUsed: peer.isUsed }
      this.#paths.note(from.id, to, fact, nowMs)
    }
    const input = this.#input()
    const node = input.nodes.find(({ id }) => id === from.id)
    const measure = node ? toMeasure(input, node, MAX_MEASURED_PEERS) : []
    return { afterSeconds: measure.length > 0 ? REPORT_SOON_S : REPORT_EVERY_S, measure }
  }

  /** What every client tells, other programs too. */
  noteNetwork(from: Node, info: NetInfo | undefined): void {
    if (!info || info.derpLatencySeconds.size === 0) return
    const distances = derpDistances(info.preferredDerp || from.report.homeDerp, info.derpLatencySeconds)
    if (distances) this.#distances.set(from.id, distances)
  }

  advice(): { readonly candidates: readonly Candidate[]; readonly pairsInNeed: number; readonly gains: RelayGain[] } {
    const input = this.#input()
    return { ...advise(input), gains: gains(input) }
  }

  /** To how many others which kind of path leads, as far as one of the two told lately. */
  pathCounts(): ReadonlyMap<NodeId, Readonly<Record<PathKind, number>>> {
    const nowMs = this.#options.clock.now()
    const counts = new Map<NodeId, Record<PathKind, number>>()
    for (const { a, b, kind, atMs } of this.#paths.pairs()) {
      if (nowMs - atMs >= PATH_LIFE_MS) continue
      for (const id of [a, b]) {
        const known = counts.get(id) ?? { direct: 0, 'peer-relay': 0, derp: 0 }
        known[kind]++
        counts.set(id, known)
      }
    }
    return counts
  }

  #idOf(text: string): NodeId | undefined {
    const id = Number(text)
    return Number.isSafeInteger(id) && this.#options.registry.node(id) ? id : undefined
  }

  #input(): AdviceInput {
    const { registry, sights, clock } = this.#options
    for (const id of this.#distances.keys()) if (!registry.node(id)) this.#distances.delete(id)
    const nodes = [...registry.nodes()]
      .filter((node) => !isExpired(node, clock.wallNow()))
      .map((node) => adviceNode(node, sights.isOnline(node.id), this.#distances.get(node.id)))
      .sort((x, y) => x.id - y.id)
    return {
      nodes,
      paths: this.#paths,
      nowMs: clock.now(),
      sees: (a, b) => sights.sees(a, b),
      mayAsk: (client, relay) => sights.mayAskRelay(client, relay),
    }
  }
}

const isPathKind = (text: string): text is PathKind => KINDS.has(text)

function adviceNode(node: Node, isOnline: boolean, distances: DerpDistances | undefined): AdviceNode {
  const { hostinfo } = node.report
  const { mappingVariesByDestIp, workingUdp, havePortMap } = hostinfo.network ?? {}
  const isHard = mappingVariesByDestIp === true && havePortMap !== true
  const hasUdp = workingUdp !== false
  // Where a server has one address only, nobody can tell how a router maps: such a node may try.
  const isAble = workingUdp === true && !isHard
  const isOpen = isAble && (havePortMap === true || mappingVariesByDestIp === false)
  const relay = hostinfo.peerRelay ? 'on' : isAble ? 'able' : 'no'
  return { id: node.id, isOnline, relay, isOpen, hasUdp, isHard, distances }
}
