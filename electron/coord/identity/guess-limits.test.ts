import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VirtualClock } from '../../base/clock.ts'
import { GuessLimits } from './guess-limits.ts'

test('five tries are free, then each wait is twice the last, up to a quarter of an hour', () => {
  const clock = new VirtualClock()
  const limits = new GuessLimits(clock)
  for (let i = 0; i < 5; i++) assert.equal(limits.begin('ines'), 0)
  const waits: number[] = []
  for (let i = 0; i < 14; i++) {
    const waitMs = limits.begin('ines')
    waits.push(waitMs / 1000)
    assert.equal(limits.begin('INES'), waitMs, 'the same account in capitals, and asking again makes it no longer')
    clock.advance(waitMs)
    assert.equal(limits.begin('ines'), 0)
  }
  assert.deepEqual(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900, 900])
})

test('a day of guessing one account comes to about a hundred tries', () => {
  const clock = new VirtualClock()
  const limits = new GuessLimits(clock)
  let tries = 0
  for (const endMs = clock.now() + 24 * 3_600_000; clock.now() < endMs; clock.advance(1_000))
    if (limits.begin('ines') === 0) tries++
  assert.ok(tries > 90 && tries < 115, `${tries}`)
})

test('the right password starts the count afresh, and one account’s count is not another’s', () => {
  const clock = new VirtualClock()
  const limits = new GuessLimits(clock)
  for (let i = 0; i < 5; i++) limits.begin('ines')
  assert.ok(limits.begin('ines') > 0)
  assert.equal(limits.begin('karin'), 0)
  limits.succeeded('ines')
  assert.equal(limits.begin('ines'), 0)
})

test('tries at the same moment all count, before any of them is answered', () => {
  const limits = new GuessLimits(new VirtualClock())
  const through = Array.from({ length: 100 }, () => limits.begin('ines')).filter((waitMs) => waitMs === 0)
  assert.equal(through.length, 5)
})

test('the table is bounded, and what is in use is not what goes', () => {
  const limits = new GuessLimits(new VirtualClock())
  for (let i = 0; i < 5; i++) limits.begin('ines')
  for (let i = 0; i < 16_383; i++) limits.begin(`stranger-${i}`)
  assert.ok(limits.begin('ines') > 0)
  for (let i = 0; i < 50_000; i++) limits.begin(`other-${i}`)
  assert.equal(limits.size, 16_384)
})
