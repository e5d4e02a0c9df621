import assert from 'node:assert/strict'
import type { NetworkInterfaceInfo } from 'node:os'
import { test } from 'node:test'
import fc from 'fast-check'
import { gatewayOf, readDefaultRoutes } from './gateway.ts'

// As Linux 6.18 prints it.
const HEAD = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT'
const route = (
  name: string,
  destination: string,
  gateway: string,
  flags: string,
  metric: number,
  mask: string,
): string => `${name}\t${destination}\t${gateway}\t${flags}\t0\t0\t${metric}\t${mask}\t0\t0\t0`
const table = (...lines: string[]): string => [HEAD, ...lines, ''].join('\n')

const v4 = (address: string, bits = 24): NetworkInterfaceInfo => ({
  address,
  netmask: '',
  family: 'IPv4',
  mac: '',
  internal: false,
  cidr: `${address}/${bits}`,
})

test('the default routes are found, the lowest metric first', () => {
  const text = table(
    route('wlan0', '00000000', '0102A8C0', '0003', 600, '00000000'),
    route('eth0', '00000000', '0101A8C0', '0003', 100, '00000000'),
    route('eth0', '0001A8C0', '00000000', '0001', 100, '00FFFFFF'),
    route('docker0', '000011AC', '00000000', '0001', 0, '0000FFFF'),
  )
  assert.deepEqual(readDefaultRoutes(text), [
    { interfaceName: 'eth0', gateway: '192.168.1.1' },
    { interfaceName: 'wlan0', gateway: '192.168.2.1' },
  ])
})

test('routes that are down, without a gateway, or for half of the addresses are no default routes', () => {
  const text = table(
    route('eth0', '00000000', '0101A8C0', '0002', 0, '00000000'),
    route('ppp0', '00000000', '00000000', '0001', 0, '00000000'),
    route('tun0', '00000000', '0101A8C0', '0003', 0, '00000080'),
    route('bad0', '00000000', 'zz', '0003', 0, '00000000'),
  )
  assert.deepEqual(readDefaultRoutes(text), [])
})

test('our own address is the one in the network of the gateway', () => {
  const routes = [
    { interfaceName: 'gone0', gateway: '192.168.9.1' },
    { interfaceName: 'eth0', gateway: '192.168.1.1' },
  ]
  const interfaces = { eth0: [v4('10.0.0.7'), v4('192.168.1.2')], lo: [v4('127.0.0.1', 8)] }
  assert.deepEqual(gatewayOf(routes, interfaces), { address: '192.168.1.1', ownAddress: '192.168.1.2' })
  assert.equal(gatewayOf(routes, { eth0: [v4('10.0.0.7')] }), undefined)
  assert.equal(gatewayOf([], interfaces), undefined)
})

test('any text is read without failing', () => {
  fc.assert(fc.property(fc.string(), (text) => void readDefaultRoutes(`${HEAD}\n${text}`)))
})
