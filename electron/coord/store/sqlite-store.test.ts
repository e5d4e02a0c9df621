import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { isCoded } from '../../base/errors.ts'
import { DiscoPrivate, MachinePrivate, NodePrivate } from '../../crypto/keys.ts'
import { newAuthKeySecret } from '../auth-key.ts'
import { NO_HOST_FACTS, NO_REPORT, type NodeReport } from '../model.ts'
import { SqliteDatabase } from './sqlite-database.ts'
import { SqliteStore } from './sqlite-store.ts'
import { FIRST_TAILNET, type NewAuthKey, type NewNode, type Store, type StoreTransaction } from './store.ts'

function tempFile(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'peerway-store-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'coord.db')
}

function opened(t: TestContext, path = tempFile(t)): SqliteStore {
  const store = SqliteStore.open(path)
  t.after(() => store.close())
  return store
}

/** In the tailnet that every database has. */
const inFirst = <T>(store: Store, work: (tx: StoreTransaction) => Promise<T>): Promise<T> =>
  store.transaction((tx) => work(tx.inTailnet(FIRST_TAILNET)))

const newUser = { name: 'anna', displayName: 'Anna', email: undefined, role: 'owner', createdAtMs: 5 } as const

function newNode(userId: number, name: string): NewNode {
  return {
    stableId: `n-${name}`,
    userId,
    machineKey: MachinePrivate.generate().public,
    nodeKey: NodePrivate.generate().public,
    name,
    nameIsFixed: false,
    addressV4: `100.64.0.${name.length}`,
    addressV6: `fd7a:115c:a1e0::${name.length}`,
    tags: ['tag:a'],
    expiresAtMs: undefined,
    createdAtMs: 7,
    ephemeral: true,
    authKeyId: 'key',
  }
}

const report: NodeReport = {
  discoKey: DiscoPrivate.generate().public,
  endpoints: ['192.0.2.1:41641', '[2001:db8::1]:41641'],
  hostinfo: {
    ...NO_HOST_FACTS,
    hostname: 'Anna’s PC',
    os: 'linux',
    services: [{ proto: 'peerapi4', port: 39161, description: '' }],
    routableIps: ['10.0.0.0/8'],
    peerRelay: true,
    network: { mappingVariesByDestIp: false, workingUdp: true, workingIpv6: undefined, havePortMap: true },
  },
  homeDerp: 900,
  capVersion: 133,
  lastSeenAtMs: 99,
}

const authKey = (id: string, reusable: boolean): NewAuthKey => ({
  id,
  userId: 1,
  reusable,
  ephemeral: false,
  tags: [],
  createdAtMs: 1,
  expiresAtMs: 2,
  usedAtMs: undefined,
  revokedAtMs: undefined,
})

const failsWith = (code: string) => (error: unknown) => isCoded(error, code)

test('what was written is there after closing and opening again', async (t) => {
  const path = tempFile(t)
  const first = SqliteStore.open(path)
  const [user, node] = await inFirst(first, async (tx) => {
    const user = await tx.insertUser(newUser)
    const node = await tx.insertNode(newNode(user.id, 'laptop'), report)
    await tx.updateNode(node.id, { name: 'desk', nameIsFixed: true, expiresAtMs: 1234 })
    await tx.setSetting('domain', 'home.example')
    await tx.audit({ atMs: 3, actor: 'cli', action: 'x', subject: 'y', detail: 'z' })
    return [user, node]
  })
  await first.close()
  const second = opened(t, path)
  await inFirst(second, async (tx) => {
    assert.deepEqual(await tx.users(), [user])
    assert.deepEqual(await tx.nodes(), [{ ...node, name: 'desk', nameIsFixed: true, expiresAtMs: 1234 }])
    assert.equal(await tx.setting('domain'), 'home.example')
    assert.equal(await tx.setting('other'), undefined)
    assert.equal((await tx.auditSince(3, 10)).length, 1)
    assert.equal((await tx.auditSince(4, 10)).length, 0)
  })
})

test('a transaction that fails leaves nothing', async (t) => {
  const store = opened(t)
  await assert.rejects(
    inFirst(store, async (tx) => {
      const user = await tx.insertUser(newUser)
      await tx.insertNode(newNode(user.id, 'laptop'), NO_REPORT)
      throw new Error('no')
    }),
  )
  await inFirst(store, async (tx) => {
    assert.deepEqual(await tx.users(), [])
    assert.deepEqual(await tx.nodes(), [])
  })
})

test('transactions come one after the other, also when one waits inside', async (t) => {
  const store = opened(t)
  await inFirst(store, (tx) => tx.setSetting('n', '0'))
  const increment = () =>
    inFirst(store, async (tx) => {
      const n = Number(await tx.setting('n'))
      await new Promise((resolve) => setImmediate(resolve))
      await tx.setSetting('n', String(n + 1))
    })
  await Promise.all(Array.from({ length: 50 }, increment))
  assert.equal(await inFirst(store, (tx) => tx.setting('n')), '50')
})

test('ids are never given again', async (t) => {
  const store = opened(t)
  await inFirst(store, async (tx) => {
    const user = await tx.insertUser(newUser)
    const first = await tx.insertNode(newNode(user.id, 'a'), NO_REPORT)
    await tx.deleteNode(first.id)
    const second = await tx.insertNode(newNode(user.id, 'bb'), NO_REPORT)
    assert.ok(second.id > first.id)
  })
})

test('a node key, a name and an address have one holder, whatever the code above does', async (t) => {
  const store = opened(t)
  const user = await inFirst(store, (tx) => tx.insertUser(newUser))
  const first = newNode(user.id, 'a')
  await inFirst(store, (tx) => tx.insertNode(first, NO_REPORT))
  for (const same of ['nodeKey', 'name', 'addressV4', 'addressV6', 'stableId'] as const) {
    const rival = { ...newNode(user.id, 'bb'), [same]: first[same] }
    await assert.rejects(
      inFirst(store, (tx) => tx.insertNode(rival, NO_REPORT)),
      /UNIQUE/,
    )
  }
})

test('of a thousand uses of a key for one use exactly one succeeds', async (t) => {
  const store = opened(t)
  await inFirst(store, async (tx) => {
    await tx.insertUser(newUser)
    await tx.insertAuthKey(authKey('once', false), newAuthKeySecret().secretHash)
    await tx.insertAuthKey(authKey('often', true), newAuthKeySecret().secretHash)
  })
  const spend = (id: string) => inFirst(store, (tx) => tx.spendAuthKey(id, 10))
  const uses = await Promise.all(Array.from({ length: 1_000 }, () => spend('once')))
  assert.equal(uses.filter(Boolean).length, 1)
  assert.deepEqual(await Promise.all([spend('often'), spend('often'), spend('none')]), [true, true, false])
  await inFirst(store, (tx) => tx.revokeAuthKey('often', 11))
  assert.equal(await spend('often'), false)
})

test('deleting a user takes that user’s keys along and nobody else’s; a user with nodes stays', async (t) => {
  const store = opened(t)
  await inFirst(store, async (tx) => {
    const anna = await tx.insertUser(newUser)
    const ben = await tx.insertUser({ ...newUser, name: 'ben' })
    await tx.insertAuthKey(authKey('annas', true), new Uint8Array(32))
    await tx.insertAuthKey({ ...authKey('bens', true), userId: ben.id }, new Uint8Array(32))
    await tx.insertNode(newNode(ben.id, 'a'), NO_REPORT)
    await tx.deleteUser(anna.id)
    assert.deepEqual(
      (await tx.authKeys()).map(({ id }) => id),
      ['bens'],
    )
    await assert.rejects(tx.deleteUser(ben.id), /FOREIGN KEY/)
  })
})

test('a report for a node that was deleted meanwhile is dropped', async (t) => {
  const store = opened(t)
  await inFirst(store, (tx) => tx.writeReport(42, report))
})

test('one process at a time: the second is told, and the first goes on', async (t) => {
  const path = tempFile(t)
  const first = opened(t, path)
  assert.throws(() => SqliteStore.open(path), failsWith('coord/state-in-use'))
  await inFirst(first, (tx) => tx.setSetting('still', 'there'))
  await first.close()
  const second = SqliteStore.open(path)
  await second.close()
})

test('a file that is no database is refused and kept as it was', (t) => {
  const path = tempFile(t)
  writeFileSync(path, 'precious '.repeat(500))
  assert.throws(() => SqliteStore.open(path), failsWith('coord/state-damaged'))
  assert.equal(readFileSync(path, 'utf8'), 'precious '.repeat(500))
})

test('a database with damaged pages is refused and kept as it was', async (t) => {
  const path = tempFile(t)
  const store = SqliteStore.open(path)
  await inFirst(store, async (tx) => {
    await tx.insertUser(newUser)
    for (let i = 0; i < 200; i++) await tx.setSetting(`name-${i}`, 'x'.repeat(200))
  })
  await store.close()
  const bytes = readFileSync(path)
  bytes.fill(0x5a, 4096 * 3, bytes.length)
  writeFileSync(path, bytes)
  assert.throws(() => SqliteStore.open(path), failsWith('coord/state-damaged'))
  assert.deepEqual(readFileSync(path), bytes)
})

test('a database of a later version is refused and kept as it was', async (t) => {
  const path = tempFile(t)
  const later = SqliteDatabase.open(
    path,
    Array.from({ length: 99 }, (_, i) => () => `CREATE TABLE later_${i} (x)`),
  )
  await later.close()
  const bytes = readFileSync(path)
  assert.throws(() => SqliteStore.open(path), failsWith('coord/state-newer'))
  assert.deepEqual(readFileSync(path), bytes)
})

test('a migration that fails leaves the version before it', async (t) => {
  const path = tempFile(t)
  assert.throws(
    () =>
      SqliteDatabase.open(path, [
        () => 'CREATE TABLE one (x)',
        () => 'CREATE TABLE two (x); INSERT INTO nowhere VALUES (1)',
      ]),
    failsWith('coord/state-unusable'),
  )
  const again = SqliteDatabase.open(path, [() => 'CREATE TABLE one (x)', () => 'CREATE TABLE two (x)'])
  assert.deepEqual(again.all('SELECT * FROM two', []), [])
  await again.close()
})

test('a row that cannot be one of ours is damage, not a default', async (t) => {
  const store = opened(t)
  await inFirst(store, async (tx) => {
    const user = await tx.insertUser(newUser)
    await tx.insertNode(newNode(user.id, 'a'), report)
  })
  for (const damage of ["machine_key = 'mkey:12'", "tags = '{'", "tags = '[1]'"]) {
    await store.database.transaction(async () => {
      store.database.run(`UPDATE nodes SET ${damage}`, [])
    })
    await assert.rejects(
      inFirst(store, (tx) => tx.nodes()),
      failsWith('coord/state-damaged'),
    )
  }
})

test('neither the secret of an auth key nor a private key is in the files', async (t) => {
  const path = tempFile(t)
  const store = SqliteStore.open(path)
  const secret = newAuthKeySecret()
  await inFirst(store, async (tx) => {
    await tx.insertUser(newUser)
    await tx.insertAuthKey(authKey(secret.id, false), secret.secretHash)
  })
  await store.close()
  const bytes = readFileSync(path).toString('latin1')
  assert.ok(bytes.includes(secret.id))
  assert.ok(!bytes.includes(secret.text.slice(-50)))
  assert.ok(!bytes.includes('privkey:'))
})
