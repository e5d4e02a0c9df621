import assert from 'node:assert/strict'
import type { NetworkInterfaceInfo } from 'node:os'
import { test } from 'node:test'
import { VirtualClock } from '../base/clock.ts'
import { type Interfaces, watchNetwork } from './network-watch.ts'

const v4 = (address: string): NetworkInterfaceInfo => ({
  address,
  netmask: '255.255.255.0',
  family: 'IPv4',
  mac: '',
  internal: false,
  cidr: `${address}/24`,
})
const linkLocal: NetworkInterfaceInfo = {
  address: 'fe80::1',
  netmask: '',
  family: 'IPv6',
  mac: '',
  internal: false,
  cidr: 'fe80::1/64',
  scopeid: 2,
}

function watched(): { clock: SleepyClock; heard: string[]; set: (next: Interfaces) => void } {
  const clock = new SleepyClock()
  const heard: string[] = []
  let interfaces: Interfaces = { eth0: [v4('192.168.1.2')] }
  watchNetwork({
    clock,
    onChange: (why) => heard.push(why),
    isOwn: (name) => name === 'pw0',
    interfaces: () => interfaces,
  })
  return { clock, heard, set: (next) => (interfaces = next) }
}

/** A clock whose machine can sleep: the wall goes on, the monotonic clock does not. */
class SleepyClock extends VirtualClock {
  sleptMs = 0
  override wallNow(): number {
    return super.wallNow() + this.sleptMs
  }
}

test('a new address is told once', () => {
  const { clock, heard, set } = watched()
  clock.advance(10_000)
  set({ eth0: [v4('192.168.1.2')], wlan0: [v4('10.0.0.2')] })
  clock.advance(10_000)
  assert.deepEqual(heard, ['addresses'])
})

test('our own device and link-local addresses mean nothing', () => {
  const { clock, heard, set } = watched()
  set({ eth0: [v4('192.168.1.2'), linkLocal], pw0: [v4('100.64.0.1')] })
  clock.advance(10_000)
  assert.deepEqual(heard, [])
})

test('waking up is told although nothing else changed', () => {
  const { clock, heard } = watched()
  clock.sleptMs = 60_000
  clock.advance(10_000)
  assert.deepEqual(heard, ['slept'])
})
