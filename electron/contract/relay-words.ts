// What this computer gives, in a few words: the same in the window and in the tray.

import type { RelayPauseReason } from './relay-view.ts'
import type { RelayBriefView } from './snapshot.ts'

export const relayTexts = {
  nothing: 'nothing',
  relay: 'relay',
  carrying: (pairs: number) => `relay, carrying ${pairs} ${pairs === 1 ? 'pair' : 'pairs'}`,
  starting: 'relay, starting',
  failed: 'relay, not running',
  paused: {
    quota: 'relay, paused until next month',
    hours: 'relay, paused at this hour',
    battery: 'relay, paused on battery',
    metered: 'relay, paused on a metered network',
  } satisfies Record<RelayPauseReason, string>,
}

/** What a paused relay waits for, for whoever expects it to serve. */
export const pauseTexts: Readonly<Record<RelayPauseReason, string>> = {
  quota: "The relay pauses: this month's amount is carried. It relays again next month, or with another quota.",
  hours: 'The relay pauses: it is outside its hours.',
  battery: 'The relay pauses: this machine runs on battery. It relays again on mains power.',
  metered: 'The relay pauses: this network costs by volume. It relays again in another one.',
}

export function givesText({ state, pause, isWanted, pairs }: RelayBriefView, isConnected: boolean): string {
  if (!isWanted) return relayTexts.nothing
  if (state === 'running') return pairs > 0 ? relayTexts.carrying(pairs) : relayTexts.relay
  if (state === 'paused' && pause) return relayTexts.paused[pause]
  if (state === 'starting') return relayTexts.starting
  return isConnected ? relayTexts.failed : relayTexts.relay
}
