// A dump of each kind of store goes into each kind.

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { newAuthKeySecret } from '../auth-key.ts'
import type { Dumped } from './dump.ts'
import { newKey, newNode, newReport, newUser } from './store-samples.ts'
import type { PortableStore } from './store.ts'
import { endPostgres, inFirst, type StoreKind, storeKinds } from './stores-for-tests.ts'

async function opened(t: TestContext, kind: StoreKind): Promise<PortableStore> {
  const store = await (await kind.place(t))()
  t.after(() => store.close())
  return store
}

/** Something in every table, and more than fits into one page. */
async function fill(store: PortableStore): Promise<void> {
  await store.transaction(async (server) => {
    const tx = server.inTailnet(1)
    const anna = await tx.insertUser(newUser)
    const { id } = await server.insertTailnet({ name: 'office', domain: 'office.example', createdAtMs: 1 })
    const ben = await server.inTailnet(id).insertUser({ ...newUser, name: 'Ben ü', email: 'b@x' })
    await tx.insertMember(ben.id, 'auditor')
    await tx.insertAuthKey(newKey('k', true), newAuthKeySecret().secretHash)
    await tx.insertNode(newNode(anna.id, 'a'), newReport)
    const gone = await tx.insertNode(newNode(anna.id, 'bb'), newReport)
    await tx.deleteNode(gone.id)
    await tx.setSetting('public-url', 'https://c.example')
    await tx.setTailnetSetting('policy', '{"revision":1}')
    for (let i = 0; i < 450; i++) await tx.audit({ atMs: i, actor: 'cli', action: 'x', subject: `y${i}`, detail: 'é' })
    const { identity } = tx
    await identity.insertPasskey({
      id: 'p',
      userId: anna.id,
      publicKey: Uint8Array.of(0, 255),
      counter: 3,
      transports: ['usb'],
      rpId: 'x',
      name: 'one',
      createdAtMs: 1,
      lastUsedAtMs: undefined,
    })
    await identity.insertHandle(anna.id, Uint8Array.of(9))
    await identity.setPassword(anna.id, '$argon2id$', 2)
    await identity.setTotp(anna.id, { sealed: Uint8Array.of(1, 2, 3), lastStep: 1, createdAtMs: 1 })
    await identity.replaceRecoveryCodes(anna.id, [Uint8Array.of(5), Uint8Array.of(4)], 1)
    const session = {
      userId: anna.id,
      method: 'passkey',
      source: '',
      browser: '',
      createdAtMs: 1,
      usedAtMs: 1,
    } as const
    await identity.insertSession(Uint8Array.of(7), session)
    const link = { userId: anna.id, purpose: 'add', createdAtMs: 1, expiresAtMs: 2, usedAtMs: undefined } as const
    await identity.insertEnrolToken(Uint8Array.of(8), link, 0)
    await identity.insertRecovery({ userId: anna.id, helperId: ben.id, startedAtMs: 1, readyAtMs: 2 })
    await identity.setGuesses('place:1', { failures: 1, readyAtMs: 2, lastAtMs: 3 })
  })
}

async function all(store: PortableStore): Promise<Dumped[]> {
  const rows: Dumped[] = []
  for await (const row of store.dump()) rows.push(row)
  return rows
}

for (const from of storeKinds)
  for (const to of storeKinds)
    test(`what ${from.name} gives, ${to.name} takes and gives again`, { skip: from.skip || to.skip }, async (t) => {
      const [source, target] = [await opened(t, from), await opened(t, to)]
      assert.equal(await source.isUnused(), true)
      await fill(source)
      assert.equal(await source.isUnused(), false)
      const dump = await all(source)
      const tables = new Set(dump.map(({ table }) => table))
      assert.ok(tables.size >= 18, [...tables].join(' '))
      await fill(target)
      assert.equal(await target.replaceAll(source.dump()), dump.filter((one) => 'row' in one).length)
      const text = (rows: readonly Dumped[]): string[] => rows.map((one) => JSON.stringify(one)).toSorted()
      assert.deepEqual(text(await all(target)), text(dump))
      await inFirst(target, async (tx) => {
        // A number that was given out is not given again, though its node is gone.
        const next = await tx.insertNode(newNode(1, 'ccc'), newReport)
        assert.equal(next.id, 3)
      })
    })

test('a dump that ends too early leaves what was', async (t) => {
  for (const kind of storeKinds) {
    if (kind.skip) continue
    const store = await opened(t, kind)
    await fill(store)
    const before = await all(store)
    async function* broken(): AsyncGenerator<Dumped> {
      for (const one of before.slice(0, 300)) yield one
      throw new Error('the file ends')
    }
    await assert.rejects(store.replaceAll(broken()), /the file ends/)
    assert.deepEqual(await all(store), before)
  }
})

test('while a dump is read, others write, and none of it is in the dump', async (t) => {
  for (const kind of storeKinds) {
    if (kind.skip) continue
    const store = await opened(t, kind)
    await fill(store)
    const rows: Dumped[] = []
    for await (const row of store.dump()) {
      if (rows.length === 0) await inFirst(store, (tx) => tx.insertUser({ ...newUser, name: 'late' }))
      rows.push(row)
    }
    assert.ok(!JSON.stringify(rows).includes('late'))
    assert.equal((await inFirst(store, (tx) => tx.users())).length, 3)
  }
})

endPostgres()
