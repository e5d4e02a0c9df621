// Tells a coordination server that asks for it how this node reaches its peers, a few times in an hour, and measures what
// the server needs to know for its advice on relays.

import type { Clock } from '../base/clock.ts'
import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { Netmap } from '../control/netmap.ts'
import type { PathView } from '../path/path-view.ts'
import {
  CAP_PATH_REPORT,
  MAX_MEASURED_PEERS,
  MAX_REPORTED_PEERS,
  type PathReportAnswer,
  type PathReportInput,
} from '../wire/path-report.ts'
import type { Node } from '../wire/tailcfg/node.ts'

/** After the server was first seen to ask: paths have settled by then. */
const FIRST_MS = 20_000
const FIRST_JITTER_MS = 10_000
/** Whatever the server wishes. */
const LEAST_GAP_MS = 60_000
const LONGEST_GAP_MS = 3_600_000
/** When the server did not answer. */
const RETRY_MS = 300_000
/** Part by which intervals differ, so that a fleet spreads out. */
const JITTER = 0.1
/** A pair in use that moved is told of a little later, when its new latency is known. */
const MOVED_AFTER_MS = 10_000
const PING_WITHIN_MS = 2_000
/** From the last pong until paths are what they become by it. */
const SETTLE_MS = 1_500
/** A session's own handshakes are less in an interval. */
const USED_BYTES = 4_000
/** One new figure among those before it. */
const SMOOTHING = 0.3

export interface PathReporterOptions {
  readonly clock: Clock
  readonly log: Logger
  readonly random?: () => number
  send(report: PathReportInput): Promise<PathReportAnswer>
  /** One ping below the systems; by the node key's text. */
  ping(nodeKey: string, timeoutMs: number): Promise<unknown>
  /** All that went to and came from a peer, in bytes. */
  carried(): ReadonlyMap<string, number>
}

interface Known {
  readonly view: PathView
  readonly latencyMs: number | undefined
}

export class PathReporter {
  readonly #options: PathReporterOptions
  readonly #known = new Map<string, Known>()
  #netmap: Netmap | undefined
  #cancel: (() => void) | undefined
  #dueMs = 0
  #lastMs = Number.NEGATIVE_INFINITY
  #isReporting = false
  #isClosed = false
  /** What the server wants measured. */
  #wanted: readonly string[] = []
  #carried: ReadonlyMap<string, number> = new Map()

  constructor(options: PathReporterOptions) {
    this.#options = options
  }

  /** Begins when the server asks for reports, ends when it does no more. */
  setNetmap(netmap: Netmap): void {
    this.#netmap = netmap
    const present = new Set([...netmap.peers.values()].map(({ key }) => key.text))
    for (const key of this.#known.keys()) if (!present.has(key)) this.#known.delete(key)
    if (!netmap.self.capMap.has(CAP_PATH_REPORT)) {
      this.#cancel?.()
      this.#cancel = undefined
    } else if (!this.#cancel && !this.#isReporting) {
      this.#carried = this.#options.carried()
      this.#schedule(FIRST_MS + this.#random() * FIRST_JITTER_MS)
    }
  }

  notePath(nodeKey: string, view: PathView): void {
    const before = this.#known.get(nodeKey)
    const isSame = before?.view.kind === view.kind && before.view.relay === view.relay
    const { latencyMs: ms } = view
    const old = isSame ? before.latencyMs : undefined
    this.#known.set(nodeKey, {
      view,
      latencyMs: ms === undefined || old === undefined ? (ms ?? old) : old + SMOOTHING * (ms - old),
    })
    if (!before || isSame || !view.active || !this.#cancel) return
    const { clock } = this.#options
    const soonMs = Math.max(clock.now() + MOVED_AFTER_MS, this.#lastMs + LEAST_GAP_MS)
    if (soonMs < this.#dueMs) this.#schedule(soonMs - clock.now())
  }

  close(): void {
    this.#isClosed = true
    this.#cancel?.()
    this.#cancel = undefined
  }

  #random(): number {
    return (this.#options.random ?? Math.random)()
  }

  #schedule(delayMs: number): void {
    const { clock } = this.#options
    this.#cancel?.()
    this.#dueMs = clock.now() + delayMs
    this.#cancel = clock.after(delayMs, () => void this.#report())
  }

  async #report(): Promise<void> {
    const { clock, log } = this.#options
    this.#isReporting = true
    let nextMs = RETRY_MS
    try {
      await this.#measure()
      const report = this.#compile()
      this.#lastMs = clock.now()
      if (report && !this.#isClosed) {
        const { afterSeconds, measure } = await this.#options.send(report)
        log.debug('path report taken', { peers: report.peers?.length, afterSeconds, measure: measure.length })
        nextMs = Math.min(Math.max(afterSeconds * 1000, LEAST_GAP_MS), LONGEST_GAP_MS)
        this.#wanted = measure.slice(0, MAX_MEASURED_PEERS)
      }
    } catch (error) {
      log.debug('path report not taken', { error: messageOf(error) })
    }
    this.#isReporting = false
    this.#cancel = undefined
    if (!this.#isClosed && this.#netmap?.self.capMap.has(CAP_PATH_REPORT))
      this.#schedule(nextMs * (1 + JITTER * this.#random()))
  }

  /** What the server wants, and pairs on DERP, which nothing else measures. One after the other: it may take its time. */
  async #measure(): Promise<void> {
    const used = this.#used()
    const peers = [...(this.#netmap?.peers.values() ?? [])]
    const wanted = peers.filter(({ id }) => this.#wanted.includes(id))
    const overDerp = peers
      .filter(({ key }) => used.has(key.text) && this.#known.get(key.text)?.view.kind === 'derp')
      .slice(0, MAX_MEASURED_PEERS)
    for (const { key } of new Set([...wanted, ...overDerp])) {
      if (this.#isClosed) return
      // No answer is an answer: the report then says that there is no direct path.
      await this.#options.ping(key.text, PING_WITHIN_MS).catch(() => {})
    }
    if (wanted.length + overDerp.length > 0)
      await new Promise<void>((resolve) => void this.#options.clock.after(SETTLE_MS, resolve))
  }

  #used(): ReadonlySet<string> {
    const now = this.#options.carried()
    return new Set(
      [...now].filter(([key, bytes]) => bytes - (this.#carried.get(key) ?? 0) > USED_BYTES).map(([key]) => key),
    )
  }

  /** Of peers that were measured, used or asked for; those in use first. */
  #compile(): PathReportInput | undefined {
    const netmap = this.#netmap
    if (!netmap) return undefined
    const used = this.#used()
    this.#carried = this.#options.carried()
    const wanted = new Set(this.#wanted)
    const rank = ({ key, id }: Node): number => (used.has(key.text) ? 0 : wanted.has(id) ? 1 : 2)
    const idOf = (nodeKey: string | undefined): string | undefined =>
      [netmap.self, ...netmap.peers.values()].find(({ key }) => key.text === nodeKey)?.id
    const peers = [...netmap.peers.values()]
      .filter((peer) => rank(peer) < 2 || this.#known.get(peer.key.text)?.latencyMs !== undefined)
      .sort((a, b) => rank(a) - rank(b))
      .slice(0, MAX_REPORTED_PEERS)
    return {
      nodeKey: netmap.self.key,
      peers: peers.map((peer) => {
        const known = this.#known.get(peer.key.text)
        const kind = known?.view.kind ?? 'none'
        return {
          node: peer.id,
          kind: kind === 'none' ? 'derp' : kind,
          latencyMs: known?.latencyMs,
          relay: idOf(known?.view.relay),
          isUsed: used.has(peer.key.text),
        }
      }),
    }
  }
}
