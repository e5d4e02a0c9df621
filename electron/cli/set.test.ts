import assert from 'node:assert/strict'
import { test } from 'node:test'
import { changedRelay } from '../agent/relay-settings.ts'
import { isCoded } from '../base/errors.ts'
import type { SetArgument } from '../contract/calls.ts'
import { parseCommand, UsageError } from './command.ts'
import { set, settingsOf } from './set.ts'

function wish(...args: string[]): SetArgument {
  const call = parseCommand(set, args)
  assert.ok(call !== 'help')
  return settingsOf(call)
}

test('what is not named stays as it is', () => {
  const on = changedRelay(undefined, wish('--relay-server-port', '40000'))
  assert.deepEqual(on, { port: 40_000, staticEndpoints: [], bytesPerSecond: 0 })
  const capped = changedRelay(on, wish('--relay-limit', '20mbit'))
  assert.deepEqual(capped, { ...on, bytesPerSecond: 2_500_000 })
  const named = changedRelay(capped, wish('--relay-server-static-endpoints', '192.0.2.1:7, [2001:DB8::1]:8'))
  assert.deepEqual(named, { ...capped, staticEndpoints: ['192.0.2.1:7', '[2001:db8::1]:8'] })
  const off = changedRelay(named, wish('--relay-server-port='))
  assert.deepEqual(off, { ...named, port: undefined })
  assert.deepEqual(changedRelay(off, wish('--relay-server-port', '0', '--relay-limit', '')).bytesPerSecond, 0)
  assert.deepEqual(changedRelay(named, wish('--relay-server-static-endpoints=')).staticEndpoints, [])
})

test('what cannot be is refused by name', () => {
  for (const args of [
    ['--relay-server-port', '70000'],
    ['--relay-server-port', 'x'],
    ['--relay-limit', 'fast'],
  ])
    assert.throws(() => wish(...args), UsageError)
  for (const text of ['192.0.2.1', 'relay.example:7', '192.0.2.1:0'])
    assert.throws(
      () => changedRelay(undefined, wish('--relay-server-static-endpoints', text)),
      (error) => isCoded(error, 'agent/bad-endpoint'),
    )
})
