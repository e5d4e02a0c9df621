import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PathPolicyView } from '../../electron/contract/path-policy.ts'
import type { NodeId } from '../../electron/contract/snapshot.ts'
import { connected } from '../../test/e2e/fixtures/samples.ts'
import { likelyRelay, modeChoices, modeOf, pathWishFrom, relayChoices } from './path-choice.ts'

const automatic: PathPolicyView = {
  mode: 'automatic',
  relay: undefined,
  family: undefined,
  derpData: true,
  isDefault: true,
}
const throughNas: PathPolicyView = {
  ...automatic,
  mode: 'prefer-relay',
  relay: 'nas',
  relayId: 'nnas',
  isDefault: false,
}
const values = (view: PathPolicyView): string[] => modeChoices(view).map(([value]) => value)
const peer = 'npixel-8' as NodeId
const relaying = (...names: readonly string[]) => ({
  ...connected,
  peers: Object.fromEntries(
    Object.values(connected.peers).map((one) => [one.id, { ...one, relays: names.includes(one.name) }]),
  ),
})

test('what is in force is always among the choices, and so are relays that nobody named yet', () => {
  for (const view of [automatic, throughNas, { ...throughNas, isDefault: true }, { ...automatic, isDefault: false }])
    assert.ok(values(view).includes(modeOf(view)))
  assert.ok(values(automatic).includes('prefer-relay') && values(automatic).includes('only-relay'))
})

test('who relays comes first, then everyone else who might', () => {
  const choices = relayChoices(relaying('nas', 'build-01'), peer, automatic)
  assert.deepEqual(choices.slice(0, 2), [
    ['nbuild-01', 'build-01'],
    ['nnas', 'nas'],
  ])
  assert.ok(!choices.some(([id]) => id === peer), 'no machine relays to itself')
  assert.equal(choices.find(([id]) => id === 'ncabin-pi')?.[1], 'cabin-pi (not relaying)')
  assert.equal(choices.at(-1)?.[1], 'This computer (not relaying)')
  const own = { ...relaying(), relay: { state: 'running', isWanted: true, pairs: 0 } } as const
  assert.equal(relayChoices(own, peer, automatic)[0]?.[1], 'This computer')
  const gone = relayChoices(connected, peer, { ...throughNas, relay: 'n77', relayId: 'n77' })
  assert.deepEqual(gone[0], ['n77', 'n77'], 'a relay that left is still what was asked for')
})

test('whoever asks for a relay gets one that relays, if there is any', () => {
  assert.equal(likelyRelay(relaying(), peer), undefined)
  assert.equal(likelyRelay(relaying('nas'), peer), 'nnas')
  assert.equal(likelyRelay(relaying('pixel-8'), peer), undefined)
  const own = { ...relaying(), relay: { state: 'running', isWanted: true, pairs: 0 } } as const
  assert.equal(likelyRelay(own, peer), connected.self?.id)
})

test('one change leaves the rest of the policy as it is', () => {
  assert.deepEqual(pathWishFrom('n1', throughNas, { derpData: false }), {
    peer: 'n1',
    mode: 'prefer-relay',
    relay: 'nnas',
    family: undefined,
    derpData: false,
  })
  assert.deepEqual(pathWishFrom('n1', { ...throughNas, family: 'ipv6' }, { mode: 'only-direct' }), {
    peer: 'n1',
    mode: 'only-direct',
    relay: undefined,
    family: 'ipv6',
    derpData: true,
  })
  assert.equal(pathWishFrom('n1', automatic, { mode: 'only-relay', relay: 'nnas' }).relay, 'nnas')
  assert.equal(pathWishFrom('n1', throughNas, { mode: 'only-relay' }).relay, 'nnas')
  assert.equal(pathWishFrom('n1', throughNas, { relay: 'nbuild-01' }).relay, 'nbuild-01')
  assert.equal(pathWishFrom('n1', throughNas, { family: 'ipv4' }).family, 'ipv4')
  assert.equal(pathWishFrom('n1', { ...throughNas, family: 'ipv4' }, { family: 'any' }).family, undefined)
  assert.equal(pathWishFrom('n1', throughNas, { mode: 'default' }).relay, undefined)
})
