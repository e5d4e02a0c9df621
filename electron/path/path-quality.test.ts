import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isLossy, isShaky, withSample, type Quality } from './path-quality.ts'
import { SimHost, SimNat, SimNetwork, type Packet } from './simulated-network.ts'

const A = '192.0.2.1:41641'
/** Between two pings while data flows. */
const PING_MS = 700

/** `pings`: 'x' for one that was lost, '.' for one that was answered. */
function qualityOf(pings: string): Quality {
  let quality: Quality = new Map()
  for (const [index, ping] of pings.split('').entries()) quality = withSample(quality, A, ping === '.', index * PING_MS)
  return quality
}

test('what comes and goes is lossy, what is gone for a while is not', () => {
  for (const [pings, expected] of [
    ['....................', false],
    ['.....xxxxxxxx.......', false],
    ['...xxxx....xxxx.....', false],
    ['xxxx.......xxxxx....', false],
    ['...x...x....x....x..', false],
    ['.x..xx...x..xx...x..', true],
    ['.xxx.xx.', false],
    ['.xxx.xx.x.', true],
    ['...................xxx.xx.x.', false],
  ] as const)
    assert.equal(isLossy(qualityOf(pings), A), expected, pings)
})

test('two outages of any length are never taken for random loss', () => {
  const stretch = fc.integer({ min: 1, max: 20 })
  fc.assert(
    fc.property(stretch, stretch, stretch, stretch, stretch, (...[a, b, c, d, e]) => {
      const pings = '.'.repeat(a) + 'x'.repeat(b) + '.'.repeat(c) + 'x'.repeat(d) + '.'.repeat(e)
      let quality: Quality = new Map()
      for (const [index, ping] of pings.split('').entries()) {
        quality = withSample(quality, A, ping === '.', index * PING_MS)
        assert.ok(!isLossy(quality, A), pings.slice(0, index + 1))
      }
    }),
  )
})

test('after a silence as many answers in a row are wanted as there were silences, and one more', () => {
  assert.ok(!isShaky(qualityOf('....'), A))
  assert.ok(isShaky(qualityOf('...xxx.'), A))
  assert.ok(!isShaky(qualityOf('...xxx..'), A))
  assert.ok(isShaky(qualityOf('...xxx..xx..'), A))
  assert.ok(!isShaky(qualityOf('...xxx..xx...'), A))
  assert.ok(!isShaky(qualityOf('x.x.x.x.x....'), A), 'four are enough')
})

interface Pair {
  readonly net: SimNetwork
  readonly a: SimHost
  readonly b: SimHost
}

async function direct(): Promise<Pair> {
  const net = new SimNetwork()
  net.stunServers.push('203.0.113.1', '203.0.113.2')
  const a = new SimHost(net, 1, '192.168.1.2', new SimNat('198.51.100.1', 'easy'))
  const b = new SimHost(net, 2, '192.168.2.2', new SimNat('198.51.100.2', 'easy'))
  await net.run(9_000)
  net.publish()
  await net.run(15_000, 500)
  assert.equal(a.finder.view(2)?.kind, 'direct')
  return { net, a, b }
}

const between = ({ from, to }: Packet): boolean => [from, to].every((end) => end?.startsWith('198.51.100.') === true)

test('two outages one way within half a minute: neither end avoids the path afterwards', async () => {
  for (const [firstMs, gapMs, secondMs] of [
    [700, 1_500, 1_500],
    [1_500, 3_000, 2_500],
    [2_500, 1_500, 700],
    [4_000, 8_000, 4_000],
    [6_000, 3_000, 1_500],
  ] as const) {
    const { net, a, b } = await direct()
    for (const [outMs, thenMs] of [
      [firstMs, gapMs],
      [secondMs, 2_000],
    ] as const) {
      net.lose = (packet) => between(packet) && packet.from?.startsWith('198.51.100.1:') === true
      await net.run(outMs, 500)
      net.lose = () => false
      await net.run(thenMs, 500)
    }
    assert.deepEqual([a.finder.flaws(2), b.finder.flaws(1)], [[], []])
    assert.deepEqual([a.finder.view(2)?.kind, b.finder.view(1)?.kind], ['direct', 'direct'])
    net.close()
  }
})

test('a path that loses half of all packets is let be within 20 s, without much to and fro', async () => {
  for (let seed = 1; seed <= 8; seed++) {
    const { net, a } = await direct()
    const random = mulberry(seed)
    net.lose = (packet) => between(packet) && random() < 1 / 2
    const before = a.finder.history(2).length
    await net.run(20_000, 500)
    assert.deepEqual(a.finder.flaws(2), ['lossy'], `seed ${seed}`)
    assert.ok(a.finder.history(2).length - before <= 11)
    const changes = a.finder.history(2).length
    await net.run(30_000, 500)
    assert.equal(a.finder.history(2).length, changes, 'then no more')
    assert.equal(a.finder.view(2)?.kind, 'derp')
    net.close()
  }
})

test('a lossy path is taken again within some seconds when nothing comes over DERP, and kept', async () => {
  for (const seed of [5, 6, 7, 8]) {
    const { net, a } = await direct()
    const random = mulberry(seed)
    const isLost = (packet: Packet): boolean => between(packet) && random() < 1 / 3
    net.lose = isLost
    for (let seconds = 0; !a.finder.flaws(2).includes('lossy') && seconds < 30; seconds++) await net.run(1_000, 500)
    await net.run(3_000, 500)
    assert.equal(a.finder.view(2)?.kind, 'derp')
    net.lose = (packet) => packet.over === 'derp' || isLost(packet)
    const isUsed = (): boolean => a.specs.get(2)?.leg?.kind === 'direct'
    for (let tookMs = 0; !isUsed(); tookMs += 100) {
      assert.ok(tookMs < 6_500)
      await net.run(100, 100)
    }
    let used = 0
    for (let seconds = 0; seconds < 40; seconds++) {
      await net.run(1_000, 500)
      if (isUsed()) used++
    }
    assert.ok(used >= 33, `${used} of 40 s`)
    net.close()
  }
})

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
