import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connected, inOwn, noOwn, ownRunning } from '../../test/e2e/fixtures/samples.ts'
import { isOwnNetwork, networkName } from './network-words.ts'

test('the own network goes by the name its owner gave, though this computer reaches it over loopback', () => {
  assert.ok(isOwnNetwork(inOwn.tailnet, ownRunning))
  assert.equal(networkName(inOwn.tailnet, ownRunning), 'Lindenhof')
})

test('another network is not taken for the own one', () => {
  assert.ok(!isOwnNetwork(connected.tailnet, ownRunning))
  assert.ok(!isOwnNetwork(connected.tailnet, noOwn))
  const other = inOwn.tailnet && { ...inOwn.tailnet, serverUrl: 'http://127.0.0.1:9999' }
  assert.ok(!isOwnNetwork(other, ownRunning))
  assert.equal(networkName(other, ownRunning), 'lindenhof.internal')
  assert.equal(networkName(undefined, ownRunning), undefined)
})
