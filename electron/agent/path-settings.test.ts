import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isCoded } from '../base/errors.ts'
import type { PathWish } from '../contract/path-policy.ts'
import type { NodeId } from '../contract/snapshot.ts'
import {
  changedPaths,
  decodePaths,
  encodePaths,
  NO_PATH_SETTINGS,
  pathPolicies,
  pathPolicyView,
  type PathSettings,
} from './path-settings.ts'

const machine = (id: string, name: string, address: string) => ({
  id: id as NodeId,
  name,
  dnsName: `${name}.tail.example`,
  addresses: [address],
})
const machines = [
  machine('n1', 'desk', '100.64.0.1'),
  machine('n2', 'nas', '100.64.0.2'),
  machine('n3', 'pi', '100.64.0.3'),
]
const keyOf = (id: NodeId): string | undefined => (machines.some((one) => one.id === id) ? `key-${id}` : undefined)
const nameOf = (id: NodeId): string | undefined => machines.find((one) => one.id === id)?.name

function wished(before: PathSettings, wish: Partial<PathWish> & Pick<PathWish, 'mode'>): PathSettings {
  return changedPaths(
    before,
    { peer: undefined, relay: undefined, family: undefined, derpData: undefined, ...wish },
    machines,
  )
}

test('a default for all, and a machine with a policy of its own until it follows the default again', () => {
  let settings = wished(NO_PATH_SETTINGS, { mode: 'automatic', derpData: false, family: 'ipv6' })
  settings = wished(settings, { peer: 'NAS', mode: 'only-relay', relay: '100.64.0.3' })
  assert.deepEqual(pathPolicies(settings, keyOf), {
    policy: { mode: 'automatic', family: 'ipv6', derpData: false },
    exceptions: new Map([['key-n2', { mode: 'only-relay', relay: 'key-n3', family: undefined, derpData: true }]]),
  })
  assert.deepEqual(pathPolicyView(settings, 'n2' as NodeId, nameOf), {
    mode: 'only-relay',
    relay: 'pi',
    relayId: 'n3',
    family: undefined,
    derpData: true,
    isDefault: false,
  })
  assert.equal(pathPolicyView(settings, 'n1' as NodeId, nameOf).isDefault, true)
  assert.deepEqual(decodePaths(JSON.parse(JSON.stringify(encodePaths(settings)))), settings)
  settings = wished(settings, { peer: 'nas.tail.example.', mode: 'default' })
  settings = wished(settings, { mode: 'default' })
  assert.deepEqual(settings, NO_PATH_SETTINGS)
})

test('a relay that left the network is none, not another one', () => {
  const settings = wished(NO_PATH_SETTINGS, { mode: 'only-relay', relay: 'pi' })
  assert.equal(pathPolicies(settings, () => undefined).policy.relay, '')
  assert.equal(pathPolicyView(settings, 'n1' as NodeId, () => undefined).relay, 'n3')
})

test('what does not fit together is refused with a reason', () => {
  const refused = (code: string, wish: Partial<PathWish> & Pick<PathWish, 'mode'>): void =>
    assert.throws(
      () => wished(NO_PATH_SETTINGS, wish),
      (error) => isCoded(error, code),
    )
  refused('agent/unknown-node', { peer: 'nobody', mode: 'automatic' })
  refused('agent/unknown-node', { mode: 'only-relay', relay: 'nobody' })
  refused('agent/bad-policy', { mode: 'only-relay' })
  refused('agent/bad-policy', { mode: 'only-direct', relay: 'pi' })
  refused('agent/bad-policy', { peer: 'pi', mode: 'prefer-relay', relay: 'pi' })
  for (const broken of [7, { default: 3 }, { default: { mode: 'x' } }, { default: { mode: 'automatic' }, peers: 4 }])
    assert.throws(() => decodePaths(broken))
})
