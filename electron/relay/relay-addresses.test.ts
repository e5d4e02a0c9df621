import assert from 'node:assert/strict'
import test from 'node:test'

import { VirtualClock } from '../base/clock.ts'
import { readStunRequest } from '../wire/stun/request.ts'
import { stunResponse } from '../wire/stun/response.ts'
import { RelayAddresses, type RelayAddressesOptions } from './relay-addresses.ts'

const SERVERS = ['203.0.113.1:3478', '203.0.113.2:3478', '[2001:db8::1]:3478']

/** STUN servers that answer with what `see` says, or not at all. */
function setUp(see: (server: string) => string | undefined, more: Partial<RelayAddressesOptions> = {}) {
  const clock = new VirtualClock()
  const asked: string[] = []
  const told: string[] = []
  const world = { see, asked, told, clock }
  const addresses: RelayAddresses = new RelayAddresses({
    clock,
    random: () => 0.5,
    ports: { v4: 40_000, v6: 40_000 },
    staticEndpoints: [],
    send: (server, bytes) => {
      asked.push(server)
      const endpoint = world.see(server)
      const { txId } = readStunRequest(bytes)
      if (endpoint !== undefined)
        clock.after(20, () => void addresses.handleStun(server, stunResponse({ txId, endpoint })))
    },
    localAddresses: () => ['192.168.1.5'],
    stunServers: () => Promise.resolve(SERVERS),
    extraEndpoints: () => [],
    onChange: () => told.push(addresses.list.join(' ')),
    ...more,
  })
  return { ...world, world, addresses }
}

test('offers configured addresses, then mapped ones, what STUN saw, and local ones', async () => {
  const { addresses, clock } = setUp(
    (server) => (server.startsWith('[') ? '[2001:db8::5]:40000' : '198.51.100.7:40000'),
    {
      staticEndpoints: ['198.51.100.1:7'],
      extraEndpoints: () => ['198.51.100.7:9000'],
    },
  )
  addresses.start()
  await clock.advanceAsync(1_000)
  assert.deepEqual(addresses.list, [
    '198.51.100.1:7',
    '198.51.100.7:9000',
    '198.51.100.7:40000',
    '[2001:db8::5]:40000',
    '192.168.1.5:40000',
  ])
  assert.equal(addresses.mapping, 'independent')
})

test('keeps what it knew when a round fails, and asks again soon', async () => {
  const { addresses, clock, world, asked } = setUp(() => '198.51.100.7:40000')
  addresses.start()
  await clock.advanceAsync(1_000)
  world.see = () => undefined
  await clock.advanceAsync(60_000)
  assert.ok(addresses.list.includes('198.51.100.7:40000'))
  const before = asked.length
  await clock.advanceAsync(10_000)
  assert.ok(asked.length > before)
})

test('keeps the mapping alive: never more than 26 s between two rounds', async () => {
  const { addresses, clock, asked } = setUp(() => '198.51.100.7:40000')
  addresses.start()
  await clock.advanceAsync(1_000)
  const before = asked.length
  await clock.advanceAsync(10 * 60_000, 1_000)
  assert.ok(asked.length - before >= SERVERS.length * 22, `${asked.length - before} questions`)
})

test('a mapping that varies is told, and the forwarded port is guessed', async () => {
  const { addresses, clock } = setUp((server) =>
    server.startsWith('[') ? undefined : `198.51.100.7:${server.length + Number(server.at(10))}`,
  )
  addresses.start()
  await clock.advanceAsync(5_000)
  assert.equal(addresses.mapping, 'varies')
  assert.ok(addresses.list.includes('198.51.100.7:40000'))
})

test('answers that nobody asked for change nothing', async () => {
  const { addresses, clock } = setUp(() => undefined)
  addresses.start()
  await clock.advanceAsync(100)
  const forged = stunResponse({ txId: new Uint8Array(12), endpoint: '6.6.6.6:6' })
  assert.ok(!addresses.handleStun('203.0.113.1:3478', forged))
  assert.ok(!addresses.handleStun('203.0.113.1:3478', new Uint8Array(30)))
  assert.deepEqual(addresses.list, ['192.168.1.5:40000'])
})

test('another network: what was seen from the old one is taken back', async () => {
  const { addresses, clock, world } = setUp(() => '198.51.100.7:40000')
  addresses.start()
  await clock.advanceAsync(1_000)
  world.see = () => '198.51.100.99:40000'
  addresses.linkChanged()
  assert.deepEqual(addresses.list, ['192.168.1.5:40000'])
  await clock.advanceAsync(1_000)
  assert.ok(addresses.list.includes('198.51.100.99:40000'))
})

test('ends with close', async () => {
  const { addresses, clock } = setUp(() => undefined)
  addresses.start()
  await clock.advanceAsync(100)
  addresses.close()
  assert.equal(clock.pendingTimers, 0)
})
