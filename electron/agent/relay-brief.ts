import type { RelayStatusView } from '../contract/relay-view.ts'
import type { RelayBriefView } from '../contract/snapshot.ts'

/** For the snapshot; the one before when nothing in it changed. */
export function relayBrief(view: RelayStatusView, before: RelayBriefView | undefined): RelayBriefView {
  const next: RelayBriefView = {
    state: view.state,
    isWanted: view.wantedPort !== undefined,
    pairs: view.sessions.filter(({ state }) => state === 'open').length,
    ...(view.pause ? { pause: view.pause.reason } : {}),
  }
  const isSame =
    before?.state === next.state &&
    before.isWanted === next.isWanted &&
    before.pairs === next.pairs &&
    before.pause === next.pause
  return isSame ? before : next
}
