// Every change of each peer's path with its cause: the last 24 hours, bounded.

import type { Endpoint } from '../base/endpoint.ts'
import type { PathKind, PathReason, PathView } from './path-view.ts'

const KEPT_MS = 24 * 3_600_000
/** Per peer; a path that flaps more often than this loses the older changes. */
const MOST_CHANGES = 200

export interface PathPlace {
  readonly kind: PathKind
  readonly endpoint?: Endpoint
  readonly region?: number
  /** The node key's text of the relaying node, where it is known. */
  readonly relay?: string
}

export interface PathChange {
  readonly atWallMs: number
  readonly from: PathPlace
  readonly to: PathPlace
  readonly reason: PathReason
  readonly reasonText: string
  /** On the path that was taken, when it was measured. */
  readonly latencyMs?: number
}

const placeOf = ({ kind, endpoint, region, relay }: PathView): PathPlace => ({
  kind,
  ...(endpoint === undefined ? {} : { endpoint }),
  ...(region === undefined ? {} : { region }),
  ...(relay === undefined ? {} : { relay }),
})

export class PathHistory {
  readonly #changes: PathChange[] = []

  note(before: PathView, after: PathView, nowWallMs: number): void {
    const { reason, reasonText, latencyMs } = after
    const measured = latencyMs === undefined ? {} : { latencyMs }
    const change = { from: placeOf(before), to: placeOf(after), reason, reasonText, ...measured }
    this.#changes.push({ atWallMs: nowWallMs, ...change })
    this.#prune(nowWallMs)
  }

  /** Oldest first. */
  list(nowWallMs: number): readonly PathChange[] {
    this.#prune(nowWallMs)
    return [...this.#changes]
  }

  #prune(nowWallMs: number): void {
    const old = this.#changes.findIndex(({ atWallMs }) => nowWallMs - atWallMs <= KEPT_MS)
    if (old !== 0) this.#changes.splice(0, old === -1 ? this.#changes.length : old)
    if (this.#changes.length > MOST_CHANGES) this.#changes.splice(0, this.#changes.length - MOST_CHANGES)
  }
}
