import assert from 'node:assert/strict'
import { test } from 'node:test'
import { changedRelay, decodeRelay, encodeRelay } from '../agent/relay-settings.ts'
import { isCoded } from '../base/errors.ts'
import type { SetArgument } from '../contract/calls.ts'
import { DEFAULT_MANNERS } from '../relay/manners.ts'
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

test('manners are set one by one', () => {
  const quota = changedRelay(undefined, wish('--relay-quota', '200GB'))
  assert.deepEqual(quota.manners, { ...DEFAULT_MANNERS, monthlyBytes: 200e9 })
  const hours = changedRelay(quota, wish('--relay-hours=MON-FRI 22:00-7:00,sat sun'))
  assert.equal(hours.manners?.hours, 'mon-fri 22:00-07:00; sat,sun')
  const bold = changedRelay(hours, wish('--relay-pause-on-battery', 'off', '--relay-pause-on-metered=off'))
  assert.deepEqual(bold.manners, { ...hours.manners, pauseOnBattery: false, pauseOnMetered: false })
  const again = changedRelay(bold, wish('--relay-hours', 'always', '--relay-quota=', '--relay-pause-on-battery=on'))
  assert.deepEqual(again.manners, { ...DEFAULT_MANNERS, pauseOnMetered: false })
  assert.deepEqual(decodeRelay(JSON.parse(JSON.stringify(encodeRelay(hours)))), hours)
  assert.equal(changedRelay(undefined, wish('--relay-limit', '1M')).manners, undefined, 'nothing named, nothing kept')
  assert.deepEqual([wish('--port-mapping=off').portMapping, wish('--port-mapping', 'on').portMapping], [false, true])
})

test('what cannot be is refused by name', () => {
  for (const args of [
    ['--relay-server-port', '70000'],
    ['--relay-server-port', 'x'],
    ['--relay-limit', 'fast'],
    ['--relay-quota', '200GB/s'],
    ['--relay-hours', 'x'.repeat(300)],
    ['--relay-pause-on-battery', 'maybe'],
    ['--port-mapping', ''],
  ])
    assert.throws(() => wish(...args), UsageError)
  assert.throws(
    () => changedRelay(undefined, wish('--relay-hours', 'nights')),
    (error) => isCoded(error, 'relay/bad-hours'),
  )
  for (const text of ['192.0.2.1', 'relay.example:7', '192.0.2.1:0'])
    assert.throws(
      () => changedRelay(undefined, wish('--relay-server-static-endpoints', text)),
      (error) => isCoded(error, 'agent/bad-endpoint'),
    )
})
