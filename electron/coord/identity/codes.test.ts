import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { CODE_BYTES, codeOf, newCode, readCode, shownCode } from './codes.ts'

test('a code is read back however it is spaced, in whichever case, with the usual mistakes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: CODE_BYTES, maxLength: CODE_BYTES }), (bytes) => {
      const code = codeOf(bytes)
      assert.match(code, /^[0-9A-HJKMNP-TV-Z]{16}$/)
      const spoilt = shownCode(code).toLowerCase().replaceAll('1', 'l').replaceAll('0', 'o').replace('-', ' ')
      assert.equal(readCode(` ${spoilt} `), code)
    }),
  )
})

test('every bit counts: two different strings of bytes never make the same code', () => {
  const bytes = fc.uint8Array({ minLength: CODE_BYTES, maxLength: CODE_BYTES })
  fc.assert(fc.property(bytes, bytes, (a, b) => (Buffer.compare(a, b) === 0) === (codeOf(a) === codeOf(b))))
  assert.equal(codeOf(new Uint8Array(CODE_BYTES)), '0'.repeat(16))
  assert.equal(codeOf(new Uint8Array(CODE_BYTES).fill(255)), 'Z'.repeat(16))
})

test('what is no code is not taken for one', () => {
  for (const typed of [
    '',
    '0000',
    'U'.repeat(16),
    '0'.repeat(15),
    '0'.repeat(17),
    'é'.repeat(16),
    '0000-0000-0000-000!',
  ])
    assert.equal(readCode(typed), undefined, typed)
})

test('codes do not repeat', () => {
  assert.equal(new Set(Array.from({ length: 10_000 }, newCode)).size, 10_000)
})
