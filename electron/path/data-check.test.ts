import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SimHost, SimNat, SimNetwork } from './simulated-network.ts'

/** Whose packets of data a direct path drops. */
type Dropped = 'none' | 'both' | 'to-a' | 'to-b'

/** A pair and its WireGuard, as far as counters show it: `a` sends each second, `b` may answer. */
class World {
  readonly net = new SimNetwork()
  readonly a: SimHost
  readonly b: SimHost
  dropped: Dropped = 'none'
  sends = true
  /** What comes back of itself: for each packet, one after ten seconds, or none whatever happens. */
  answers: 'each' | 'keepalive' | 'never' = 'each'
  answersAsks = true
  asks = 0
  /** Since when handshakes go unanswered. */
  askingSinceMs = 0
  delivered = 0
  #sentMs = 0
  #bSentMs = 0
  #receivedMs = 0
  #bReceivedMs = 0
  #owedSinceMs: number | undefined

  constructor() {
    this.net.stunServers.push('203.0.113.1', '203.0.113.2')
    this.a = new SimHost(this.net, 1, '192.168.1.2', new SimNat('198.51.100.1', 'easy'))
    this.b = new SimHost(this.net, 2, '192.168.2.2', new SimNat('198.51.100.2', 'easy'))
    this.a.onAsk = () => {
      this.asks++
      this.#send(this.answersAsks && this.answers !== 'never')
    }
  }

  async start(): Promise<void> {
    await this.net.run(9_000)
    this.net.publish()
    await this.run(10_000)
    assert.deepEqual(this.kinds, ['direct', 'direct'])
  }

  #passes(from: SimHost, to: SimHost, way: Dropped): boolean {
    const spec = from.specs.get(to.id)
    const isDoubled = spec !== undefined && spec.trustedUntilMs < this.net.clock.now() && spec.fallback !== undefined
    return isDoubled || spec?.leg?.kind !== 'direct' || (this.dropped !== 'both' && this.dropped !== way)
  }

  #send(wantsAnswer: boolean): void {
    const nowMs = this.net.clock.now()
    this.#sentMs = nowMs
    if (!this.#passes(this.a, this.b, 'to-b')) return
    this.delivered++
    this.#bReceivedMs = nowMs
    this.#owedSinceMs ??= nowMs
    if (wantsAnswer) this.#answer()
  }

  #answer(): void {
    this.#bSentMs = this.net.clock.now()
    this.#owedSinceMs = undefined
    if (this.#passes(this.b, this.a, 'to-a')) this.#receivedMs = this.net.clock.now()
  }

  async run(ms: number): Promise<void> {
    for (let leftMs = ms; leftMs > 0; leftMs -= 1_000) {
      const nowMs = this.net.clock.now()
      if (this.sends) this.#send(this.answers === 'each')
      if (this.answers === 'keepalive' && nowMs - (this.#owedSinceMs ?? nowMs) >= 10_000) this.#answer()
      const { askingSinceMs } = this
      const sent = { rxBytes: 0, txBytes: 0, lastSendMs: this.#sentMs, lastReceiveMs: this.#receivedMs, askingSinceMs }
      const back = {
        rxBytes: 0,
        txBytes: 0,
        lastSendMs: this.#bSentMs,
        lastReceiveMs: this.#bReceivedMs,
        askingSinceMs: 0,
      }
      this.a.finder.noteTraffic(2, sent, this.answersAsks)
      this.b.finder.noteTraffic(1, back, false)
      await this.net.run(Math.min(leftMs, 1_000))
    }
  }

  get kinds(): readonly (string | undefined)[] {
    return [this.a.finder.view(2)?.kind, this.b.finder.view(1)?.kind]
  }
}

for (const dropped of ['both', 'to-a', 'to-b'] as const)
  test(`data that is dropped (${dropped}) while pings pass: both ends are on DERP within 18 s, and talk`, async () => {
    const world = new World()
    await world.start()
    world.dropped = dropped
    await world.run(9_000)
    assert.equal(world.a.finder.view(2)?.kind, 'derp')
    assert.equal(world.a.finder.view(2)?.reason, 'data-dropped')
    await world.run(9_000)
    assert.deepEqual(world.kinds, ['derp', 'derp'])
    assert.deepEqual(world.a.finder.flaws(2), ['data-dropped'])
    if (dropped === 'both') assert.equal(world.a.finder.history(2).at(-1)?.reason, 'data-dropped')
    const { delivered } = world
    await world.run(40_000)
    assert.ok(world.delivered - delivered >= 39)
    assert.deepEqual(world.kinds, ['derp', 'derp'])
    world.net.close()
  })

test('the path is tried again, at growing intervals and for some seconds only, until it works', async () => {
  const world = new World()
  await world.start()
  world.dropped = 'both'
  await world.run(1_200_000)
  const changes = world.a.finder.history(2).filter(({ reason }) => reason === 'data-dropped')
  assert.ok(changes.length >= 3 && changes.length <= 5, `left ${changes.length} times in 20 minutes`)
  assert.ok(world.delivered > 1_140, `${world.delivered} of 1200 packets arrived`)
  world.dropped = 'none'
  await world.run(620_000)
  assert.deepEqual(world.kinds, ['direct', 'direct'])
  world.net.close()
})

test('a peer that only listens is not held to be cut off, whether or not it answers questions', async () => {
  for (const answersAsks of [true, false]) {
    const world = new World()
    await world.start()
    world.answers = 'keepalive'
    world.answersAsks = answersAsks
    await world.run(600_000)
    assert.deepEqual(world.kinds, ['direct', 'direct'])
    assert.ok(!world.a.finder.history(2).some(({ reason }) => reason === 'data-dropped'))
    world.net.close()
  }
})

test('a peer that is silent whatever the way has its direct path back, and keeps it', async () => {
  const world = new World()
  await world.start()
  world.answers = 'never'
  await world.run(40_000)
  assert.equal(world.a.finder.view(2)?.kind, 'direct')
  const changes = world.a.finder.history(2).length
  await world.run(300_000)
  assert.equal(world.a.finder.history(2).length, changes)
  world.answers = 'each'
  await world.run(5_000)
  world.dropped = 'both'
  await world.run(20_000)
  assert.equal(world.a.finder.view(2)?.kind, 'derp', 'from then on it is judged again')
  world.net.close()
})

test('two handshakes without an answer are proof enough', async () => {
  const world = new World()
  await world.start()
  world.answers = 'never'
  world.sends = false
  world.askingSinceMs = world.net.clock.now()
  await world.run(8_000)
  assert.equal(world.a.finder.view(2)?.reason, 'data-dropped')
  world.net.close()
})

test('questions do not keep a pair talking that has nothing to say', async () => {
  const world = new World()
  await world.start()
  world.answers = 'never'
  await world.run(3_000)
  world.sends = false
  await world.run(120_000)
  assert.ok(world.asks <= 20, `${world.asks} questions`)
  assert.equal(world.a.finder.view(2)?.active, false)
  world.net.close()
})
