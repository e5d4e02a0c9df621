import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { MachinePrivate, NodePrivate } from '../../crypto/keys.ts'
import { migrations } from './schema.ts'
import { SqliteDatabase } from './sqlite-database.ts'
import { SqliteStore } from './sqlite-store.ts'
import { inFirst } from './stores-for-tests.ts'

/** The first release with accounts, and the last with one tailnet. */
const WITH_ACCOUNTS = 2
const ONE_TAILNET = 3

function place(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'peerway-migrations-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'coord.db')
}

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)

test('who was signed in before sessions told where they are stays signed in', async (t) => {
  const path = place(t)
  const before = SqliteDatabase.open(path, migrations.slice(0, WITH_ACCOUNTS))
  before.run("INSERT INTO users (name, display_name, role, created_at) VALUES ('ines', 'Ines', 'owner', 1)", [])
  before.run('INSERT INTO sessions (token_hash, user_id, method, created_at, used_at) VALUES (?, 1, ?, 5, 6)', [
    bytes(7),
    'passkey',
  ])
  await before.close()
  const store = SqliteStore.open(path)
  t.after(() => store.close())
  const session = await store.transaction(({ identity }) => identity.session(bytes(7)))
  assert.deepEqual(session, {
    id: 1,
    userId: 1,
    method: 'passkey',
    source: '',
    browser: '',
    createdAtMs: 5,
    usedAtMs: 6,
  })
})

/** A database of the last version with one tailnet, with a row in each table that the next one touches. */
async function oneTailnet(path: string): Promise<void> {
  const before = SqliteDatabase.open(path, migrations.slice(0, ONE_TAILNET))
  const keys = [MachinePrivate.generate().public.text, NodePrivate.generate().public.text]
  for (const [sql, values] of [
    ["INSERT INTO users (name, display_name, email, role, created_at) VALUES ('ines', 'Ines', 'i@x', 'owner', 5)", []],
    ["INSERT INTO users (name, display_name, role, created_at) VALUES ('karin', 'Karin', 'member', 6)", []],
    ["INSERT INTO auth_keys VALUES ('k', ?, 2, 1, 0, '[\"tag:a\"]', 7, NULL, 8, NULL)", [bytes(1, 2)]],
    [
      `INSERT INTO nodes (id, stable_id, user_id, machine_key, node_key, name, name_is_fixed, address_v4, address_v6, tags,
         expires_at, created_at, ephemeral, auth_key_id)
       VALUES (41, 'n1', 2, ?, ?, 'pc', 1, '100.64.0.9', 'fd7a:115c:a1e0::9', '[]', 99, 7, 0, 'k')`,
      keys,
    ],
    ['INSERT INTO node_reports VALUES (41, NULL, \'["192.0.2.1:1"]\', \'{"hostname":"PC"}\', 900, 130, 12)', []],
    ["INSERT INTO nodes SELECT 50, 'n2', 2, 'x', 'y', 'gone', 0, 'a', 'b', '[]', NULL, 7, 0, NULL", []],
    ['DELETE FROM nodes WHERE id = 50', []],
    ["INSERT INTO settings VALUES ('base-domain', 'net.example'), ('next-address-offset', '10')", []],
    ["INSERT INTO settings VALUES ('policy', 'P2'), ('policy/1', 'P1'), ('public-url', 'https://c.example')", []],
    ["INSERT INTO audit (at, actor, action, subject, detail) VALUES (3, 'cli', 'x', 'y', 'z')", []],
    ["INSERT INTO passwords VALUES (2, '$argon2id$', 4)", []],
  ] as const)
    before.run(sql, values)
  await before.close()
}

test('a server of one tailnet becomes the first of several, and nothing is lost', async (t) => {
  const path = place(t)
  await oneTailnet(path)
  const store = SqliteStore.open(path)
  t.after(() => store.close())
  await inFirst(store, async (tx) => {
    assert.deepEqual(await tx.tailnets(), [{ id: 1, name: 'home', domain: 'net.example', createdAtMs: 5 }])
    assert.deepEqual(
      (await tx.users()).map(({ name, role, homeId, email }) => [name, role, homeId, email]),
      [
        ['ines', 'owner', 1, 'i@x'],
        ['karin', 'member', 1, undefined],
      ],
    )
    const [node] = await tx.nodes()
    assert.ok(node)
    assert.deepEqual(
      [node.id, node.tailnetId, node.userId, node.name, node.addressV4, node.expiresAtMs, node.authKeyId],
      [41, 1, 2, 'pc', '100.64.0.9', 99, 'k'],
    )
    assert.deepEqual([node.report.endpoints, node.report.lastSeenAtMs], [['192.0.2.1:1'], 12])
    const key = await tx.authKey('k')
    assert.deepEqual([key?.key.tailnetId, key?.key.usedAtMs, key?.secretHash], [1, 8, bytes(1, 2)])
    assert.deepEqual([await tx.tailnetSetting('policy'), await tx.tailnetSetting('policy/1')], ['P2', 'P1'])
    assert.deepEqual([await tx.tailnetSetting('next-address-offset'), await tx.setting('policy')], ['10', undefined])
    assert.equal(await tx.setting('public-url'), 'https://c.example')
    assert.equal((await tx.auditSince(0, 9)).length, 1)
    assert.equal(await tx.identity.passwordOf(2), '$argon2id$')
    // The number of a node that was deleted before is not given again.
    const next = await tx.insertNode(
      {
        ...node,
        stableId: 'n3',
        name: 'new',
        addressV4: 'c',
        addressV6: 'd',
        nodeKey: NodePrivate.generate().public,
      },
      node.report,
    )
    assert.equal(next.id, 51)
  })
})

test('before a database is changed, a copy of it is put beside it, for its owner alone', async (t) => {
  const path = place(t)
  await oneTailnet(path)
  const store = SqliteStore.open(path)
  await store.close()
  const copy = `${path}.before-schema-${ONE_TAILNET + 1}`
  assert.equal(statSync(copy).mode & 0o777, 0o600)
  const before = SqliteDatabase.open(copy, migrations.slice(0, ONE_TAILNET))
  assert.equal(before.all('SELECT * FROM nodes', []).length, 1)
  await before.close()
  assert.ok(!existsSync(`${path}.before-schema-${ONE_TAILNET + 2}`))
})

test('where no copy can be made, nothing is changed', async (t) => {
  const path = place(t)
  await oneTailnet(path)
  mkdirSync(join(`${path}.before-schema-${ONE_TAILNET + 1}`, 'in-the-way'), { recursive: true })
  assert.throws(() => SqliteStore.open(path))
  const before = SqliteDatabase.open(path, migrations.slice(0, ONE_TAILNET))
  assert.equal(before.all('SELECT role FROM users', []).length, 2)
  await before.close()
})

test('every version there was can be brought to this one', async (t) => {
  for (let version = 1; version < migrations.length; version++) {
    const path = place(t)
    const before = SqliteDatabase.open(path, migrations.slice(0, version))
    await before.close()
    const store = SqliteStore.open(path)
    assert.equal((await store.transaction((tx) => tx.tailnets())).length, 1)
    await store.close()
  }
})
