import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fromHex, toHex } from '../../base/bytes.ts'
import { bytesToIp } from '../../base/endpoint.ts'
import { WireError } from '../codec.ts'
import {
  ANY_IPV4,
  pcpAnnounceRequest,
  pcpMapRequest,
  pcpResponse,
  readPcpRequest,
  readPcpResponse,
  type PcpResponse,
} from './message.ts'

const hex = (text: string): Uint8Array => fromHex(text) ?? assert.fail('bad hex')
const u16 = fc.integer({ min: 0, max: 0xffff })
const u32 = fc.integer({ min: 0, max: 0xffff_ffff })
const ips = fc
  .oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 }))
  .map((bytes) => bytesToIp(bytes) ?? '')
const NONCE = hex('000102030405060708090a0b')

/** Plain objects, as readers make them. */
const record = <T>(members: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(members, { noNullPrototype: true })

test('the golden requests are written and read', () => {
  // From the layout of RFC 6887 §7.1 and §11.1 (protocol notes, paths.md §11.6).
  const announce = '020000000000000000000000000000000000ffffc0a80102'
  assert.equal(toHex(pcpAnnounceRequest('192.168.1.2')), announce)
  assert.equal(readPcpRequest(hex(announce)), 'announce')
  const map = {
    clientAddress: '192.168.1.2',
    lifetimeSeconds: 7200,
    nonce: NONCE,
    internalPort: 41_641,
    externalPort: 0,
    externalAddress: ANY_IPV4,
  }
  const golden =
    '0201000000001c2000000000000000000000ffffc0a80102' +
    '000102030405060708090a0b11000000a2a9000000000000000000000000ffff00000000'
  assert.equal(toHex(pcpMapRequest(map)), golden)
  assert.deepEqual(readPcpRequest(hex(golden)), map)
})

test("a router's answers are read", () => {
  // Captured from miniupnpd 2.3.1, asked with the nonce above.
  const announce: PcpResponse = { kind: 'announce', result: 0, lifetimeSeconds: 0, epochSeconds: 0 }
  assert.deepEqual(readPcpResponse(hex('028000000000000000000000000000000000000000000000')), announce)
  const golden =
    '0281000000001c2000000000000000000000000000000000' +
    '000102030405060708090a0b11000000a2a9a2a900000000000000000000ffff144d0101'
  const mapped = {
    kind: 'map',
    result: 0,
    lifetimeSeconds: 7200,
    epochSeconds: 0,
    nonce: NONCE,
    internalPort: 41_641,
    externalPort: 41_641,
    externalAddress: '20.77.1.1',
  } as const
  assert.deepEqual(readPcpResponse(hex(golden)), mapped)
  assert.equal(toHex(pcpResponse(mapped)), golden)
})

test('a mapping of another protocol is not taken for ours', () => {
  const tcp = `0281000000001c2000000000000000000000000000000000${'00'.repeat(12)}06000000${'00'.repeat(20)}`
  assert.throws(() => readPcpResponse(hex(tcp)), WireError)
})

test('responses and requests are read back as written', () => {
  const body = {
    nonce: fc.uint8Array({ minLength: 12, maxLength: 12 }),
    internalPort: u16,
    externalPort: u16,
    externalAddress: ips,
  }
  const header = { result: fc.integer({ min: 0, max: 255 }), lifetimeSeconds: u32, epochSeconds: u32 }
  const responses: fc.Arbitrary<PcpResponse> = fc.oneof(
    record({ kind: fc.constant('announce' as const), ...header }),
    record({ kind: fc.constant('map' as const), ...header, ...body }),
  )
  const requests = record({ clientAddress: ips, lifetimeSeconds: u32, ...body })
  fc.assert(fc.property(responses, (value) => assert.deepEqual(readPcpResponse(pcpResponse(value)), value)))
  fc.assert(fc.property(requests, (value) => assert.deepEqual(readPcpRequest(pcpMapRequest(value)), value)))
})

test('no bytes fail but with a wire code', () => {
  const heads = fc.constantFrom('0280', '0281', '0200', '0201', '0081', '')
  fc.assert(
    fc.property(heads, fc.uint8Array({ maxLength: 80 }), (head, tail) => {
      for (const read of [readPcpResponse, readPcpRequest]) {
        try {
          read(Uint8Array.of(...hex(head), ...tail))
        } catch (error) {
          assert.ok(error instanceof WireError)
        }
      }
    }),
  )
})
