import type { RelayPauseView, RelayStatusView } from '../contract/relay-view.ts'
import type { RelayBriefView } from '../contract/snapshot.ts'

export interface RelayBriefFacts extends Pick<RelayStatusView, 'state' | 'wantedPort'> {
  readonly pause: Pick<RelayPauseView, 'reason'> | undefined
  /** Bound at both ends. */
  readonly pairs: number
}

/** For the snapshot; the one before when nothing in it changed. */
export function relayBrief(view: RelayBriefFacts, before: RelayBriefView | undefined): RelayBriefView {
  const next: RelayBriefView = {
    state: view.state,
    isWanted: view.wantedPort !== undefined,
    pairs: view.pairs,
    ...(view.pause ? { pause: view.pause.reason } : {}),
  }
  const isSame =
    before?.state === next.state &&
    before.isWanted === next.isWanted &&
    before.pairs === next.pairs &&
    before.pause === next.pause
  return isSame ? before : next
}
