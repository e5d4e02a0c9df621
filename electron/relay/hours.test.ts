import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isCoded } from '../base/errors.ts'
import { ALWAYS, isWithin, nextTurn, parseHours } from './hours.ts'

// Node reads it at once. Clocks go forward on 29 March 2026 at 02:00 and back on 25 October at 03:00.
process.env['TZ'] = 'Europe/Berlin'

const HOUR_MS = 3_600_000
const at = (text: string): number => new Date(text).getTime()
const within = (hours: string, moment: string): boolean => isWithin(parseHours(hours), at(moment))

test('hours that pass midnight belong to the day on which they begin', () => {
  const nights = 'mon-fri 22:00-07:00'
  // 2026-11-27 is a Friday.
  assert.ok(!within(nights, '2026-11-27T21:59'))
  assert.ok(within(nights, '2026-11-27T22:00'))
  assert.ok(within(nights, '2026-11-28T06:59'), 'the morning after')
  assert.ok(!within(nights, '2026-11-28T07:00'))
  assert.ok(!within(nights, '2026-11-28T23:00'), 'Saturday')
  assert.ok(!within(nights, '2026-11-30T05:00'), 'Sunday night is not in it')
  assert.ok(within('sat 20:00-02:00', '2026-11-29T01:59'), 'over the end of the week')
})

test('several rules, whole days, and the form that is kept', () => {
  const forms = {
    'mon-fri 22:00-07:00; sat, sun': 'mon-fri 22:00-07:00; sat,sun',
    'Monday-Friday 6:00-8:00,18:00-23:00 sat 00:00-24:00': 'mon-fri 06:00-08:00,18:00-23:00; sat',
    '07:00-23:30': '07:00-23:30',
    'sat-mon': 'mon,sat,sun',
    'fri-mon 9:00-10:00': 'mon,fri-sun 09:00-10:00',
    daily: '',
    'daily 00:00-24:00; mon 08:00-09:00': '',
    ' ; ': '',
    '': '',
  }
  for (const [typed, kept] of Object.entries(forms)) {
    const hours = parseHours(typed)
    assert.equal(hours.text, kept)
    assert.deepEqual(parseHours(kept), hours)
  }
  assert.ok(within('mon-fri 06:00-08:00,18:00-23:00; sat', '2026-11-25T18:00'))
  assert.ok(!within('mon-fri 06:00-08:00,18:00-23:00; sat', '2026-11-25T12:00'))
  assert.ok(within('mon-fri 06:00-08:00,18:00-23:00; sat', '2026-11-28T12:00'))
  assert.ok(isWithin(ALWAYS, 0) && nextTurn(ALWAYS, 0) === undefined)
})

test('the hours that the window offers are in the form in which they are kept', () => {
  for (const hours of ['23:00-07:00', '07:00-23:00', 'mon-fri 18:00-08:00; sat,sun'])
    assert.equal(parseHours(hours).text, hours)
})

test('what are no hours is refused by name', () => {
  for (const text of [
    'someday',
    'mon-',
    'mon-tue-wed',
    '25:00-26:00',
    '7-9',
    '09:60-10:00',
    '08:00-08:00',
    '24:00-01:00',
    'x'.repeat(300),
  ])
    assert.throws(
      () => parseHours(text),
      (error) => isCoded(error, 'relay/bad-hours'),
      text,
    )
})

test('the clock is put forward: an hour that does not exist is none, and the night is an hour shorter', () => {
  const gone = parseHours('02:00-03:00')
  const day = Array.from({ length: 24 * 60 }, (_, minute) => at('2026-03-29T00:00') + minute * 60_000)
  assert.ok(!day.some((moment) => isWithin(gone, moment)))
  const night = parseHours('22:00-07:00')
  const begin = at('2026-03-28T22:00')
  assert.equal(nextTurn(night, begin), begin + 8 * HOUR_MS)
})

test('the clock is put back: the hour counts twice, and the night is an hour longer', () => {
  const twice = parseHours('02:00-03:00')
  const begin = at('2026-10-25T01:59') + 60_000
  assert.ok(isWithin(twice, begin) && isWithin(twice, begin + HOUR_MS))
  assert.equal(nextTurn(twice, begin), begin + 2 * HOUR_MS)
  const evening = at('2026-10-24T22:00')
  assert.equal(nextTurn(parseHours('22:00-07:00'), evening), evening + 10 * HOUR_MS)
})

test('the next turn is the first moment at which it turns', () => {
  const time = fc
    .integer({ min: 0, max: 1439 })
    .map((minute) => [Math.floor(minute / 60), minute % 60].map((part) => String(part).padStart(2, '0')).join(':'))
  const day = fc.constantFrom('mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun')
  const rule = fc.tuple(day, day, time, time).filter(([, , begin, end]) => begin !== end)
  fc.assert(
    fc.property(
      fc.array(rule, { minLength: 1, maxLength: 3 }),
      fc.integer({ min: at('2026-01-01'), max: at('2026-12-31') }),
      (rules, moment) => {
        const hours = parseHours(rules.map(([from, to, begin, end]) => `${from}-${to} ${begin}-${end}`).join('; '))
        const turn = nextTurn(hours, moment)
        const now = isWithin(hours, moment)
        if (turn === undefined) return
        assert.ok(turn > moment && isWithin(hours, turn) !== now && isWithin(hours, turn - 1) === now)
      },
    ),
    { numRuns: 60 },
  )
})
