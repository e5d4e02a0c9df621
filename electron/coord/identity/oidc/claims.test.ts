import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { checkedUserName } from '../../admin/admin.ts'
import { type PersonClaims, readClaims, shownAs } from './claims.ts'
import { nameForNewcomer } from './new-person.ts'
import { admission, DEFAULT_RULES, readRules } from './provider-rules.ts'

const NAMES = ['sub', 'email', 'email_verified', 'preferred_username', 'name', 'groups', 'iat', 'auth_time'] as const
const anything = fc.record(Object.fromEntries(NAMES.map((name) => [name, fc.jsonValue()])), { requiredKeys: [] })
const likely = fc.record({
  sub: fc.string({ minLength: 1, maxLength: 255 }),
  email: fc.oneof(fc.emailAddress(), fc.string()),
  email_verified: fc.boolean(),
  preferred_username: fc.string({ unit: 'binary' }),
  name: fc.string({ unit: 'binary' }),
  groups: fc.array(fc.string()),
})

test('whatever a provider says is read, bounded, or nobody', () => {
  fc.assert(
    fc.property(fc.oneof(anything, likely), (raw) => {
      const claims = readClaims(raw, 'groups')
      if (!claims) return
      assert.ok(claims.subject.length > 0 && claims.subject.length <= 255)
      assert.ok(claims.groups.length <= 256 && claims.groups.every((group) => group.length <= 128))
      assert.ok(shownAs(claims).length <= 63)
      assert.doesNotMatch(shownAs(claims), /[\p{Cc}\p{Cf}]/u)
      assert.ok(!claims.emailVerified || claims.email !== undefined)
    }),
  )
})

test('only a plain yes proves an address', () => {
  for (const email_verified of ['true', 1, {}, null, undefined, false])
    assert.equal(readClaims({ sub: 'a', email: 'a@b', email_verified }, 'groups')?.emailVerified, false)
  for (const email of ['a', '@', 'a@', '@b', 'a@b@c', 'a b@c', 7])
    assert.deepEqual(readClaims({ sub: 'a', email, email_verified: true }, 'groups')?.emailVerified, false)
  assert.equal(readClaims({ sub: '' }, 'groups'), undefined)
  assert.equal(readClaims({ sub: 7 }, 'groups'), undefined)
  assert.deepEqual(readClaims({ sub: 'a', roles: 'one' }, 'roles')?.groups, ['one'])
})

test('a newcomer has a name that can be one, is free, and is proved or says whence it comes', () => {
  fc.assert(
    fc.property(likely, fc.array(fc.string()), (raw, others) => {
      const claims = readClaims(raw, 'groups')
      if (!claims) return
      const taken = new Set(others.map((name) => `${name}@corp`))
      const name = nameForNewcomer(claims, 'corp', (wanted) => taken.has(wanted))
      if (name === undefined) return
      assert.equal(checkedUserName(name), name)
      assert.ok(!taken.has(name))
      assert.ok(name.endsWith('@corp') || (claims.emailVerified && name === claims.email), name)
      assert.equal(name.split('@').length, 2)
    }),
  )
})

test('rules that cannot be read let nobody new in', () => {
  const person: PersonClaims = {
    subject: 'a',
    email: 'a@b.example',
    emailVerified: true,
    userName: undefined,
    displayName: undefined,
    groups: ['x'],
    authAgeMs: undefined,
  }
  for (const text of ['', '{', '[]', '7', 'null', '{"everyone": "yes"}', '{"domains": "b.example"}', '{"groups": [7]}'])
    assert.equal(admission(readRules(text), person), 'known-only', text)
  const written = { ...DEFAULT_RULES, domains: ['b.example'], label: 'B' }
  assert.deepEqual(readRules(JSON.stringify(written)), written)
})
