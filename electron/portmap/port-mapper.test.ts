import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VirtualClock } from '../base/clock.ts'
import { silentLogger } from '../base/log.ts'
import { FakeRouter } from './fake-router.ts'
import { PortMapper } from './port-mapper.ts'
import { NOTHING_KNOWN, type PortmapView } from './portmap-io.ts'

const PORT = 41_641
const HOUR_MS = 3_600_000

class World {
  readonly clock = new VirtualClock()
  readonly router = new FakeRouter(this.clock)
  readonly views: PortmapView[] = []
  readonly mapper = new PortMapper({
    clock: this.clock,
    log: silentLogger,
    io: this.router,
    random: () => 0.5,
    onChange: (view) => void this.views.push(view),
  })

  constructor(speaks: Partial<FakeRouter['speaks']> = {}) {
    this.router.speaks = { pmp: false, pcp: false, upnp: false, ...speaks }
  }

  async run(ms: number): Promise<void> {
    await this.clock.advanceAsync(ms, ms > 60_000 ? 1_000 : 5)
  }

  async mapped(): Promise<this> {
    this.mapper.setLocalPort(PORT)
    await this.run(3_000)
    return this
  }

  /** The endpoints that were told, in order, without repetition. */
  get told(): (string | undefined)[] {
    return this.views.map(({ endpoint }) => endpoint).filter((one, index, all) => one !== all[index - 1])
  }

  async closed(): Promise<void> {
    let isClosed = false
    void this.mapper.close().then(() => (isClosed = true))
    await this.run(2_000)
    assert.ok(isClosed)
    assert.equal(this.clock.pendingTimers, 0)
    assert.equal(this.router.openPorts, 0)
    assert.equal(this.router.announced.size, 0)
  }
}

const ENDPOINT = `198.51.100.7:${PORT}`

for (const via of ['pmp', 'pcp', 'upnp'] as const) {
  test(`a router that speaks ${via} gives a mapping, and gets it back at the end`, async () => {
    const world = await new World({ [via]: true }).mapped()
    const { pmp, pcp, upnp, endpoint } = world.mapper.view
    assert.deepEqual({ pmp, pcp, upnp }, { pmp: via === 'pmp', pcp: via === 'pcp', upnp: via === 'upnp' })
    assert.equal(endpoint, ENDPOINT)
    assert.equal(world.mapper.view.via, via)
    assert.equal(world.router.table.get(PORT)?.by, via)
    await world.closed()
    assert.equal(world.router.table.size, 0)
  })

  test(`${via}: renewed at half of the lease, for a day`, async () => {
    const world = await new World({ [via]: true }).mapped()
    for (let hour = 0; hour < 24; hour++) {
      await world.run(HOUR_MS)
      const left = (world.router.table.get(PORT)?.untilMs ?? 0) - world.clock.now()
      assert.ok(left >= HOUR_MS - 10_000, `${left} ms are left in hour ${hour}`)
    }
    assert.deepEqual(world.told, [ENDPOINT])
    const renewals = world.router.asked.filter((one) => /map|upnp Add/.test(one))
    assert.ok(renewals.length >= 23 && renewals.length <= 26, `${renewals.length} requests`)
    await world.closed()
  })

  test(`${via}: made anew when the router lost it, without being taken back meanwhile`, async () => {
    const world = await new World({ [via]: true }).mapped()
    await world.run(100_000)
    world.router.restart()
    await world.run(31_000)
    assert.equal(world.router.table.get(PORT)?.by, via)
    assert.deepEqual(world.told, [ENDPOINT])
    await world.closed()
  })

  test(`${via}: gone when the router stays silent, and back when it answers again`, async () => {
    const world = await new World({ [via]: true }).mapped()
    world.router.silent = true
    await world.run(90_000)
    assert.equal(world.mapper.view.endpoint, undefined)
    assert.equal(world.mapper.view[via], false)
    world.router.restart()
    world.router.silent = false
    await world.run(10 * 60_000)
    assert.deepEqual(world.told, [ENDPOINT, undefined, ENDPOINT])
    await world.closed()
  })

  test(`${via}: refused, it says so and asks seldom`, async () => {
    const world = new World({ [via]: true })
    world.router.refuses = true
    await world.mapped()
    assert.match(world.mapper.view.refusal ?? '', /router/)
    assert.equal(world.mapper.view[via], true)
    await world.run(24 * HOUR_MS)
    assert.ok(world.router.asked.length < 24 * 6 * 8, `${world.router.asked.length} requests in a day`)
    world.router.refuses = false
    await world.run(11 * 60_000)
    assert.equal(world.mapper.view.endpoint, ENDPOINT)
    assert.equal(world.mapper.view.refusal, undefined)
    await world.closed()
  })
}

test('of several protocols the lighter is used, and all are reported', async () => {
  const world = await new World({ pmp: true, pcp: true, upnp: true }).mapped()
  assert.deepEqual(world.mapper.view, {
    upnp: true,
    pmp: true,
    pcp: true,
    endpoint: ENDPOINT,
    via: 'pmp',
    refusal: undefined,
  })
  assert.equal(world.views[1]?.endpoint, ENDPOINT, 'the mapping does not wait for UPnP')
  assert.ok(!world.router.asked.some((one) => one.startsWith('upnp')))
  await world.closed()
})

test('a protocol that refuses gives way to the next', async () => {
  const world = new World({ pmp: true, upnp: true })
  world.router.externalAddress = '0.0.0.0'
  await world.mapped()
  assert.equal(world.mapper.view.endpoint, undefined)
  assert.match(world.mapper.view.refusal ?? '', /no (external|usable) address/)
  world.router.externalAddress = '198.51.100.7'
  world.router.speaks = { ...world.router.speaks, pmp: false }
  await world.run(60_000)
  assert.equal(world.mapper.view.via, 'upnp')
  await world.closed()
})

test('a router behind a carrier has no address worth telling', async () => {
  const world = new World({ pcp: true })
  world.router.externalAddress = '100.70.1.2'
  await world.mapped()
  assert.equal(world.mapper.view.endpoint, undefined)
  assert.match(world.mapper.view.refusal ?? '', /behind another one/)
  await world.closed()
})

test('an older UPnP router, only permanent leases, the port taken: still mapped', async () => {
  const world = new World({ upnp: true })
  world.router.igd = 1
  world.router.onlyPermanentLeases = true
  world.router.taken.add(PORT)
  await world.mapped()
  assert.equal(world.mapper.view.endpoint, `198.51.100.7:${1024 + (65_536 - 1024) / 2}`)
  await world.closed()
  assert.equal(world.router.table.size, 0, 'a mapping without an end is given back')
})

test('where the port is taken the router chooses another', async () => {
  for (const via of ['pmp', 'pcp', 'upnp'] as const) {
    const world = new World({ [via]: true })
    world.router.taken.add(PORT)
    await world.mapped()
    assert.equal(world.mapper.view.endpoint, `198.51.100.7:${PORT + 1}`)
    await world.closed()
  }
})

test('another local port replaces the mapping', async () => {
  const world = await new World({ pcp: true }).mapped()
  world.mapper.setLocalPort(5_000)
  await world.run(3_000)
  assert.deepEqual([...world.router.table.keys()], [5_000])
  assert.deepEqual(world.told, [ENDPOINT, undefined, '198.51.100.7:5000'])
  world.mapper.setLocalPort(undefined)
  await world.run(3_000)
  assert.equal(world.router.table.size, 0)
  await world.closed()
})

test('in another network the old mapping is dropped and a new one is made', async () => {
  const world = await new World({ pmp: true }).mapped()
  world.router.gatewayNow = undefined
  world.mapper.networkChanged()
  await world.run(2_000)
  assert.deepEqual(world.mapper.view, NOTHING_KNOWN)
  world.router.gatewayNow = { address: '10.0.0.1', ownAddress: '10.0.0.9' }
  world.router.restart()
  world.router.externalAddress = '203.0.113.5'
  world.mapper.networkChanged()
  await world.run(2_000)
  assert.equal(world.mapper.view.endpoint, `203.0.113.5:${PORT}`)
  await world.closed()
})

test('a new external address is noticed', async () => {
  for (const via of ['pmp', 'upnp'] as const) {
    const world = await new World({ [via]: true }).mapped()
    world.router.externalAddress = '203.0.113.5'
    await world.run(61_000)
    assert.equal(world.mapper.view.endpoint, `203.0.113.5:${PORT}`)
    await world.closed()
  }
})

test('an announced restart is acted on at once, a flood of announcements is not', async () => {
  const world = await new World({ pcp: true }).mapped()
  await world.run(20_000)
  world.router.restart()
  for (const told of world.router.announced) told()
  await world.run(100)
  assert.equal(world.router.table.size, 1)
  const before = world.router.asked.length
  for (let i = 0; i < 1_000; i++) {
    for (const told of world.router.announced) told()
    await world.run(10)
  }
  assert.ok(world.router.asked.length - before <= 3, `${world.router.asked.length - before} requests in ten seconds`)
  await world.closed()
})

test('after a crash, what is still mapped by PCP is renewed by whoever has the secret, and by nobody else', async () => {
  const world = new World({ pcp: true })
  const open = (secret: Uint8Array): PortMapper =>
    new PortMapper({
      clock: world.clock,
      log: silentLogger,
      io: world.router,
      onChange: (view) => void world.views.push(view),
      secret,
    })
  open(Uint8Array.of(1)).setLocalPort(PORT)
  await world.run(3_000)
  const stranger = open(Uint8Array.of(2))
  stranger.setLocalPort(PORT)
  const again = open(Uint8Array.of(1))
  again.setLocalPort(PORT)
  await world.run(3_000)
  assert.equal(stranger.view.endpoint, undefined)
  assert.equal(again.view.endpoint, ENDPOINT)
  void again.close()
  await world.run(2_000)
  assert.equal(world.router.table.size, 0)
})

test('only a router at a private address is asked', async () => {
  const world = new World({ pmp: true, pcp: true, upnp: true })
  world.router.gatewayNow = { address: '203.0.113.1', ownAddress: '203.0.113.2' }
  await world.mapped()
  assert.deepEqual(world.router.asked, [])
  assert.deepEqual(world.mapper.view, NOTHING_KNOWN)
  await world.closed()
})

test('a lease of a second does not make us ask every half second', async () => {
  const world = new World({ pmp: true })
  world.router.leaseSeconds = 1
  await world.mapped()
  await world.run(60_000)
  const requests = world.router.asked.filter((one) => one.includes('map')).length
  assert.ok(requests <= 6, `${requests} requests in a minute`)
  await world.closed()
})

test('closed at any moment of the first seconds, nothing stays mapped and nothing runs on', async () => {
  for (let ms = 0; ms < 40; ms++) {
    for (const via of ['pmp', 'pcp'] as const) {
      const world = new World({ [via]: true })
      world.mapper.setLocalPort(PORT)
      await world.clock.advanceAsync(240 + ms, 1)
      await world.closed()
      assert.equal(world.router.table.size, 0, `${via} after ${240 + ms} ms`)
    }
  }
})
