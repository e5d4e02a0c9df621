import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VirtualClock } from '../../base/clock.ts'
import { MachinePrivate, NodePrivate } from '../../crypto/keys.ts'
import { NO_HOST_FACTS } from '../model.ts'
import { LOGIN_LIFE_MS, PendingLogins, type PendingLogin } from './pending-logins.ts'

const never = new AbortController().signal

function wish(source = '192.0.2.1'): Omit<PendingLogin, 'id' | 'createdAtMs'> {
  return {
    machineKey: MachinePrivate.generate().public,
    nodeKey: NodePrivate.generate().public,
    hostinfo: NO_HOST_FACTS,
    ephemeral: false,
    capVersion: 130,
    expiryMs: undefined,
    requestTags: [],
    source,
  }
}

function setUp() {
  const clock = new VirtualClock()
  const logins = new PendingLogins(clock)
  const open = (wanted = wish()) => {
    const login = logins.open(wanted)
    assert.ok(login)
    return login
  }
  return { clock, logins, open }
}

test('asking again with the same keys is the same login', () => {
  const { logins, open } = setUp()
  const wanted = wish()
  assert.equal(open(wanted), open(wanted))
  assert.equal(logins.all().length, 1)
})

test('two accounts of one machine log in beside each other', async () => {
  const { logins, open } = setUp()
  const first = open()
  const second = open({ ...first, nodeKey: NodePrivate.generate().public })
  assert.notEqual(first.id, second.id)
  assert.equal(logins.get(first.id), first)
})

test('a machine that keeps asking pushes out its own oldest login only', async () => {
  const { logins, open } = setUp()
  const other = open()
  const first = open()
  const waiting = logins.wait(first.id, first.machineKey, first.nodeKey, never)
  for (let i = 0; i < 4; i++) open({ ...first, nodeKey: NodePrivate.generate().public })
  assert.deepEqual(await waiting, { kind: 'lapsed' })
  assert.equal(logins.get(first.id), undefined)
  assert.equal(logins.get(other.id), other)
})

test('whoever waits hears the verdict, and so does whoever asks afterwards', async () => {
  const { logins, open } = setUp()
  const { id, machineKey, nodeKey } = open()
  const waiting = [1, 2].map(() => logins.wait(id, machineKey, nodeKey, never))
  logins.settle(id, { kind: 'approved', nodeId: 7 })
  const approved = { kind: 'approved', nodeId: 7 }
  assert.deepEqual(await Promise.all(waiting), [approved, approved])
  assert.deepEqual(await logins.wait(id, machineKey, nodeKey, never), approved)
  assert.equal(logins.get(id), undefined, 'it can be approved once only')
})

test('neither another machine nor another node key hears it', async () => {
  const { logins, open } = setUp()
  const { id, machineKey, nodeKey } = open()
  const stranger = wish()
  logins.settle(id, { kind: 'approved', nodeId: 7 })
  assert.deepEqual(await logins.wait(id, stranger.machineKey, nodeKey, never), { kind: 'lapsed' })
  assert.deepEqual(await logins.wait(id, machineKey, stranger.nodeKey, never), { kind: 'lapsed' })
  assert.deepEqual(await logins.wait('none', machineKey, nodeKey, never), { kind: 'lapsed' })
})

test('a login nobody approves lapses, and its waiter is told', async () => {
  const { clock, logins, open } = setUp()
  const { id, machineKey, nodeKey } = open()
  const waiting = logins.wait(id, machineKey, nodeKey, never)
  clock.advance(LOGIN_LIFE_MS - 1)
  assert.ok(logins.get(id))
  clock.advance(1)
  assert.deepEqual(await waiting, { kind: 'lapsed' })
  assert.deepEqual(logins.all(), [])
  assert.equal(clock.pendingTimers, 0)
})

test('a client that goes away leaves nothing waiting', async () => {
  const { logins, open } = setUp()
  const { id, machineKey, nodeKey } = open()
  const client = new AbortController()
  const waiting = logins.wait(id, machineKey, nodeKey, client.signal)
  client.abort()
  assert.equal(await waiting, undefined)
  assert.equal(await logins.wait(id, machineKey, nodeKey, client.signal), undefined)
})

test('one guest cannot take every place', () => {
  const { logins, open } = setUp()
  let taken = 0
  while (logins.open(wish('198.51.100.7')) && taken < 5_000) taken++
  assert.ok(taken >= 16 && taken < 1_000, String(taken))
  open(wish('203.0.113.5'))
})

test('the places are bounded whoever asks, and come free again', () => {
  const { clock, logins } = setUp()
  let taken = 0
  while (logins.open(wish(`10.0.${taken >> 8}.${taken & 255}`)) && taken < 50_000) taken++
  assert.ok(taken < 5_000, String(taken))
  clock.advance(LOGIN_LIFE_MS)
  assert.ok(logins.open(wish()))
})
