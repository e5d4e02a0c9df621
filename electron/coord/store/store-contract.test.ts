// What every store owes, whatever database is behind it.

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { isCoded } from '../../base/errors.ts'
import { newAuthKeySecret } from '../auth-key.ts'
import { TakenError } from '../errors.ts'
import { NO_REPORT } from '../model.ts'
import { newKey, newNode, newReport, newUser } from './store-samples.ts'
import type { Store } from './store.ts'
import { endPostgres, inFirst, type OpenStore, testOnEach } from './stores-for-tests.ts'

async function opened(t: TestContext, open: OpenStore): Promise<Store> {
  const store = await open()
  t.after(() => store.close())
  return store
}

const failsWith = (code: string) => (error: unknown) => isCoded(error, code)

testOnEach('what was written is there after closing and opening again', async (t, open) => {
  const first = await open()
  const [user, node] = await inFirst(first, async (tx) => {
    const user = await tx.insertUser(newUser)
    const node = await tx.insertNode(newNode(user.id, 'laptop'), newReport)
    await tx.updateNode(node.id, { name: 'desk', nameIsFixed: true, expiresAtMs: 1234 })
    await tx.setSetting('domain', 'home.example')
    await tx.setTailnetSetting('policy', 'one')
    await tx.setTailnetSetting('policy', 'two')
    await tx.audit({ atMs: 3, actor: 'cli', action: 'x', subject: 'y', detail: 'z' })
    return [user, node]
  })
  await first.close()
  const second = await opened(t, open)
  await inFirst(second, async (tx) => {
    assert.deepEqual(await tx.users(), [user])
    assert.deepEqual(await tx.nodes(), [{ ...node, name: 'desk', nameIsFixed: true, expiresAtMs: 1234 }])
    assert.equal(await tx.setting('domain'), 'home.example')
    assert.equal(await tx.setting('other'), undefined)
    assert.equal(await tx.tailnetSetting('policy'), 'two')
    assert.equal((await tx.auditSince(3, 10)).length, 1)
    assert.equal((await tx.auditSince(4, 10)).length, 0)
  })
})

testOnEach('a change leaves what it does not name, and can take away what may be absent', async (t, open) => {
  const store = await opened(t, open)
  await inFirst(store, async (tx) => {
    const user = await tx.insertUser({ ...newUser, email: 'anna@example.org' })
    const node = await tx.insertNode(newNode(user.id, 'laptop'), newReport)
    await tx.updateUser(user.id, { role: 'admin' })
    assert.deepEqual(await tx.users(), [{ ...user, role: 'admin' }])
    await tx.updateUser(user.id, { email: undefined, displayName: 'A.' })
    assert.deepEqual(await tx.users(), [{ ...user, role: 'admin', email: undefined, displayName: 'A.' }])
    await tx.updateNode(node.id, { expiresAtMs: 9, tags: ['tag:b'], ephemeral: false, authKeyId: undefined })
    await tx.updateNode(node.id, { expiresAtMs: undefined })
    const changed = { ...node, expiresAtMs: undefined, tags: ['tag:b'], ephemeral: false, authKeyId: undefined }
    assert.deepEqual(await tx.nodes(), [changed])
    await tx.updateNode(node.id, {})
    await tx.writeReport(node.id, { ...newReport, homeDerp: 7, discoKey: undefined })
    assert.deepEqual((await tx.nodes())[0]?.report, { ...newReport, homeDerp: 7, discoKey: undefined })
  })
  await assert.rejects(
    inFirst(store, (tx) => tx.updateNode(99, { name: 'x' })),
    failsWith('coord/not-found'),
  )
  await assert.rejects(
    inFirst(store, (tx) => tx.updateUser(99, { name: 'x' })),
    failsWith('coord/not-found'),
  )
})

testOnEach('a transaction that fails leaves nothing', async (t, open) => {
  const store = await opened(t, open)
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

testOnEach('transactions come one after the other, also when one waits inside', async (t, open) => {
  const store = await opened(t, open)
  await store.transaction((tx) => tx.setSetting('n', '0'))
  const increment = () =>
    store.transaction(async (tx) => {
      const n = Number(await tx.setting('n'))
      await new Promise((resolve) => setImmediate(resolve))
      await tx.setSetting('n', String(n + 1))
    })
  await Promise.all(Array.from({ length: 50 }, increment))
  assert.equal(await store.transaction((tx) => tx.setting('n')), '50')
})

testOnEach('ids are never given again', async (t, open) => {
  const store = await opened(t, open)
  await inFirst(store, async (tx) => {
    const user = await tx.insertUser(newUser)
    const first = await tx.insertNode(newNode(user.id, 'a'), NO_REPORT)
    await tx.deleteNode(first.id)
    const second = await tx.insertNode(newNode(user.id, 'bb'), NO_REPORT)
    assert.ok(second.id > first.id)
  })
})

testOnEach('a node key, a name and an address have one holder, whatever the code above does', async (t, open) => {
  const store = await opened(t, open)
  const user = await inFirst(store, (tx) => tx.insertUser(newUser))
  const first = newNode(user.id, 'a')
  await inFirst(store, (tx) => tx.insertNode(first, NO_REPORT))
  for (const same of ['nodeKey', 'name', 'addressV4', 'addressV6', 'stableId'] as const) {
    const rival = { ...newNode(user.id, 'bb'), [same]: first[same] }
    await assert.rejects(
      inFirst(store, (tx) => tx.insertNode(rival, NO_REPORT)),
      TakenError,
    )
  }
  const namesake = inFirst(store, (tx) => tx.insertUser({ ...newUser, name: 'ANNA' }))
  await assert.rejects(namesake, TakenError)
})

testOnEach('whoever goes on after a statement that failed keeps nothing', async (t, open) => {
  const store = await opened(t, open)
  const user = await inFirst(store, (tx) => tx.insertUser(newUser))
  await inFirst(store, (tx) => tx.insertNode(newNode(user.id, 'a'), NO_REPORT))
  const goingOn = inFirst(store, async (tx) => {
    await tx.setSetting('half', 'written')
    await tx.insertNode(newNode(user.id, 'a'), NO_REPORT).catch(() => undefined)
  })
  await assert.rejects(goingOn)
  assert.equal(await store.transaction((tx) => tx.setting('half')), undefined)
})

testOnEach('of a thousand uses of a key for one use exactly one succeeds', async (t, open) => {
  const store = await opened(t, open)
  await inFirst(store, async (tx) => {
    await tx.insertUser(newUser)
    await tx.insertAuthKey(newKey('once', false), newAuthKeySecret().secretHash)
    await tx.insertAuthKey(newKey('often', true), newAuthKeySecret().secretHash)
  })
  const spend = (id: string) => inFirst(store, (tx) => tx.spendAuthKey(id, 10))
  const uses = await Promise.all(Array.from({ length: 1_000 }, () => spend('once')))
  assert.equal(uses.filter(Boolean).length, 1)
  assert.deepEqual(await Promise.all([spend('often'), spend('often'), spend('none')]), [true, true, false])
  await inFirst(store, (tx) => tx.revokeAuthKey('often', 11))
  assert.equal(await spend('often'), false)
})

testOnEach('a key comes back as it was kept, with the hash of its secret', async (t, open) => {
  const store = await opened(t, open)
  const { secretHash } = newAuthKeySecret()
  await inFirst(store, async (tx) => {
    await tx.insertUser(newUser)
    await tx.insertAuthKey({ ...newKey('k', true), tags: ['tag:x'] }, secretHash)
    const kept = { ...newKey('k', true), tailnetId: 1, tags: ['tag:x'] }
    assert.deepEqual(await tx.authKey('k'), { key: kept, secretHash: new Uint8Array(secretHash) })
  })
})

testOnEach(
  'deleting a user takes that user’s keys along and nobody else’s; a user with nodes stays',
  async (t, open) => {
    const store = await opened(t, open)
    const ben = await inFirst(store, async (tx) => {
      const anna = await tx.insertUser(newUser)
      const ben = await tx.insertUser({ ...newUser, name: 'ben' })
      await tx.insertAuthKey(newKey('annas', true), new Uint8Array(32))
      await tx.insertAuthKey({ ...newKey('bens', true), userId: ben.id }, new Uint8Array(32))
      await tx.insertNode(newNode(ben.id, 'a'), NO_REPORT)
      await tx.deleteUser(anna.id)
      assert.deepEqual(
        (await tx.authKeys()).map(({ id }) => id),
        ['bens'],
      )
      return ben
    })
    await assert.rejects(
      inFirst(store, (tx) => tx.deleteUser(ben.id)),
      TakenError,
    )
  },
)

testOnEach('a report for a node that was deleted meanwhile is dropped', async (t, open) => {
  const store = await opened(t, open)
  await inFirst(store, (tx) => tx.writeReport(42, newReport))
})

testOnEach('a tailnet’s transaction finds nothing of another, by whatever number or name', async (t, open) => {
  const store = await opened(t, open)
  const { other, anna, node } = await store.transaction(async (tx) => {
    const first = tx.inTailnet(1)
    const anna = await first.insertUser(newUser)
    const node = await first.insertNode(newNode(anna.id, 'laptop'), newReport)
    await first.insertAuthKey(newKey('annas', true), new Uint8Array(32))
    await first.setTailnetSetting('policy', 'of the first')
    await first.audit({ atMs: 1, actor: 'cli', action: 'x', subject: 'y', detail: 'z' })
    const other = await tx.insertTailnet({ name: 'office', domain: 'office.example', createdAtMs: 1 })
    return { other, anna, node }
  })
  const there = <T>(work: Parameters<typeof store.transaction<T>>[0]): Promise<T> =>
    store.transaction((tx) => work(tx.inTailnet(other.id)))
  await there(async (tx) => {
    assert.deepEqual(await tx.users(), [])
    assert.deepEqual(await tx.nodes(), [])
    assert.deepEqual(await tx.authKeys(), [])
    assert.equal(await tx.authKey('annas'), undefined)
    assert.equal(await tx.spendAuthKey('annas', 2), false)
    assert.equal(await tx.revokeAuthKey('annas', 2), false)
    assert.equal(await tx.tailnetSetting('policy'), undefined)
    assert.deepEqual(await tx.auditSince(0, 10), [])
    assert.deepEqual(await tx.tailnets(), [other])
    await tx.writeReport(node.id, NO_REPORT)
  })
  for (const wrong of [
    () => there((tx) => tx.updateNode(node.id, { name: 'mine' })),
    () => there((tx) => tx.deleteNode(node.id)),
    () => there((tx) => tx.updateUser(anna.id, { name: 'mine' })),
    () => there((tx) => tx.updateUser(anna.id, { role: 'member' })),
    () => there((tx) => tx.deleteUser(anna.id)),
  ])
    await assert.rejects(wrong(), failsWith('coord/not-found'))
  // Nobody's node, and nobody's key, for who is not a member there.
  await assert.rejects(
    there((tx) => tx.insertNode(newNode(anna.id, 'b'), NO_REPORT)),
    TakenError,
  )
  await assert.rejects(
    there((tx) => tx.insertAuthKey({ ...newKey('k', true), userId: anna.id }, new Uint8Array(32))),
    TakenError,
  )
  assert.deepEqual(await inFirst(store, (tx) => tx.nodes()), [node])
})

testOnEach('tailnets have names and addresses of their own, and one person may be in several', async (t, open) => {
  const store = await opened(t, open)
  await store.transaction(async (tx) => {
    const office = await tx.insertTailnet({ name: 'office', domain: 'office.example', createdAtMs: 1 })
    const [first, second] = [tx.inTailnet(1), tx.inTailnet(office.id)]
    const anna = await first.insertUser(newUser)
    const ben = await second.insertUser({ ...newUser, name: 'ben', role: 'member' })
    await second.insertMember(anna.id, 'auditor')
    const node = newNode(anna.id, 'laptop')
    await first.insertNode(node, NO_REPORT)
    await second.insertNode({ ...newNode(anna.id, 'laptop'), stableId: 'n-2' }, NO_REPORT)
    assert.equal((await tx.nodes()).length, 2)
    assert.deepEqual(
      (await second.users()).map(({ name, role, homeId }) => [name, role, homeId]),
      [
        ['anna', 'auditor', 1],
        ['ben', 'member', office.id],
      ],
    )
    assert.deepEqual(
      (await tx.users()).map(({ name, role }) => [name, role]),
      [
        ['anna', 'owner'],
        ['ben', 'member'],
      ],
    )
    await second.updateUser(anna.id, { role: 'admin' })
    assert.equal((await first.users())[0]?.role, 'owner')
    assert.deepEqual([await tx.tailnetsOf(anna.id), await tx.tailnetsOf(ben.id)], [[1, office.id], [office.id]])
  })
  await assert.rejects(
    store.transaction((tx) => tx.deleteTailnet(2)),
    TakenError,
  )
  const twice = store.transaction((tx) => tx.insertTailnet({ name: 'Office', domain: 'other.example', createdAtMs: 1 }))
  await assert.rejects(twice, TakenError)
})

testOnEach('what belongs to a tailnet is not made on the server as a whole', async (t, open) => {
  const store = await opened(t, open)
  await assert.rejects(
    store.transaction((tx) => tx.insertUser(newUser)),
    /say which/,
  )
})

testOnEach('once closed, it says so', async (_t, open) => {
  const store = await open()
  await store.close()
  await store.close()
  await assert.rejects(
    store.transaction((tx) => tx.users()),
    failsWith('coord/state-unusable'),
  )
})

endPostgres()
