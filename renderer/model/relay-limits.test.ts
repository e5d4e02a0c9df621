import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dateText } from '../../electron/contract/time-words.ts'
import { relayCarrying, relayOff, relayPaused } from '../../test/e2e/fixtures/relays.ts'
import { NOW_MS } from '../../test/e2e/fixtures/samples.ts'
import { words } from '../words.ts'
import { hoursChoices, monthText, noPauseReason, OTHER_HOURS, quotaChoices, usedShare } from './relay-limits.ts'

test('what is in force is among the choices, once', () => {
  assert.deepEqual(quotaChoices(0).slice(0, 2), [
    ['20000000000', '20 GB'],
    ['50000000000', '50 GB'],
  ])
  assert.deepEqual(quotaChoices(0).at(-1), ['0', 'No limit'])
  assert.deepEqual(quotaChoices(3e12).find(([bytes]) => bytes === '3000000000000')?.[1], '3 TB')
  assert.equal(quotaChoices(200e9).length, quotaChoices(0).length)
  assert.equal(hoursChoices('').length, Object.keys(words.relay.hoursChoices).length + 1)
  const own = hoursChoices('mon 08:00-09:00')
  assert.deepEqual(own.at(-2), ['mon 08:00-09:00', 'mon 08:00–09:00'])
  assert.equal(own.at(-1)?.[0], OTHER_HOURS)
})

test('the month is told with one unit', () => {
  const { manners } = relayCarrying
  const renews = `renews ${dateText(manners.renewsAt, NOW_MS)}`
  assert.equal(monthText(manners, NOW_MS), `62 of 200 GB used, ${renews}`)
  assert.equal(monthText({ ...manners, usedBytes: 62e6 }, NOW_MS), `62 MB of 200 GB used, ${renews}`)
  assert.equal(monthText({ ...manners, monthlyBytes: 0 }, NOW_MS), '62 GB this month')
  assert.deepEqual([usedShare(manners), usedShare({ ...manners, usedBytes: 300e9 })], [0.31, 1])
  assert.equal(usedShare(relayOff.manners), undefined)
})

test('a pause that cannot work is known only where the machine was looked at', () => {
  assert.equal(noPauseReason(relayOff, 'metered'), undefined)
  assert.equal(noPauseReason(relayCarrying, 'metered'), undefined)
  assert.equal(noPauseReason(relayPaused.battery, 'metered'), words.relay.noMetered)
  assert.equal(noPauseReason(relayPaused.metered, 'battery'), words.relay.noBattery)
  const off = { ...relayPaused.battery, manners: { ...relayPaused.battery.manners, pauseOnMetered: false } }
  assert.equal(noPauseReason(off, 'metered'), undefined, 'nobody looked')
})
