import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VirtualClock } from '../base/clock.ts'
import { joinEndpoint, splitEndpoint, type Endpoint } from '../base/endpoint.ts'
import { silentLogger } from '../base/log.ts'
import { readStunRequest } from '../wire/stun/request.ts'
import { stunResponse } from '../wire/stun/response.ts'
import type { DerpMap } from './derp-map.ts'
import type { OwnEndpoint } from './endpoints.ts'
import { OwnNetwork } from './own-network.ts'
import type { NetInfo } from './report.ts'

/** STUN servers by address: how long one way takes, and the port they see us from. */
type Servers = Record<string, { readonly oneWayMs: number; readonly seenPort: number }>

const threeRegions: DerpMap = {
  regions: [1, 2, 3].map((id) => ({
    id,
    nodes: [{ name: `${id}a`, hostName: `derp${id}.example.org`, ipv4: `203.0.113.${id}`, ipv6: 'none' }],
  })),
}

class World {
  readonly clock = new VirtualClock()
  readonly endpoints: (readonly OwnEndpoint[])[] = []
  readonly infos: NetInfo[] = []
  readonly homes: number[] = []
  readonly asked: { readonly atMs: number; readonly server: Endpoint }[] = []
  servers: Servers
  errno: string | undefined
  controlConnected = true
  hasFixedPort = false
  isDerpSilent: (region: number) => boolean = () => false
  reachDerp: (region: number) => Promise<boolean> = () => Promise.resolve(false)
  readonly own: OwnNetwork

  constructor(servers: Servers, httpsMs?: Readonly<Record<number, number>>, portal?: boolean) {
    this.servers = servers
    this.own = new OwnNetwork({
      clock: this.clock,
      log: silentLogger,
      random: () => 0.5,
      ignoreInterfaces: [],
      io: {
        sendUdp: (server, bytes) => {
          if (this.errno) return this.errno
          this.asked.push({ atMs: this.clock.now(), server })
          const ip = splitEndpoint(server)?.address ?? ''
          const found = this.servers[ip]
          if (!found) return undefined
          const endpoint = joinEndpoint(ip.includes(':') ? '2001:db8::5' : '198.51.100.5', found.seenPort)
          const answer = stunResponse({ txId: readStunRequest(bytes).txId, endpoint })
          this.clock.after(found.oneWayMs * 2, () =>
            this.own.handleStun({ bytes: answer, receivedAtMs: this.clock.now() }),
          )
          return undefined
        },
        resolve: (host) =>
          host === 'named.example.org' ? Promise.resolve(['203.0.113.1']) : Promise.reject(new Error('no such name')),
        ...(httpsMs
          ? {
              httpsLatency: (region: number, signal: AbortSignal) =>
                new Promise<number>((resolve, reject) => {
                  const ms = httpsMs[region]
                  if (ms !== undefined) this.clock.after(ms, () => resolve(ms))
                  signal.addEventListener('abort', () => reject(new Error('aborted')))
                }),
            }
          : {}),
        ...(portal === undefined ? {} : { captivePortal: () => Promise.resolve(portal) }),
        interfaces: () => ({
          eth0: [
            {
              address: '192.168.1.2',
              netmask: '255.255.255.0',
              family: 'IPv4',
              mac: '02:00:00:00:00:01',
              internal: false,
              cidr: '192.168.1.2/24',
            },
          ],
        }),
        ports: () => ({ v4: 41641, v6: undefined, isFixed: this.hasFixedPort }),
        controlConnected: () => this.controlConnected,
        isDerpSilent: (region) => this.isDerpSilent(region),
        reachDerp: (region) => this.reachDerp(region),
      },
      events: {
        onEndpoints: (list) => void this.endpoints.push(list),
        onNetInfo: (_, info) => void this.infos.push(info),
        onHomeRegion: (region) => void this.homes.push(region),
      },
    })
  }

  start(map: DerpMap): this {
    this.own.setDerpMap(map)
    this.own.start()
    return this
  }
}

const mapOf = (...ips: string[]): DerpMap => ({
  regions: ips.map((ipv4, index) => ({
    id: index + 1,
    nodes: [{ name: `${index + 1}a`, hostName: `derp${index + 1}.example.org`, ipv4, ipv6: 'none' }],
  })),
})
const ONE = '203.0.113.1'
const TWO = '203.0.113.2'

test('the first check tells endpoints, home and what control should know', async () => {
  const world = new World({ [ONE]: { oneWayMs: 20, seenPort: 7 }, [TWO]: { oneWayMs: 5, seenPort: 7 } })
  world.start(mapOf(ONE, TWO))
  await world.clock.advanceAsync(300, 5)
  assert.deepEqual(world.endpoints, [
    [
      { endpoint: '198.51.100.5:7', type: 2 },
      { endpoint: '192.168.1.2:41641', type: 1 },
    ],
  ])
  assert.deepEqual(world.homes, [2])
  assert.deepEqual(world.infos, [
    {
      PreferredDERP: 2,
      WorkingUDP: true,
      WorkingIPv6: false,
      OSHasIPv6: false,
      MappingVariesByDestIP: false,
      HavePortMap: false,
      DERPLatency: { '1-v4': 0.04, '2-v4': 0.01 },
    },
  ])
  world.own.close()
})

test('a router that maps anew for each destination is recognised, and of its endpoints only the first is offered', async () => {
  const world = new World({ [ONE]: { oneWayMs: 5, seenPort: 7 }, [TWO]: { oneWayMs: 6, seenPort: 8 } })
  world.start(mapOf(ONE, TWO))
  await world.clock.advanceAsync(1_000, 5)
  assert.equal(world.infos[0]?.MappingVariesByDestIP, true)
  assert.deepEqual(
    world.own.endpoints.filter(({ type }) => type === 2).map(({ endpoint }) => endpoint),
    ['198.51.100.5:7'],
  )
  world.own.close()
})

test('behind such a router a port that a person chose is offered too: it may be forwarded by hand', async () => {
  const world = new World({ [ONE]: { oneWayMs: 5, seenPort: 7 }, [TWO]: { oneWayMs: 6, seenPort: 8 } })
  world.hasFixedPort = true
  world.start(mapOf(ONE, TWO))
  await world.clock.advanceAsync(1_000, 5)
  assert.deepEqual(world.own.endpoints, [
    { endpoint: '198.51.100.5:7', type: 2 },
    { endpoint: '198.51.100.5:41641', type: 4 },
    { endpoint: '192.168.1.2:41641', type: 1 },
  ])
  world.servers = { [ONE]: { oneWayMs: 5, seenPort: 7 }, [TWO]: { oneWayMs: 6, seenPort: 7 } }
  world.own.forget()
  world.own.check({ full: true })
  await world.clock.advanceAsync(1_000, 5)
  assert.deepEqual(
    world.own.endpoints.map(({ type }) => type),
    [2, 1],
  )
  world.own.close()
})

test('one server cannot tell how the router maps', async () => {
  const world = new World({ [ONE]: { oneWayMs: 5, seenPort: 7 } }).start(mapOf(ONE))
  await world.clock.advanceAsync(1_000, 5)
  assert.equal(world.infos[0] && 'MappingVariesByDestIP' in world.infos[0], false)
  world.own.close()
})

test('a server known by name is looked up', async () => {
  const world = new World({ [ONE]: { oneWayMs: 5, seenPort: 7 } })
  world.start({ regions: [{ id: 4, nodes: [{ name: 'x', hostName: 'named.example.org', stunPort: 99 }] }] })
  await world.clock.advanceAsync(1_000, 5)
  assert.equal(world.asked[0]?.server, `${ONE}:99`)
  assert.equal(world.own.home, 4)
  world.own.close()
})

test('where UDP is blocked the home is chosen by HTTPS, within the check', async () => {
  const world = new World({}, { 1: 80, 2: 30 }).start(mapOf(ONE, TWO))
  await world.clock.advanceAsync(4_000, 10)
  assert.deepEqual(world.homes, [2])
  assert.equal(world.infos[0]?.WorkingUDP, false)
  assert.deepEqual(world.own.endpoints, [{ endpoint: '192.168.1.2:41641', type: 1 }])
  world.own.close()
})

test('a sign-in page is looked for only where nothing else answers', async () => {
  for (const [servers, httpsMs, found] of [
    [{ [ONE]: { oneWayMs: 5, seenPort: 7 } }, {}, undefined],
    [{}, { 1: 30 }, false],
    [{}, {}, true],
  ] as const) {
    const world = new World(servers, httpsMs, true).start(mapOf(ONE))
    await world.clock.advanceAsync(9_000, 10)
    assert.equal(world.own.report?.captivePortal, found)
    assert.equal(world.clock.pendingTimers, 0)
    world.own.close()
  }
})

test('a server that hangs does not hold the check up for ever', async () => {
  const world = new World({}, {}).start(mapOf(ONE))
  await world.clock.advanceAsync(9_000, 10)
  assert.deepEqual(world.homes, [1], 'reachable somewhere is better than nowhere')
  assert.equal(world.clock.pendingTimers, 0)
  world.own.close()
})

test('a socket that cannot send ends the check at once', async () => {
  const world = new World({})
  world.errno = 'ENETUNREACH'
  world.start(mapOf(ONE))
  await world.clock.advanceAsync(400, 5)
  assert.equal(world.infos.length, 1)
  assert.equal(world.own.report?.ipv4CanSend, false)
  world.own.close()
})

test('after the end nothing is sent any more, in the middle of a check neither', async () => {
  const world = new World({}).start(mapOf(ONE, TWO))
  await world.clock.advanceAsync(50, 5)
  const asked = world.asked.length
  assert.ok(asked > 0)
  world.own.close()
  await world.clock.advanceAsync(60_000)
  assert.equal(world.asked.length, asked)
})

test('checks repeat every 20 to 26 s while there is traffic, and stop without', async () => {
  const world = new World({ [ONE]: { oneWayMs: 5, seenPort: 7 } }).start(mapOf(ONE))
  await world.clock.advanceAsync(50, 5)
  for (let second = 0; second < 100; second++) {
    world.own.noteActive()
    await world.clock.advanceAsync(1_000, 100)
  }
  const times = world.asked.map(({ atMs }) => atMs)
  assert.deepEqual(
    times.slice(1).map((atMs, index) => Math.round((atMs - (times[index] ?? 0)) / 1_000)),
    [23, 23, 23, 23],
  )
  await world.clock.advanceAsync(60_000, 100)
  const asked = world.asked.length
  await world.clock.advanceAsync(600_000, 1_000)
  assert.equal(world.asked.length, asked)
  world.own.noteActive()
  await world.clock.advanceAsync(100, 5)
  assert.ok(world.asked.length > asked, 'after a long rest the first packet brings a check')
  world.own.close()
})

test('control hears again only when something but latencies changed', async () => {
  const world = new World({ [ONE]: { oneWayMs: 5, seenPort: 7 } }).start(mapOf(ONE))
  await world.clock.advanceAsync(1_000, 5)
  world.servers = { [ONE]: { oneWayMs: 9, seenPort: 7 } }
  world.own.check({ full: true })
  await world.clock.advanceAsync(1_000, 5)
  assert.equal(world.infos.length, 1)
  assert.equal(world.endpoints.length, 1)
  world.servers = {}
  world.own.check({ full: true })
  await world.clock.advanceAsync(4_000, 10)
  assert.equal(world.infos.length, 2)
  assert.equal(world.endpoints.length, 1, 'an endpoint is not taken back for lost packets')
  world.own.close()
})

test('without control the home stays, with it it moves', async () => {
  const world = new World({ [ONE]: { oneWayMs: 50, seenPort: 7 }, [TWO]: { oneWayMs: 200, seenPort: 7 } })
  world.start(mapOf(ONE, TWO))
  await world.clock.advanceAsync(2_000, 10)
  assert.deepEqual(world.homes, [1])
  world.controlConnected = false
  world.servers = { [ONE]: { oneWayMs: 50, seenPort: 7 }, [TWO]: { oneWayMs: 2, seenPort: 7 } }
  world.own.check({ full: true })
  await world.clock.advanceAsync(2_000, 10)
  assert.deepEqual(world.homes, [1])
  world.controlConnected = true
  world.own.check({ full: true })
  await world.clock.advanceAsync(2_000, 10)
  assert.deepEqual(world.homes, [1, 2])
  world.own.close()
})

test('fresh endpoints are offered as they are, old ones after one question', async () => {
  const world = new World({ [ONE]: { oneWayMs: 5, seenPort: 7 } }).start(mapOf(ONE))
  await world.clock.advanceAsync(1_000, 5)
  assert.equal(world.own.freshen(), undefined)
  await world.clock.advanceAsync(60_000, 1_000)
  world.servers = { [ONE]: { oneWayMs: 5, seenPort: 8 } }
  let done = false
  void world.own.freshen()?.then(() => (done = true))
  assert.ok(world.own.freshen() !== undefined)
  await world.clock.advanceAsync(50, 5)
  assert.ok(done)
  assert.equal(world.own.endpoints[0]?.endpoint, '198.51.100.5:8')
  world.servers = {}
  await world.clock.advanceAsync(60_000, 1_000)
  done = false
  void world.own.freshen()?.then(() => (done = true))
  await world.clock.advanceAsync(520, 5)
  assert.ok(done, 'half a second at most')
  world.own.close()
})

test('a port mapping is offered before all else, told to control, and taken back when it is gone', async () => {
  const world = new World({ [ONE]: { oneWayMs: 5, seenPort: 7 } })
  const none = { endpoint: undefined, upnp: false, pmp: true, pcp: false }
  world.own.setPortMapping(none)
  world.start(mapOf(ONE))
  assert.equal(world.endpoints.length, 0, 'nothing is told before the first check')
  await world.clock.advanceAsync(1_000, 5)
  world.own.setPortMapping({ ...none, endpoint: '198.51.100.5:41641' })
  assert.deepEqual(world.own.endpoints[0], { endpoint: '198.51.100.5:41641', type: 3 })
  assert.equal(world.own.report?.portMapping.endpoint, '198.51.100.5:41641')
  world.own.check({ full: true })
  await world.clock.advanceAsync(1_000, 5)
  assert.equal(world.own.endpoints[0]?.type, 3, 'a later check keeps it')
  world.own.setPortMapping({ ...none, pmp: false })
  assert.deepEqual(
    world.infos.map(({ HavePortMap, UPnP, PMP, PCP }) => ({ HavePortMap, UPnP, PMP, PCP })),
    [
      { HavePortMap: false, UPnP: false, PMP: true, PCP: false },
      { HavePortMap: true, UPnP: false, PMP: true, PCP: false },
      { HavePortMap: false, UPnP: false, PMP: false, PCP: false },
    ],
  )
  assert.deepEqual(
    world.endpoints.map((list) => list.map(({ type }) => type)),
    [
      [2, 1],
      [3, 2, 1],
      [2, 1],
    ],
  )
  world.own.close()
})

test('a silent home is left for the nearest region that answers now, and not taken again at the next check', async () => {
  const world = new World({
    '203.0.113.1': { oneWayMs: 5, seenPort: 9 },
    '203.0.113.2': { oneWayMs: 30, seenPort: 9 },
    '203.0.113.3': { oneWayMs: 20, seenPort: 9 },
  })
  const silent = new Set<number>()
  const answers = new Set([2, 3])
  const tried: number[] = []
  world.isDerpSilent = (region) => silent.has(region)
  world.reachDerp = (region) => {
    tried.push(region)
    return Promise.resolve(answers.has(region))
  }
  world.start(threeRegions)
  await world.clock.advanceAsync(5_000, 50)
  assert.deepEqual(world.homes, [1])
  await world.own.leaveSilentHome()
  assert.deepEqual(tried, [], 'a home that answers stays')

  silent.add(1)
  answers.delete(3)
  await world.own.leaveSilentHome()
  assert.deepEqual(tried, [3, 2])
  assert.deepEqual(world.homes, [1, 2])
  assert.equal(world.infos.at(-1)?.PreferredDERP, 2, 'control hears of it at once')
  // Its STUN still answers, and it is much nearer than the others.
  world.own.noteActive()
  await world.clock.advanceAsync(60_000, 100)
  assert.notEqual(world.own.home, 1)
  silent.clear()
  for (let minute = 0; minute < 3; minute++) {
    world.own.noteActive()
    await world.clock.advanceAsync(60_000, 100)
    world.own.check({ full: true })
  }
  await world.clock.advanceAsync(5_000, 100)
  assert.equal(world.own.home, 1)
})

test('when the second home falls silent too, the first one is taken again', async () => {
  const world = new World({
    '203.0.113.1': { oneWayMs: 5, seenPort: 9 },
    '203.0.113.2': { oneWayMs: 30, seenPort: 9 },
  })
  const silent = new Set([1])
  world.isDerpSilent = (region) => silent.has(region)
  world.reachDerp = (region) => Promise.resolve(!silent.has(region))
  world.start({ regions: threeRegions.regions.slice(0, 2) })
  await world.clock.advanceAsync(5_000, 50)
  await world.own.leaveSilentHome()
  silent.clear()
  silent.add(2)
  await world.own.leaveSilentHome()
  assert.deepEqual(world.homes, [1, 2, 1])
})

test('while no region answers the home stays: it is our own network that is silent', async () => {
  const world = new World({
    '203.0.113.1': { oneWayMs: 5, seenPort: 9 },
    '203.0.113.2': { oneWayMs: 30, seenPort: 9 },
  })
  let isSilent = true
  let tries = 0
  world.isDerpSilent = () => isSilent
  world.reachDerp = () => {
    tries++
    return Promise.resolve(false)
  }
  world.start({ regions: threeRegions.regions.slice(0, 2) })
  await world.clock.advanceAsync(5_000, 50)
  world.isDerpSilent = (region) => region === 1 && isSilent
  const leaving = world.own.leaveSilentHome()
  await world.clock.advanceAsync(10_000, 50)
  assert.ok(tries >= 4, String(tries))
  isSilent = false
  await world.clock.advanceAsync(3_000, 50)
  await leaving
  assert.equal(world.own.home, 1)
  assert.deepEqual(world.homes, [1])
})
