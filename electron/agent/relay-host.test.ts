import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VirtualClock } from '../base/clock.ts'
import { CodedError } from '../base/errors.ts'
import { silentLogger } from '../base/log.ts'
import { applyMapResponse, type Netmap } from '../control/netmap.ts'
import { SharedBox } from '../crypto/box.ts'
import { DiscoPrivate, type DiscoPublic, NodePrivate } from '../crypto/keys.ts'
import { FakeRelayForwarder } from '../dataplane/fake-relay-forwarder.ts'
import { DEFAULT_MANNERS, type Manners, type Metered, type PowerSource } from '../relay/manners.ts'
import { openDisco, sealDisco } from '../wire/disco/envelope.ts'
import type { DiscoMessage } from '../wire/disco/message.ts'
import { mapResponse, type MapResponseInput } from '../wire/tailcfg/map-response.ts'
import type { NodeInput } from '../wire/tailcfg/node.ts'
import { readMessage } from '../wire/tailcfg/schema.ts'
import { CAP_RELAY } from './peer-caps.ts'
import { RelayHost } from './relay-host.ts'
import type { RelaySurroundings } from './relay-manners.ts'
import type { RelaySettings } from './relay-settings.ts'
import { RelayUsage } from './relay-usage.ts'

// Months and hours are those of the clock on the wall.
process.env['TZ'] = 'Europe/Berlin'

const ON: RelaySettings = { port: 40_000, staticEndpoints: [], bytesPerSecond: 0 }

function member(id: number, endpoints: readonly string[] = []) {
  const [node, secret] = [NodePrivate.generate().public, DiscoPrivate.generate()]
  const disco = secret.public
  const input: NodeInput = {
    id: String(id),
    stableId: `n${id}`,
    name: `host${id}.tail.example.`,
    user: '1',
    key: node,
    discoKey: disco,
    addresses: [`100.64.0.${id}/32`],
    endpoints: [...endpoints],
    machineAuthorized: true,
  }
  return { node, secret, disco, input }
}

const [self, a, b] = [
  member(1),
  member(2, ['198.51.100.2:41641', '192.168.1.77:41641', '127.0.0.1:1', '100.64.0.9:1']),
  member(3, ['[2001:db8::3]:41641']),
]

function netmapOf(more: MapResponseInput = {}): Netmap {
  const response = { node: self.input, peers: [a.input, b.input], packetFilter: permits('100.64.0.2/32'), ...more }
  const json: unknown = JSON.parse(JSON.stringify(mapResponse.write(response)))
  return applyMapResponse(undefined, readMessage(mapResponse, json), 0)
}

const permits = (source: string) => [
  { srcIps: [source], capGrant: [{ dsts: ['100.64.0.1/32'], capMap: new Map([[CAP_RELAY, []]]) }] },
]

function setUp(open?: () => FakeRelayForwarder, surroundings: Partial<RelaySurroundings> = {}) {
  const usage = RelayUsage.inMemory(silentLogger)
  const clock = new VirtualClock()
  const forwarders: FakeRelayForwarder[] = []
  const overDerp: { readonly to: string; readonly bytes: Uint8Array }[] = []
  let changes = 0
  const host = new RelayHost({
    clock,
    log: silentLogger,
    firewallMark: 0,
    openForwarder: ({ udpPort }) => {
      const forwarder = open ? open() : new FakeRelayForwarder(udpPort)
      forwarders.push(forwarder)
      return forwarder
    },
    portmapIo: {
      gateway: () => undefined,
      openUdp: () => ({ send: () => {}, close: () => {} }),
      onAnnouncement: () => () => {},
      http: () => Promise.reject(new Error('no router')),
    },
    portmapSecret: new Uint8Array(32),
    interfaces: () => ({
      eth0: [
        {
          address: '192.168.1.5',
          netmask: '255.255.255.0',
          family: 'IPv4',
          mac: '00:00:00:00:00:00',
          internal: false,
          cidr: '192.168.1.5/24',
        },
      ],
    }),
    resolve: () => Promise.resolve([]),
    discoKey: self.secret,
    sendOverDerp: (peer, bytes) => overDerp.push({ to: peer.key.text, bytes }),
    ownEndpoints: () => [],
    surroundings: { usage, ...surroundings },
    onChange: () => (changes += 1),
  })
  const ask = (from = a) =>
    host.handleRequest(from.node, from.disco, { clientDisco: [a.disco, b.disco], generation: 9 })
  return { clock, overDerp, forwarders, host, ask, usage, changes: () => changes }
}

test('relays for a peer that its filter permits, and for no other', () => {
  const { host, ask, forwarders } = setUp()
  host.configure(ON)
  host.setNetmap(netmapOf())
  assert.ok(host.isOn)
  const response = ask()
  assert.equal(response?.generation, 9)
  assert.deepEqual(response.relay.endpoints, ['192.168.1.5:40000'])
  assert.deepEqual([...(forwarders[0]?.bound.keys() ?? [])], [response.relay.vni])
  assert.equal(ask(b), undefined, 'b is not permitted')
  assert.equal(host.handleRequest(a.node, b.disco, { clientDisco: [a.disco, b.disco], generation: 1 }), undefined)
  assert.equal(ask(member(9)), undefined, 'a stranger')
})

test('writes to both clients before they bind, but to nothing in our own networks', () => {
  const { host, ask, forwarders, clock } = setUp()
  host.configure(ON)
  host.setNetmap(netmapOf())
  ask()
  const opened = () => forwarders[0]?.sent.map(({ endpoint }) => endpoint) ?? []
  assert.deepEqual(new Set(opened()), new Set(['198.51.100.2:41641', '[2001:db8::3]:41641']))
  for (let again = 0; again < 20; again++) ask()
  assert.equal(opened().length, 2, 'asking again does not make us write more')
  clock.advance(60_000)
  assert.equal(opened().length, 8, 'repeats end')
})

test('a challenge is repeated while its answer is missing, three times in all', () => {
  const { host, ask, forwarders, clock } = setUp()
  host.configure(ON)
  host.setNetmap(netmapOf())
  const relay = ask()?.relay
  assert.ok(relay)
  const { vni, serverDisco } = relay
  const box = new SharedBox(a.secret.secretBytes(), serverDisco.bytes)
  const from = '198.51.100.2:41641'
  const say = (message: DiscoMessage) =>
    forwarders[0]?.push({ kind: 'control', from, vni, bytes: sealDisco(a.disco, box, message) })
  const challenges = () => forwarders[0]?.sent.filter(({ geneve }) => geneve?.control === true) ?? []
  const fields = { vni, remoteKey: b.disco, challenge: new Uint8Array(32) }
  say({ kind: 'bind', generation: 1, ...fields })
  assert.equal(challenges().length, 1)
  clock.advance(10_000)
  assert.equal(challenges().length, 3)
  say({ kind: 'bind', generation: 2, ...fields })
  const challenge = openDisco(challenges().at(-1)?.bytes ?? new Uint8Array(), box)
  assert.ok(challenge?.kind === 'bindChallenge')
  say({ ...challenge, kind: 'bindAnswer' })
  clock.advance(10_000)
  assert.equal(challenges().length, 4, 'answered: no repeat')
  assert.ok(forwarders[0]?.bound.get(vni)?.includes(from))
})

test('a permission that is taken back ends what it allowed', () => {
  const { host, ask, forwarders } = setUp()
  host.configure(ON)
  host.setNetmap(netmapOf())
  ask()
  host.setNetmap(netmapOf({ packetFilter: permits('100.64.0.99/32') }))
  assert.equal(forwarders[0]?.bound.size, 0)
  assert.equal(host.status().sessions.length, 0)
})

test('names the clients and counts them', () => {
  const { host, ask, forwarders } = setUp()
  host.configure({ ...ON, bytesPerSecond: 5_000 })
  host.setNetmap(netmapOf())
  const vni = ask()?.relay.vni ?? 0
  const side = { lastSeenMs: 1, packets: 2, bytes: 300 }
  forwarders[0]?.seen.set(vni, [side, side])
  const status = host.status()
  assert.equal(status.state, 'running')
  assert.equal(forwarders[0]?.rate, 5_000)
  const [session] = status.sessions
  assert.equal(session?.state, 'connecting')
  assert.deepEqual(
    session.clients.map(({ name }) => name ?? '').toSorted((x, y) => x.localeCompare(y)),
    ['host2', 'host3'],
  )
  assert.equal(session.clients[0]?.bytes, 300)
})

test('off by setting and by the server, and on again; a new rate leaves sessions alone', () => {
  const { host, ask, forwarders, changes } = setUp()
  host.setNetmap(netmapOf())
  assert.equal(host.status().state, 'off')
  host.configure(ON)
  assert.ok(changes() > 0)
  ask()
  host.configure({ ...ON, bytesPerSecond: 7 })
  assert.deepEqual([forwarders.length, forwarders[0]?.rate, host.status().sessions.length], [1, 7, 1])
  host.setNetmap(netmapOf({ node: { ...self.input, capMap: new Map([['disable-relay-server', []]]) } }))
  assert.ok(!host.isOn && forwarders[0]?.closed)
  host.setNetmap(netmapOf())
  assert.ok(host.isOn)
  host.configure(undefined)
  assert.ok(!host.isOn && forwarders[1]?.closed)
})

test('a port that is taken is told, and tried again', () => {
  let free = false
  const { host, clock } = setUp(() => {
    if (!free) throw new CodedError('relay/port-in-use', 'taken')
    return new FakeRelayForwarder()
  })
  host.configure(ON)
  host.setNetmap(netmapOf())
  assert.deepEqual([host.isOn, host.problem?.code, host.status().state], [false, 'relay/port-in-use', 'failed'])
  free = true
  clock.advance(10_000)
  assert.deepEqual([host.isOn, host.problem], [true, undefined])
})

test('an engine that stopped is started anew', () => {
  const { host, clock, forwarders } = setUp()
  host.configure(ON)
  host.setNetmap(netmapOf())
  forwarders[0]?.push({ kind: 'fatal', message: 'gone' })
  assert.ok(!host.isOn && forwarders[0]?.closed)
  clock.advance(10_000)
  assert.ok(host.isOn && forwarders.length === 2)
})

test('nothing is left running after close', async () => {
  const { host, ask, clock } = setUp()
  host.configure(ON)
  host.setNetmap(netmapOf())
  ask()
  await host.close()
  await clock.advanceAsync(1)
  assert.equal(clock.pendingTimers, 0)
})

const manners = (more: Partial<Manners>): RelaySettings => ({ ...ON, manners: { ...DEFAULT_MANNERS, ...more } })

/** A pair that is carried. */
function bindBoth({ host, forwarders }: ReturnType<typeof setUp>, vni: number, serverDisco: DiscoPublic): void {
  for (const [one, other, from] of [
    [a, b, '198.51.100.2:41641'],
    [b, a, '198.51.100.3:41641'],
  ] as const) {
    const box = new SharedBox(one.secret.secretBytes(), serverDisco.bytes)
    const say = (message: DiscoMessage) =>
      forwarders.at(-1)?.push({ kind: 'control', from, vni, bytes: sealDisco(one.disco, box, message) })
    say({ kind: 'bind', vni, generation: 1, remoteKey: other.disco, challenge: new Uint8Array(32) })
    const challenge = openDisco(forwarders.at(-1)?.sent.at(-1)?.bytes ?? new Uint8Array(), box)
    assert.ok(challenge?.kind === 'bindChallenge')
    say({ ...challenge, kind: 'bindAnswer' })
  }
  assert.equal(host.status().sessions[0]?.state, 'open')
}

test('at the quota nobody new is carried, who is carried goes on for half a minute, and next month it is on again', () => {
  const scene = setUp()
  const { host, ask, forwarders, clock, usage } = scene
  host.configure(manners({ monthlyBytes: 1_000_000 }))
  host.setNetmap(netmapOf())
  const relay = ask()?.relay
  assert.ok(relay)
  bindBoth(scene, relay.vni, relay.serverDisco)
  forwarders[0]?.total('forwarded.bytes', 999_999)
  clock.advance(4_000)
  assert.equal(host.status().manners.usedBytes, 999_999)
  assert.ok(host.isOn && ask())
  forwarders[0]?.total('forwarded.bytes', 1_200_000)
  clock.advance(4_000)
  assert.deepEqual([host.isOn, ask()], [false, undefined], 'announced and answered no more')
  const winding = host.status()
  assert.equal(winding.state, 'paused')
  assert.deepEqual(
    [winding.pause?.reason, winding.pause?.endsAt, winding.sessions.length],
    ['quota', new Date(2026, 1, 1).getTime(), 1],
  )
  assert.ok((winding.pause?.carriesUntil ?? 0) > clock.wallNow())
  // It goes on counting what it still carries.
  forwarders[0]?.total('forwarded.bytes', 1_300_000)
  clock.advance(30_000)
  assert.ok(forwarders[0]?.closed)
  const paused = host.status()
  assert.deepEqual(
    [paused.state, paused.pause?.carriesUntil, paused.sessions, paused.manners.usedBytes],
    ['paused', undefined, [], 1_300_000],
  )
  clock.advance(new Date(2026, 1, 1).getTime() - clock.wallNow() + 1_000)
  assert.deepEqual([host.isOn, host.status().pause, host.status().manners.usedBytes], [true, undefined, 0])
  assert.ok(ask())
  assert.equal(usage.bytesIn('2026-01'), 1_300_000)
})

test('a larger quota or none ends the pause at once', () => {
  const { host, clock, usage } = setUp()
  usage.add('2026-01', 5_000, 0)
  host.configure(manners({ monthlyBytes: 5_000 }))
  host.setNetmap(netmapOf())
  assert.deepEqual([host.isOn, host.status().state], [false, 'paused'])
  host.configure(manners({ monthlyBytes: 5_001 }))
  assert.ok(host.isOn)
  host.configure(manners({ monthlyBytes: 5_000 }))
  assert.ok(!host.isOn)
  clock.advance(60_000)
  host.configure(manners({ monthlyBytes: 0 }))
  assert.ok(host.isOn)
})

test('serves in its hours', () => {
  const { host, ask, clock, changes } = setUp()
  const at = (hour: number): void => {
    const now = new Date(clock.wallNow())
    const ms = new Date(now.getFullYear(), now.getMonth(), now.getDate(), hour).getTime() - clock.wallNow()
    clock.advance((ms + 86_400_000) % 86_400_000)
  }
  at(12)
  host.configure(manners({ hours: '22:00-07:00' }))
  host.setNetmap(netmapOf())
  assert.deepEqual([host.isOn, ask(), host.status().pause?.reason], [false, undefined, 'hours'])
  const before = changes()
  at(22)
  clock.advance(1_000)
  assert.ok(host.isOn && ask() && changes() > before)
  at(6)
  assert.ok(host.isOn)
  at(7)
  clock.advance(31_000)
  assert.ok(!host.isOn)
})

test('pauses on battery and in a metered network, and what nobody knows is no reason', async () => {
  let power: PowerSource = 'battery'
  let metered: Metered = 'no'
  const { host, clock, changes } = setUp(undefined, {
    power: () => Promise.resolve(power),
    metered: () => Promise.resolve(metered),
  })
  host.configure(ON)
  host.setNetmap(netmapOf())
  assert.deepEqual([host.isOn, host.status().state], [false, 'starting'], 'the machine is looked at first')
  await clock.advanceAsync(1_000)
  assert.deepEqual([host.isOn, host.status().pause?.reason, host.status().manners.power], [false, 'battery', 'battery'])
  power = 'mains'
  await clock.advanceAsync(11_000)
  assert.ok(host.isOn)
  metered = 'yes'
  const before = changes()
  host.linkChanged()
  await clock.advanceAsync(1_000)
  assert.deepEqual([host.isOn, host.status().pause?.reason], [false, 'metered'], 'a new network is looked at at once')
  assert.ok(changes() > before)
  host.configure(manners({ pauseOnMetered: false }))
  assert.ok(host.isOn)
  host.configure(ON)
  metered = 'unknown'
  power = 'unknown'
  await clock.advanceAsync(11_000)
  assert.ok(host.isOn)
  await host.close()
  await clock.advanceAsync(1)
  assert.equal(clock.pendingTimers, 0)
})

test('a pause that ends while pairs are still carried leaves them alone', async () => {
  let power: PowerSource = 'mains'
  const scene = setUp(undefined, { power: () => Promise.resolve(power) })
  const { host, ask, clock, forwarders } = scene
  host.configure(ON)
  host.setNetmap(netmapOf())
  await clock.advanceAsync(100)
  const relay = ask()?.relay
  assert.ok(relay)
  bindBoth(scene, relay.vni, relay.serverDisco)
  power = 'battery'
  await clock.advanceAsync(11_000)
  assert.deepEqual([host.isOn, host.status().sessions.length], [false, 1])
  power = 'mains'
  await clock.advanceAsync(11_000)
  assert.deepEqual([host.isOn, host.status().sessions.length, forwarders.length], [true, 1, 1])
  await clock.advanceAsync(60_000)
  assert.ok(host.isOn && forwarders[0]?.bound.has(relay.vni))
})
