import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MachinePrivate, NodePrivate, NodePublic } from '../crypto/keys.ts'
import { NO_HOST_FACTS, NO_REPORT, type AuthKey, type Node } from './model.ts'
import { decideRegistration, loginIdOf, type Facts, type Registration } from './register-decision.ts'

const NOW = 1_000_000
/** Unix second 123: how clients say "log out". */
const LOG_OUT_MS = 123_000

const machineKey = MachinePrivate.generate().public

const request: Registration = {
  capVersion: 130,
  nodeKey: NodePrivate.generate().public,
  authKey: undefined,
  expiryMs: undefined,
  followup: '',
  ephemeral: false,
  hostinfo: NO_HOST_FACTS,
  requestTags: [],
}

const facts: Facts = {
  nowMs: NOW,
  machineKey,
  holder: undefined,
  ofMachine: [],
  authKey: undefined,
  tagsBeyond: (tags) => tags,
}

const node: Node = {
  id: 1,
  tailnetId: 1,
  stableId: 'n1',
  userId: 1,
  machineKey,
  nodeKey: request.nodeKey,
  name: 'pc',
  nameIsFixed: false,
  addressV4: '100.64.0.1',
  addressV6: 'fd7a:115c:a1e0::1',
  tags: [],
  expiresAtMs: undefined,
  createdAtMs: 0,
  ephemeral: false,
  authKeyId: undefined,
  report: NO_REPORT,
}
const expired: Node = { ...node, expiresAtMs: NOW }
const known: Facts = { ...facts, holder: node, ofMachine: [node] }

const key: AuthKey = {
  id: 'k',
  tailnetId: 1,
  userId: 1,
  reusable: false,
  ephemeral: false,
  tags: [],
  createdAtMs: 0,
  expiresAtMs: NOW + 1,
  usedAtMs: undefined,
  revokedAtMs: undefined,
}
const withKey: Registration = { ...request, authKey: 'some text' }

test('a first login without a key asks a person', () => {
  assert.deepEqual(decideRegistration(request, facts), { kind: 'ask' })
})

test('a restart changes nothing', () => {
  assert.deepEqual(decideRegistration(request, known), { kind: 'keep', node })
})

test('an expired node key is to be renewed, with or without an address to follow', () => {
  const decided = decideRegistration({ ...request, followup: 'http://x/login/abcdefgh' }, { ...known, holder: expired })
  assert.deepEqual(decided, { kind: 'renew-key' })
})

test('nobody gets anywhere with the node key of another machine', () => {
  const stranger = { ...known, machineKey: MachinePrivate.generate().public, authKey: key, ofMachine: [] }
  const tries: Registration[] = [
    request,
    withKey,
    { ...request, expiryMs: LOG_OUT_MS },
    { ...request, followup: 'http://x/login/abcdefgh' },
    { ...request, expiryMs: NOW + 5 },
  ]
  for (const attempt of tries) {
    const decision = decideRegistration(attempt, stranger)
    assert.equal(decision.kind, 'reject')
    assert.equal(decision.kind === 'reject' && decision.status, 401)
  }
})

test('a request that is too old, or names no key, is malformed', () => {
  for (const wrong of [
    { ...request, capVersion: 67 },
    { ...request, capVersion: 0 },
    { ...request, nodeKey: NodePublic.zero },
  ])
    assert.equal(decideRegistration(wrong, facts).kind, 'reject')
})

test('a logout comes before everything the client says beside it', () => {
  const logout = { ...withKey, expiryMs: LOG_OUT_MS, followup: 'http://x/login/abcdefgh' }
  assert.deepEqual(decideRegistration(logout, { ...known, authKey: key }), { kind: 'log-out', node })
  const ephemeral = { ...node, ephemeral: true }
  assert.deepEqual(decideRegistration(logout, { ...known, holder: ephemeral }), { kind: 'delete', node: ephemeral })
  assert.deepEqual(decideRegistration(logout, facts), { kind: 'renew-key' })
})

test('an expiry may be brought forward and never put off', () => {
  const sooner = { ...request, expiryMs: NOW + 10 }
  assert.deepEqual(decideRegistration(sooner, known), { kind: 'shorten', node, expiresAtMs: NOW + 10 })
  const bound = { ...node, expiresAtMs: NOW + 5 }
  assert.equal(decideRegistration(sooner, { ...known, holder: bound }).kind, 'reject')
  assert.equal(decideRegistration(sooner, { ...known, holder: { ...node, expiresAtMs: NOW + 20 } }).kind, 'shorten')
})

test('a key lets a new machine in', () => {
  const decision = decideRegistration(withKey, { ...facts, authKey: key })
  assert.deepEqual(decision, { kind: 'admit', key, node: undefined, tags: [] })
})

test('a key that is wrong, spent, late or revoked is refused in words', () => {
  const cases: [AuthKey | undefined, RegExp][] = [
    [undefined, /invalid auth key/],
    [{ ...key, usedAtMs: 1 }, /already used/],
    [{ ...key, expiresAtMs: NOW }, /expired/],
    [{ ...key, revokedAtMs: 1 }, /revoked/],
  ]
  for (const [authKey, text] of cases) {
    const decision = decideRegistration(withKey, { ...facts, authKey })
    assert.ok(decision.kind === 'refuse' && text.test(decision.text), JSON.stringify(decision))
  }
})

test('a login that stands is not lost to a key that no longer counts', () => {
  for (const authKey of [undefined, { ...key, usedAtMs: 1 }, { ...key, expiresAtMs: 1 }, { ...key, revokedAtMs: 1 }])
    assert.deepEqual(decideRegistration(withKey, { ...known, authKey }), { kind: 'keep', node })
})

test('a spent key does not bring an expired node back, nor a rotated key in', () => {
  const spent = { ...key, usedAtMs: 1 }
  assert.equal(decideRegistration(withKey, { ...known, holder: expired, authKey: spent }).kind, 'refuse')
  const rotated = { ...withKey, nodeKey: NodePrivate.generate().public }
  assert.equal(decideRegistration(rotated, { ...known, holder: undefined, authKey: spent }).kind, 'refuse')
})

test('a new node key on a known machine renews the node of that user', () => {
  const rotated = { ...withKey, nodeKey: NodePrivate.generate().public }
  const others = { ...node, id: 2, userId: 2 }
  const decision = decideRegistration(rotated, { ...facts, ofMachine: [others, node], authKey: key })
  assert.deepEqual(decision, { kind: 'admit', key, node, tags: [] })
  const third = decideRegistration(rotated, { ...facts, ofMachine: [others], authKey: key })
  assert.deepEqual(third, { kind: 'admit', key, node: undefined, tags: [] })
})

test('the valid key of another user, or with tags, changes whose node it is', () => {
  const ben = { ...key, userId: 2 }
  assert.deepEqual(decideRegistration(withKey, { ...known, authKey: ben }), { kind: 'admit', key: ben, node, tags: [] })
  const tagged = { ...key, tags: ['tag:server'] }
  assert.deepEqual(decideRegistration(withKey, { ...known, authKey: tagged }), {
    kind: 'admit',
    key: tagged,
    node,
    tags: tagged.tags,
  })
  const spent = { ...ben, usedAtMs: 1 }
  assert.equal(decideRegistration(withKey, { ...known, authKey: spent }).kind, 'refuse')
})

test('a key without tags lets its owner give some', () => {
  const wished = { ...withKey, requestTags: ['tag:a', 'tag:b'] }
  const tagsBeyond = (tags: readonly string[]): string[] => tags.filter((tag) => tag !== 'tag:a')
  const decision = decideRegistration(wished, { ...facts, authKey: key, tagsBeyond })
  assert.ok(decision.kind === 'refuse' && decision.text.includes('[tag:b]'))
  const one = decideRegistration({ ...wished, requestTags: ['tag:a'] }, { ...facts, authKey: key, tagsBeyond })
  assert.deepEqual(one, { kind: 'admit', key, node: undefined, tags: ['tag:a'] })
})

test('a machine that an administrator tagged keeps its tags at a start with its old key', () => {
  const tagged = { ...node, tags: ['tag:server'] }
  const spent = { ...key, usedAtMs: 1 }
  assert.equal(decideRegistration(withKey, { ...known, holder: tagged, authKey: spent }).kind, 'keep')
})

test('tags of a key with tags come from it alone', () => {
  const wished = { ...withKey, requestTags: ['tag:a', 'tag:b'] }
  const decision = decideRegistration(wished, { ...facts, authKey: { ...key, tags: ['tag:a'] } })
  assert.ok(decision.kind === 'refuse' && decision.text.includes('tag:b'))
  assert.equal(decideRegistration(wished, { ...facts, authKey: { ...key, tags: ['tag:b', 'tag:a'] } }).kind, 'admit')
})

test('a login is followed by the last part of its address', () => {
  const followup = 'https://net.example.org/login/5Kq0vW3nT1m8sYxZ2bRcEA'
  assert.deepEqual(decideRegistration({ ...request, followup }, facts), {
    kind: 'follow',
    loginId: '5Kq0vW3nT1m8sYxZ2bRcEA',
  })
  for (const strange of ['', '/login/', 'x', 'https://a/login/../../x', `/login/${'a'.repeat(65)}`])
    assert.equal(loginIdOf(strange), undefined)
})
