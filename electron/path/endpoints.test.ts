import assert from 'node:assert/strict'
import type { NetworkInterfaceInfo } from 'node:os'
import { test } from 'node:test'
import { localAddresses, OwnEndpoints, type Interfaces } from './endpoints.ts'

const v4 = (address: string, internal = false): NetworkInterfaceInfo => ({
  address,
  netmask: '255.255.255.0',
  family: 'IPv4',
  mac: '02:00:00:00:00:01',
  internal,
  cidr: `${address}/24`,
})
const v6 = (address: string, internal = false): NetworkInterfaceInfo => ({
  address,
  netmask: 'ffff:ffff:ffff:ffff::',
  family: 'IPv6',
  mac: '02:00:00:00:00:01',
  scopeid: 0,
  internal,
  cidr: `${address}/64`,
})
const lo = [v4('127.0.0.1', true), v6('::1', true)]

test('addresses of the own tunnel, of other overlays and of tailnets are not offered', () => {
  const interfaces: Interfaces = {
    lo,
    eth0: [v4('192.168.1.2'), v6('fe80::1')],
    peerway0: [v4('10.1.1.1')],
    zt5: [v4('10.2.2.2')],
    wt0: [v4('10.3.3.3')],
    tun9: [v4('100.64.0.7'), v6('fd7a:115c:a1e0::7')],
  }
  assert.deepEqual(localAddresses(interfaces, ['peerway0']), ['192.168.1.2'])
})

test('link-local IPv4 and unique local IPv6 serve only where there is nothing else, loopback where there is nothing', () => {
  const lesser = [v4('169.254.3.3'), v6('fd00::3')]
  assert.deepEqual(localAddresses({ lo, a: [v4('192.168.1.2')], b: lesser }, []), ['192.168.1.2'])
  assert.deepEqual(localAddresses({ lo, b: lesser }, []), ['169.254.3.3', 'fd00::3'])
  assert.deepEqual(localAddresses({ lo }, []), ['127.0.0.1', '::1'])
  assert.deepEqual(localAddresses({}, []), [])
})

test('of the many addresses IPv6 gives an interface, two of each subnet are offered', () => {
  const many = ['2001:db8::1', '2001:db8::2', '2001:db8::3', '2001:db8:0:1::1'].map((address) => v6(address))
  assert.deepEqual(localAddresses({ eth0: many }, []), ['2001:db8::1', '2001:db8::2', '2001:db8:0:1::1'])
})

test('IPv6 addresses carry the port of the IPv6 socket', () => {
  const list = new OwnEndpoints().list(0, ['192.168.1.2', '2001:db8::1'], { v4: 4, v6: 6 })
  assert.deepEqual(list, [
    { endpoint: '192.168.1.2:4', type: 1 },
    { endpoint: '[2001:db8::1]:6', type: 1 },
  ])
  assert.equal(new OwnEndpoints().list(0, ['2001:db8::1'], { v4: 4, v6: undefined }).length, 0)
})

test('what STUN showed comes first, is kept for five minutes, and six times per address at most', () => {
  const own = new OwnEndpoints()
  const ports = { v4: 1, v6: undefined }
  for (let second = 0; second < 10; second++) own.noteStun([`198.51.100.1:${second + 1}`], second * 1_000)
  const list = own.list(10_000, ['192.168.1.2'], ports).map(({ endpoint }) => endpoint)
  assert.deepEqual(list, [...[10, 9, 8, 7, 6, 5].map((port) => `198.51.100.1:${port}`), '192.168.1.2:1'])
  assert.equal(own.freshAtMs, 9_000)
  assert.deepEqual(own.list(400_000, ['192.168.1.2'], ports), [{ endpoint: '192.168.1.2:1', type: 1 }])
  own.clear()
  assert.equal(own.freshAtMs, undefined)
})
