// The platform's primitives and those in JavaScript must not differ in anything, refusals included.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import nacl from 'tweetnacl'
import { fromHex, toHex } from '../base/bytes.ts'
import { aead, platformAead, portableAead, TAG_BYTES } from './aead.ts'
import { SharedBox } from './box.ts'
import { agreeByPlatform, agreePortably, publicOf, sharedSecret } from './x25519.ts'

const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const key = bytesOf(32)
const hex = (text: string): Uint8Array => fromHex(text) ?? assert.fail(text)

/** RFC 7748 §6.1. */
const BOB = hex('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb')
const BOB_PUBLIC = 'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f'
const ALICE_PUBLIC = hex('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a')
const SHARED = '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742'

/** Points whose multiples are zero: 0, 1, and both of order 8. */
const LOW_ORDER = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
].map(hex)

test('X25519 gives the results of RFC 7748', () => {
  for (const agree of [sharedSecret, agreePortably]) assert.equal(toHex(agree(BOB, ALICE_PUBLIC)), SHARED)
  assert.equal(toHex(publicOf(BOB)), BOB_PUBLIC)
})

test('X25519 of the platform and in JavaScript are one, also for points that nobody would send', () => {
  fc.assert(
    fc.property(key, key, (secret, remote) => {
      assert.equal(toHex(sharedSecret(secret, remote)), toHex(agreePortably(secret, remote)))
    }),
    { numRuns: 60 },
  )
  for (const remote of LOW_ORDER)
    for (const agree of [sharedSecret, agreeByPlatform, agreePortably]) assert.throws(() => agree(BOB, remote))
})

test(
  'ChaCha20-Poly1305 of the platform and in JavaScript are one',
  { skip: !platformAead && 'this platform has none' },
  () => {
    fc.assert(
      fc.property(
        key,
        bytesOf(12),
        fc.uint8Array({ maxLength: 5_000 }),
        fc.uint8Array({ maxLength: 64 }),
        (k, n, text, more) => {
          const sealed = aead.seal(k, n, text, more)
          assert.equal(sealed.length, text.length + TAG_BYTES)
          assert.deepEqual(sealed, portableAead.seal(k, n, text, more))
          for (const one of [aead, portableAead]) {
            const out = new Uint8Array(text.length + TAG_BYTES + 5)
            one.sealInto(out, 3, k, n, text)
            assert.deepEqual(out, Uint8Array.of(0, 0, 0, ...portableAead.seal(k, n, text), 0, 0))
          }
          assert.deepEqual(aead.open(k, n, sealed, more), portableAead.open(k, n, sealed, more))
        },
      ),
      { numRuns: 60 },
    )
  },
)

test('what was sealed with another key, nonce, additional data, or was changed, does not open', () => {
  const [k, n, text] = [new Uint8Array(32), new Uint8Array(12), Uint8Array.of(1, 2, 3)]
  for (const one of [aead, portableAead]) {
    const sealed = one.seal(k, n, text, text)
    assert.deepEqual(Uint8Array.from(one.open(k, n, sealed, text)), text)
    const other = Uint8Array.from(sealed)
    other[1] = (other[1] ?? 0) ^ 1
    for (const bad of [other, sealed.subarray(1), sealed.subarray(0, 15), new Uint8Array(0)])
      assert.throws(() => one.open(k, n, bad, text))
    assert.throws(() => one.open(new Uint8Array(32).fill(1), n, sealed, text))
    assert.throws(() => one.open(k, new Uint8Array(12).fill(1), sealed, text))
    assert.throws(() => one.open(k, n, sealed))
  }
})

test('a box key is that of NaCl, also with a key of low order', () => {
  const nonce = new Uint8Array(24).fill(3)
  const message = Uint8Array.of(5, 6, 7)
  for (const remote of [ALICE_PUBLIC, ...LOW_ORDER])
    assert.deepEqual(new SharedBox(BOB, remote).seal(message, nonce), nacl.box(message, nonce, remote, BOB))
})
