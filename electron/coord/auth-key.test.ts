import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { authKeyState, newAuthKeySecret, parseAuthKey, randomText } from './auth-key.ts'
import type { AuthKey } from './model.ts'

test('a new key opens its own lock and no other', () => {
  const [a, b] = [newAuthKeySecret(), newAuthKeySecret()]
  const parsed = parseAuthKey(` ${a.text}\n`)
  assert.equal(parsed?.id, a.id)
  assert.ok(parsed.matches(a.secretHash))
  assert.ok(!parsed.matches(b.secretHash))
  assert.ok(!parsed.matches(new Uint8Array(0)))
})

test('the text has neither the hash nor anything clients give a meaning to', () => {
  const { text } = newAuthKeySecret()
  assert.match(text, /^pwkey-auth-[a-z0-9]{12}-[a-z0-9]{50}$/)
  assert.ok(!text.includes('--TL'))
})

test('random texts have their length even when the number is small', () => {
  for (let i = 0; i < 500; i++) assert.match(randomText(8, 12), /^[a-z0-9]{12}$/)
})

test('no text is taken for a key by mistake', () => {
  fc.assert(fc.property(fc.string(), (text) => parseAuthKey(text) === undefined))
  const { text } = newAuthKeySecret()
  for (const bad of [text.slice(0, -1), `${text}x`, text.toUpperCase(), text.replace('pwkey', 'tskey')])
    assert.equal(parseAuthKey(bad), undefined)
})

test('what is wrong with a key is named, the worst first', () => {
  const key: AuthKey = {
    id: 'k',
    tailnetId: 1,
    userId: 1,
    reusable: false,
    ephemeral: false,
    tags: [],
    createdAtMs: 0,
    expiresAtMs: 100,
    usedAtMs: undefined,
    revokedAtMs: undefined,
  }
  assert.equal(authKeyState(key, 99), 'valid')
  assert.equal(authKeyState(key, 100), 'expired')
  assert.equal(authKeyState({ ...key, usedAtMs: 1 }, 50), 'used')
  assert.equal(authKeyState({ ...key, usedAtMs: 1, reusable: true }, 50), 'valid')
  assert.equal(authKeyState({ ...key, usedAtMs: 1, revokedAtMs: 2 }, 500), 'revoked')
  assert.equal(authKeyState({ ...key, expiresAtMs: undefined }, 1e15), 'valid')
})
