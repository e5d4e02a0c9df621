import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { isCoded } from '../base/errors.ts'
import { DiscoPublic, MachinePrivate, MachinePublic, NodePrivate, NodePublic, randomScalar } from './keys.ts'

// control.md §12.3, checked there against tailscale types/key/machine_test.go.
const PRIVATE = 'privkey:40ab1b58e9076c7a4d9d07291f5edf9d1aa017eb949624ba683317f48a640369'
const PUBLIC = '50d20b455ecf12bc453f83c2cfdb2a24925d06cf2598dcaa54e91af82ce9f765'

test('derives the public key of the reference vector in both text forms', () => {
  assert.equal(MachinePrivate.parse(PRIVATE).public.text, `mkey:${PUBLIC}`)
  assert.equal(NodePrivate.parse(PRIVATE).public.text, `nodekey:${PUBLIC}`)
})

test('a private key prints as [redacted] wherever it lands', () => {
  const key = NodePrivate.parse(PRIVATE)
  assert.equal(String(key), '[redacted]')
  assert.equal(JSON.stringify({ key: { key } }).includes('40ab'), false)
  assert.equal(inspect({ key }).includes('40ab'), false)
  assert.equal(key.secretText(), PRIVATE)
})

test('parsing demands the exact prefix and length and takes either case', () => {
  assert.equal(NodePublic.parse(`nodekey:${PUBLIC.toUpperCase()}`).text, `nodekey:${PUBLIC}`)
  for (const bad of [
    `mkey:${PUBLIC}`,
    `nodekey:${PUBLIC}00`,
    `nodekey:${PUBLIC.slice(2)}`,
    'nodekey:',
    '',
    `nodekey:${'g'.repeat(64)}`,
  ])
    assert.throws(
      () => NodePublic.parse(bad),
      (error) => isCoded(error, 'crypto/bad-key'),
    )
})

test('equality, order and zero follow the bytes', () => {
  const low = new DiscoPublic(new Uint8Array(32).fill(1))
  const high = new DiscoPublic(new Uint8Array(32).fill(2))
  assert.ok(low.compare(high) < 0)
  assert.ok(low.equals(new DiscoPublic(low.bytes)))
  assert.ok(MachinePublic.zero.isZero)
})

test('new scalars are clamped', () => {
  for (let i = 0; i < 20; i++) {
    const bytes = randomScalar()
    assert.equal((bytes[0] ?? 0) & 7, 0)
    assert.equal((bytes[31] ?? 0) & 192, 64)
  }
})
