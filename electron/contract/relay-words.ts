// What this computer gives, in a few words: the same in the window and in the tray.

import type { RelayBriefView } from './snapshot.ts'

export const relayTexts = {
  nothing: 'nothing',
  relay: 'relay',
  carrying: (pairs: number) => `relay, carrying ${pairs} ${pairs === 1 ? 'pair' : 'pairs'}`,
  starting: 'relay, starting',
  failed: 'relay, not running',
}

export function givesText({ state, isWanted, pairs }: RelayBriefView, isConnected: boolean): string {
  if (!isWanted) return relayTexts.nothing
  if (state === 'running') return pairs > 0 ? relayTexts.carrying(pairs) : relayTexts.relay
  if (state === 'starting') return relayTexts.starting
  return isConnected ? relayTexts.failed : relayTexts.relay
}
