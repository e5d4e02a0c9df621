// What every store owes to those who keep accounts.

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { IdentityTables } from './identity-store.ts'
import { endPostgres, inFirst, type OpenStore, testOnEach } from './stores-for-tests.ts'

async function store(
  t: TestContext,
  open: OpenStore,
): Promise<<T>(work: (identity: IdentityTables) => Promise<T>) => Promise<T>> {
  const store = await open()
  t.after(() => store.close())
  await inFirst(store, async (tx) => {
    for (const name of ['ines', 'karin'])
      await tx.insertUser({ name, displayName: name, email: undefined, role: 'owner', createdAtMs: 1 })
  })
  return (work) => store.transaction(({ identity }) => work(identity))
}

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)

testOnEach('recovery codes are one person’s, count down, and are all replaced', async (t, open) => {
  const on = await store(t, open)
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

testOnEach('a second factor goes with the password, and everything with the credentials', async (t, open) => {
  const on = await store(t, open)
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

testOnEach('passkeys and sessions are changed only by whom they belong to', async (t, open) => {
  const on = await store(t, open)
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

testOnEach('a recovery ends once', async (t, open) => {
  const on = await store(t, open)
  await on(async (identity) => {
    const recovery = { userId: 2, helperId: 1, startedAtMs: 1, readyAtMs: 2 }
    await identity.insertRecovery(recovery)
    assert.deepEqual(await identity.recoveries(), [{ id: 1, ...recovery }])
    assert.deepEqual([await identity.endRecovery(1, 3), await identity.endRecovery(1, 4)], [true, false])
    assert.deepEqual(await identity.recoveries(), [])
  })
})

testOnEach('wrong tries of a kind are kept for so many subjects, the last ones', async (t, open) => {
  const on = await store(t, open)
  await on(async (identity) => {
    for (let i = 0; i < 5; i++) await identity.setGuesses(`place:${i}`, { failures: i, readyAtMs: 0, lastAtMs: i })
    await identity.setGuesses('user:1', { failures: 9, readyAtMs: 0, lastAtMs: 0 })
    await identity.setGuesses('place:4', { failures: 5, readyAtMs: 6, lastAtMs: 7 })
    await identity.pruneGuesses('place:', 2)
    assert.equal(await identity.guesses('place:2'), undefined)
    assert.equal((await identity.guesses('place:3'))?.failures, 3)
    assert.deepEqual(await identity.guesses('place:4'), { failures: 5, readyAtMs: 6, lastAtMs: 7 })
    assert.equal((await identity.guesses('user:1'))?.failures, 9)
  })
})

testOnEach('old sessions and too many of one person go, and nobody else’s', async (t, open) => {
  const on = await store(t, open)
  await on(async (identity) => {
    const session = { method: 'passkey', source: '', browser: '', usedAtMs: 50 } as const
    for (let i = 0; i < 4; i++) await identity.insertSession(bytes(i), { ...session, userId: 1, createdAtMs: 10 + i })
    await identity.insertSession(bytes(9), { ...session, userId: 2, createdAtMs: 10 })
    await identity.pruneSessions(1, 2, { usedBeforeMs: 20, createdBeforeMs: 11 })
    assert.deepEqual(
      (await identity.sessionsOf(1)).map(({ createdAtMs }) => createdAtMs),
      [13, 12],
    )
    assert.deepEqual(await identity.sessionsOf(2), [])
    assert.equal(await identity.hasCredentials(), false)
    await identity.setPassword(1, '$argon2id$', 8)
    assert.equal(await identity.hasCredentials(), true)
  })
})

testOnEach('an account elsewhere is one person’s, and goes with the provider or a reset', async (t, open) => {
  const on = await store(t, open)
  await on(async ({ oidc }) => {
    const provider = await oidc.insertProvider({
      tailnetId: 1,
      name: 'corp',
      issuer: 'https://id.example.org',
      clientId: 'peerway',
      sealedSecret: bytes(1),
      rules: '{}',
      createdAtMs: 5,
      leaveAtMs: undefined,
    })
    await oidc.updateProvider(provider.id, { leaveAtMs: 99, sealedSecret: undefined })
    assert.deepEqual(await oidc.providers(), [{ ...provider, leaveAtMs: 99, sealedSecret: undefined }])
    const one = { providerId: provider.id, subject: 's1', userId: 1, shown: 'ines', groups: ['a'] }
    await oidc.insertIdentity({ ...one, createdAtMs: 6, lastUsedAtMs: 6 })
    await oidc.insertIdentity({ ...one, subject: 's2', userId: 2, createdAtMs: 6, lastUsedAtMs: 6 })
    await oidc.noteIdentityUse({ ...one, shown: 'Ines', groups: ['b', 'c'], lastUsedAtMs: 9 })
    const used = { ...one, shown: 'Ines', groups: ['b', 'c'], createdAtMs: 6, lastUsedAtMs: 9 }
    assert.deepEqual(await oidc.identity(provider.id, 's1'), used)
    assert.deepEqual(await oidc.identitiesOf(1), [used])
    assert.equal((await oidc.identitiesAt(provider.id)).length, 2)
    assert.deepEqual(
      [...(await oidc.groups())],
      [
        [1, ['b@corp', 'c@corp']],
        [2, ['a@corp']],
      ],
    )
    assert.deepEqual([await oidc.groupsOf(1), await oidc.groupsOf(3)], [['b@corp', 'c@corp'], []])
    assert.equal(await oidc.deleteIdentity(2, provider.id, 's1'), false)
    assert.equal(await oidc.deleteIdentity(1, provider.id, 's1'), true)
  })
  await on(async (identity) => {
    assert.equal(await identity.hasCredentials(), true)
    await identity.deleteCredentials(2)
    assert.equal(await identity.hasCredentials(), false)
    const [provider] = await identity.oidc.providers()
    await identity.oidc.deleteProvider(provider?.id ?? 0)
    assert.deepEqual(await identity.oidc.providers(), [])
  })
})

testOnEach(
  'who depends on a provider: those without a password, a passkey of this host, or a provider that stays',
  async (t, open) => {
    const on = await store(t, open)
    await on(async (identity) => {
      const { oidc } = identity
      const add = (name: string, leaveAtMs?: number) =>
        oidc.insertProvider({
          tailnetId: 1,
          name,
          issuer: `https://${name}.example`,
          clientId: 'x',
          sealedSecret: undefined,
          rules: '{}',
          createdAtMs: 1,
          leaveAtMs,
        })
      const [one, staying, leaving] = [await add('one'), await add('staying'), await add('leaving', 9)]
      const link = (providerId: number, userId: number, subject = `s${userId}`) =>
        oidc.insertIdentity({ providerId, subject, userId, shown: '', groups: [], createdAtMs: 1, lastUsedAtMs: 1 })
      for (const id of [1, 2]) await link(one.id, id)
      await link(one.id, 1, 'second')
      const depend = (): Promise<number[]> => oidc.dependents(one.id, ['home.example', 'localhost'])
      assert.deepEqual(await depend(), [1, 2])
      await link(leaving.id, 1)
      assert.deepEqual(await depend(), [1, 2])
      await link(staying.id, 1)
      assert.deepEqual(await depend(), [2])
      const passkey = {
        publicKey: bytes(1),
        counter: 0,
        transports: [],
        name: '',
        createdAtMs: 1,
        lastUsedAtMs: undefined,
      }
      await identity.insertPasskey({ ...passkey, id: 'a', userId: 2, rpId: 'old.example' })
      assert.deepEqual(await depend(), [2])
      await identity.insertPasskey({ ...passkey, id: 'b', userId: 2, rpId: 'home.example' })
      assert.deepEqual(await depend(), [])
      await identity.deletePasskey(2, 'b')
      await identity.setPassword(2, '$argon2id$', 1)
      assert.deepEqual(await depend(), [])
    })
  },
)

endPostgres()
