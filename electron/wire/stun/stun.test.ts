import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { concat, fromHex, toHex } from '../../base/bytes.ts'
import { bytesToIp, joinEndpoint } from '../../base/endpoint.ts'
import { WireError } from '../codec.ts'
import { looksLikeStun } from './attributes.ts'
import { readStunRequest, stunRequest } from './request.ts'
import { readStunResponse, stunResponse } from './response.ts'

const hex = (text: string): Uint8Array => fromHex(text) ?? assert.fail('bad hex')

// Computed from the layout of net/stun/stun.go (protocol notes, paths.md §11.1).
const TX_ID = hex('000102030405060708090a0b')
const REQUEST = '000100142112a442000102030405060708090a0b802200087461696c6e6f6465802800048aabad90'
const RESPONSES: readonly (readonly [string, string])[] = [
  ['192.0.2.33:41641', '0101000c2112a442000102030405060708090a0b00200008000183bbe112a663'],
  ['[2001:db8::33]:41641', '010100182112a442000102030405060708090a0b00200014000283bb0113a9fa000102030405060708090a38'],
]

// RFC 5769 §2.2 and §2.3: a foreign server's answers, with SOFTWARE before the address and FINGERPRINT after it.
const RFC5769_V4 =
  '0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643' +
  '000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96'

const txIds = fc.uint8Array({ minLength: 12, maxLength: 12 })
const endpoints = fc
  .tuple(
    fc.oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 })),
    fc.integer({ min: 0, max: 65_535 }),
  )
  .map(([bytes, port]) => joinEndpoint(bytesToIp(bytes) ?? '', port))

test('the golden request is written and read', () => {
  assert.equal(toHex(stunRequest(TX_ID)), REQUEST)
  assert.deepEqual(readStunRequest(hex(REQUEST)).txId, TX_ID)
})

test('the golden responses are written and read', () => {
  for (const [endpoint, text] of RESPONSES) {
    assert.equal(toHex(stunResponse({ txId: TX_ID, endpoint })), text)
    assert.deepEqual(readStunResponse(hex(text)), { txId: TX_ID, endpoint })
  }
})

test("another server's response is read, whatever attributes surround the address", () => {
  assert.equal(readStunResponse(hex(RFC5769_V4)).endpoint, '192.0.2.1:32853')
})

test('requests and responses are read back as written', () => {
  fc.assert(
    fc.property(txIds, endpoints, (txId, endpoint) => {
      assert.deepEqual(readStunRequest(stunRequest(txId)).txId, txId)
      assert.deepEqual(readStunResponse(stunResponse({ txId, endpoint })), { txId, endpoint })
      assert.ok(looksLikeStun(stunRequest(txId)))
    }),
  )
})

test('the plain address serves when there is no masked one, and only then', () => {
  const head = '010100182112a442000102030405060708090a0b'
  const plain = '000100080001a2a9c0000221'
  const masked = '00200008000183bbe112a663'
  assert.equal(readStunResponse(hex(head.replace('0018', '000c') + plain)).endpoint, '192.0.2.33:41641')
  const both = hex(head + plain.replace('c0000221', '01010101') + masked)
  assert.equal(readStunResponse(both).endpoint, '192.0.2.33:41641')
})

test('bytes after the declared length are cut, a longer declared length is refused', () => {
  const [, text = ''] = RESPONSES[0] ?? []
  assert.equal(readStunResponse(concat(hex(text), hex('ffff'))).endpoint, '192.0.2.33:41641')
  assert.throws(() => readStunResponse(hex(text).subarray(0, 31)), WireError)
})

test('a server refuses a request that any changed bit of ours would make', () => {
  const request = stunRequest(TX_ID)
  for (let bit = 0; bit < request.length * 8; bit++) {
    const changed = request.slice()
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    assert.throws(() => readStunRequest(changed), WireError, `bit ${bit}`)
  }
})

test('junk fails only with a wire error', () => {
  const header = fc.constantFrom(hex('01010014'), hex('00010014'), hex('01010008'))
  const junk = fc.oneof(
    fc.uint8Array({ maxLength: 80 }),
    fc
      .tuple(header, txIds, fc.uint8Array({ maxLength: 40 }))
      .map(([head, txId, rest]) => concat(head, hex('2112a442'), txId, rest)),
  )
  fc.assert(
    fc.property(junk, (bytes) => {
      for (const read of [readStunRequest, readStunResponse]) {
        try {
          read(bytes)
        } catch (error) {
          assert.ok(error instanceof WireError, String(error))
        }
      }
    }),
  )
})
