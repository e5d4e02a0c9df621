import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fromHex, toHex } from '../../base/bytes.ts'
import { bytesToIp } from '../../base/endpoint.ts'
import { WireError } from '../codec.ts'
import {
  natPmpExternalAddressRequest,
  natPmpMapRequest,
  natPmpResponse,
  readNatPmpRequest,
  readNatPmpResponse,
  type NatPmpResponse,
} from './message.ts'

const hex = (text: string): Uint8Array => fromHex(text) ?? assert.fail('bad hex')
const u16 = fc.integer({ min: 0, max: 0xffff })
const u32 = fc.integer({ min: 0, max: 0xffff_ffff })
const ipv4 = fc.uint8Array({ minLength: 4, maxLength: 4 }).map((bytes) => bytesToIp(bytes) ?? '')

/** Plain objects, as readers make them. */
const record = <T>(members: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(members, { noNullPrototype: true })

test('the golden requests are written and read', () => {
  // From the layout of RFC 6886 §3.2 and §3.3 (protocol notes, paths.md §11.6).
  assert.equal(toHex(natPmpExternalAddressRequest()), '0000')
  const map = { internalPort: 41_641, externalPort: 0, lifetimeSeconds: 7200 }
  assert.equal(toHex(natPmpMapRequest(map)), '00010000a2a9000000001c20')
  assert.deepEqual(readNatPmpRequest(hex('00010000a2a9000000001c20')), map)
  assert.equal(toHex(natPmpMapRequest({ ...map, lifetimeSeconds: 0 })), '00010000a2a9000000000000')
  assert.equal(readNatPmpRequest(hex('0000')), 'external-address')
})

test("a router's answers are read", () => {
  // Captured from miniupnpd 2.3.1.
  const golden: readonly [string, NatPmpResponse][] = [
    ['0080000000000000144d0101', { kind: 'external-address', result: 0, epochSeconds: 0, address: '20.77.1.1' }],
    [
      '0081000000000000a2a9a2a900001c20',
      { kind: 'map', result: 0, epochSeconds: 0, internalPort: 41_641, externalPort: 41_641, lifetimeSeconds: 7200 },
    ],
    [
      '0081000000000000a2a9000000000000',
      { kind: 'map', result: 0, epochSeconds: 0, internalPort: 41_641, externalPort: 0, lifetimeSeconds: 0 },
    ],
  ]
  for (const [bytes, value] of golden) {
    assert.deepEqual(readNatPmpResponse(hex(bytes)), value)
    assert.equal(toHex(natPmpResponse(value)), bytes)
  }
})

test('a refusal may be as short as its header', () => {
  // RFC 6886 §3.5: what a router without NAT-PMP of this version answers.
  const refused = readNatPmpResponse(hex('0081000200000009'))
  assert.deepEqual([refused.kind, refused.result, refused.epochSeconds], ['map', 2, 9])
  assert.equal(readNatPmpResponse(hex('0080000300000009')).result, 3)
  assert.throws(() => readNatPmpResponse(hex('0081000000000009')), WireError, 'a success has to be whole')
})

test('responses and requests are read back as written', () => {
  const map = record({ internalPort: u16, externalPort: u16, lifetimeSeconds: u32 })
  const header = { result: u16, epochSeconds: u32 }
  const responses: fc.Arbitrary<NatPmpResponse> = fc.oneof(
    record({ kind: fc.constant('external-address' as const), ...header, address: ipv4 }),
    fc
      .tuple(record({ kind: fc.constant('map' as const), ...header }), map)
      .map(([head, body]) => ({ ...head, ...body })),
  )
  fc.assert(fc.property(responses, (value) => assert.deepEqual(readNatPmpResponse(natPmpResponse(value)), value)))
  fc.assert(fc.property(map, (value) => assert.deepEqual(readNatPmpRequest(natPmpMapRequest(value)), value)))
})

test('no bytes fail but with a wire code', () => {
  const heads = fc.constantFrom('0080', '0081', '0000', '0001', '0282', '')
  fc.assert(
    fc.property(heads, fc.uint8Array({ maxLength: 40 }), (head, tail) => {
      for (const read of [readNatPmpResponse, readNatPmpRequest]) {
        try {
          read(Uint8Array.of(...hex(head), ...tail))
        } catch (error) {
          assert.ok(error instanceof WireError)
        }
      }
    }),
  )
})
