import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DiscoKind } from '../wire/disco/message.ts'
import { SimHost, SimNat, SimNetwork, type NatKind, type Packet } from './simulated-network.ts'
import type { SimRelay } from './simulated-relay.ts'

interface World {
  readonly net: SimNetwork
  readonly a: SimHost
  readonly b: SimHost
  readonly relay: SimRelay
  readonly r: SimHost
  readonly natA: SimNat
  readonly natB: SimNat
}

/** Two hosts that need a relay, and a third node that runs one. */
async function world(kindA: NatKind = 'hard', kindB: NatKind = 'hard'): Promise<World> {
  const net = new SimNetwork()
  net.stunServers.push('203.0.113.1', '203.0.113.2')
  const natA = new SimNat('198.51.100.1', kindA)
  const natB = new SimNat('198.51.100.2', kindB)
  const a = new SimHost(net, 1, '192.168.1.2', natA)
  const b = new SimHost(net, 2, '192.168.2.2', natB)
  const r = new SimHost(net, 3, '192.0.2.3')
  const relay = net.addRelay(r, '192.0.2.3:7777')
  await net.run(9_000)
  net.publish()
  return { net, a, b, r, relay, natA, natB }
}

/** Data between the two hosts only. */
async function talk({ net, a, b }: World, ms: number, everyMs = 500): Promise<void> {
  for (let leftMs = ms; leftMs > 0; leftMs -= everyMs) {
    a.finder.noteActive(2)
    b.finder.noteActive(1)
    await net.run(Math.min(leftMs, everyMs))
  }
}

const kinds = ({ a, b }: World): readonly (string | undefined)[] => [a.finder.view(2)?.kind, b.finder.view(1)?.kind]

/** Milliseconds of talk until `done`; fails after `mostMs`. */
async function until(place: World, done: () => boolean, mostMs: number): Promise<number> {
  const startMs = place.net.clock.now()
  while (!done()) {
    assert.ok(place.net.clock.now() - startMs <= mostMs, `not within ${mostMs} ms: ${kinds(place).join(', ')}`)
    await talk(place, 50, 50)
  }
  return place.net.clock.now() - startMs
}

const bothOn = (place: World, kind: string) => (): boolean => kinds(place).every((one) => one === kind)

test('two hosts behind hard NATs are on the relay a second after the first packet', async () => {
  const place = await world()
  place.a.finder.noteActive(2)
  const tookMs = await until(place, bothOn(place, 'peer-relay'), 1_000)
  assert.ok(tookMs < 1_000)
  const view = place.a.finder.view(2)
  assert.equal(view?.endpoint, '192.0.2.3:7777')
  assert.equal(view?.relay, place.r.nodeKey.text)
  assert.equal(view?.latencyMs, 40)
  assert.equal(view?.reason, 'relay')
  const spec = place.a.specs.get(2)
  assert.deepEqual(spec?.leg, { kind: 'relay', endpoint: '192.0.2.3:7777', vni: view?.vni })
  assert.deepEqual(spec?.fallback, { kind: 'derp', region: 1 })
  place.net.close()
})

test('one side alone knows the relay: the other is told of it', async () => {
  const place = await world()
  place.b.finder.setRelayServers([])
  await until(place, bothOn(place, 'peer-relay'), 1_500)
  place.net.close()
})

test('who was told of the relay before it looked for one itself learns whose it is', async () => {
  const place = await world()
  const { a, b, r, net } = place
  for (let tookMs = 0; !bothOn(place, 'peer-relay')(); tookMs += 50) {
    assert.ok(tookMs < 1_500, kinds(place).join(', '))
    a.finder.noteActive(2)
    await net.run(50)
  }
  await net.run(1_000)
  assert.equal(b.finder.view(1)?.relay, r.nodeKey.text)
  net.close()
})

test('pairs that can be direct ask no relay for anything', async () => {
  const place = await world('easy', 'easy')
  await talk(place, 10_000)
  assert.deepEqual(kinds(place), ['direct', 'direct'])
  assert.equal(place.relay.forwarded, 0)
  assert.equal(place.relay.places, 0)
  place.net.close()
})

test('the loss of any single packet on the way to the relay costs less than two seconds', async () => {
  const lost: readonly (readonly [DiscoKind, boolean])[] = [
    ['allocateRequest', false],
    ['allocateResponse', false],
    ['callMeMaybeVia', false],
    ['bind', true],
    ['bindChallenge', true],
    ['bindAnswer', true],
    ['ping', true],
    ['pong', true],
  ]
  for (const [kind, relayed] of lost)
    for (const nth of [1, 2, 3]) {
      const place = await world()
      let seen = 0
      place.net.lose = (packet: Packet) => packet.relayed === relayed && packet.kind === kind && ++seen === nth
      await until(place, bothOn(place, 'peer-relay'), 2_000)
      place.net.close()
    }
})

test('a quarter of all packets to and from the relay may be lost, the pair still gets there', async () => {
  const place = await world()
  // A linear congruential generator: the same losses each time.
  let state = 7
  place.net.lose = ({ relayed }) => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return relayed && state < 2 ** 29
  }
  await until(place, () => place.a.views.some(({ view }) => view.kind === 'peer-relay'), 10_000)
  place.net.close()
})

test('a relayed pair stays there as long as it talks, and both sides keep the place alive', async () => {
  const place = await world()
  await until(place, bothOn(place, 'peer-relay'), 2_000)
  const changes = place.a.views.filter(({ peer }) => peer === 2).length
  await talk(place, 20 * 60_000, 1_000)
  assert.deepEqual(kinds(place), ['peer-relay', 'peer-relay'])
  assert.equal(place.a.finder.history(2).length, 2, 'DERP, then the relay')
  assert.ok(place.a.views.filter(({ peer }) => peer === 2).length - changes <= 2)
  place.net.close()
})

test('after four minutes without data the place still stands; after six a new one is taken at once', async () => {
  for (const [minutes, vni] of [
    [4, 1],
    [6, 2],
  ] as const) {
    const place = await world()
    await until(place, bothOn(place, 'peer-relay'), 2_000)
    await place.net.rest(minutes * 60_000)
    await talk(place, 2_000, 100)
    await until(place, () => bothOn(place, 'peer-relay')() && place.a.specs.get(2)?.leg?.kind === 'relay', 1_000)
    assert.equal(place.a.finder.view(2)?.vni, vni)
    assert.ok(place.a.finder.view(2)?.trusted)
    place.net.close()
  }
})

test('a relay that dies silently is left within 1.5 s, and taken again soon after it is back', async () => {
  const place = await world()
  await until(place, bothOn(place, 'peer-relay'), 2_000)
  for (let round = 0; round < 5; round++) {
    await talk(place, 5_000 + round * 130)
    place.relay.dead = true
    const leftMs = await until(
      place,
      () =>
        [place.a.specs.get(2), place.b.specs.get(1)].every(
          (spec) => (spec?.trustedUntilMs ?? 0) < place.net.clock.now(),
        ),
      1_500,
    )
    assert.ok(leftMs <= 1_500)
    await until(place, bothOn(place, 'derp'), 7_000)
    await talk(place, 20_000)
    place.relay.restart()
    await until(place, bothOn(place, 'peer-relay'), 15_000)
  }
  place.net.close()
})

test('a relay that restarts is taken anew within three seconds', async () => {
  const place = await world()
  await until(place, bothOn(place, 'peer-relay'), 2_000)
  await talk(place, 5_000)
  place.relay.restart()
  await talk(place, 1_500, 50)
  await until(place, () => bothOn(place, 'peer-relay')() && place.a.finder.view(2)?.trusted === true, 1_500)
  place.net.close()
})

test('a router that forgot its mappings moves the place at the relay', async () => {
  const place = await world()
  await until(place, bothOn(place, 'peer-relay'), 2_000)
  await talk(place, 5_000)
  place.natA.reboot()
  await talk(place, 1_500, 50)
  await until(place, () => bothOn(place, 'peer-relay')() && place.a.finder.view(2)?.trusted === true, 1_500)
  place.net.close()
})

test('a peer that starts anew, with another disco key, is on the relay again within two seconds of being announced', async () => {
  const place = await world()
  await until(place, bothOn(place, 'peer-relay'), 2_000)
  await talk(place, 5_000)
  place.b.restart()
  await place.net.run(1_000)
  place.net.publish()
  const isTrusted = (): boolean => place.a.finder.view(2)?.trusted === true && place.b.finder.view(1)?.trusted === true
  await until(place, () => bothOn(place, 'peer-relay')() && isTrusted(), 2_000)
  assert.equal(place.relay.places, 2, 'a place belongs to the disco keys it was taken with')
  place.net.close()
})

test('a lost direct path leads to the relay within three seconds, and back within one when it is possible again', async () => {
  const place = await world('easy', 'easy')
  await talk(place, 10_000)
  assert.deepEqual(kinds(place), ['direct', 'direct'])
  const between = ({ from, to }: Packet): boolean => [from, to].every((end) => end?.startsWith('198.51.100.') === true)
  for (let round = 0; round < 5; round++) {
    place.net.lose = between
    await until(place, bothOn(place, 'peer-relay'), 3_000)
    await talk(place, 30_000 + round * 210)
    place.net.lose = () => false
    await until(place, bothOn(place, 'direct'), 1_000)
    await talk(place, 5_000)
  }
  assert.ok(place.a.finder.history(2).some(({ reason, to }) => reason === 'silent' && to.kind === 'derp'))
  assert.ok(place.a.finder.history(2).some(({ reason, to }) => reason === 'better' && to.kind === 'direct'))
  place.net.close()
})

test('of several relays the faster one is used in the end', async () => {
  const place = await world()
  const far = new SimHost(place.net, 4, '192.0.2.4')
  place.net.addRelay(far, '192.0.2.4:7777')
  place.net.slow = (endpoint) => (endpoint.startsWith('192.0.2.3:') ? 40 : 0)
  await place.net.run(5_000)
  place.net.publish()
  await talk(place, 5_000)
  assert.equal(place.a.finder.view(2)?.endpoint, '192.0.2.4:7777')
  assert.equal(place.b.finder.view(1)?.endpoint, '192.0.2.4:7777')
  place.net.close()
})

test('a node that runs the relay itself uses it like any other', async () => {
  const place = await world()
  place.net.hosts.splice(place.net.hosts.indexOf(place.r), 1)
  place.r.finder.close()
  place.a.relay = place.relay
  place.net.publish()
  await until(place, bothOn(place, 'peer-relay'), 1_500)
  assert.equal(place.a.finder.view(2)?.relay, place.a.nodeKey.text)
  place.net.close()
})

test('policies: only direct, only this relay, this relay first, no data over DERP', async () => {
  const place = await world()
  const { a, b, r } = place
  a.finder.setPolicy({ mode: 'only-direct', derpData: true })
  await talk(place, 5_000)
  assert.equal(a.finder.view(2)?.kind, 'none')
  assert.equal(a.finder.view(2)?.reason, 'policy')
  assert.equal(a.specs.get(2)?.leg, undefined)
  a.finder.setPolicy({ mode: 'automatic', derpData: false })
  await until(place, bothOn(place, 'peer-relay'), 2_000)
  assert.equal(a.specs.get(2)?.fallback, undefined)
  place.net.close()

  const easy = await world('easy', 'easy')
  await talk(easy, 3_000)
  assert.deepEqual(kinds(easy), ['direct', 'direct'])
  easy.a.finder.setPolicy({ mode: 'prefer-relay', relay: easy.r.nodeKey.text, derpData: true })
  await until(easy, () => easy.a.finder.view(2)?.kind === 'peer-relay', 2_000)
  assert.equal(easy.b.finder.view(1)?.kind, 'direct', 'the policy is ours alone')
  await talk(easy, 60_000)
  assert.equal(easy.a.finder.view(2)?.kind, 'peer-relay')
  easy.relay.dead = true
  await until(easy, () => easy.a.finder.view(2)?.kind === 'direct', 3_000)
  easy.relay.restart()
  await until(easy, () => easy.a.finder.view(2)?.kind === 'peer-relay', 12_000)
  const only = { mode: 'only-relay', relay: b.nodeKey.text, derpData: true } as const
  easy.a.finder.setPolicy(easy.a.finder.policy, new Map([[2, only]]))
  await talk(easy, 3_000)
  assert.equal(easy.a.finder.view(2)?.kind, 'none')
  easy.a.finder.setPolicy(easy.a.finder.policy, new Map([[2, { ...only, relay: easy.r.nodeKey.text }]]))
  await until(easy, () => easy.a.finder.view(2)?.kind === 'peer-relay', 2_000)
  assert.equal(easy.a.specs.get(2)?.fallback, undefined)
  easy.net.close()
  void r
})

test('a direct path that loses a third of all packets is left for the relay, and tried again later', async () => {
  const place = await world('easy', 'easy')
  await talk(place, 10_000)
  assert.deepEqual(kinds(place), ['direct', 'direct'])
  let state = 2
  const between = ({ from, to }: Packet): boolean => [from, to].every((end) => end?.startsWith('198.51.100.') === true)
  place.net.lose = (packet) => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return between(packet) && state < 2 ** 31 / 3
  }
  await talk(place, 40_000)
  assert.deepEqual(kinds(place), ['peer-relay', 'peer-relay'])
  assert.deepEqual(place.a.finder.flaws(2), ['lossy'])
  const changes = place.a.finder.history(2).length
  await talk(place, 15_000)
  assert.equal(place.a.finder.history(2).length, changes, 'no to and fro')
  place.net.lose = () => false
  await until(place, bothOn(place, 'direct'), 90_000)
  await talk(place, 120_000)
  assert.deepEqual(kinds(place), ['direct', 'direct'])
  place.net.close()
})

test('a direct path that is far slower than a relay is left for it', async () => {
  const place = await world('easy', 'easy')
  const between = (to: string): boolean => to.startsWith('198.51.100.')
  place.net.slow = (to) => (between(to) ? 200 : 0)
  await talk(place, 70_000)
  assert.deepEqual(kinds(place), ['peer-relay', 'peer-relay'])
  place.net.slow = () => 0
  await until(place, bothOn(place, 'direct'), 10_000)
  place.net.close()
})

test('of a relay that does not work, the step that fails is known, until it works', async () => {
  const place = await world()
  const { a, r, net } = place
  const step = (): string | undefined => a.finder.relayFailures(2)[0]?.step
  const relayOfPacket = ({ from, to }: Packet): boolean => [from, to].includes('192.0.2.3:7777')
  place.relay.dead = true
  await talk(place, 10_000)
  assert.deepEqual(step(), 'no-answer')
  assert.equal(a.finder.relayFailures(2)[0]?.node, r.nodeKey.text)
  place.relay.dead = false
  net.lose = relayOfPacket
  await talk(place, 30_000)
  assert.deepEqual(step(), 'no-challenge')
  net.lose = (packet) =>
    relayOfPacket(packet) && [packet.from, packet.to].some((end) => end?.startsWith('198.51.100.2:'))
  await talk(place, 60_000)
  assert.deepEqual(step(), 'no-pong')
  net.lose = () => false
  await until(place, bothOn(place, 'peer-relay'), 30_000)
  assert.deepEqual(step(), undefined)
  place.net.close()
})

test('an idle pair costs nothing, and a closed finder leaves no timer', async () => {
  const place = await world()
  await until(place, bothOn(place, 'peer-relay'), 2_000)
  await place.net.rest(120_000)
  const sent = place.a.udpSent.length
  await place.net.rest(600_000)
  assert.equal(place.a.udpSent.length, sent)
  assert.equal(place.net.clock.pendingTimers, 0)
  place.a.finder.noteActive(2)
  await place.net.run(350)
  place.net.close()
  // What is on its way arrives nowhere.
  await place.net.run(100)
  assert.equal(place.net.clock.pendingTimers, 0)
})
