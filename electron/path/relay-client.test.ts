import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SharedBox } from '../crypto/box.ts'
import { DiscoPrivate, NodePrivate, type DiscoPublic } from '../crypto/keys.ts'
import { discoSender, openDisco, sealDisco } from '../wire/disco/envelope.ts'
import type { DiscoMessage } from '../wire/disco/message.ts'
import type { RelayEndpoint } from '../wire/disco/relay-endpoint.ts'
import { beginHandshake, stepHandshake } from './relay-handshake.ts'
import { SimHost, SimNetwork } from './simulated-network.ts'

type Kind = DiscoMessage['kind']
type Of<K extends Kind> = Extract<DiscoMessage, { kind: K }>

/** A lone finder with one peer and one relay server whose keys the test holds. */
async function lone() {
  const net = new SimNetwork()
  net.stunServers.push('203.0.113.1')
  const host = new SimHost(net, 1, '192.0.2.1')
  const peer = { disco: DiscoPrivate.generate(), node: NodePrivate.generate().public }
  const relay = { disco: DiscoPrivate.generate(), node: NodePrivate.generate().public }
  const server = DiscoPrivate.generate()
  await net.run(4_000)
  const known = (id: number, { disco, node }: typeof peer) => ({
    id,
    nodeKey: node,
    discoKey: disco.public,
    endpoints: [],
    homeRegion: 1,
    relayCapable: true,
  })
  host.finder.setPeers([known(2, peer), known(3, relay)])
  host.finder.setRelayServers([{ nodeKey: relay.node, isSelf: false }])
  const ours = host.discoKey.public
  const boxes = [peer.disco, relay.disco, server].map((key) => new SharedBox(key.secretBytes(), ours.bytes))
  const sent = <K extends Kind>(kind: K): Of<K>[] =>
    [...host.derpSent, ...host.udpSent].flatMap(({ bytes }) => {
      if (!discoSender(bytes)) return []
      const message = boxes.map((box) => openDisco(bytes, box)).find((one) => one !== undefined)
      return message?.kind === kind ? [message as Of<K>] : []
    })
  const from = (key: DiscoPrivate, message: DiscoMessage): Uint8Array =>
    sealDisco(key.public, new SharedBox(key.secretBytes(), ours.bytes), message)
  const sorted = (a: DiscoPublic, b: DiscoPublic): [DiscoPublic, DiscoPublic] =>
    Buffer.compare(a.bytes, b.bytes) < 0 ? [a, b] : [b, a]
  const place = (more: Partial<RelayEndpoint> = {}): RelayEndpoint => ({
    serverDisco: server.public,
    clientDisco: sorted(ours, peer.disco.public),
    lamportId: 1n,
    vni: 7,
    bindLifetimeNs: 30_000_000_000n,
    steadyStateLifetimeNs: 300_000_000_000n,
    endpoints: ['192.0.2.9:7777'],
    ...more,
  })
  const via = (relayEndpoint: RelayEndpoint): void =>
    host.finder.handleDerpDisco(1, peer.node, from(peer.disco, { kind: 'callMeMaybeVia', relay: relayEndpoint }))
  const control = (key: DiscoPrivate, message: DiscoMessage, vni = 7): void =>
    host.finder.handleRelayControl({
      from: '192.0.2.9:7777',
      vni,
      bytes: from(key, message),
      receivedAtMs: net.clock.now(),
    })
  return { net, host, peer, relay, server, sent, from, place, via, control, finder: host.finder }
}

test('a place for others, or at no address, is not gone to', async () => {
  const { net, sent, place, via, finder } = await lone()
  const stranger = DiscoPrivate.generate().public
  via(place({ clientDisco: [stranger, stranger] }))
  assert.equal(finder.counters['relay.via-refused'], 1)
  via(place({ endpoints: ['127.0.0.1:80', '100.64.0.1:1', '224.0.0.1:5', '192.0.2.9:0'] }))
  assert.equal(sent('bind').length, 0)
  via(place())
  assert.equal(sent('bind').length, 1)
  net.close()
})

test('many addresses and many places draw a bounded number of packets', async () => {
  const { net, sent, place, via, host } = await lone()
  const endpoints = Array.from({ length: 500 }, (_, index) => `192.0.2.${1 + (index % 250)}:${1 + index}`)
  via(place({ endpoints }))
  assert.equal(sent('bind').length, 12)
  const before = host.udpSent.length
  for (let turn = 0; turn < 200; turn++) {
    via(place({ endpoints, lamportId: BigInt(turn + 2) }))
    await net.run(50)
  }
  // Ten seconds: twelve places at once and five more, each with twelve addresses and a few repeats of the last.
  assert.ok(host.udpSent.length - before <= 17 * 12 * 6, String(host.udpSent.length - before))
  assert.ok((host.finder.counters['relay.via-refused'] ?? 0) >= 200 - 17)
  net.close()
})

test('only the relay in question moves a handshake on, with what it was asked', async () => {
  const { net, sent, place, via, control, server, peer, finder } = await lone()
  via(place())
  const [bind] = sent('bind')
  assert.ok(bind)
  assert.ok(bind.generation !== 0 && bind.challenge.every((byte) => byte === 0))
  assert.deepEqual(bind.remoteKey, peer.disco.public)
  const challenge: Of<'bindChallenge'> = { ...bind, kind: 'bindChallenge', challenge: new Uint8Array(32).fill(9) }
  control(DiscoPrivate.generate(), challenge)
  control(peer.disco, challenge)
  control(server, { ...challenge, generation: bind.generation + 1 })
  control(server, { ...challenge, vni: 8 })
  control(server, challenge, 8)
  control(server, { ...challenge, remoteKey: server.public })
  control(server, { ...challenge, kind: 'bind' })
  finder.handleRelayControl({ from: '192.0.2.9:7777', vni: 7, bytes: new Uint8Array(9), receivedAtMs: 0 })
  assert.equal(sent('bindAnswer').length, 0)
  assert.equal(finder.counters['relay.unasked'], 7)
  assert.equal(finder.counters['relay.not-whole'], 1)
  control(server, challenge)
  const [answer] = sent('bindAnswer')
  assert.deepEqual(answer?.challenge, challenge.challenge)
  assert.equal(answer?.generation, bind.generation)
  assert.equal(sent('ping').length, 1)
  control(server, challenge)
  assert.equal(sent('bindAnswer').length, 1, 'one Challenge is enough')
  net.close()
})

test('a relay is asked once, thrice at most, and only its own answer to that counts', async () => {
  const { net, sent, place, relay, peer, from, finder } = await lone()
  finder.noteActive(2)
  await net.run(350)
  const [request] = sent('allocateRequest')
  assert.ok(request)
  const { generation } = request
  const response = (more: Partial<Of<'allocateResponse'>> = {}): Of<'allocateResponse'> => ({
    kind: 'allocateResponse',
    generation,
    relay: place(),
    ...more,
  })
  finder.handleDerpDisco(1, peer.node, from(peer.disco, response()))
  finder.handleDerpDisco(1, relay.node, from(relay.disco, response({ generation: generation + 1 })))
  const strangers = place({ clientDisco: [relay.disco.public, peer.disco.public] })
  finder.handleDerpDisco(1, relay.node, from(relay.disco, response({ relay: strangers })))
  assert.equal(finder.counters['relay.unasked-response'], 3)
  assert.equal(sent('bind').length, 0)
  await net.run(3_000)
  assert.equal(sent('allocateRequest').length, 3)
  finder.handleDerpDisco(1, relay.node, from(relay.disco, response()))
  assert.equal(sent('bind').length, 1)
  assert.deepEqual(sent('callMeMaybeVia')[0]?.relay, place())
  finder.handleDerpDisco(1, relay.node, from(relay.disco, response()))
  assert.equal(finder.counters['relay.unasked-response'], 4)
  net.close()
})

test('an older place of the same relay is ignored, a newer one replaces it', async () => {
  const { net, sent, place, via } = await lone()
  via(place({ lamportId: 5n }))
  via(place({ lamportId: 5n }))
  via(place({ lamportId: 4n, vni: 6 }))
  assert.deepEqual(
    sent('bind').map(({ vni }) => vni),
    [7],
  )
  via(place({ lamportId: 6n, vni: 8 }))
  assert.deepEqual(
    sent('bind').map(({ vni }) => vni),
    [7, 8],
  )
  net.close()
})

test('a peer asks our relay for itself and another, never for two others', async () => {
  const { net, relay, peer, from, host, finder } = await lone()
  const server = net.addRelay(host, '192.0.2.1:7777')
  const ask = (one: DiscoPublic, other: DiscoPublic): void =>
    finder.handleDerpDisco(
      1,
      peer.node,
      from(peer.disco, { kind: 'allocateRequest', clientDisco: [one, other], generation: 5 }),
    )
  ask(relay.disco.public, host.discoKey.public)
  assert.equal(finder.counters['relay.request-for-others'], 1)
  assert.equal(server.places, 0)
  ask(peer.disco.public, relay.disco.public)
  assert.equal(server.places, 1)
  net.close()
})

test('a handshake ends by itself when nothing answers, and sends each packet a few times', () => {
  let nowMs = 0
  let { handshake, effects } = beginHandshake(['192.0.2.9:1', '192.0.2.9:2'], nowMs)
  const all = [...effects]
  while (!all.some(({ type }) => type === 'failed')) {
    nowMs = handshake.wakeAtMs
    ;({ handshake, effects } = stepHandshake(handshake, { type: 'tick' }, nowMs))
    all.push(...effects)
    assert.ok(nowMs <= 30_000)
  }
  assert.equal(all.filter(({ type }) => type === 'bind').length, 12)
  ;({ handshake } = beginHandshake(['192.0.2.9:1'], nowMs))
  const began = nowMs
  ;({ handshake, effects } = stepHandshake(
    handshake,
    { type: 'challenge', from: '192.0.2.9:1', challenge: new Uint8Array(32) },
    nowMs,
  ))
  assert.deepEqual(
    effects.map(({ type }) => type),
    ['answer', 'ping'],
  )
  let pings = 1
  let failed = false
  while (!failed) {
    nowMs = Math.min(handshake.wakeAtMs, nowMs + 50)
    for (const input of [{ type: 'peer-ping' }, { type: 'tick' }] as const) {
      ;({ handshake, effects } = stepHandshake(handshake, input, nowMs))
      pings += effects.filter(({ type }) => type === 'ping').length
      failed ||= effects.some(({ type }) => type === 'failed')
    }
  }
  assert.ok(nowMs - began <= 30_000)
  assert.ok(pings <= 23, `${pings} pings, whatever the peer sends`)
})

test('while we wait for the peer at a place, each new search tells it of the place again', async () => {
  const { net, sent, from, place, control, relay, server, finder } = await lone()
  const answerAll = (answered: number): number => {
    const requests = sent('allocateRequest')
    for (const { generation } of requests.slice(answered))
      finder.handleDerpDisco(1, relay.node, from(relay.disco, { kind: 'allocateResponse', generation, relay: place() }))
    return requests.length
  }
  let answered = 0
  for (let step = 0; step < 10; step++) {
    finder.noteActive(2)
    await net.run(100)
    answered = answerAll(answered)
  }
  const [bind] = sent('bind')
  assert.ok(bind)
  control(server, { ...bind, kind: 'bindChallenge', challenge: new Uint8Array(32).fill(9) })
  // The first place was told of three times by now: the peer had no use for it, or they were lost.
  await net.run(2_500)
  const told = sent('callMeMaybeVia').length
  for (let step = 0; step < 50; step++) {
    finder.noteActive(2)
    await net.run(100)
    answered = answerAll(answered)
  }
  assert.ok(answered >= 2, String(answered))
  assert.equal(new Set(sent('bind').map(({ generation }) => generation)).size, 1, 'the handshake under way goes on')
  assert.ok(sent('callMeMaybeVia').length > told)
  net.close()
})
