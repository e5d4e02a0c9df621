// When a relay that is wanted serves nobody all the same: its month's bytes are carried, it is outside its hours, or the machine
// runs on battery or in a metered network. Pure; what is true of the machine is handed in.

import { isWithin, nextTurn, parseHours } from './hours.ts'

export interface Manners {
  /** Carried at most in a calendar month, each packet counted once; 0 for no limit. */
  readonly monthlyBytes: number
  /** As hours.ts reads them; empty for always. */
  readonly hours: string
  readonly pauseOnBattery: boolean
  readonly pauseOnMetered: boolean
}

/** A home's relay should cost nobody a flat battery or a bill that was not asked for. */
export const DEFAULT_MANNERS: Manners = { monthlyBytes: 0, hours: '', pauseOnBattery: true, pauseOnMetered: true }

export type PauseReason = 'quota' | 'hours' | 'battery' | 'metered'
export type PowerSource = 'mains' | 'battery' | 'unknown'
export type Metered = 'yes' | 'no' | 'unknown'

export interface Pause {
  readonly reason: PauseReason
  /** Wall-clock ms; undefined when nobody can know. */
  readonly endsAt: number | undefined
}

export interface Surroundings {
  readonly wallMs: number
  /** Carried in the month of `wallMs`. */
  readonly usedBytes: number
  readonly power: PowerSource
  readonly metered: Metered
}

/** The reason that lasts longest comes first. What is not known of the machine is no reason. */
export function pauseNow(manners: Manners, { wallMs, usedBytes, power, metered }: Surroundings): Pause | undefined {
  if (manners.monthlyBytes > 0 && usedBytes >= manners.monthlyBytes)
    return { reason: 'quota', endsAt: endOfMonth(wallMs) }
  const hours = parseHours(manners.hours)
  if (!isWithin(hours, wallMs)) return { reason: 'hours', endsAt: nextTurn(hours, wallMs) }
  if (manners.pauseOnBattery && power === 'battery') return { reason: 'battery', endsAt: undefined }
  if (manners.pauseOnMetered && metered === 'yes') return { reason: 'metered', endsAt: undefined }
  return undefined
}

/** "2026-11", by the clock on the wall. */
export function monthOf(wallMs: number): string {
  const local = new Date(wallMs)
  return `${local.getFullYear()}-${String(local.getMonth() + 1).padStart(2, '0')}`
}

/** The first moment of the next month. */
export function endOfMonth(wallMs: number): number {
  const local = new Date(wallMs)
  return new Date(local.getFullYear(), local.getMonth() + 1, 1).getTime()
}
