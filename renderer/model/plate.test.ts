import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AgentSnapshot } from '../../electron/contract/snapshot.ts'
import { connected, NOW_MS } from '../../test/e2e/fixtures/samples.ts'
import { plateOf, type Wish } from './plate.ts'

const say = (change: Partial<AgentSnapshot>, wish?: Wish): string[] => {
  const { look, word, line, at } = plateOf({ ...connected, ...change }, wish, NOW_MS)
  return [look, word, line, at]
}

test('each state has its look, word and line', () => {
  assert.deepEqual(say({}), ['on', 'Connected', '8 of 10 online, 4 direct', 'on'])
  assert.deepEqual(say({ peers: {} }), ['on', 'Connected', 'Only this computer so far', 'on'])
  assert.deepEqual(say({ state: 'stopped' }), ['off', 'Not connected', 'Nothing goes in or out', 'off'])
  const waitingFor = 'the coordination server'
  assert.deepEqual(say({ state: 'starting', waitingFor }), ['busy', 'Connecting…', 'Asking home.lindenhof.net', 'half'])
  assert.deepEqual(say({ state: 'needs-login' }), ['warn', 'Signed out', 'This machine needs a new sign-in', 'off'])
})

test('a click counts at once, before the agent has caught up', () => {
  assert.equal(say({}, 'off')[1], 'Not connected')
  assert.equal(say({ state: 'stopped' }, 'on')[1], 'Connecting…')
})

test('a key that ends soon and a server that is away ask for attention', () => {
  const self = connected.self && { ...connected.self, keyExpiresAt: NOW_MS + 2 * 24 * 3_600_000 }
  assert.deepEqual(say({ self }), ['warn', 'Connected', 'Sign in again by Friday', 'on'])
  const warnings = [{ code: 'control/unreachable', message: 'home.lindenhof.net does not answer.' }]
  assert.deepEqual(say({ controlConnected: false, warnings }), [
    'warn',
    'Connected',
    'home.lindenhof.net does not answer',
    'on',
  ])
})
