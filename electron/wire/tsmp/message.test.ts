import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fromHex, toHex } from '../../base/bytes.ts'
import { WireError } from '../codec.ts'
import { readTsmp, rejection, type Tsmp, type TsmpPacket, writeTsmp } from './message.ts'

const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length })
const message: fc.Arbitrary<Tsmp> = fc.oneof(
  bytes(8).map((data): Tsmp => ({ kind: 'ping', data })),
  fc.tuple(bytes(8), fc.nat(65_535)).map(([data, peerApiPort]): Tsmp => ({ kind: 'pong', data, peerApiPort })),
  bytes(32).map((key): Tsmp => ({ kind: 'disco-key', key })),
  fc
    .tuple(fc.nat(255), fc.constantFrom('policy', 'shields-up', 'other'), fc.nat(65_535), fc.nat(65_535))
    .map(([protocol, reason, source, destination]): Tsmp => {
      return { kind: 'rejected', protocol, reason, ports: { source, destination } }
    }),
)
const packet: fc.Arbitrary<TsmpPacket> = fc
  .constantFrom(4, 16)
  .chain((size) => fc.record({ source: bytes(size), destination: bytes(size), message }, { noNullPrototype: true }))

test('what is written is read back', () => {
  fc.assert(fc.property(packet, (input) => assert.deepEqual(readTsmp(writeTsmp(input)), input)))
})

test('a ping from 100.64.0.1 to 100.64.0.2 has this form', () => {
  // Header checksum computed by hand over RFC 791's layout.
  const ping = writeTsmp({
    source: Uint8Array.of(100, 64, 0, 1),
    destination: Uint8Array.of(100, 64, 0, 2),
    message: { kind: 'ping', data: new Uint8Array(8) },
  })
  assert.equal(toHex(ping), '4500001d000000004063b1fb6440000164400002700000000000000000')
})

test('a connection that is turned away is named by its ports, to whoever began it', () => {
  const [one, other] = [Uint8Array.of(100, 64, 0, 1), Uint8Array.of(100, 64, 0, 2)]
  // From 100.64.0.1:40000 to 100.64.0.2:22.
  const syn = fromHex('45000028000040004006000064400001644000029c40001600000001000000005002000000000000')
  assert.ok(syn)
  const message = {
    kind: 'rejected',
    protocol: 6,
    reason: 'policy',
    ports: { source: 40_000, destination: 22 },
  } as const
  assert.deepEqual(rejection(syn), { source: other, destination: one, message })
  assert.equal(toHex(writeTsmp({ source: other, destination: one, message }).subarray(20)), '2106419c40001600')
})

test('any packet that is turned away is told of, or is none', () => {
  const start = fc.constantFrom('45000028000040004006', '6000000000140640', '450000280000400040010000', '6f', '4f')
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 80 }), (head, tail) => {
      const told = rejection(Uint8Array.of(...(fromHex(head) ?? []), ...tail))
      if (told) assert.deepEqual(readTsmp(writeTsmp(told)), told)
    }),
  )
})

test('no bytes whatever fail but with a wire code', () => {
  const start = fc.constantFrom('4500001d000000004063', '60000000000963', '45', '6f', '4f')
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 80 }), (head, tail) => {
      try {
        readTsmp(Uint8Array.of(...(fromHex(head) ?? []), ...tail))
      } catch (error) {
        assert.ok(error instanceof WireError)
      }
    }),
  )
})
