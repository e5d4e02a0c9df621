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

interface Watched {
  readonly clock: SleepyClock
  readonly heard: string[]
  readonly set: (next: Interfaces) => void
  readonly route: (gateway: string) => void
  readonly tell: () => void
  readonly stop: () => void
}

function watched(): Watched {
  const clock = new SleepyClock()
  const heard: string[] = []
  let interfaces: Interfaces = { eth0: [v4('192.168.1.2')] }
  let gateway = '192.168.1.1'
  let tell = (): void => {}
  const stop = watchNetwork({
    clock,
    onChange: (why) => heard.push(why),
    isOwn: (name) => name === 'pw0',
    interfaces: () => interfaces,
    routes: () => [
      { interfaceName: 'pw0', gateway: '100.64.0.9' },
      { interfaceName: 'eth0', gateway },
    ],
    events: (told) => {
      tell = told
      return () => (tell = () => assert.fail('nobody listens any more'))
    },
  })
  return {
    clock,
    heard,
    set: (next) => (interfaces = next),
    route: (next) => (gateway = next),
    tell: () => tell(),
    stop,
  }
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

test('another way out is told, though every address stayed', () => {
  const { clock, heard, route } = watched()
  route('192.168.1.254')
  clock.advance(10_000)
  assert.deepEqual(heard, ['addresses'])
})

test('what the system tells of is noticed at once, and its steps as one change', () => {
  const { clock, heard, set, route, tell } = watched()
  for (const step of [() => set({}), () => set({ eth0: [v4('10.0.0.2')] }), () => route('10.0.0.1')]) {
    step()
    tell()
    clock.advance(50)
  }
  assert.deepEqual(heard, [])
  clock.advance(60)
  assert.deepEqual(heard, ['addresses'])
  for (let i = 0; i < 1_000; i++) {
    tell()
    clock.advance(10)
  }
  assert.deepEqual(heard, ['addresses'], 'events that change nothing are nothing')
  assert.equal(clock.pendingTimers, 1)
})

test('told to stop, it leaves nothing behind', () => {
  const { clock, stop } = watched()
  stop()
  assert.equal(clock.pendingTimers, 0)
})
