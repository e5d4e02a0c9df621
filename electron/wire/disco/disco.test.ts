import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { concat, fromHex, toHex } from '../../base/bytes.ts'
import { bytesToIp, joinEndpoint } from '../../base/endpoint.ts'
import { SharedBox } from '../../crypto/box.ts'
import { DiscoPrivate, DiscoPublic, NodePublic } from '../../crypto/keys.ts'
import { WireError } from '../codec.ts'
import { geneveHeader } from '../geneve/header.ts'
import { discoSender, isDiscoEnvelope, looksLikeDisco, openDisco, sealDisco } from './envelope.ts'
import { readDiscoMessage, writeDiscoMessage, type DiscoMessage } from './message.ts'

const hex = (text: string): Uint8Array => fromHex(text) ?? assert.fail('bad hex')
const range = (first: number, count: number): Uint8Array => Uint8Array.from({ length: count }, (_, i) => first + i)

// Computed with an independent NaCl implementation from the layouts of disco/disco.go (protocol notes, paths.md §11.3, §11.4).
const A = new DiscoPrivate(new Uint8Array(32).fill(0x11))
const B = new DiscoPrivate(new Uint8Array(32).fill(0x22))
const RELAY = new DiscoPrivate(new Uint8Array(32).fill(0x55))
const TX_ID = range(0, 12)
const PING =
  '5453f09f92ac7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13' +
  '000102030405060708090a0b0c0d0e0f1011121314151617' +
  'a7ac7f17599a192cf88baeae71f5baa35a8c19975c90fecd3caa3da5db5a4189d6e62147870e' +
  '324a90c631555cd2fdad7b7e07b399bd6378b3986ff51019'
const PONG =
  '5453f09f92ac0faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20' +
  '18191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f' +
  'febc9d044d9576ec368f13dd57c7b4a0ff5a5d66c3c93c21bc3b4a87f1d087e67b9ae526f520' +
  '70639fc7cc4aaf1936e7'
const BIND =
  '00807a11000007005453f09f92ac7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13' +
  '000102030405060708090a0b0c0d0e0f1011121314151617' +
  '4cc1931d86bc527b96897e821c1e6ad099b3b5a9a90124c89acab3457841b4df721ef3463bfdae89372dfae1a77c' +
  '15dcc36ba9e4bb1d04ad896a0baec552e4cc94028d04b243fc9160f372573457f2f3ad0325ec845a98b7ec09'

const PING_MESSAGE: DiscoMessage = {
  kind: 'ping',
  txId: TX_ID,
  nodeKey: new NodePublic(new Uint8Array(32).fill(0x33)),
  paddingBytes: 0,
}
const PONG_MESSAGE: DiscoMessage = { kind: 'pong', txId: TX_ID, source: '192.0.2.33:41641' }

test('the golden ping is sealed and opened', () => {
  const fromA = new SharedBox(A.secretBytes(), B.public.bytes)
  const fromB = new SharedBox(B.secretBytes(), A.public.bytes)
  assert.equal(toHex(sealDisco(A.public, fromA, PING_MESSAGE, range(0, 24))), PING)
  assert.deepEqual(openDisco(hex(PING), fromB), PING_MESSAGE)
  assert.equal(discoSender(hex(PING))?.text, A.public.text)
})

test('the golden pong is sealed and opened', () => {
  const fromB = new SharedBox(B.secretBytes(), A.public.bytes)
  assert.equal(
    toHex(writeDiscoMessage(PONG_MESSAGE)),
    '0200000102030405060708090a0b00000000000000000000ffffc0000221a2a9',
  )
  assert.equal(toHex(sealDisco(B.public, fromB, PONG_MESSAGE, range(24, 24))), PONG)
  assert.deepEqual(openDisco(hex(PONG), new SharedBox(A.secretBytes(), B.public.bytes)), PONG_MESSAGE)
})

test('the golden relay bind is sealed behind its Geneve header and opened by the relay', () => {
  const message: DiscoMessage = {
    kind: 'bind',
    vni: 7,
    generation: 9,
    remoteKey: B.public,
    challenge: new Uint8Array(32),
  }
  const box = new SharedBox(A.secretBytes(), RELAY.public.bytes)
  const packet = concat(
    geneveHeader({ control: true, protocol: 'disco', vni: 7 }),
    sealDisco(A.public, box, message, range(0, 24)),
  )
  assert.equal(toHex(packet), BIND)
  assert.deepEqual(openDisco(hex(BIND).subarray(8), new SharedBox(RELAY.secretBytes(), A.public.bytes)), message)
})

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 })
const discoKey = bytes32.map((bytes) => new DiscoPublic(bytes))
const txId = fc.uint8Array({ minLength: 12, maxLength: 12 })
const u32 = fc.integer({ min: 0, max: 0xff_ff_ff_ff })
const u64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n })
const endpoint = fc
  .tuple(
    fc.oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 })),
    fc.integer({ min: 0, max: 65_535 }),
  )
  .map(([bytes, port]) => joinEndpoint(bytesToIp(bytes) ?? '', port))
const clientDisco = fc.tuple(discoKey, discoKey)
const relay = fc.record({
  serverDisco: discoKey,
  clientDisco,
  lamportId: u64,
  vni: fc.integer({ min: 1, max: 0xff_ff_ff }),
  bindLifetimeNs: u64,
  steadyStateLifetimeNs: u64,
  endpoints: fc.array(endpoint, { minLength: 1, maxLength: 5 }),
})
const bindFields = { vni: u32, generation: u32, remoteKey: discoKey, challenge: bytes32 }
const message: fc.Arbitrary<DiscoMessage> = fc.oneof(
  fc.record({
    kind: fc.constant('ping' as const),
    txId,
    nodeKey: bytes32.map((bytes) => new NodePublic(bytes)),
    paddingBytes: fc.nat(1400),
  }),
  fc.record({
    kind: fc.constant('ping' as const),
    txId,
    nodeKey: fc.constant(undefined),
    paddingBytes: fc.nat(31),
  }),
  fc.record({ kind: fc.constant('pong' as const), txId, source: endpoint }),
  fc.record({ kind: fc.constant('callMeMaybe' as const), endpoints: fc.array(endpoint, { maxLength: 20 }) }),
  fc.record({ kind: fc.constantFrom('bind' as const, 'bindChallenge' as const, 'bindAnswer' as const), ...bindFields }),
  fc.record({ kind: fc.constant('callMeMaybeVia' as const), relay }),
  fc.record({ kind: fc.constant('allocateRequest' as const), clientDisco, generation: u32 }),
  fc.record({ kind: fc.constant('allocateResponse' as const), generation: u32, relay }),
)

/** Plain objects, so that prototypes and the order of members do not count. */
const plain = (value: DiscoMessage | undefined): unknown =>
  JSON.parse(
    JSON.stringify(value, (_, inner: unknown) =>
      typeof inner === 'bigint' ? String(inner) : inner instanceof Uint8Array ? toHex(inner) : inner,
    ),
  )
const sortedPlain = (value: DiscoMessage | undefined): unknown => {
  const sort = (inner: unknown): unknown =>
    inner && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(
          Object.entries(inner)
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .map(([name, member]) => [name, sort(member)]),
        )
      : inner
  return sort(plain(value))
}

test('every message is read back as it was sealed', () => {
  const ours = new SharedBox(A.secretBytes(), B.public.bytes)
  const theirs = new SharedBox(B.secretBytes(), A.public.bytes)
  fc.assert(
    fc.property(message, (written) => {
      const packet = sealDisco(A.public, ours, written)
      assert.deepEqual(sortedPlain(openDisco(packet, theirs)), sortedPlain(written))
    }),
  )
})

test('bytes after a body of fixed size do not matter', () => {
  assert.deepEqual(readDiscoMessage(concat(writeDiscoMessage(PONG_MESSAGE), hex('0102'))), PONG_MESSAGE)
})

test('a body cut short is refused, a CallMeMaybe of odd length is empty', () => {
  const bytes = writeDiscoMessage(PONG_MESSAGE)
  for (let length = 0; length < bytes.length; length++)
    assert.throws(() => readDiscoMessage(bytes.subarray(0, length)), WireError)
  const call = writeDiscoMessage({ kind: 'callMeMaybe', endpoints: ['192.0.2.1:1', '192.0.2.2:2'] })
  assert.deepEqual(readDiscoMessage(call.subarray(0, 25)), { kind: 'callMeMaybe', endpoints: [] })
})

test('unknown types, and other versions where the body depends on it, are told apart from damage', () => {
  const unknown = (error: unknown): boolean => error instanceof WireError && error.code === 'wire/unknown'
  assert.throws(() => readDiscoMessage(hex('0a00')), unknown)
  assert.throws(() => readDiscoMessage(hex('0301')), unknown)
  assert.equal(readDiscoMessage(concat(hex('0101'), TX_ID)).kind, 'ping')
})

test('a ping of an old client without node key is read, padding is counted', () => {
  assert.deepEqual(readDiscoMessage(concat(hex('0100'), TX_ID)), {
    kind: 'ping',
    txId: TX_ID,
    nodeKey: undefined,
    paddingBytes: 0,
  })
  const padded = readDiscoMessage(writeDiscoMessage({ ...PING_MESSAGE, paddingBytes: 1200 }))
  assert.ok(padded.kind === 'ping' && padded.paddingBytes === 1200)
})

test('a changed bit anywhere keeps the box shut', () => {
  const box = new SharedBox(B.secretBytes(), A.public.bytes)
  const packet = hex(PING)
  for (let at = 38; at < packet.length; at++) {
    const changed = packet.slice()
    changed[at] = (changed[at] ?? 0) ^ 1
    assert.equal(openDisco(changed, box), undefined)
  }
})

test('an envelope needs magic, key and nonce', () => {
  const packet = hex(PING)
  assert.ok(looksLikeDisco(packet.subarray(0, 38)) && !looksLikeDisco(packet.subarray(0, 37)))
  assert.ok(isDiscoEnvelope(packet.subarray(0, 62)) && !isDiscoEnvelope(packet.subarray(0, 61)))
  assert.equal(discoSender(packet.subarray(1)), undefined)
})

test('junk fails only with a wire error', () => {
  const box = new SharedBox(B.secretBytes(), A.public.bytes)
  const tagged = fc.tuple(
    fc.integer({ min: 0, max: 12 }),
    fc.integer({ min: 0, max: 1 }),
    fc.uint8Array({ maxLength: 200 }),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), tagged, (bytes, [tag, version, body]) => {
      const attempts = [
        () => readDiscoMessage(bytes),
        () => readDiscoMessage(concat(Uint8Array.of(tag, version), body)),
        () => openDisco(bytes, box),
      ]
      for (const attempt of attempts) {
        try {
          attempt()
        } catch (error) {
          assert.ok(error instanceof WireError, String(error))
        }
      }
    }),
    { numRuns: 500 },
  )
})
