import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NodeId } from '../../electron/contract/snapshot.ts'
import { connected, NOW_MS, paths, peer } from '../../test/e2e/fixtures/samples.ts'
import { LATENCY_KEPT_MS, LatencyLog, type LatencySample, latencyLine } from './latency.ts'

const id = 'nnas' as NodeId
const at = (minutesAgo: number, latencyMs: number | undefined): LatencySample => ({
  atMs: NOW_MS - minutesAgo * 60_000,
  latencyMs,
})
const logOf = (samples: readonly LatencySample[]): LatencyLog => {
  const log = new LatencyLog()
  for (const sample of samples) log.add(id, sample)
  return log
}

test('a value that stays is one sample, and nothing is kept before the first', () => {
  assert.equal(logOf([at(5, undefined), at(4, 12), at(3, 12), at(2, 14)]).of(id).length, 2)
})

test('old minutes go, but the value that held at their end stays', () => {
  const samples = logOf([at(40, 10), at(30, 20), at(20, 30), at(1, 40)]).of(id)
  assert.deepEqual(
    samples.map(({ latencyMs }) => latencyMs),
    [30, 40],
  )
})

test('the number of samples is bounded, also when all come within a second', () => {
  const log = new LatencyLog()
  for (let i = 0; i < 1_000; i++) log.add(id, { atMs: NOW_MS + i, latencyMs: i % 2 })
  assert.ok(log.of(id).length <= LATENCY_KEPT_MS / 5_000)
})

test('notes what a snapshot says, gaps while idle or off, and forgets machines that left', () => {
  const log = new LatencyLog()
  const nas = peer('nas', { path: paths.lan })
  const snapshot = { ...connected, peers: { [nas.id]: nas } } as typeof connected
  log.note(snapshot, 1_000)
  log.note({ ...snapshot, state: 'stopped' }, 2_000)
  assert.deepEqual(log.of(id), [
    { atMs: 1_000, latencyMs: paths.lan.latencyMs },
    { atMs: 2_000, latencyMs: undefined },
  ])
  log.note({ ...snapshot, peers: {} }, 3_000)
  assert.deepEqual(log.of(id), [])
})

test('the line lies between three round numbers and breaks where nothing was measured', () => {
  const line = latencyLine([at(4, 71), at(3, 112), at(2, undefined), at(1, 75)], NOW_MS)
  assert.equal(line?.minutes, 5)
  assert.deepEqual([line?.leastMs, line?.mostMs], [71, 112])
  const [top, , bottom] = line?.labels ?? [0, 0, 0]
  assert.ok(top >= 112 && bottom <= 71)
  assert.equal(line?.path.match(/M/g)?.length, 2)
  assert.ok(line?.path.endsWith(`L100.00 ${line.nowAt?.toFixed(1)}`))
})

test('no line from nothing, and none from a moment', () => {
  assert.equal(latencyLine([], NOW_MS), undefined)
  assert.equal(latencyLine([at(0.05, 12)], NOW_MS), undefined)
  assert.equal(latencyLine([at(20, 12), at(16, undefined)], NOW_MS), undefined)
})
