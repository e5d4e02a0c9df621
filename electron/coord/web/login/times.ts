// Times in words: relative up to a day, then dates. Both ends are of the server's clock.

import { words } from './words.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

export function agoText(ms: number, nowMs: number): string {
  const age = Math.max(nowMs - ms, 0)
  if (age < MINUTE_MS) return words.account.now
  if (age < HOUR_MS) return words.account.minutesAgo(Math.floor(age / MINUTE_MS))
  if (age < DAY_MS) return words.account.hoursAgo(Math.floor(age / HOUR_MS))
  return words.account.on(dayOf(ms, nowMs))
}

export function dateText(ms: number, nowMs: number): string {
  const isToday = new Date(ms).toDateString() === new Date(nowMs).toDateString()
  return isToday ? words.account.today : words.account.on(dayOf(ms, nowMs))
}

/** "today 14:02", "on 12 May, 14:02" */
export function timeText(ms: number, nowMs: number): string {
  const time = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' }).format(ms)
  const isToday = new Date(ms).toDateString() === new Date(nowMs).toDateString()
  return isToday ? `${words.account.today} ${time}` : `${words.account.on(dayOf(ms, nowMs))}, ${time}`
}

function dayOf(ms: number, nowMs: number): string {
  const isThisYear = new Date(ms).getFullYear() === new Date(nowMs).getFullYear()
  return new Intl.DateTimeFormat(undefined, {
    day: 'numeric',
    month: 'long',
    ...(!isThisYear && { year: 'numeric' }),
  }).format(ms)
}
