import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { isVpnInterface, routeDevice } from './vpn-route.ts'

test('the interface of a route is read, and nothing else is taken for one', () => {
  assert.equal(routeDevice('[{"dst":"192.0.2.1","gateway":"192.168.1.1","dev":"wlan0"}]'), 'wlan0')
  for (const text of ['', '[]', '[{}]', '[{"dev":7}]', '[{"dev":"../../etc"}]', 'RTNETLINK answers: unreachable'])
    assert.equal(routeDevice(text), undefined, text)
})

test('TUN devices and those of WireGuard are VPNs; network cards and modems are not', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'interfaces-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const add = (name: string, files: Readonly<Record<string, string>>): void => {
    mkdirSync(join(folder, name))
    for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, name, file), text)
  }
  add('tun0', { tun_flags: '0x1001\n', uevent: 'INTERFACE=tun0\nIFINDEX=7\n' })
  add('office', { uevent: 'DEVTYPE=wireguard\nINTERFACE=office\nIFINDEX=8\n' })
  add('eth0', { uevent: 'INTERFACE=eth0\nIFINDEX=2\n' })
  add('wlan0', { uevent: 'DEVTYPE=wlan\nINTERFACE=wlan0\nIFINDEX=3\n' })
  add('ppp0', { uevent: 'DEVTYPE=ppp\nINTERFACE=ppp0\nIFINDEX=4\n' })
  const vpns = ['tun0', 'office', 'eth0', 'wlan0', 'ppp0', 'gone'].filter((name) => isVpnInterface(name, folder))
  assert.deepEqual(vpns, ['tun0', 'office'])
})
