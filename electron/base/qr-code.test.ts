import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { qrCode } from './qr-code.ts'

/** Bytes, mask, modules a side, and SHA-256 of the rows as drawn by the Python package qrcode 8.2: one for each version. */
const DRAWN: readonly (readonly [number, number, number, string])[] = [
  [1, 0, 21, 'b5278945f466eee955819dbf99fb80ad'],
  [14, 1, 21, '2a18ed9886ae64996914ee5ad9394f52'],
  [40, 2, 29, '5aba6d599b24e9d0f38b92ec1c6652ae'],
  [60, 3, 33, '662201eb77023ad0c08e18b070392cb9'],
  [84, 4, 37, 'a47db43a34ff5f403dcba32996695107'],
  [100, 5, 41, '3e23d01fb010152e385d3043ef5b21f2'],
  [122, 6, 45, '9277226575309d706621c67ed1126979'],
  [150, 7, 49, '7212ffe0b0e11e664dbc8c40458652d6'],
  [180, 0, 53, '6099c19f70056e471422fbd0d9cfe7f0'],
  [213, 1, 57, '16a34ca1eef244e0512eaaeb36ae9060'],
]

const textOf = (length: number): string =>
  Array.from({ length }, (_, i) => String.fromCharCode(33 + ((i * 7 + length) % 90))).join('')

test('each version, with each mask, is drawn as another program draws it', () => {
  for (const [length, mask, side, hash] of DRAWN) {
    const rows = qrCode(textOf(length), mask) ?? []
    assert.equal(rows.length, side)
    const text = rows.map((row) => row.map((isDark) => (isDark ? '1' : '0')).join('')).join('\n')
    assert.equal(createHash('sha256').update(text).digest('hex').slice(0, 32), hash, `${length} bytes`)
  }
})

test('the mask that is chosen is one of the eight', () => {
  const drawings = Array.from({ length: 8 }, (_, mask) => JSON.stringify(qrCode('otpauth://totp/x', mask)))
  assert.equal(new Set(drawings).size, 8)
  assert.ok(drawings.includes(JSON.stringify(qrCode('otpauth://totp/x'))))
})

test('bytes count, not letters, and what is too long gets no code', () => {
  assert.equal(qrCode('é'.repeat(7))?.length, 21)
  assert.equal(qrCode('é'.repeat(8))?.length, 25)
  assert.equal(qrCode('x'.repeat(213))?.length, 57)
  assert.equal(qrCode('x'.repeat(214)), undefined)
})
