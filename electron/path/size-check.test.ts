import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SimHost, SimNat, SimNetwork, type Packet } from './simulated-network.ts'

const SMALL_BYTES = 600

interface World {
  readonly net: SimNetwork
  readonly a: SimHost
  readonly b: SimHost
}

async function world({ relay = false } = {}): Promise<World> {
  const net = new SimNetwork()
  net.stunServers.push('203.0.113.1', '203.0.113.2')
  const a = new SimHost(net, 1, '192.168.1.2', new SimNat('198.51.100.1', 'easy'))
  const b = new SimHost(net, 2, '192.168.2.2', new SimNat('198.51.100.2', 'easy'))
  if (relay) net.addRelay(new SimHost(net, 3, '192.0.2.3'), '192.0.2.3:7777')
  await net.run(9_000)
  net.publish()
  return { net, a, b }
}

const between = ({ from, to }: Packet): boolean => [from, to].every((end) => end?.startsWith('198.51.100.') === true)
const dropsLarge = (packet: Packet): boolean => between(packet) && packet.bytes > SMALL_BYTES

/** A sends much to B; `arrives` says whether acknowledgements come back. */
async function bulk({ net, a, b }: World, ms: number, arrives: () => boolean): Promise<void> {
  let { lastReceiveMs, txBytes } = counted.get(a) ?? { lastReceiveMs: 0, txBytes: 0 }
  for (let leftMs = ms; leftMs > 0; leftMs -= 1_000) {
    const lastSendMs = net.clock.now()
    if (arrives()) lastReceiveMs = lastSendMs - 1
    txBytes += arrives() ? 500_000 : 1_300
    counted.set(a, { lastReceiveMs, txBytes })
    a.finder.noteTraffic(2, { rxBytes: 0, txBytes, lastSendMs, lastReceiveMs, askingSinceMs: 0 })
    b.finder.noteTraffic(1, { rxBytes: 0, txBytes: txBytes / 100, lastSendMs, lastReceiveMs, askingSinceMs: 0 })
    await net.run(Math.min(leftMs, 1_000))
  }
}
/** The same numbers each time, from 0 to below 1. */
function mulberry(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const counted = new WeakMap<SimHost, { readonly lastReceiveMs: number; readonly txBytes: number }>()

test('a path that drops full packets is left for DERP within 6 s, and taken again within 6 s of its mending', async () => {
  const place = await world()
  const { net, a } = place
  const kind = (): string | undefined => a.finder.view(2)?.kind
  await bulk(place, 10_000, () => true)
  assert.equal(kind(), 'direct')
  for (let round = 0; round < 3; round++) {
    net.lose = dropsLarge
    await bulk(place, 6_000, () => kind() !== 'direct')
    assert.equal(kind(), 'derp')
    assert.equal(a.finder.view(2)?.reason, 'large-lost')
    assert.deepEqual(a.finder.flaws(2), ['large-lost'])
    const changes = a.finder.history(2).length
    await bulk(place, 120_000, () => true)
    assert.equal(a.finder.history(2).length, changes, 'small pings alone do not bring it back')
    net.lose = () => false
    await bulk(place, 6_000, () => true)
    assert.equal(kind(), 'direct')
    assert.deepEqual(a.finder.flaws(2), [])
  }
  net.close()
})

test('with a relay at hand it is left for that, and the end that receives finds out as well', async () => {
  const place = await world({ relay: true })
  const { net, a, b } = place
  await bulk(place, 10_000, () => true)
  net.lose = dropsLarge
  await bulk(place, 8_000, () => a.finder.view(2)?.kind !== 'direct')
  assert.equal(a.finder.view(2)?.kind, 'peer-relay')
  await bulk(place, 65_000, () => true)
  assert.equal(b.finder.view(1)?.kind, 'peer-relay')
  assert.deepEqual(b.finder.flaws(1), ['large-lost'])
  net.lose = () => false
  await bulk(place, 7_000, () => true)
  assert.deepEqual([a.finder.view(2)?.kind, b.finder.view(1)?.kind], ['direct', 'direct'])
  net.close()
})

test('a path that drops large packets from the start is known before a transfer needs it', async () => {
  const place = await world()
  const { net, a } = place
  net.lose = dropsLarge
  await bulk(place, 4_000, () => true)
  assert.equal(a.finder.view(2)?.kind, 'derp')
  assert.equal(a.finder.view(2)?.reason, 'large-lost')
  net.close()
})

test('when DERP is silent, a path that loses full packets is kept, and left as soon as DERP answers', async () => {
  const place = await world()
  const { net, a } = place
  await bulk(place, 10_000, () => true)
  net.lose = (packet) => packet.over === 'derp' || dropsLarge(packet)
  await bulk(place, 20_000, () => false)
  assert.equal(a.finder.view(2)?.kind, 'direct')
  net.lose = dropsLarge
  await bulk(place, 2_000, () => false)
  assert.equal(a.finder.view(2)?.kind, 'derp')
  net.lose = (packet) => packet.over === 'derp' || dropsLarge(packet)
  await bulk(place, 5_000, () => false)
  assert.equal(a.finder.view(2)?.kind, 'direct', 'better than nothing')
  net.close()
})

test('losses that hit small packets too are not blamed on their size', async () => {
  const random = mulberry(3)
  for (let round = 0; round < 30; round++) {
    const place = await world()
    const { net, a } = place
    await bulk(place, 5_000, () => true)
    net.lose = (packet) => between(packet) && random() < 1 / 4
    await bulk(place, 30_000, () => random() < 1 / 2)
    assert.ok(!a.finder.history(2).some(({ reason }) => reason === 'large-lost'))
    net.lose = between
    await bulk(place, 10_000, () => false)
    assert.deepEqual(
      a.finder.flaws(2).filter((flaw) => flaw !== 'lossy'),
      [],
    )
    net.close()
  }
})

test('an idle pair sends no padded pings, one that chats a few', async () => {
  const place = await world()
  const { net, a } = place
  await bulk(place, 3_000, () => true)
  const padded = (): number => a.udpSent.filter(({ bytes }) => bytes.length > SMALL_BYTES).length
  const before = padded()
  await net.rest(600_000)
  assert.equal(padded(), before)
  await net.run(180_000, 2_000)
  assert.ok(padded() - before <= 5, `${padded() - before} in three minutes`)
  net.close()
})
