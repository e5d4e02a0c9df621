import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VirtualClock } from '../base/clock.ts'
import { Listeners } from '../base/lifetime.ts'
import { SharedBox } from '../crypto/box.ts'
import { DiscoPrivate, NodePrivate } from '../crypto/keys.ts'
import { openDisco, sealDisco } from '../wire/disco/envelope.ts'
import { type Capacity, type Knock, measureCapacity } from './relay-capacity.ts'

const MBIT = 125_000
const AT = '198.51.100.2:41641'

interface Way {
  readonly bytesPerSecond: number
  readonly latencyMs: number
  /** What waits longer in front of the way is dropped. */
  readonly queueMs: number
  /** Every so many pings one is lost. */
  readonly losesEach?: number
}

async function measured(way: Way | undefined): Promise<{ found: Capacity | undefined; tookMs: number; bytes: number }> {
  const clock = new VirtualClock()
  const [ours, theirs] = [DiscoPrivate.generate(), DiscoPrivate.generate()]
  const [box, theirBox] = [
    new SharedBox(ours.secretBytes(), theirs.public.bytes),
    new SharedBox(theirs.secretBytes(), ours.public.bytes),
  ]
  const knocks = new Listeners<Knock>()
  const node = NodePrivate.generate().public
  let [freeAtMs, bytes, count] = [0, 0, 0]
  const ask = (to: string, packet: Uint8Array): void => {
    bytes += packet.length + 28
    count += 1
    freeAtMs = Math.max(freeAtMs, clock.now())
    if (!way || freeAtMs - clock.now() > way.queueMs || count % (way.losesEach ?? Infinity) === 0) return
    freeAtMs += ((packet.length + 28) / way.bytesPerSecond) * 1_000
    const ping = openDisco(packet, theirBox)
    assert.ok(ping?.kind === 'ping' && to === AT && ping.nodeKey?.equals(node) === true)
    const pong = sealDisco(theirs.public, theirBox, { kind: 'pong', txId: ping.txId, source: '192.0.2.1:1' })
    clock.after(freeAtMs - clock.now() + 2 * way.latencyMs, () => {
      // Answered twice, and by someone who only claims to be the machine: each counts once or not at all.
      for (const answer of [pong, pong, forged(pong)])
        knocks.emit({ from: AT, bytes: answer, receivedAtMs: clock.now() })
    })
  }
  const running = measureCapacity({
    clock,
    service: { ask, expect: () => {} },
    discoKey: ours.public,
    nodeKey: node,
    box,
    peer: theirs.public,
    at: AT,
    onKnock: (listener) => knocks.add(listener),
  })
  const startedMs = clock.now()
  const ended: { tookMs: number; found: Capacity | undefined }[] = []
  void running.then((found) => ended.push({ tookMs: clock.now() - startedMs, found }))
  for (let step = 0; step < 1_000 && ended.length === 0; step++) await clock.advanceAsync(20, 2)
  const [end] = ended
  assert.ok(end, 'it comes to an end')
  return { ...end, bytes }
}

const forged = (pong: Uint8Array): Uint8Array =>
  pong.map((byte, index) => (index === pong.length - 1 ? byte ^ 1 : byte))

test('finds what a way carries, whether it queues or drops', async () => {
  for (const mbit of [1.5, 8, 38, 45])
    for (const queueMs of [30, 500]) {
      const { found } = await measured({ bytesPerSecond: mbit * MBIT, latencyMs: 20, queueMs })
      const got = (found?.bytesPerSecond ?? 0) / MBIT
      assert.ok(found && !found.isLeast && Math.abs(got - mbit) < 0.15 * mbit, `${got} of ${mbit} with ${queueMs} ms`)
    }
})

test('a wide way is told as at least so much, also when a packet in fifty is lost', async () => {
  for (const losesEach of [undefined, 50]) {
    const way = { bytesPerSecond: 1_000 * MBIT, latencyMs: 60, queueMs: 50, ...(losesEach ? { losesEach } : {}) }
    const { found } = await measured(way)
    assert.deepEqual(found, { bytesPerSecond: 50 * MBIT, isLeast: true })
  }
})

test('bounded in bytes and time, and a machine that does not answer is soon left alone', async () => {
  const { tookMs, bytes } = await measured({ bytesPerSecond: 1_000 * MBIT, latencyMs: 200, queueMs: 50, losesEach: 20 })
  assert.ok(bytes < 1_500_000 && tookMs < 8_000, `${bytes} bytes in ${tookMs} ms`)
  const silent = await measured(undefined)
  assert.equal(silent.found, undefined)
  assert.ok(silent.bytes < 40_000 && silent.tookMs < 2_000)
})
