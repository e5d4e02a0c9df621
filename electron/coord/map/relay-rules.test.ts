import assert from 'node:assert/strict'
import { test } from 'node:test'
import { relayRules } from './relay-rules.ts'

const RELAYS = new Map([
  [7, ['100.64.0.7/32']],
  [3, ['100.64.0.3/32']],
])

test('a client learns of every relay, in an order that does not change', () => {
  assert.deepEqual(relayRules(1, ['100.64.0.1/32'], RELAYS), [
    {
      srcIps: ['100.64.0.3/32', '100.64.0.7/32'],
      capGrant: [{ dsts: ['100.64.0.1/32'], capMap: new Map([['tailscale.com/cap/relay-target', []]]) }],
    },
  ])
})

test('a relay takes requests of all, and may ask the other relays but not itself', () => {
  const rules = relayRules(3, ['100.64.0.3/32'], RELAYS)
  assert.deepEqual(
    rules.map(({ srcIps, capGrant }) => [
      srcIps,
      ...(capGrant ?? []).flatMap(({ capMap }) => [...(capMap?.keys() ?? [])]),
    ]),
    [
      [['*'], 'tailscale.com/cap/relay'],
      [['100.64.0.7/32'], 'tailscale.com/cap/relay-target'],
    ],
  )
})

test('without relays there is nothing to say', () => {
  assert.deepEqual(relayRules(1, ['100.64.0.1/32'], new Map()), [])
})
