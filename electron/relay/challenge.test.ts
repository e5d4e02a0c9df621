import assert from 'node:assert/strict'
import test from 'node:test'

import { toHex } from '../base/bytes.ts'
import { DiscoPrivate, DiscoPublic } from '../crypto/keys.ts'
import { challengeMac, Challenges } from './challenge.ts'

const MINUTE_MS = 60_000
const B = new DiscoPrivate(new Uint8Array(32).fill(0x22)).public

test('makes the MAC of the golden vector', () => {
  // paths.md §11.4, computed with an independent implementation.
  const mac = challengeMac(new Uint8Array(32).fill(0x44), { vni: 7, generation: 9, remoteKey: B }, '192.0.2.33:41641')
  assert.equal(mac && toHex(mac), '9aa781b44482359b288413478e38798586c6589e5f8df7e3d48df299c3e9fef0')
})

test('accepts its challenge from that address only, and not after two rotations', () => {
  const challenges = new Challenges(0)
  const of = { vni: 7, generation: 9, remoteKey: B }
  const challenge = challenges.make(of, '192.0.2.33:1', 0)
  assert.ok(challenge)
  assert.ok(challenges.accepts({ ...of, challenge }, '192.0.2.33:1', 1_000))
  assert.ok(!challenges.accepts({ ...of, challenge }, '192.0.2.33:2', 1_000))
  assert.ok(!challenges.accepts({ ...of, challenge }, '[2001:db8::1]:1', 1_000))
  assert.ok(!challenges.accepts({ ...of, generation: 10, challenge }, '192.0.2.33:1', 1_000))
  assert.ok(!challenges.accepts({ ...of, remoteKey: DiscoPublic.zero, challenge }, '192.0.2.33:1', 1_000))
  assert.ok(challenges.accepts({ ...of, challenge }, '192.0.2.33:1', 3 * MINUTE_MS), 'the one before still counts')
  assert.ok(!challenges.accepts({ ...of, challenge }, '192.0.2.33:1', 5.5 * MINUTE_MS))
})

test('a long pause makes old challenges void', () => {
  const challenges = new Challenges(0)
  const of = { vni: 7, generation: 9, remoteKey: B }
  const challenge = challenges.make(of, '192.0.2.33:1', 0) ?? new Uint8Array()
  assert.ok(!challenges.accepts({ ...of, challenge }, '192.0.2.33:1', 60 * MINUTE_MS))
})
