import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Counted, nextTraffic, type Traffic } from './traffic-watch.ts'

/** Looks once a second at what `counted` gives. */
function watch(seconds: number, counted: (second: number) => Omit<Counted, 'askingSinceMs'>): readonly Traffic[] {
  const seen: Traffic[] = []
  for (let second = 0; second < seconds; second++)
    seen.push(nextTraffic(seen.at(-1), { askingSinceMs: 0, ...counted(second) }, false, second * 1_000))
  return seen
}

/** What two clocks make of the same time. */
const shaky = (ms: number, second: number): number => (ms === 0 ? 0 : ms + ((second % 3) - 1) / 1_000)

test('a peer that sent nothing for an hour is not taken for an active one, whatever the clocks do', () => {
  const seen = watch(3_600, (second) => ({
    rxBytes: 0,
    txBytes: 9_000,
    lastSendMs: shaky(500, second),
    lastReceiveMs: 0,
  }))
  assert.equal(seen.filter(({ hasSent }) => hasSent).length, 1)
})

test('data that nothing comes back for is silent after two seconds, until something comes', () => {
  const seen = watch(10, (second) => ({
    rxBytes: 0,
    txBytes: second * 1_000,
    lastSendMs: second * 1_000 - 10,
    lastReceiveMs: shaky(second < 8 ? 900 : 7_900, second),
  }))
  assert.deepEqual(
    seen.map(({ load }) => load.isSilent),
    [false, false, false, true, true, true, true, true, false, false],
  )
})

test('data that is answered is never silent', () => {
  const seen = watch(60, (second) => ({
    rxBytes: 0,
    txBytes: 0,
    lastSendMs: second * 1_000 - 10,
    lastReceiveMs: second * 1_000 - 900,
  }))
  assert.ok(seen.every(({ load }) => !load.isSilent && !load.isBulk))
})

test('a process that slept does not know whether an answer came', () => {
  const owed = { rxBytes: 0, txBytes: 0, lastSendMs: 900, lastReceiveMs: 0, askingSinceMs: 0 }
  const before = nextTraffic(undefined, owed, false, 1_000)
  assert.equal(nextTraffic(before, owed, false, 3_600_000).unansweredSinceMs, 3_600_000)
})

test('a stream that comes in and stops is missed for some seconds', () => {
  const seen = watch(20, (second) => ({
    rxBytes: Math.min(second, 5) * 500_000,
    txBytes: 0,
    lastSendMs: 1,
    lastReceiveMs: Math.min(second, 5) * 1_000,
  }))
  const starved = seen.flatMap(({ load }, second) => (load.isStarved ? [second] : []))
  assert.deepEqual(starved, [7, 8, 9, 10, 11])
})
