import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VirtualClock } from '../../base/clock.ts'
import { RateLimiter, sourceOf } from './rate-limiter.ts'

test('a source has its burst, then its rate, whatever others do', () => {
  const clock = new VirtualClock()
  const limiter = new RateLimiter(clock, { perSecond: 2, burst: 5 })
  const takes = (source: string, times: number) =>
    Array.from({ length: times }, () => limiter.take(source)).filter(Boolean).length
  assert.equal(takes('a', 10), 5)
  assert.equal(takes('b', 1), 1)
  clock.advance(1_000)
  assert.equal(takes('a', 10), 2)
  clock.advance(60_000)
  assert.equal(takes('a', 10), 5)
})

test('a flood of sources does not grow the table without end, and forgets the oldest first', () => {
  const limiter = new RateLimiter(new VirtualClock(), { perSecond: 0, burst: 1 })
  limiter.take('old')
  for (let i = 0; i < 65_535; i++) limiter.take(`s${i}`)
  assert.ok(!limiter.take('old'), 'still known')
  for (let i = 0; i < 65_536; i++) limiter.take(`t${i}`)
  assert.ok(limiter.take('old'), 'forgotten')
})

test('an IPv6 household is one source, and an IPv4 address is itself in both families', () => {
  assert.equal(sourceOf('2001:db8:1:2:aaaa::1'), sourceOf('2001:db8:1:2:bbbb::2'))
  assert.notEqual(sourceOf('2001:db8:1:2::1'), sourceOf('2001:db8:1:3::1'))
  assert.equal(sourceOf('::ffff:192.0.2.1'), sourceOf('192.0.2.1'))
  assert.equal(sourceOf(undefined), 'unknown')
})
