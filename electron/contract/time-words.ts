// Times as people say them: relative up to a day, then dates.

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

export function agoText(atMs: number, nowMs: number): string {
  const ms = Math.max(nowMs - atMs, 0)
  if (ms < MINUTE_MS) return 'just now'
  if (ms < HOUR_MS) return `${Math.floor(ms / MINUTE_MS)} min ago`
  if (ms < DAY_MS) return `${Math.floor(ms / HOUR_MS)} h ago`
  return dateText(atMs, nowMs)
}

/** The same for a screen reader: "2 hours ago". */
export function agoSpoken(atMs: number, nowMs: number): string {
  const ms = Math.max(nowMs - atMs, 0)
  if (ms < MINUTE_MS) return 'just now'
  if (ms < HOUR_MS) return counted(Math.floor(ms / MINUTE_MS), 'minute')
  if (ms < DAY_MS) return counted(Math.floor(ms / HOUR_MS), 'hour')
  return dateText(atMs, nowMs)
}

const counted = (count: number, unit: string): string => `${count} ${unit}${count === 1 ? '' : 's'} ago`

export function dateText(atMs: number, nowMs: number): string {
  const [at, now] = [new Date(atMs), new Date(nowMs)]
  const year = at.getFullYear() === now.getFullYear() ? {} : ({ year: 'numeric' } as const)
  return at.toLocaleDateString(undefined, { day: 'numeric', month: 'short', ...year })
}
