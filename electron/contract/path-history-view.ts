// Every change of a peer's path with its cause, of the last 24 hours.

import type { PathPolicyView } from './path-policy.ts'
import type { PathKind } from './snapshot.ts'

export interface PathHistoryView {
  /** Oldest first. */
  readonly changes: readonly PathChangeView[]
  /** What the person allows or prefers. */
  readonly policy?: PathPolicyView
}

export interface PathChangeView {
  /** Wall-clock ms. */
  readonly at: number
  readonly from: PathPlaceView
  readonly to: PathPlaceView
  readonly reason: string
  readonly reasonText: string
}

export interface PathPlaceView {
  readonly kind: PathKind
  /** As in PathView. */
  readonly via: string | undefined
}
