import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VirtualClock } from '../../base/clock.ts'
import { SendGate, type Place } from './send-gate.ts'

function setUp(mostBytes: number) {
  const clock = new VirtualClock()
  const gate = new SendGate({ clock, mostBytes })
  const started: string[] = []
  const enter = (name: string, bytes: number): Place =>
    gate.enter(() => {
      started.push(name)
      return bytes
    })
  return { clock, gate, started, enter }
}

test('messages go in turn, as many at a time as have room', () => {
  const { started, enter } = setUp(100)
  const first = enter('a', 60)
  enter('b', 60)
  const third = enter('c', 60)
  const fourth = enter('d', 60)
  assert.deepEqual(started, ['a', 'b'])
  assert.ok(third.isWaiting && !first.isWaiting)
  third.leave()
  first.leave()
  first.leave()
  assert.deepEqual(started, ['a', 'b', 'd'])
  assert.ok(!fourth.isWaiting)
})

test('a message larger than all room goes alone', () => {
  const { started, enter } = setUp(100)
  const large = enter('large', 1_000)
  enter('small', 1)
  assert.deepEqual(started, ['large'])
  large.leave()
  assert.deepEqual(started, ['large', 'small'])
})

test('a reader that takes its time holds up nobody for long', () => {
  const { clock, started, enter } = setUp(100)
  enter('slow', 100)
  enter('next', 100)
  clock.advance(400)
  assert.deepEqual(started, ['slow'])
  clock.advance(200)
  assert.deepEqual(started, ['slow', 'next'])
})

test('messages that are sent at once let all others through, in one go', () => {
  const { gate, started, enter } = setUp(100)
  const slow = enter('slow', 100)
  for (let i = 0; i < 20_000; i++)
    gate.enter((place) => {
      place.leave()
      return 50
    })
  enter('last', 1)
  slow.leave()
  assert.deepEqual(started, ['slow', 'last'])
})
