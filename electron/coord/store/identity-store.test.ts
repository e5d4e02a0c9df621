import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { IdentityTables } from './identity-store.ts'
import { migrations } from './schema.ts'
import { SqliteDatabase } from './sqlite-database.ts'
import { SqliteStore } from './sqlite-store.ts'
import { FIRST_TAILNET } from './store.ts'

/** The first release with accounts. */
const WITH_ACCOUNTS = 2

function place(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'peerway-identity-store-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'coord.db')
}

async function store(
  t: TestContext,
  path = place(t),
): Promise<<T>(work: (identity: IdentityTables) => Promise<T>) => Promise<T>> {
  const store = SqliteStore.open(path)
  t.after(() => store.close())
  await store.transaction(async (server) => {
    const tx = server.inTailnet(FIRST_TAILNET)
    if ((await tx.users()).length > 0) return
    for (const name of ['ines', 'karin'])
      await tx.insertUser({ name, displayName: name, email: undefined, role: 'owner', createdAtMs: 1 })
  })
  return (work) => store.transaction(({ identity }) => work(identity))
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
  const on = await store(t, path)
  assert.deepEqual(await on((identity) => identity.session(bytes(7))), {
    id: 1,
    userId: 1,
    method: 'passkey',
    source: '',
    browser: '',
    createdAtMs: 5,
    usedAtMs: 6,
  })
})

test('recovery codes are one person’s, count down, and are all replaced', async (t) => {
  const on = await store(t)
  await on(async (identity) => {
    assert.equal(await identity.recoveryCodes(1), undefined)
    await identity.replaceRecoveryCodes(1, [bytes(1), bytes(2)], 10)
    assert.equal(await identity.spendRecoveryCode(2, bytes(1), 11), false)
    assert.equal(await identity.spendRecoveryCode(1, bytes(1), 11), true)
    assert.equal(await identity.spendRecoveryCode(1, bytes(1), 12), false)
    assert.deepEqual(await identity.recoveryCodes(1), { left: 1, createdAtMs: 10 })
    await identity.replaceRecoveryCodes(1, [bytes(3)], 20)
    assert.equal(await identity.spendRecoveryCode(1, bytes(2), 21), false)
    assert.deepEqual(await identity.recoveryCodes(1), { left: 1, createdAtMs: 20 })
  })
})

test('a second factor goes with the password, and everything with the credentials', async (t) => {
  const on = await store(t)
  await on(async (identity) => {
    const totp = { sealed: bytes(1, 2), lastStep: 5, createdAtMs: 9 }
    for (const id of [1, 2]) {
      await identity.setPassword(id, '$argon2id$', 8)
      await identity.setTotp(id, totp)
      await identity.replaceRecoveryCodes(id, [bytes(id)], 10)
    }
    assert.deepEqual(await identity.totp(1), totp)
    assert.deepEqual(
      [await identity.noteTotpStep(1, 5), await identity.noteTotpStep(1, 6), await identity.noteTotpStep(1, 6)],
      [false, true, false],
    )
    await identity.deletePassword(1)
    assert.deepEqual([await identity.totp(1), await identity.passwordChangedAt(1)], [undefined, undefined])
    assert.equal((await identity.recoveryCodes(1))?.left, 1)
    await identity.deleteCredentials(1)
    assert.equal(await identity.recoveryCodes(1), undefined)
    assert.deepEqual(
      [await identity.totp(2), await identity.passwordChangedAt(2), (await identity.recoveryCodes(2))?.left],
      [totp, 8, 1],
    )
  })
})

test('passkeys and sessions are changed only by whom they belong to', async (t) => {
  const on = await store(t)
  await on(async (identity) => {
    const passkey = {
      id: 'a',
      userId: 1,
      publicKey: bytes(1),
      counter: 0,
      transports: [],
      rpId: 'x',
      name: 'one',
      createdAtMs: 1,
      lastUsedAtMs: undefined,
    }
    await identity.insertPasskey(passkey)
    assert.deepEqual(
      [await identity.renamePasskey(2, 'a', 'two'), await identity.deletePasskey(2, 'a')],
      [false, false],
    )
    assert.equal(await identity.renamePasskey(1, 'a', 'two'), true)
    assert.deepEqual(await identity.passkeysOf(1), [{ ...passkey, name: 'two' }])
    assert.equal(await identity.deletePasskey(1, 'a'), true)

    const session = { method: 'passkey', source: '', browser: '', createdAtMs: 1, usedAtMs: 1 } as const
    for (const [i, userId] of [1, 1, 2].entries()) await identity.insertSession(bytes(i), { ...session, userId })
    const [first] = await identity.sessionsOf(1)
    assert.equal(await identity.endSession(2, first?.id ?? 0), false)
    await identity.deleteSessionsOf(1, first?.id)
    assert.deepEqual([(await identity.sessionsOf(1)).length, (await identity.sessionsOf(2)).length], [1, 1])
  })
})

test('a recovery ends once', async (t) => {
  const on = await store(t)
  await on(async (identity) => {
    const recovery = { userId: 2, helperId: 1, startedAtMs: 1, readyAtMs: 2 }
    await identity.insertRecovery(recovery)
    assert.deepEqual(await identity.recoveries(), [{ id: 1, ...recovery }])
    assert.deepEqual([await identity.endRecovery(1, 3), await identity.endRecovery(1, 4)], [true, false])
    assert.deepEqual(await identity.recoveries(), [])
  })
})
