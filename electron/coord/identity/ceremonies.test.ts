import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VirtualClock } from '../../base/clock.ts'
import { CEREMONY_MS, Ceremonies } from './ceremonies.ts'

test('a challenge is random, and good for one answer in the browser it began in', () => {
  const ceremonies = new Ceremonies<string>(new VirtualClock())
  const { id, challenge } = ceremonies.begin('browser', '192.0.2.1', 'sign-in')
  assert.equal(Buffer.from(challenge, 'base64url').length, 32)
  assert.notEqual(ceremonies.begin('browser', '192.0.2.1', 'sign-in').challenge, challenge)
  assert.equal(ceremonies.end(id, 'another browser'), undefined)
  assert.equal(ceremonies.end(id, 'browser')?.challenge, challenge)
  assert.equal(ceremonies.end(id, 'browser'), undefined)
  assert.equal(ceremonies.end('never begun', 'browser'), undefined)
})

test('a challenge ends after five minutes', () => {
  const clock = new VirtualClock()
  const ceremonies = new Ceremonies<string>(clock)
  const early = ceremonies.begin('browser', '192.0.2.1', '')
  const late = ceremonies.begin('browser', '192.0.2.1', '')
  clock.advance(CEREMONY_MS - 1)
  assert.ok(ceremonies.end(early.id, 'browser'))
  clock.advance(1)
  assert.equal(ceremonies.end(late.id, 'browser'), undefined)
})

test('a flood from one place pushes out its own ceremonies, not those of others', () => {
  const ceremonies = new Ceremonies<string>(new VirtualClock())
  const mine = ceremonies.begin('browser', '192.0.2.1', '')
  for (let i = 0; i < 10_000; i++) ceremonies.begin(`flood-${i}`, '198.51.100.1', '')
  assert.equal(ceremonies.size, 33)
  assert.ok(ceremonies.end(mine.id, 'browser'))
})

test('the table is bounded over all places, and what is over makes room first', () => {
  const clock = new VirtualClock()
  const ceremonies = new Ceremonies<string>(clock)
  for (let i = 0; i < 5_000; i++) ceremonies.begin('browser', `source-${i}`, '')
  assert.equal(ceremonies.size, 2_048)
  clock.advance(CEREMONY_MS)
  ceremonies.begin('browser', '192.0.2.1', '')
  assert.equal(ceremonies.size, 1)
})
