import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connected, inOwn, NOW_MS, noOwn, ownRunning, shell } from '../../test/e2e/fixtures/samples.ts'
import { type BannerFacts, bannersOf } from './banner.ts'

const facts: BannerFacts = {
  agent: connected,
  own: noOwn,
  shell,
  failure: undefined,
  serverAwayLong: false,
  nowMs: NOW_MS,
}
const say = (change: Partial<BannerFacts>): string[] =>
  bannersOf({ ...facts, ...change }).map(({ kind, title, action }) => [kind, title, action].filter(Boolean).join(' | '))

test('nothing is said while nothing is wrong', () => {
  assert.deepEqual(say({}), [])
})

test('the worst comes first', () => {
  const agent = {
    ...inOwn,
    self: connected.self && { ...connected.self, keyExpiresAt: NOW_MS + 2 * 24 * 3_600_000 },
    warnings: [{ code: 'derp/unreachable', message: 'The DERP server fra cannot be reached. Try later.' }],
  }
  const failure = { code: 'agent/x', message: 'It failed. Do something.' }
  assert.deepEqual(say({ agent, failure, own: { ...ownRunning, ownerCanSignIn: false } }), [
    'bad | It failed | dismiss-failure',
    'warn | Your key ends on Friday | sign-in',
    'warn | The DERP server fra cannot be reached',
    'info | Choose how you sign in | set-up-sign-in',
  ])
})

test('the owner is asked for a sign-in only while in that network', () => {
  const own = { ...ownRunning, ownerCanSignIn: false }
  assert.deepEqual(say({ agent: inOwn, own }), ['info | Choose how you sign in | set-up-sign-in'])
  assert.deepEqual(say({ agent: connected, own }), [])
})

test('a server that is away for a moment is not worth a word', () => {
  const warnings = [{ code: 'control/unreachable', message: 'The server does not answer.' }]
  const agent = { ...connected, controlConnected: false, warnings }
  assert.deepEqual(say({ agent }), [])
  assert.deepEqual(say({ agent, serverAwayLong: true }), ['warn | The server does not answer'])
})

test('what ended is bad and offers the next step; what goes on trying is a warning', () => {
  const problem = { code: 'os/no-rights', message: 'No rights. Start as root.' }
  assert.deepEqual(say({ agent: { ...connected, state: 'stopped', problem } }), ['bad | No rights | retry'])
  assert.deepEqual(say({ agent: { ...connected, state: 'needs-login', problem } }), ['bad | No rights | sign-in'])
  assert.deepEqual(say({ agent: { ...connected, state: 'starting', problem } }), ['warn | No rights'])
})

test('an own network that did not come up is told before what follows from it', () => {
  const problem = { code: 'coord/listen-failed', message: 'Port 8480 is in use. Stop the other program.' }
  const away = { code: 'control/unreachable', message: 'No server answers at 127.0.0.1:8480. It is off.' }
  const agent = { ...connected, state: 'starting' as const, problem: away }
  assert.deepEqual(say({ own: { ...ownRunning, state: 'failed', problem }, agent }), [
    'bad | Port 8480 is in use | retry-own',
    'warn | No server answers at 127.0.0.1:8480',
  ])
})
