import assert from 'node:assert/strict'
import test from 'node:test'

import fc from 'fast-check'

import { SharedBox } from '../crypto/box.ts'
import { DiscoPrivate, type DiscoPublic, NodePrivate } from '../crypto/keys.ts'
import { openDisco, sealDisco } from '../wire/disco/envelope.ts'
import type { DiscoMessage } from '../wire/disco/message.ts'
import { MAX_VNI } from '../wire/geneve/header.ts'
import { BIND_LIFETIME_MS, RelayServer, STEADY_LIFETIME_MS } from './relay-server.ts'

const server = (options: Partial<ConstructorParameters<typeof RelayServer>[0]> = {}): RelayServer =>
  new RelayServer({ nowMs: 0, ...options })

/** One end of a relayed pair, as a client behaves. */
class Client {
  readonly node = NodePrivate.generate().public
  readonly #key = DiscoPrivate.generate()
  readonly #box: SharedBox
  readonly #server: DiscoPublic
  readonly disco = this.#key.public

  constructor(relay: RelayServer) {
    this.#server = relay.discoKey
    this.#box = new SharedBox(this.#key.secretBytes(), relay.discoKey.bytes)
  }

  seal(message: DiscoMessage): Uint8Array {
    return sealDisco(this.disco, this.#box, message)
  }

  open(packet: Uint8Array): DiscoMessage | undefined {
    assert.ok(packet.length > 0 && this.#server)
    return openDisco(packet, this.#box)
  }

  bind(vni: number, generation: number, remoteKey: DiscoPublic): Uint8Array {
    return this.seal({ kind: 'bind', vni, generation, remoteKey, challenge: new Uint8Array(32) })
  }
}

function pairOf(relay: RelayServer): { a: Client; b: Client; vni: number } {
  const [a, b] = [new Client(relay), new Client(relay)]
  const made = relay.allocate(a.node, a.disco, [a.disco, b.disco], 0)
  assert.ok('session' in made)
  return { a, b, vni: made.session.vni }
}

/** The whole handshake of one side; what the last step asks for. */
function handshake(relay: RelayServer, client: Client, other: Client, vni: number, from: string, nowMs = 0) {
  const [reply] = relay.handleControl(from, vni, client.bind(vni, 1, other.disco), nowMs)
  assert.ok(reply?.type === 'challenge' && reply.endpoint === from)
  const challenge = client.open(reply.bytes)
  assert.ok(challenge?.kind === 'bindChallenge')
  return relay.handleControl(from, vni, client.seal({ ...challenge, kind: 'bindAnswer' }), nowMs)
}

test('both clients bind where they answered from, and a later handshake moves one side', () => {
  const relay = server()
  const { a, b, vni } = pairOf(relay)
  const [first] = handshake(relay, a, b, vni, '192.0.2.1:10')
  assert.equal(first?.type, 'bind')
  handshake(relay, b, a, vni, '[2001:db8::2]:20')
  const endpoints = (): Record<string, string | undefined> =>
    Object.fromEntries(relay.sessions[0]?.sides.map(({ client, endpoint }) => [client.text, endpoint]) ?? [])
  assert.deepEqual(endpoints(), { [a.disco.text]: '192.0.2.1:10', [b.disco.text]: '[2001:db8::2]:20' })
  handshake(relay, a, b, vni, '192.0.2.1:11')
  assert.deepEqual(endpoints(), { [a.disco.text]: '192.0.2.1:11', [b.disco.text]: '[2001:db8::2]:20' })
})

test('a reply is never longer than what asked for it', () => {
  const relay = server()
  const { a, b, vni } = pairOf(relay)
  const bind = a.bind(vni, 1, b.disco)
  const [reply] = relay.handleControl('192.0.2.1:10', vni, bind, 0)
  assert.ok(reply?.type === 'challenge' && reply.bytes.length <= bind.length)
})

test('drops strangers, wrong steps, replayed and moved answers', () => {
  const relay = server()
  const { a, b, vni } = pairOf(relay)
  const stranger = new Client(relay)
  const from = '192.0.2.1:10'
  const drops = (packet: Uint8Array, at = from, to = vni): void =>
    assert.deepEqual(relay.handleControl(at, to, packet, 0), [])
  drops(stranger.bind(vni, 1, b.disco))
  drops(a.bind(vni, 1, b.disco), from, vni === 1 ? 2 : 1)
  drops(a.bind(vni, 0, b.disco))
  drops(a.bind(vni, 1, a.disco))
  drops(a.bind(vni + 1, 1, b.disco))
  drops(new Uint8Array(200))
  drops(a.seal({ kind: 'ping', txId: new Uint8Array(12), nodeKey: undefined, paddingBytes: 0 }))
  const [reply] = relay.handleControl(from, vni, a.bind(vni, 5, b.disco), 0)
  const challenge = reply?.type === 'challenge' ? a.open(reply.bytes) : undefined
  assert.ok(challenge?.kind === 'bindChallenge')
  const answer = a.seal({ ...challenge, kind: 'bindAnswer' })
  drops(answer, '198.51.100.9:10')
  drops(a.seal({ ...challenge, kind: 'bindAnswer', generation: 6 }))
  assert.equal(relay.handleControl(from, vni, answer, 0).length, 1)
  drops(answer)
  drops(answer, '198.51.100.9:10')
  assert.equal(relay.refusals.get('wrong-challenge'), 1)
})

test('the same pair gets the same session, from either side and in either order', () => {
  const relay = server()
  const { a, b, vni } = pairOf(relay)
  const again = relay.allocate(b.node, b.disco, [b.disco, a.disco], 1_000)
  assert.ok('session' in again && again.session.vni === vni && !again.isNew)
  assert.equal(again.session.lamportId, 1n)
  const [first, second] = again.session.sides
  assert.ok(first.client.compare(second.client) < 0)
})

test('refuses pairs that are none, and the requester that is not in it', () => {
  const relay = server()
  const [a, b, c] = [new Client(relay), new Client(relay), new Client(relay)]
  const ask = (pair: readonly [DiscoPublic, DiscoPublic]): unknown => relay.allocate(a.node, a.disco, pair, 0)
  assert.deepEqual(ask([a.disco, a.disco]), { refused: 'bad-pair' })
  assert.deepEqual(ask([b.disco, c.disco]), { refused: 'bad-pair' })
  assert.deepEqual(ask([a.disco, relay.discoKey]), { refused: 'bad-pair' })
})

test('one requester gets so many sessions and requests, others still get theirs', () => {
  const relay = server({ limits: { sessionsPerRequester: 3, sessions: 5 } })
  const [greedy, modest] = [new Client(relay), new Client(relay)]
  const ask = (by: Client, nowMs: number) =>
    relay.allocate(by.node, by.disco, [by.disco, DiscoPrivate.generate().public], nowMs)
  for (let i = 0; i < 3; i++) assert.ok('session' in ask(greedy, 0))
  assert.deepEqual(ask(greedy, 0), { refused: 'too-many-sessions' })
  assert.ok('session' in ask(modest, 0))
  assert.ok('session' in ask(modest, 0))
  assert.deepEqual(ask(modest, 0), { refused: 'relay-full' })
  for (let i = 0; i < 46; i++) ask(greedy, 0)
  assert.deepEqual(ask(greedy, 0), { refused: 'too-many-requests' })
  assert.deepEqual(ask(greedy, 500), { refused: 'too-many-sessions' })
  assert.equal(relay.sessions.length, 5)
  assert.equal(relay.collect(BIND_LIFETIME_MS + 1, () => []).length, 5)
  assert.ok('session' in ask(greedy, BIND_LIFETIME_MS + 1), 'heals as sessions expire')
})

test('who fills the relay gives way to who has next to nothing, but nobody in use does', () => {
  const limits = { sessionsPerRequester: 256, sessions: 1_024 }
  const relay = server({ limits })
  const hostile = Array.from({ length: 8 }, () => new Client(relay))
  const { a, b, vni } = pairOf(relay)
  for (const [one, other, from] of [
    [a, b, '192.0.2.1:10'],
    [b, a, '192.0.2.2:20'],
  ] as const)
    handshake(relay, one, other, vni, from)
  const ask = (by: Client, nowMs: number) =>
    relay.allocate(by.node, by.disco, [by.disco, DiscoPrivate.generate().public], nowMs)
  for (let second = 0; second < 60; second++)
    for (const by of hostile) for (let request = 0; request < 12; request++) ask(by, second * 1_000)
  assert.ok(relay.count <= limits.sessions)
  const modest = new Client(relay)
  const made = ask(modest, 60_000)
  assert.ok('session' in made && made.ended.length === 1 && relay.count <= limits.sessions)
  assert.ok(relay.session(vni), 'who is carried stays')
  assert.ok(relay.refusals.get('too-many-requests'))
  const vnis = new Set(relay.sessions.map((session) => session.vni))
  assert.equal(vnis.size, relay.count)
  relay.retain((name) => name === modest.node.text)
  assert.equal(relay.count, 1)
})

test('draws another VNI when one is taken, and gives up when none is free', () => {
  let draws = 0
  const relay = server({ randomVni: () => (draws++ === 0 ? 9 : draws < 4 ? 9 : 10) })
  pairOf(relay)
  assert.equal(pairOf(relay).vni, 10)
  const full = server({ randomVni: () => 7 })
  pairOf(full)
  const [a, b] = [new Client(full), new Client(full)]
  assert.deepEqual(full.allocate(a.node, a.disco, [a.disco, b.disco], 0), { refused: 'relay-full' })
})

test('VNIs are in range and never shared', () => {
  const relay = server()
  const seen = new Set<number>()
  for (let i = 0; i < 40; i++) {
    const { vni } = pairOf(relay)
    assert.ok(vni >= 1 && vni <= MAX_VNI && !seen.has(vni))
    seen.add(vni)
  }
})

test('an unbound session lives 30 s from the last request, a bound one as long as both sides are heard', () => {
  const relay = server()
  const { a, b, vni } = pairOf(relay)
  relay.allocate(a.node, a.disco, [a.disco, b.disco], 20_000)
  handshake(relay, a, b, vni, '192.0.2.1:10', 40_000)
  assert.deepEqual(
    relay.collect(50_000, () => []),
    [],
  )
  handshake(relay, b, a, vni, '192.0.2.2:20', 50_000)
  const later = 50_000 + STEADY_LIFETIME_MS
  assert.deepEqual(
    relay.collect(later - 15_000, () => []),
    [],
  )
  assert.deepEqual(
    relay.collect(later + 1_000, () => [later, later]),
    [],
  )
  assert.equal(relay.collect(later + 1_000, () => [later, 0]).length, 1, 'one side alone does not keep it')
  assert.deepEqual(relay.sessions, [])
})

test('a session ends when none of those who asked for it may relay here any more', () => {
  const relay = server()
  const { a, b } = pairOf(relay)
  relay.allocate(b.node, b.disco, [a.disco, b.disco], 0)
  assert.deepEqual(
    relay.retain((name) => name === b.node.text),
    [],
  )
  assert.equal(relay.retain(() => false).length, 1)
})

test('nothing from the wire makes it fail', () => {
  const relay = server()
  const { vni } = pairOf(relay)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.string(), (bytes, from) => {
      assert.deepEqual(relay.handleControl(from, vni, bytes, 0), [])
    }),
  )
})
