import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SharedBox } from '../crypto/box.ts'
import { DiscoPrivate, NodePrivate } from '../crypto/keys.ts'
import { discoSender, openDisco, sealDisco } from '../wire/disco/envelope.ts'
import type { DiscoMessage } from '../wire/disco/message.ts'
import { isCoded } from '../base/errors.ts'
import { PING_BURST, PINGS_PER_SECOND } from './peer-state.ts'
import { SimHost, SimNat, SimNetwork, type NatKind } from './simulated-network.ts'

interface Pair {
  readonly net: SimNetwork
  readonly a: SimHost
  readonly b: SimHost
  readonly natA: SimNat | undefined
  readonly natB: SimNat | undefined
}

/** Two hosts, each behind its NAT ('open': none), who know of each other what control knows after both have started. */
async function pair(kindA: NatKind | 'open', kindB: NatKind | 'open', blocked = false): Promise<Pair> {
  const net = new SimNetwork()
  net.stunServers.push('203.0.113.1', '203.0.113.2')
  const natA = kindA === 'open' ? undefined : new SimNat('198.51.100.1', kindA)
  const natB = kindB === 'open' ? undefined : new SimNat('198.51.100.2', kindB)
  const a = new SimHost(net, 1, natA ? '192.168.1.2' : '192.0.2.1', natA)
  const b = new SimHost(net, 2, natB ? '192.168.2.2' : '192.0.2.2', natB)
  a.udpBlocked = blocked
  await net.run(9_000)
  net.publish()
  return { net, a, b, natA, natB }
}

const kinds = ({ a, b }: Pair): readonly (string | undefined)[] => [a.finder.view(2)?.kind, b.finder.view(1)?.kind]

test('two easy NATs are crossed within a second of the first packet', async () => {
  const world = await pair('easy', 'easy')
  assert.deepEqual(kinds(world), ['derp', 'derp'])
  world.a.finder.noteActive(2)
  await world.net.run(1_000)
  assert.deepEqual(kinds(world), ['direct', 'direct'])
  assert.equal(world.a.specs.get(2)?.leg?.kind, 'direct')
  assert.deepEqual(world.a.specs.get(2)?.fallback, { kind: 'derp', region: 1 })
  assert.equal(world.a.finder.view(2)?.latencyMs, 20)
  world.net.close()
})

test('what two NATs allow is reached, what they do not stays on DERP', async () => {
  const matrix: readonly (readonly [NatKind | 'open', NatKind | 'open', string])[] = [
    ['open', 'open', 'direct'],
    ['open', 'hard', 'direct'],
    ['hard', 'open', 'direct'],
    ['easy', 'hard', 'derp'],
    ['hard', 'hard', 'derp'],
  ]
  for (const [kindA, kindB, expected] of matrix) {
    const world = await pair(kindA, kindB)
    await world.net.run(12_000, 1_000)
    assert.deepEqual(kinds(world), [expected, expected], `${kindA} and ${kindB}`)
    world.net.close()
  }
})

test('two hosts behind one NAT meet on their private addresses', async () => {
  const net = new SimNetwork()
  net.stunServers.push('203.0.113.1')
  const nat = new SimNat('198.51.100.1', 'hard')
  const a = new SimHost(net, 1, '192.168.1.2', nat)
  const b = new SimHost(net, 2, '192.168.1.3', nat)
  await net.run(4_000)
  net.publish()
  await net.run(2_000, 1_000)
  assert.equal(a.finder.view(2)?.endpoint, '192.168.1.3:41641')
  assert.equal(b.finder.view(1)?.endpoint, '192.168.1.2:41641')
  net.close()
})

test('with UDP blocked the peers stay on DERP, and are direct again within ten seconds of its return', async () => {
  const world = await pair('easy', 'easy')
  await world.net.run(5_000, 1_000)
  assert.deepEqual(kinds(world), ['direct', 'direct'])
  world.a.udpBlocked = true
  await world.net.run(10_000, 1_000)
  assert.deepEqual(kinds(world), ['derp', 'derp'])
  assert.equal(world.a.finder.view(2)?.reason, 'silent')
  await world.net.run(60_000, 1_000)
  world.a.udpBlocked = false
  await world.net.run(10_000, 1_000)
  assert.deepEqual(kinds(world), ['direct', 'direct'])
  world.net.close()
})

test('a host that started without UDP learns its endpoint once UDP works, and is direct within ten seconds', async () => {
  const world = await pair('easy', 'easy', true)
  await world.net.run(20_000, 1_000)
  assert.deepEqual(kinds(world), ['derp', 'derp'])
  assert.equal(world.a.netInfo?.WorkingUDP, false)
  world.a.udpBlocked = false
  await world.net.run(10_000, 1_000)
  assert.deepEqual(kinds(world), ['direct', 'direct'])
  world.net.close()
})

test('a router that forgot its mappings is crossed anew', async () => {
  const world = await pair('easy', 'easy')
  await world.net.run(5_000, 1_000)
  world.natA?.reboot()
  await world.net.run(20_000, 1_000)
  assert.deepEqual(kinds(world), ['direct', 'direct'])
  world.net.close()
})

test('a host that moves to another network finds the direct path again within three seconds', async () => {
  const world = await pair('easy', 'easy')
  await world.net.run(5_000, 1_000)
  world.a.nat = new SimNat('198.51.100.77', 'easy')
  world.a.address = '10.9.9.9'
  world.a.finder.linkChanged({ rebound: true })
  await world.net.run(3_000, 500)
  assert.equal(world.a.finder.view(2)?.kind, 'direct')
  assert.equal(world.b.finder.view(1)?.endpoint?.startsWith('198.51.100.77:'), true)
  world.net.close()
})

test('a peer that restarted is found again under its new disco key', async () => {
  const world = await pair('easy', 'easy')
  await world.net.run(5_000, 1_000)
  world.b.restart()
  await world.net.run(500)
  world.net.publish()
  await world.net.run(5_000, 1_000)
  assert.deepEqual(kinds(world), ['direct', 'direct'])
  assert.equal(world.a.finder.sizes.discoKeys, 1)
  world.net.close()
})

test('a stale endpoint list is looked at again before the peer is called, without waiting for a whole check', async () => {
  const world = await pair('easy', 'easy')
  await world.net.rest(600_000)
  world.natA?.reboot()
  world.natB?.reboot()
  world.a.finder.noteActive(2)
  await world.net.run(40)
  world.b.finder.noteActive(1)
  await world.net.run(160)
  assert.deepEqual(kinds(world), ['direct', 'direct'])
  world.net.close()
})

test('who was called before we knew our place is called again as soon as we know it', async () => {
  const net = new SimNetwork()
  net.stunServers.push('203.0.113.1')
  const a = new SimHost(net, 1, '192.168.1.2', new SimNat('198.51.100.1', 'easy'))
  const b = new SimHost(net, 2, '192.168.2.2', new SimNat('198.51.100.2', 'easy'))
  // Its first questions are lost, as over a bad link.
  net.lose = ({ from, to }) => from?.startsWith('198.51.100.1:') === true && to?.startsWith('203.0.113.') === true
  await net.run(9_000)
  net.publish()
  await net.run(1_000, 500)
  assert.deepEqual([a.finder.view(2)?.kind, b.finder.view(1)?.kind], ['derp', 'derp'])
  net.lose = () => false
  a.finder.linkChanged({ rebound: false })
  await net.run(200, 20)
  assert.deepEqual([a.finder.view(2)?.kind, b.finder.view(1)?.kind], ['direct', 'direct'])
  net.close()
})

test('idle peers send nothing and hold no timer', async () => {
  const world = await pair('easy', 'easy')
  await world.net.run(5_000, 1_000)
  await world.net.rest(60_000)
  const sent = world.a.udpSent.length
  await world.net.rest(600_000)
  assert.equal(world.a.udpSent.length, sent)
  assert.equal(world.net.clock.pendingTimers, 0)
  world.net.close()
})

test('a removed peer leaves nothing behind', async () => {
  const world = await pair('easy', 'easy')
  await world.net.run(3_000, 1_000)
  const ping = world.a.finder.ping(2, { timeoutMs: 5_000 })
  world.a.finder.setPeers([])
  await assert.rejects(ping, (error) => isCoded(error, 'path/no-such-peer'))
  assert.deepEqual(world.a.finder.sizes, { peers: 0, discoKeys: 0, pings: 0 })
  world.a.finder.close()
  world.b.finder.close()
  await world.net.run(1_000)
  assert.equal(world.net.clock.pendingTimers, 0)
  const told = world.a.views.length
  world.a.finder.noteActive(2)
  assert.equal(world.a.views.length, told)
})

test('pings go over DERP while there is no direct path, and directly when there is one', async () => {
  const blocked = await pair('easy', 'easy', true)
  const overDerp = blocked.a.finder.ping(2, { timeoutMs: 2_000 })
  await blocked.net.run(2_000)
  assert.deepEqual(await overDerp, { latencyMs: 40, via: { kind: 'derp', region: 1 } })
  blocked.net.close()

  const world = await pair('easy', 'easy')
  await world.net.run(3_000, 1_000)
  const direct = world.a.finder.ping(2, { timeoutMs: 2_000 })
  await world.net.run(2_000)
  const result = await direct
  assert.equal(result.via.kind, 'direct')
  assert.equal(result.latencyMs, 20)
  world.a.udpBlocked = true
  const detour = world.a.finder.ping(2, { timeoutMs: 2_000 })
  await world.net.run(2_000)
  assert.equal((await detour).via.kind, 'derp', 'missing answers lead to DERP within the time of the ping')
  world.net.lose = () => true
  const lost = world.a.finder.ping(2, { timeoutMs: 2_000 })
  const outcome = assert.rejects(lost, (error) => isCoded(error, 'path/no-answer'))
  await world.net.run(3_000)
  await outcome
  await assert.rejects(world.a.finder.ping(9, { timeoutMs: 1 }), (error) => isCoded(error, 'path/no-such-peer'))
  world.net.close()
})

/** A lone finder with one peer whose keys the test holds. */
async function lone(): Promise<{
  net: SimNetwork
  host: SimHost
  peerDisco: DiscoPrivate
  peerNode: NodePrivate
  box: SharedBox
  seal: (message: DiscoMessage) => Uint8Array
  sent: (kind: DiscoMessage['kind']) => DiscoMessage[]
}> {
  const net = new SimNetwork()
  net.stunServers.push('203.0.113.1')
  const host = new SimHost(net, 1, '192.0.2.1')
  const peerDisco = DiscoPrivate.generate()
  const peerNode = NodePrivate.generate()
  await net.run(4_000)
  host.finder.setPeers([
    { id: 2, nodeKey: peerNode.public, discoKey: peerDisco.public, endpoints: ['192.0.2.2:1'], homeRegion: 1 },
  ])
  const box = new SharedBox(peerDisco.secretBytes(), host.discoKey.public.bytes)
  const sent = (kind: DiscoMessage['kind']): DiscoMessage[] =>
    [...host.udpSent, ...host.derpSent].flatMap(({ bytes }) => {
      if (!discoSender(bytes)) return []
      const message = openDisco(bytes, box)
      return message?.kind === kind ? [message] : []
    })
  return { net, host, peerDisco, peerNode, box, seal: (message) => sealDisco(peerDisco.public, box, message), sent }
}

const TX_ID = new Uint8Array(12).fill(7)

test('a ping is answered where it came from, also without a session and without a node key', async () => {
  const { host, seal, peerNode, net } = await lone()
  for (const nodeKey of [peerNode.public, undefined]) {
    const bytes = seal({ kind: 'ping', txId: TX_ID, nodeKey, paddingBytes: 0 })
    host.finder.handleDisco({ from: '192.0.2.99:5', vni: undefined, bytes, receivedAtMs: 0 })
    assert.equal(host.udpSent.at(-1)?.to, '192.0.2.99:5')
  }
  assert.equal(host.finder.view(2)?.active, false)
  host.finder.handleDerpDisco(
    1,
    peerNode.public,
    seal({ kind: 'ping', txId: TX_ID, nodeKey: undefined, paddingBytes: 0 }),
  )
  assert.equal(host.derpSent.length, 1)
  net.close()
})

test('forged, misdirected and unasked messages change nothing', async () => {
  const { host, seal, peerNode, peerDisco, sent, net } = await lone()
  const { finder } = host
  const stranger = DiscoPrivate.generate()
  const strangerBox = new SharedBox(stranger.secretBytes(), host.discoKey.public.bytes)
  const other = NodePrivate.generate().public
  const udp = (bytes: Uint8Array): void =>
    finder.handleDisco({ from: '192.0.2.66:6', vni: undefined, bytes, receivedAtMs: 0 })
  const call: DiscoMessage = { kind: 'callMeMaybe', endpoints: ['192.0.2.66:6'] }

  udp(sealDisco(stranger.public, strangerBox, { kind: 'ping', txId: TX_ID, nodeKey: undefined, paddingBytes: 0 }))
  udp(sealDisco(peerDisco.public, strangerBox, { kind: 'ping', txId: TX_ID, nodeKey: undefined, paddingBytes: 0 }))
  udp(seal({ kind: 'ping', txId: TX_ID, nodeKey: other, paddingBytes: 0 }))
  udp(seal({ kind: 'pong', txId: TX_ID, source: '192.0.2.1:1' }))
  udp(seal(call))
  udp(new Uint8Array(5))
  finder.handleDerpDisco(1, other, seal(call))
  assert.equal(host.derpSent.length, 0)
  assert.equal(sent('ping').length + sent('pong').length, 0)
  assert.deepEqual(finder.counters, {
    'disco.unknown-sender': 1,
    'disco.sealed-otherwise': 1,
    'disco.node-key': 1,
    'disco.unasked-pong': 1,
    'disco.unexpected.callMeMaybe': 1,
    'disco.not-whole': 1,
    'disco.derp-source': 1,
  })
  // Two real peers, but the one that DERP names is not the one that sealed.
  const both = [
    { id: 2, nodeKey: peerNode.public, discoKey: peerDisco.public, endpoints: ['192.0.2.2:1'], homeRegion: 1 },
    { id: 3, nodeKey: other, discoKey: stranger.public, endpoints: [], homeRegion: 1 },
  ]
  finder.setPeers(both)
  const before = host.udpSent.length
  finder.handleDerpDisco(1, other, seal(call))
  assert.equal(host.udpSent.length, before)
  assert.equal(finder.counters['disco.derp-source'], 2)
  finder.handleDerpDisco(1, peerNode.public, seal(call))
  assert.equal(sent('ping').length, 2, 'the real one makes us ping the called and the listed endpoint')
  net.close()
})

test('a pong counts once, from the peer that was pinged, and over UDP when the ping went there', async () => {
  const { host, seal, peerNode, peerDisco, sent, net } = await lone()
  const { finder } = host
  const other = { disco: DiscoPrivate.generate(), node: NodePrivate.generate().public }
  const peer = {
    id: 2,
    nodeKey: peerNode.public,
    discoKey: peerDisco.public,
    endpoints: ['192.0.2.2:1'],
    homeRegion: 1,
  }
  finder.setPeers([peer, { id: 3, nodeKey: other.node, discoKey: other.disco.public, endpoints: [], homeRegion: 1 }])
  finder.noteActive(2)
  const [ping] = sent('ping')
  assert.ok(ping?.kind === 'ping')
  const pong: DiscoMessage = { kind: 'pong', txId: ping.txId, source: '192.0.2.1:1' }
  const nowMs = net.clock.now()
  const udp = (bytes: Uint8Array, afterMs: number): void =>
    finder.handleDisco({ from: '192.0.2.2:1', vni: undefined, bytes, receivedAtMs: nowMs + afterMs })
  const otherBox = new SharedBox(other.disco.secretBytes(), host.discoKey.public.bytes)
  finder.handleDerpDisco(1, peerNode.public, seal(pong))
  udp(sealDisco(other.disco.public, otherBox, pong), 24)
  assert.equal(finder.view(2)?.kind, 'derp')
  udp(seal(pong), 25)
  assert.equal(finder.view(2)?.kind, 'direct')
  udp(seal(pong), 26)
  assert.equal(finder.view(2)?.latencyMs, 25)
  assert.equal(finder.counters['disco.unasked-pong'], 3)
  net.close()
})

test('a peer that floods us with CallMeMaybe draws a bounded number of pings', async () => {
  const { host, seal, peerNode, sent, net } = await lone()
  const seconds = 5
  for (let tenth = 0; tenth < seconds * 10; tenth++) {
    const endpoints = Array.from({ length: 300 }, (_, index) => `192.0.2.${1 + (tenth % 200)}:${1 + index}`)
    host.finder.handleDerpDisco(1, peerNode.public, seal({ kind: 'callMeMaybe', endpoints }))
    await net.run(100)
  }
  const pings = sent('ping').length
  assert.ok(pings > 100 && pings <= PING_BURST + seconds * PINGS_PER_SECOND + 1, String(pings))
  assert.equal(sent('callMeMaybe').length, 0)
  net.close()
})

test('a send error of the system leaves the path at once', async () => {
  const world = await pair('easy', 'easy')
  await world.net.run(3_000, 1_000)
  const { endpoint } = world.a.finder.view(2) ?? {}
  assert.ok(endpoint !== undefined)
  world.a.finder.noteSendError(endpoint, 'ENOBUFS')
  assert.equal(world.a.finder.view(2)?.kind, 'direct')
  world.a.finder.noteSendError(endpoint, 'EHOSTUNREACH')
  assert.equal(world.a.finder.view(2)?.kind, 'derp')
  assert.equal(world.a.finder.view(2)?.reason, 'unreachable')
  world.net.close()
})

test('a network that is gone is noticed by our own pings', async () => {
  const world = await pair('easy', 'easy')
  await world.net.run(3_000, 1_000)
  world.a.errno = 'ENETUNREACH'
  await world.net.run(3_100)
  assert.equal(world.a.finder.view(2)?.reason, 'unreachable')
  assert.deepEqual(world.a.specs.get(2)?.leg, { kind: 'derp', region: 1 })
  world.net.close()
})

test('a peer without a disco key gets its DERP leg and nothing else', async () => {
  const net = new SimNetwork()
  net.stunServers.push('203.0.113.1')
  const host = new SimHost(net, 1, '192.0.2.1')
  await net.run(4_000)
  host.finder.setPeers([{ id: 2, nodeKey: NodePrivate.generate().public, endpoints: ['192.0.2.2:1'], homeRegion: 4 }])
  const sent = host.udpSent.length
  host.finder.noteActive(2)
  assert.deepEqual(host.specs.get(2)?.leg, { kind: 'derp', region: 4 })
  assert.equal(host.udpSent.length + host.derpSent.length, sent)
  await assert.rejects(host.finder.ping(2, { timeoutMs: 1 }), (error) => isCoded(error, 'path/no-disco'))
  net.close()
})
