import assert from 'node:assert/strict'
import { test } from 'node:test'
import { relayBrief } from './relay-brief.ts'
import { relayOff } from './relay-settings.ts'

const settings = { port: 0, staticEndpoints: [], bytesPerSecond: 0 }
const off = (kept: typeof settings | undefined) => ({ ...relayOff(kept), pairs: 0 })

test('tells pairs, and why it pauses', () => {
  const running = { ...off(settings), state: 'running', pairs: 2 } as const
  assert.deepEqual(relayBrief(running, undefined), { state: 'running', isWanted: true, pairs: 2 })
  const paused = { ...running, state: 'paused', pause: { reason: 'battery' } } as const
  assert.equal(relayBrief(paused, undefined).pause, 'battery')
})

test('stays the same value while nothing changes, so that nobody is woken', () => {
  const before = relayBrief(off(settings), undefined)
  assert.equal(relayBrief(off(settings), before), before)
  assert.deepEqual(relayBrief(off(undefined), before), { state: 'off', isWanted: false, pairs: 0 })
})
