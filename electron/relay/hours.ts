// The hours in which a relay serves, as a person types them: "mon-fri 22:00-07:00; sat,sun". Times are those of the clock on
// the wall: when it is put forward an hour that does not exist is no hour of service, when it is put back an hour counts twice.

import { CodedError } from '../base/errors.ts'

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const
const DAY_MINUTES = 24 * 60
const WEEK_MINUTES = 7 * DAY_MINUTES
const MINUTE_MS = 60_000
export const MOST_HOURS_TEXT = 200

/** Belongs to the day on which it begins, and may reach into the next. */
interface Window {
  /** Minutes since Sunday 00:00. */
  readonly begin: number
  readonly length: number
}

interface Group {
  readonly days: ReadonlySet<number>
  readonly times: readonly (readonly [begin: number, end: number])[]
}

export interface Hours {
  /** In the form that is kept and shown; empty for always. */
  readonly text: string
  readonly windows: readonly Window[]
}

export const ALWAYS: Hours = { text: '', windows: [] }

/** Throws 'relay/bad-hours' with a sentence that shows the form. */
export function parseHours(text: string): Hours {
  const groups: Group[] = []
  let days: number[] = []
  let times: (readonly [number, number])[] = []
  const flush = (): void => {
    if (days.length === 0 && times.length === 0) return
    groups.push({
      days: new Set(days.length > 0 ? days : DAYS.keys()),
      times: times.length > 0 ? times : [[0, DAY_MINUTES]],
    })
    days = []
    times = []
  }
  if (text.length > MOST_HOURS_TEXT) throw badHours(text, 'it is too long')
  for (const token of text.toLowerCase().match(/;|[^\s,;]+/g) ?? []) {
    if (token === ';') flush()
    else if (/^\d/.test(token)) times.push(timesOf(token, text))
    else {
      // Days behind times begin another rule, also without a semicolon.
      if (times.length > 0) flush()
      if (token !== 'daily') days.push(...daysOf(token, text))
      else days.push(...DAYS.keys())
    }
  }
  flush()
  const windows = groups.flatMap(windowsOf).toSorted((a, b) => a.begin - b.begin || a.length - b.length)
  const isAlways = groups.length === 0 || groups.some(({ days, times }) => days.size === 7 && times.some(isWholeDay))
  return isAlways ? ALWAYS : { text: groups.map(groupText).join('; '), windows }
}

export function isWithin({ windows }: Hours, wallMs: number): boolean {
  return windows.length === 0 || windows.some(({ begin, length }) => since(begin, minuteOfWeek(wallMs)) < length)
}

/** When `isWithin` turns over next, to the minute; undefined when it never does. */
export function nextTurn(hours: Hours, wallMs: number): number | undefined {
  const now = isWithin(hours, wallMs)
  // The wall clock need not be at a boundary of its own minutes, but ours are whole minutes in every time zone of today.
  const first = Math.floor(wallMs / MINUTE_MS) + 1
  for (let minute = first; minute <= first + WEEK_MINUTES; minute++)
    if (isWithin(hours, minute * MINUTE_MS) !== now) return minute * MINUTE_MS
  return undefined
}

function timesOf(token: string, text: string): readonly [number, number] {
  const match = /^(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})$/.exec(token)
  const [beginHour, beginMinute, endHour, endMinute] = match?.slice(1).map(Number) ?? []
  if (beginHour === undefined || beginMinute === undefined || endHour === undefined || endMinute === undefined)
    throw badHours(text, `"${token}" is no time`)
  const [begin, end] = [beginHour * 60 + beginMinute, endHour * 60 + endMinute]
  if (beginMinute > 59 || endMinute > 59 || begin >= DAY_MINUTES || end > DAY_MINUTES)
    throw badHours(text, `"${token}" is no time of a day`)
  if (begin === end) throw badHours(text, `"${token}" has no length`)
  return [begin, end]
}

function daysOf(token: string, text: string): number[] {
  const [from, to, ...more] = token.split('-').map((name) => DAYS.findIndex((day) => day === name.slice(0, 3)))
  if (from === undefined || from < 0 || (to !== undefined && to < 0) || more.length > 0)
    throw badHours(text, `"${token}" is no day`)
  const count = to === undefined ? 1 : ((to - from + 7) % 7) + 1
  return Array.from({ length: count }, (_, index) => (from + index) % 7)
}

const windowsOf = ({ days, times }: Group): Window[] =>
  [...days].flatMap((day) =>
    times.map(([begin, end]) => ({
      begin: day * DAY_MINUTES + begin,
      length: ((end - begin + DAY_MINUTES - 1) % DAY_MINUTES) + 1,
    })),
  )

/** Monday first, neighbours joined: "mon-fri", "sat,sun". */
function groupText({ days, times }: Group): string {
  const week = [1, 2, 3, 4, 5, 6, 0].map((day) => (days.has(day) ? DAYS[day] : undefined))
  const runs: string[][] = []
  week.forEach((day, index) => {
    if (day === undefined) return
    if (index > 0 && week[index - 1] !== undefined) runs.at(-1)?.push(day)
    else runs.push([day])
  })
  const names = runs.map((run) => (run.length > 2 ? `${run[0]}-${run.at(-1)}` : run.join(',')))
  const isWhole = times.length === 1 && times.every(isWholeDay)
  return [
    ...(days.size === 7 ? [] : [names.join(',')]),
    ...(isWhole ? [] : [times.map((ends) => ends.map(timeText).join('-')).join(',')]),
  ].join(' ')
}

const isWholeDay = ([begin, end]: readonly [number, number]): boolean => begin === 0 && end === DAY_MINUTES

const timeText = (minutes: number): string =>
  [Math.floor(minutes / 60), minutes % 60].map((part) => String(part).padStart(2, '0')).join(':')

const since = (begin: number, minute: number): number => (minute - begin + WEEK_MINUTES) % WEEK_MINUTES

function minuteOfWeek(wallMs: number): number {
  const local = new Date(wallMs)
  return local.getDay() * DAY_MINUTES + local.getHours() * 60 + local.getMinutes()
}

const badHours = (text: string, why: string): CodedError =>
  new CodedError(
    'relay/bad-hours',
    `"${text.slice(0, 60)}" are no hours: ${why}. They look like "mon-fri 22:00-07:00; sat,sun".`,
  )
