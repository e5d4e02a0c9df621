import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VirtualClock } from '../../base/clock.ts'
import { silentLogger } from '../../base/log.ts'
import type { NodeId } from '../../contract/snapshot.ts'
import type { NodeInput } from '../../wire/tailcfg/node.ts'
import { netmapOf, nodeOf } from '../test-netmap.ts'
import { Bypass } from './bypass.ts'
import { NetworkUse } from './network-use.ts'
import { NO_ROUTING, type RoutingSettings } from './routing-settings.ts'

const derpNode = (hostName: string, ipv4: string) => ({ name: hostName, regionId: 900, hostName, ipv4, ipv6: 'none' })

const LAN = {
  eth0: [{ address: '192.168.1.2', netmask: '', family: 'IPv4', mac: '', internal: false, cidr: '192.168.1.2/24' }],
} as const

async function look(settings: Partial<RoutingSettings>, exit: NodeInput = {}) {
  const clock = new VirtualClock()
  const use = new NetworkUse({
    clock,
    log: silentLogger,
    serverUrl: 'https://coord.example:8443',
    resolve: (host) => Promise.resolve([host === 'coord.example' ? '198.51.100.1' : '198.51.100.2']),
    gateway: () => '192.168.1.1',
    systemServers: () => ['9.9.9.9'],
  })
  const netmap = netmapOf({
    peers: [nodeOf(2, { allowedIps: ['100.64.0.2/32', '0.0.0.0/0', '::/0', '10.1.0.0/16'], ...exit })],
    derpMap: {
      regions: new Map([
        [900, { regionId: 900, nodes: [derpNode('a.example', '198.51.100.7'), derpNode('b.example', '')] }],
      ]),
    },
  })
  const found = await use.look(netmap, [...netmap.peers.values()], { ...NO_ROUTING, ...settings }, () => ({
    eth0: [...LAN.eth0],
  }))
  return { ...found, routes: [...found.accepted.values()].flat() }
}

test('without a wish nothing of others is used', async () => {
  const { routes, excluded, problem } = await look({})
  assert.deepEqual([routes, excluded, problem], [[], [], undefined])
})

test('everything goes through the exit node but what keeps the tunnel alive', async () => {
  const { routes, excluded, problem } = await look({ exitNode: 'n2' as NodeId, acceptRoutes: true })
  assert.deepEqual(routes, ['10.1.0.0/16', '0.0.0.0/0', '::/0'])
  const single = excluded.filter((prefix) => prefix.endsWith('/32') && !prefix.startsWith('255'))
  assert.deepEqual(single, ['192.168.1.1/32', '198.51.100.1/32', '198.51.100.2/32', '198.51.100.7/32', '9.9.9.9/32'])
  assert.ok(excluded.includes('169.254.0.0/16') && !excluded.includes('192.168.1.0/24'))
  assert.equal(problem, undefined)
  assert.ok((await look({ exitNode: 'n2' as NodeId, exitNodeAllowLan: true })).excluded.includes('192.168.1.0/24'))
})

test('an exit node that is gone, refuses or is away lets nothing out beside the tunnel, and says so', async () => {
  for (const [wish, exit, code] of [
    ['n9', {}, 'agent/exit-node-gone'],
    ['n2', { allowedIps: ['100.64.0.2/32'] }, 'agent/exit-node-refused'],
    ['n2', { online: false }, 'agent/exit-node-away'],
  ] as const) {
    const { routes, problem } = await look({ exitNode: wish as NodeId }, exit)
    assert.deepEqual([problem?.code, routes.includes('0.0.0.0/0'), routes.includes('::/0')], [code, true, true])
  }
})

test('a name that is not found any more stays where it was, and one that is never found holds nothing up', async () => {
  const clock = new VirtualClock()
  let isThere = true
  const bypass = new Bypass({
    clock,
    log: silentLogger,
    resolve: (host) =>
      host === 'slow.example'
        ? new Promise(() => {})
        : isThere
          ? Promise.resolve(['198.51.100.1', 'junk'])
          : Promise.reject(new Error('ENOTFOUND')),
  })
  assert.deepEqual(await bypass.addressesOf(['a.example', '2001:DB8::1']), ['198.51.100.1', '2001:db8::1'])
  isThere = false
  clock.advance(3_600_000)
  assert.deepEqual(await bypass.addressesOf(['a.example']), ['198.51.100.1'])
  const waiting = bypass.addressesOf(['a.example', 'slow.example'])
  clock.advance(3_000)
  assert.deepEqual(await waiting, ['198.51.100.1'])
  await bypass.addressesOf([])
  assert.deepEqual(await bypass.addressesOf(['a.example']), [], 'what is not wanted is forgotten')
})
