import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RelayStatusView } from '../contract/relay-view.ts'
import { relayBrief } from './relay-brief.ts'
import { relayOff } from './relay-settings.ts'

const settings = { port: 0, staticEndpoints: [], bytesPerSecond: 0 }
const session = (state: 'open' | 'connecting') => ({ vni: 1, state, sinceAt: 0, clients: [] })

test('counts pairs that are bound at both ends', () => {
  const running: RelayStatusView = {
    ...relayOff(settings),
    state: 'running',
    sessions: [session('open'), session('connecting'), session('open')],
  }
  assert.deepEqual(relayBrief(running, undefined), { state: 'running', isWanted: true, pairs: 2 })
})

test('stays the same value while nothing changes, so that nobody is woken', () => {
  const before = relayBrief(relayOff(settings), undefined)
  assert.equal(relayBrief(relayOff(settings), before), before)
  assert.deepEqual(relayBrief(relayOff(undefined), before), { state: 'off', isWanted: false, pairs: 0 })
})
