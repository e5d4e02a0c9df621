import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DEFAULT_MANNERS, endOfMonth, type Manners, monthOf, pauseNow, type Surroundings } from './manners.ts'

process.env['TZ'] = 'Europe/Berlin'

// A Wednesday.
const NOON = new Date('2026-11-25T12:00').getTime()
const calm: Surroundings = { wallMs: NOON, usedBytes: 0, power: 'mains', metered: 'no' }
const reason = (manners: Partial<Manners>, facts: Partial<Surroundings>): string | undefined =>
  pauseNow({ ...DEFAULT_MANNERS, ...manners }, { ...calm, ...facts })?.reason

test('each reason pauses by its own setting, and only by it', () => {
  assert.equal(reason({}, {}), undefined)
  assert.equal(reason({}, { power: 'battery' }), 'battery')
  assert.equal(reason({ pauseOnBattery: false }, { power: 'battery' }), undefined)
  assert.equal(reason({}, { metered: 'yes' }), 'metered')
  assert.equal(reason({ pauseOnMetered: false }, { metered: 'yes' }), undefined)
  assert.equal(reason({ monthlyBytes: 100 }, { usedBytes: 99 }), undefined)
  assert.equal(reason({ monthlyBytes: 100 }, { usedBytes: 100 }), 'quota')
  assert.equal(reason({ monthlyBytes: 0 }, { usedBytes: 1e15 }), undefined)
  assert.equal(reason({ hours: '13:00-14:00' }, {}), 'hours')
  assert.equal(reason({ hours: '12:00-14:00' }, {}), undefined)
})

test('what the system does not tell is no reason', () => {
  assert.equal(reason({}, { power: 'unknown', metered: 'unknown' }), undefined)
})

test('says when it ends, where anybody can know', () => {
  const ends = (manners: Partial<Manners>, facts: Partial<Surroundings> = {}) =>
    pauseNow({ ...DEFAULT_MANNERS, ...manners }, { ...calm, ...facts })?.endsAt
  assert.equal(ends({ monthlyBytes: 1 }, { usedBytes: 2 }), new Date('2026-12-01T00:00').getTime())
  assert.equal(ends({ hours: 'mon 08:00-09:00' }), new Date('2026-11-30T08:00').getTime())
  assert.equal(ends({}, { power: 'battery' }), undefined)
})

test('a month is the one of the clock on the wall', () => {
  const lastMinute = new Date('2026-12-31T23:59').getTime()
  assert.deepEqual([monthOf(lastMinute), monthOf(endOfMonth(lastMinute))], ['2026-12', '2027-01'])
  assert.equal(endOfMonth(lastMinute) - lastMinute, 60_000)
})
