// The limits of this computer as a relay, as choices of a person.

import type { RelayMannersView, RelayStatusView } from '../../electron/contract/relay-view.ts'
import { words } from '../words.ts'
import { bytesText } from './amounts.ts'
import { dateText } from '../../electron/contract/time-words.ts'

export type Choice = readonly [value: string, text: string]

const GB = 1e9
/** 0 is no limit. */
const QUOTAS = [0, 20 * GB, 50 * GB, 100 * GB, 200 * GB, 500 * GB, 1_000 * GB]
/** Chosen, it asks for hours that are none of the others. */
export const OTHER_HOURS = 'other'

/** The offered amounts, with the one in force among them. */
export const quotaChoices = (now: number): readonly Choice[] =>
  [...new Set([...QUOTAS, now])]
    .toSorted((a, b) => (a || Infinity) - (b || Infinity))
    .map((bytes) => [String(bytes), bytes === 0 ? words.relay.noLimit : bytesText(bytes)])

export function hoursChoices(now: string): readonly Choice[] {
  const known: readonly Choice[] = Object.entries(words.relay.hoursChoices)
  const own: readonly Choice[] = known.some(([hours]) => hours === now) ? [] : [[now, now.replaceAll('-', '–')]]
  return [...known, ...own, [OTHER_HOURS, words.relay.otherHours]]
}

/** "62 of 200 GB used, renews 1 Dec". */
export function monthText({ monthlyBytes, usedBytes, renewsAt }: RelayMannersView, nowMs: number): string {
  const used = bytesText(usedBytes)
  if (monthlyBytes === 0) return usedBytes === 0 ? words.relay.unused : words.relay.usedOnly(used)
  const most = bytesText(monthlyBytes)
  const [, unit] = most.split(' ')
  // One unit is said once.
  const short = used.endsWith(` ${unit}`) ? used.slice(0, -1 - (unit?.length ?? 0)) : used
  return `${words.relay.used(short, most)}, ${words.relay.renews(dateText(renewsAt, nowMs))}`
}

/** 0 to 1; undefined without a limit. */
export const usedShare = ({ monthlyBytes, usedBytes }: RelayMannersView): number | undefined =>
  monthlyBytes === 0 ? undefined : Math.min(usedBytes / monthlyBytes, 1)

/** Why a pause cannot work here, undefined where it can. Only while a relay runs or pauses is anything looked at. */
export function noPauseReason({ state, manners }: RelayStatusView, of: 'battery' | 'metered'): string | undefined {
  if (state !== 'running' && state !== 'paused') return undefined
  if (of === 'battery') return manners.pauseOnBattery && manners.power === 'unknown' ? words.relay.noBattery : undefined
  return manners.pauseOnMetered && manners.metered === 'unknown' ? words.relay.noMetered : undefined
}
