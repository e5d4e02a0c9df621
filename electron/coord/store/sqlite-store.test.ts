import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { isCoded } from '../../base/errors.ts'
import { newAuthKeySecret } from '../auth-key.ts'
import { SqliteDatabase } from './sqlite-database.ts'
import { SqliteStore } from './sqlite-store.ts'
import { newKey, newNode, newReport, newUser } from './store-samples.ts'
import { inFirst } from './stores-for-tests.ts'

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

const failsWith = (code: string) => (error: unknown) => isCoded(error, code)

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
    await tx.insertNode(newNode(user.id, 'a'), newReport)
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
    await tx.insertAuthKey(newKey(secret.id, false), secret.secretHash)
  })
  await store.close()
  const bytes = readFileSync(path).toString('latin1')
  assert.ok(bytes.includes(secret.id))
  assert.ok(!bytes.includes(secret.text.slice(-50)))
  assert.ok(!bytes.includes('privkey:'))
})
