// Moments as the window says them.

import { dateText } from '../../electron/contract/time-words.ts'

const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS

/** "09:41" within a day, else "12 Mar". */
export function momentText(atMs: number, nowMs: number): string {
  return Math.abs(nowMs - atMs) < DAY_MS ? clockText(atMs) : dateText(atMs, nowMs)
}

export function clockText(atMs: number): string {
  return new Date(atMs).toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' })
}

/** A moment ahead: "today at 14:02", "tomorrow at 14:02", "on Friday", "on 12 March". */
export function untilText(atMs: number, nowMs: number): string {
  const days = daysAhead(atMs, nowMs)
  if (days <= 0) return `today at ${clockText(atMs)}`
  if (days === 1) return `tomorrow at ${clockText(atMs)}`
  return `on ${dayText(atMs, days)}`
}

/** The same after "by": "14:02", "tomorrow", "Friday", "12 March". */
export function byText(atMs: number, nowMs: number): string {
  const days = daysAhead(atMs, nowMs)
  if (days <= 0) return clockText(atMs)
  return days === 1 ? 'tomorrow' : dayText(atMs, days)
}

function daysAhead(atMs: number, nowMs: number): number {
  const day = (ms: number): number => Math.floor((ms - new Date(ms).getTimezoneOffset() * MINUTE_MS) / DAY_MS)
  return day(atMs) - day(nowMs)
}

function dayText(atMs: number, days: number): string {
  const date = new Date(atMs)
  if (days < 7) return date.toLocaleDateString(undefined, { weekday: 'long' })
  return date.toLocaleDateString(undefined, { day: 'numeric', month: 'long' })
}
