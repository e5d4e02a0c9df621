import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HostConfig } from './host-network.ts'
import { canonicalPrefix, commandsFor, readAddresses, readExcluded, readRoutes, ruleCommands } from './ip-route2.ts'

const want: HostConfig = {
  tunName: 'pw0',
  mtuBytes: 1280,
  addresses: ['100.64.0.1/32', 'fd7a:115c:a1e0::1/128'],
  routes: ['100.64.0.0/10', 'fd7a:115c:a1e0::/48'],
  serviceAddresses: [],
  excluded: [],
  served: undefined,
  firewallMark: 0x80000,
}

// Shortened from `ip -j addr show dev pw0`, iproute2 6.1.
const shown = JSON.stringify([
  {},
  {
    ifname: 'pw0',
    flags: ['POINTOPOINT', 'UP', 'LOWER_UP'],
    mtu: 1280,
    addr_info: [
      { family: 'inet', local: '100.64.0.9', prefixlen: 32, scope: 'global' },
      { family: 'inet6', local: 'fd7a:115c:a1e0::1', prefixlen: 128, scope: 'global' },
      { family: 'inet6', local: 'fe80::1', prefixlen: 64, scope: 'link' },
    ],
  },
])

test('replaces what differs and leaves what fits', () => {
  const found = readAddresses(shown)
  assert.ok(found)
  assert.deepEqual(commandsFor(want, { ...found, routes: ['100.64.0.0/10', '10.0.0.0/8'], excluded: [] }), {
    '-4': [
      'addr del 100.64.0.9/32 dev pw0',
      'addr add 100.64.0.1/32 dev pw0',
      'route del 10.0.0.0/8 dev pw0 table 7152',
    ],
    '-6': ['route replace fd7a:115c:a1e0::/48 dev pw0 table 7152'],
  })
})

test('changes nothing when everything fits', () => {
  assert.deepEqual(commandsFor(want, { ...want, up: true }), {
    '-4': [],
    '-6': [],
  })
})

test('brings a new device up before its addresses', () => {
  const commands = commandsFor(want, { up: false, mtuBytes: 1500, addresses: [], routes: [], excluded: [] })
  assert.deepEqual(commands['-4'].slice(0, 2), ['link set dev pw0 mtu 1280', 'link set dev pw0 up'])
  assert.equal(commands['-4'].length + commands['-6'].length, 6)
})

test('reads routes of the device only, single addresses as /32', () => {
  const json = JSON.stringify([
    { dst: '100.64.0.0/10', dev: 'pw0' },
    { dst: '10.1.1.1', dev: 'pw0' },
    { dst: '10.2.0.0/16', dev: 'eth0' },
  ])
  assert.deepEqual(readRoutes(json, 'pw0', '-4'), ['100.64.0.0/10', '10.1.1.1/32'])
  assert.deepEqual(readRoutes('not json', 'pw0', '-4'), [])
  const all = JSON.stringify([{ dst: 'default', dev: 'pw0' }])
  assert.deepEqual([readRoutes(all, 'pw0', '-4'), readRoutes(all, 'pw0', '-6')], [['0.0.0.0/0'], ['::/0']])
  assert.equal(canonicalPrefix('FD7A:115C:A1E0::/48'), 'fd7a:115c:a1e0::/48')
})

test('networks this machine stands in stay outside of the tunnel', () => {
  const excluded = ['192.168.1.0/24', 'fd00:7::/64']
  const found = { ...want, up: true, excluded: ['10.3.0.0/16', 'fd00:7::/64'] }
  assert.deepEqual(commandsFor({ ...want, excluded }, found), {
    '-4': ['route del throw 10.3.0.0/16 table 7152', 'route add throw 192.168.1.0/24 table 7152'],
    '-6': [],
  })
  const json = JSON.stringify([
    { type: 'throw', dst: '192.168.1.0/24', flags: [] },
    { dst: '10.1.1.1', dev: 'pw0' },
  ])
  assert.deepEqual([readExcluded(json), readRoutes(json, 'pw0', '-4')], [['192.168.1.0/24'], ['10.1.1.1/32']])
})

test('an address of a service is no source of packets to others', () => {
  const service = { ...want, serviceAddresses: ['100.100.100.100/32'] }
  assert.deepEqual(commandsFor(service, { ...want, up: true })['-4'], [
    'addr add 100.100.100.100/32 dev pw0 scope host',
  ])
  const found = { ...want, up: true, addresses: [...want.addresses, '100.100.100.100/32'] }
  assert.deepEqual(commandsFor(service, found)['-4'], [])
  assert.deepEqual(commandsFor(want, found)['-4'], ['addr del 100.100.100.100/32 dev pw0'])
})

test('adds only the rules that are missing', () => {
  assert.equal(ruleCommands(0x80000, '[]').length, 2)
  assert.deepEqual(ruleCommands(0x80000, JSON.stringify([{ priority: 5310 }, { priority: 5320 }])), [])
  assert.deepEqual(ruleCommands(0, '[]'), ['rule add priority 5320 lookup 7152'])
})
