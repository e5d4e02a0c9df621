import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PathPolicyView } from '../../electron/contract/path-policy.ts'
import { modeChoices, modeOf, pathWishFrom } from './path-choice.ts'

const automatic: PathPolicyView = {
  mode: 'automatic',
  relay: undefined,
  family: undefined,
  derpData: true,
  isDefault: true,
}
const throughNas: PathPolicyView = { ...automatic, mode: 'prefer-relay', relay: 'nas', isDefault: false }
const values = (view: PathPolicyView): string[] => modeChoices(view).map(([value]) => value)

test('what is in force is always among the choices', () => {
  for (const view of [automatic, throughNas, { ...throughNas, isDefault: true }, { ...automatic, isDefault: false }])
    assert.ok(values(view).includes(modeOf(view)))
  assert.ok(!values(automatic).includes('prefer-relay'), 'a relay that nobody named is not offered')
})

test('one change leaves the rest of the policy as it is', () => {
  assert.deepEqual(pathWishFrom('n1', throughNas, { derpData: false }), {
    peer: 'n1',
    mode: 'prefer-relay',
    relay: 'nas',
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
  assert.equal(pathWishFrom('n1', throughNas, { family: 'ipv4' }).family, 'ipv4')
  assert.equal(pathWishFrom('n1', { ...throughNas, family: 'ipv4' }, { family: 'any' }).family, undefined)
  assert.equal(pathWishFrom('n1', throughNas, { mode: 'default' }).relay, undefined)
})
