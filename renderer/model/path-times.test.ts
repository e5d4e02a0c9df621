import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pathChanges } from '../../test/e2e/fixtures/paths.ts'
import { connected, NOW_MS } from '../../test/e2e/fixtures/samples.ts'
import { changeText, pathTimes } from './path-times.ts'

test('a day is a bar of parts that add up, and shares of the known time', () => {
  const times = pathTimes(pathChanges, NOW_MS)
  assert.equal(times?.minutes, 1_440)
  assert.deepEqual(
    times?.segments.map(({ kind }) => kind),
    [undefined, 'derp', 'direct', 'peer-relay', 'direct', 'derp'],
  )
  const sum = times?.segments.reduce((all, { part }) => all + part, 0) ?? 0
  assert.ok(Math.abs(sum - 1) < 1e-9)
  assert.deepEqual(times?.shares[0], { kind: 'direct', percent: 66 })
})

test('a young history fills a shorter bar', () => {
  assert.equal(pathTimes(pathChanges.slice(-1), NOW_MS)?.minutes, 360)
  assert.equal(pathTimes([], NOW_MS), undefined)
})

test('what is older than a day only says how the day began', () => {
  const old = pathChanges.map((change) => ({ ...change, at: change.at - 6 * 3_600_000 }))
  const times = pathTimes(old, NOW_MS)
  assert.equal(times?.minutes, 1_440)
  assert.equal(times?.segments[0]?.kind, 'direct')
})

test('a change is a sentence with its cause', () => {
  const said = pathChanges.map((change) => changeText(change, connected.derpRegions))
  assert.deepEqual(said, [
    'Through DERP Frankfurt',
    'Direct: a direct path answered',
    'Through nas: the path in use stopped answering',
    'Direct: a better direct path answered',
    'Through DERP Frankfurt: the path in use stopped answering',
  ])
})
