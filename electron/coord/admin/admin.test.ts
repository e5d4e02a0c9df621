import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { VirtualClock } from '../../base/clock.ts'
import { isCoded } from '../../base/errors.ts'
import { silentLogger } from '../../base/log.ts'
import { MachinePrivate, NodePrivate } from '../../crypto/keys.ts'
import { openCoordState } from '../coord-state.ts'
import { ServerSecrets } from '../identity/server-secrets.ts'
import { PendingLogins } from '../login/pending-logins.ts'
import { NO_HOST_FACTS } from '../model.ts'
import { Registrar } from '../registrar.ts'
import { ServerAdmin } from './server-admin.ts'

const DAY_MS = 24 * 3_600_000

async function setUp(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'peerway-admin-'))
  const clock = new VirtualClock()
  const state = await openCoordState({ folder, clock, log: silentLogger })
  const logins = new PendingLogins(clock)
  const { registry } = state
  const registrar = new Registrar({ registry, logins, clock, loginUrl: (id) => `http://x/login/${id}` })
  const secrets = new ServerSecrets(state.serverKey)
  const admin = new ServerAdmin({
    store: state.store,
    serverKey: state.serverKey,
    registry,
    registrar,
    logins,
    secrets,
    clock,
  }).of()
  t.after(async () => {
    logins.close()
    await state.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const join_ = async (hostname: string, authKey: string) => {
    const caller = {
      machineKey: MachinePrivate.generate().public,
      source: '192.0.2.1',
      signal: new AbortController().signal,
    }
    return registrar.register(
      {
        capVersion: 130,
        nodeKey: NodePrivate.generate().public,
        authKey,
        expiryMs: undefined,
        followup: '',
        ephemeral: false,
        hostinfo: { ...NO_HOST_FACTS, hostname },
        requestTags: [],
      },
      caller,
    )
  }
  return { admin, clock, registry, join: join_ }
}

const failsWith =
  (code: string, text = /./) =>
  (error: unknown) =>
    isCoded(error, code) && text.test(error.message)

test('the first user is the owner whatever was asked, the next what was asked', async (t) => {
  const { admin } = await setUp(t)
  assert.equal((await admin.createUser({ name: 'anna', role: 'auditor' })).role, 'owner')
  assert.equal((await admin.createUser({ name: 'ben' })).role, 'member')
  assert.equal((await admin.createUser({ name: 'cleo', role: 'admin', email: 'c@example.org' })).email, 'c@example.org')
})

test('names differ by more than case, and are names', async (t) => {
  const { admin } = await setUp(t)
  await admin.createUser({ name: 'anna' })
  await admin.createUser({ name: 'ben' })
  await assert.rejects(admin.createUser({ name: 'ANNA' }), failsWith('coord/conflict'))
  await assert.rejects(admin.renameUser('ben', 'Anna'), failsWith('coord/conflict'))
  assert.equal((await admin.renameUser('ben', 'Ben')).displayName, 'Ben')
  for (const name of ['', '-rf', 'a b', '../x', 'x'.repeat(65), '<b>', 'a\u202Eb'])
    await assert.rejects(admin.createUser({ name }), failsWith('coord/bad-argument'), name)
  await assert.rejects(admin.renameUser('nobody', 'x'), failsWith('coord/not-found'))
})

test('neither a user with nodes nor the last owner can be deleted', async (t) => {
  const { admin, join } = await setUp(t)
  await admin.createUser({ name: 'anna' })
  await admin.createUser({ name: 'ben' })
  await join('pc', (await admin.createAuthKey({ user: 'ben' })).key)
  await assert.rejects(admin.deleteUser('ben'), failsWith('coord/conflict', /node/))
  await assert.rejects(admin.deleteUser('anna'), failsWith('coord/conflict', /last owner/))
  await admin.deleteNode('pc')
  await admin.deleteUser('ben')
  await admin.deleteUser('anna')
  assert.deepEqual(await admin.listUsers(), [])
})

test('a key needs no user while there is one at most, and asks for one afterwards', async (t) => {
  const { admin } = await setUp(t)
  assert.equal((await admin.createAuthKey()).user, 'owner')
  assert.equal((await admin.createAuthKey()).user, 'owner')
  await admin.createUser({ name: 'ben' })
  await assert.rejects(admin.createAuthKey(), failsWith('coord/bad-argument', /--user: owner, ben/))
  await assert.rejects(admin.createAuthKey({ user: 'cleo' }), failsWith('coord/not-found'))
  assert.equal((await admin.createAuthKey({ user: 'BEN' })).user, 'ben')
})

test('the first key of a server can name its owner', async (t) => {
  const { admin } = await setUp(t)
  assert.equal((await admin.createAuthKey({ user: 'anna' })).user, 'anna')
  assert.equal((await admin.listUsers())[0]?.role, 'owner')
})

test('keys live as long as they were given, a day when nobody said', async (t) => {
  const { admin, clock, join } = await setUp(t)
  const { key, id, expiresAt } = await admin.createAuthKey({ reusable: true })
  assert.equal(Date.parse(expiresAt ?? ''), clock.wallNow() + DAY_MS)
  clock.advance(DAY_MS - 1)
  assert.equal((await join('pc', key)).kind, 'welcome')
  clock.advance(1)
  assert.equal((await join('pc', key)).kind, 'refused')
  assert.equal((await admin.listAuthKeys()).find((one) => one.id === id)?.state, 'expired')
  for (const lifeMs of [0, -1, Number.NaN, 366 * DAY_MS])
    await assert.rejects(admin.createAuthKey({ lifeMs }), failsWith('coord/bad-argument'))
  await assert.rejects(admin.createAuthKey({ tags: ['server'] }), failsWith('coord/bad-argument', /tag:server/))
})

test('a key can be revoked by its id or by itself, twice without harm', async (t) => {
  const { admin, join } = await setUp(t)
  const [a, b] = [await admin.createAuthKey(), await admin.createAuthKey()]
  await admin.revokeAuthKey(a.id)
  await admin.revokeAuthKey(b.key)
  await admin.revokeAuthKey(b.key)
  for (const { key } of [a, b]) assert.equal((await join('pc', key)).kind, 'refused')
  await assert.rejects(admin.revokeAuthKey('nothing'), failsWith('coord/not-found'))
})

test('listing keys never shows a secret', async (t) => {
  const { admin } = await setUp(t)
  const { key } = await admin.createAuthKey()
  assert.ok(!JSON.stringify(await admin.listAuthKeys()).includes(key.slice(-50)))
})

test('a node is found by its name, full name, address and id', async (t) => {
  const { admin, join } = await setUp(t)
  await join('pc', (await admin.createAuthKey()).key)
  const { id, addresses, stableId } = await admin.showNode('pc')
  for (const which of [
    'PC',
    'pc.home.peerway.internal',
    'pc.home.peerway.internal.',
    ...addresses,
    String(id),
    stableId,
  ])
    assert.equal((await admin.showNode(which)).id, id, which)
  for (const which of ['', 'nobody', '99', '1e1', '100.64.0.9'])
    await assert.rejects(admin.showNode(which), failsWith('coord/not-found'), which)
})

test('a node gets no name that is taken or none', async (t) => {
  const { admin, join } = await setUp(t)
  const { key } = await admin.createAuthKey({ reusable: true })
  for (const name of ['one', 'two']) await join(name, key)
  await assert.rejects(admin.renameNode('one', 'two'), failsWith('coord/conflict'))
  await assert.rejects(admin.renameNode('one', 'My PC'), failsWith('coord/bad-argument', /"my-pc" can/))
  assert.equal((await admin.renameNode('one', 'one')).name, 'one')
  assert.equal((await admin.renameNode('one', 'three')).dnsName, 'three.home.peerway.internal')
  await join('one', key)
  assert.deepEqual(
    (await admin.listNodes()).map(({ name }) => name),
    ['three', 'two', 'one'],
  )
})

test('each change leaves its row in the audit log', async (t) => {
  const { admin, join } = await setUp(t)
  const { key } = await admin.createAuthKey({ reusable: true })
  await join('pc', key)
  await admin.renameNode('pc', 'desk')
  await admin.expireNode('desk')
  await admin.deleteNode('desk')
  const actions = (await admin.auditSince(0)).map(({ action }) => action)
  assert.deepEqual(actions, [
    'user.create',
    'auth-key.create',
    'node.register',
    'node.rename',
    'node.expire',
    'node.delete',
  ])
})
