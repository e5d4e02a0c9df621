import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { VirtualClock } from '../base/clock.ts'
import { silentLogger } from '../base/log.ts'
import { MachinePublic, NodePublic, randomScalar } from '../crypto/keys.ts'
import { NO_REPORT, type Node } from './model.ts'
import type { Change } from './registry.ts'
import { ServerRegistry } from './server-registry.ts'
import { SqliteStore } from './store/sqlite-store.ts'
import type { NewNode, Store, StoreTransaction } from './store/store.ts'

/** The real store, whose disk can be made to fail at COMMIT. */
class FailingStore implements Store {
  readonly inner: SqliteStore
  isBroken = false
  transactions = 0

  constructor(inner: SqliteStore) {
    this.inner = inner
  }

  transaction<T>(work: (tx: StoreTransaction) => Promise<T>): Promise<T> {
    this.transactions++
    return this.inner.transaction(async (tx) => {
      const result = await work(tx)
      if (this.isBroken) throw new Error('disk full')
      return result
    })
  }

  close(): Promise<void> {
    return this.inner.close()
  }
}

const newNode = (name: string, userId: number): NewNode => ({
  stableId: `n-${name}`,
  userId,
  machineKey: new MachinePublic(randomScalar()),
  nodeKey: new NodePublic(randomScalar()),
  name,
  nameIsFixed: false,
  addressV4: `100.64.0.${name.length}`,
  addressV6: `fd7a:115c:a1e0::${name.length}`,
  tags: [],
  expiresAtMs: undefined,
  createdAtMs: 0,
  ephemeral: false,
  authKeyId: undefined,
})

async function setUp(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'peerway-registry-'))
  const clock = new VirtualClock()
  const store = new FailingStore(SqliteStore.open(join(folder, 'coord.db')))
  const server = await ServerRegistry.load(store, clock, silentLogger)
  const registry = server.first
  const changes: Change[] = []
  registry.changes.add((change) => changes.push(change))
  t.after(async () => {
    store.isBroken = false
    await server.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const node = await registry.transaction(async (tx) => {
    const user = await tx.insertUser({
      name: 'anna',
      displayName: 'A',
      email: undefined,
      role: 'owner',
      createdAtMs: 0,
    })
    return tx.insertNode(newNode('pc', user.id), NO_REPORT)
  })
  changes.length = 0
  const onDisk = async (): Promise<Node[]> => store.inner.transaction((tx) => tx.nodes())
  return { clock, store, server, registry, changes, node, onDisk }
}

test('a disk that fails changes nothing in memory, and nobody is told', async (t) => {
  const { store, server, registry, changes, node } = await setUp(t)
  store.isBroken = true
  const tries = [
    registry.transaction((tx) => tx.updateNode(node.id, { name: 'other', nodeKey: new NodePublic(randomScalar()) })),
    registry.transaction((tx) => tx.deleteNode(node.id)),
    registry.transaction((tx) => tx.insertNode(newNode('second', 1), NO_REPORT)),
    registry.transaction((tx) => tx.updateUser(1, { name: 'ben' })),
  ]
  for (const one of tries) await assert.rejects(one, /disk full/)
  assert.deepEqual([...registry.nodes()], [node])
  assert.equal(server.nodeByKey(node.nodeKey), node)
  assert.equal(registry.user(1)?.name, 'anna')
  assert.ok(registry.isNameTaken('pc') && !registry.isNameTaken('other') && !registry.isNameTaken('second'))
  assert.deepEqual(changes, [])
  store.isBroken = false
  await registry.transaction((tx) => tx.updateNode(node.id, { name: 'other' }))
  assert.equal(registry.node(node.id)?.name, 'other')
})

test('a transaction sees what the one before it left, in memory too', async (t) => {
  const { registry, node } = await setUp(t)
  const seen = await Promise.all(
    ['a', 'b', 'c'].map((name) =>
      registry.transaction(async (tx) => {
        const before = registry.node(node.id)?.name
        await tx.updateNode(node.id, { name })
        return before
      }),
    ),
  )
  assert.deepEqual(seen, ['pc', 'a', 'b'])
})

test('a change of one thing does not undo another that came while it was written', async (t) => {
  const { registry, node } = await setUp(t)
  const report = { ...NO_REPORT, endpoints: ['192.0.2.1:1'] }
  await registry.transaction(async (tx) => {
    await tx.updateNode(node.id, { name: 'desk' })
    registry.report(node.id, report)
  })
  const now = registry.node(node.id)
  assert.deepEqual([now?.name, now?.report], ['desk', report])
})

test('reports count at once and reach the disk together a little later', async (t) => {
  const { clock, store, registry, changes, node, onDisk } = await setUp(t)
  const before = store.transactions
  for (let i = 1; i <= 30; i++) registry.report(node.id, { ...NO_REPORT, endpoints: [`192.0.2.${i}:1`] })
  assert.deepEqual(registry.node(node.id)?.report.endpoints, ['192.0.2.30:1'])
  assert.equal(changes.length, 30)
  assert.equal(store.transactions, before)
  clock.advance(1_000)
  assert.deepEqual((await onDisk())[0]?.report.endpoints, ['192.0.2.30:1'])
  assert.equal(store.transactions, before + 1)
})

test('a report the disk did not take is tried again until it does', async (t) => {
  const { clock, store, registry, node, onDisk } = await setUp(t)
  store.isBroken = true
  registry.report(node.id, { ...NO_REPORT, homeDerp: 900 })
  clock.advance(1_000)
  assert.equal((await onDisk())[0]?.report.homeDerp, 0)
  await new Promise((resolve) => setImmediate(resolve))
  store.isBroken = false
  clock.advance(1_000)
  assert.equal((await onDisk())[0]?.report.homeDerp, 900)
})

test('a report that says nothing new is no news, nor is one of a node that is gone', async (t) => {
  const { registry, changes, node } = await setUp(t)
  assert.equal(registry.report(node.id, node.report), false)
  await registry.transaction((tx) => tx.deleteNode(node.id))
  changes.length = 0
  assert.equal(registry.report(node.id, { ...NO_REPORT }), false)
  assert.deepEqual(changes, [])
})

test('closing brings waiting reports to disk', async (t) => {
  const { server, registry, node } = await setUp(t)
  registry.report(node.id, { ...NO_REPORT, homeDerp: 901 })
  await server.flush()
  const again = await registry.read((tx) => tx.nodes())
  assert.equal(again[0]?.report.homeDerp, 901)
})

test('a node is found by its key only together with its machine', async (t) => {
  const { server, registry, node } = await setUp(t)
  assert.equal(server.boundNode(node.nodeKey, node.machineKey), node)
  assert.equal(server.boundNode(node.nodeKey, new MachinePublic(randomScalar())), undefined)
  assert.deepEqual(server.nodesOfMachine(node.machineKey), [node])
  const key = new NodePublic(randomScalar())
  await registry.transaction((tx) => tx.updateNode(node.id, { nodeKey: key }))
  assert.equal(server.nodeByKey(node.nodeKey), undefined)
  assert.equal(server.nodeByKey(key)?.id, node.id)
  await registry.transaction((tx) => tx.deleteNode(node.id))
  assert.ok(
    !server.hasMachine(node.machineKey) && !registry.isNameTaken('pc') && !registry.isAddressTaken(node.addressV4),
  )
})
