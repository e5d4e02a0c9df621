import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isCoded } from '../../base/errors.ts'
import type { Node, NodeInput } from '../../wire/tailcfg/node.ts'
import { netmapOf, nodeOf } from '../test-netmap.ts'
import { acceptedRoutes, excluded, isReserved, localNetworks } from './networks.ts'
import { changedRouting, decodeRouting, encodeRouting, NO_ROUTING } from './routing-settings.ts'

const cidr = (address: string, bits: number, internal = false) => ({
  address,
  netmask: '',
  family: 'IPv4' as const,
  mac: '',
  internal,
  cidr: `${address}/${bits}`,
})

const peersOf = (...peers: NodeInput[]): Node[] => [...netmapOf({ peers }).peers.values()]

test('networks of peers are taken, but none that means something else here, and none this machine stands in', () => {
  const peers = peersOf(
    nodeOf(2, {
      allowedIps: [
        '100.64.0.2/32',
        '10.1.0.0/16',
        '192.168.1.0/24',
        '192.168.1.128/25',
        '0.0.0.0/0',
        '::/0',
        '100.64.0.9/32',
        '127.0.0.0/8',
        '169.254.169.254/32',
        'fd7a:115c:a1e0::9/128',
        'fd7a:115c:a1e0:b1a:0:7:a01:0/112',
        '10.9.9.9/8',
      ],
    }),
    nodeOf(3, { allowedIps: ['10.1.0.0/16', '10.2.0.0/16'] }),
  )
  const accepted = acceptedRoutes(peers, ['192.168.1.0/24'])
  assert.deepEqual(
    [...accepted.values()],
    [['10.1.0.0/16', 'fd7a:115c:a1e0:b1a:0:7:a01:0/112', '10.0.0.0/8'], ['10.2.0.0/16']],
  )
})

test('a network this machine stands in stays outside of a larger one that is taken', () => {
  const locals = localNetworks({
    lo: [cidr('127.0.0.1', 8, true)],
    eth0: [cidr('10.5.6.7', 24), cidr('169.254.1.1', 16)],
    wg0: [cidr('10.8.0.1', 32)],
    gone: undefined,
  })
  assert.deepEqual(locals, ['10.5.6.0/24'])
  assert.deepEqual(excluded([...locals, '172.16.0.0/12'], ['10.0.0.0/8', '192.168.0.0/16']), ['10.5.6.0/24'])
})

test('what is offered is a network in its own form', () => {
  const offer = (...advertiseRoutes: string[]) => changedRouting(NO_ROUTING, { advertiseRoutes }).advertiseRoutes
  assert.deepEqual(offer('192.168.1.0/24', 'fd00:5::/64', '10.0.0.7'), ['192.168.1.0/24', 'fd00:5::/64', '10.0.0.7/32'])
  for (const [bad, words] of [
    ['lan', /is no network. Write it like 192.168.1.0\/24/],
    ['192.168.1.7/24', /Did you mean 192.168.1.0\/24\?/],
    ['0.0.0.0/0', /--advertise-exit-node/],
    ['100.64.1.0/24', /cannot be offered/],
    ['127.0.0.0/8', /cannot be offered/],
  ] as const)
    assert.throws(
      () => offer(bad),
      (error) => isCoded(error, 'agent/bad-route') && words.test(error.message),
      bad,
    )
  assert.throws(
    () => changedRouting(NO_ROUTING, { advertiseTags: ['server'] }),
    (error) => isCoded(error, 'agent/bad-tag'),
  )
})

test('a change keeps what it does not speak of', () => {
  const one = changedRouting(NO_ROUTING, { acceptRoutes: true, advertiseRoutes: ['10.1.0.0/16'], shieldsUp: true })
  const two = changedRouting(one, { shieldsUp: false, advertiseTags: ['tag:a', 'tag:a'] })
  assert.deepEqual(two, { ...one, shieldsUp: false, advertiseTags: ['tag:a'] })
  assert.deepEqual(changedRouting(two, { advertiseRoutes: [] }).advertiseRoutes, [])
})

test('settings come back from the file as they were, and anything else does no harm', () => {
  const kept = changedRouting(NO_ROUTING, {
    acceptRoutes: true,
    advertiseRoutes: ['10.1.0.0/16'],
    advertiseExitNode: true,
  })
  assert.deepEqual(decodeRouting(JSON.parse(JSON.stringify(encodeRouting(kept)))), kept)
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const { advertiseRoutes = [] } = decodeRouting(value) ?? {}
      assert.ok(advertiseRoutes.every((route) => !isReserved(route)))
    }),
  )
  const spoilt = { advertiseRoutes: ['10.1.2.3/16', 7, '0.0.0.0/0', 'x'], advertiseTags: ['tag:a', 'b'] }
  const read = decodeRouting(spoilt)
  assert.deepEqual([read?.advertiseRoutes, read?.advertiseTags], [['10.1.0.0/16'], ['tag:a']])
})
