// Two servers, one of them another process, on one real PostgreSQL.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test, type TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { isCoded } from '../base/errors.ts'
import { startCoord, type CoordServer } from './coord-server.ts'
import { operatorLogin } from './login/operator-login.ts'
import { serverKeyPath } from './server-key.ts'
import { PostgresStore } from './store/postgres-store.ts'
import { noPostgres, TestPostgres } from './store/test-postgres.ts'
import { TestMachine, type TestPoll } from './test-machine.ts'

const skip = noPostgres
let postgres: TestPostgres | undefined
before(async () => {
  if (noPostgres === false) postgres = await TestPostgres.start()
})
after(() => postgres?.end())

interface Two {
  readonly here: CoordServer
  /** The URL of the one in another process. */
  readonly there: string
  readonly database: string
  readonly kill: () => void
}

async function two(t: TestContext): Promise<Two> {
  const folder = mkdtempSync(join(tmpdir(), 'peerway-shared-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const database = (await postgres?.database()) ?? ''
  const [hereFolder, thereFolder] = [mkdtempSync(join(folder, 'a-')), mkdtempSync(join(folder, 'b-'))]
  const here = await startCoord({
    stateDir: hereFolder,
    database,
    listen: { host: '127.0.0.1', port: 0 },
    prepare: async () => ({ derpMap: { regions: new Map() } }),
    login: operatorLogin,
  })
  t.after(() => here.close())
  copyFileSync(serverKeyPath(hereFolder), serverKeyPath(thereFolder))
  const program = join(import.meta.dirname, 'server-for-tests.ts')
  const child = spawn(process.execPath, ['--import', 'tsx', program, thereFolder, database], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  const there = await new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).once('line', resolve)
    child.once('exit', () => reject(new Error('the other server ended')))
  })
  return { here, there, database, kill: () => child.kill('SIGKILL') }
}

async function machine(t: TestContext, url: string, name: string, authKey: string): Promise<TestMachine> {
  const made = new TestMachine(url, name)
  t.after(() => made.close())
  assert.equal((await made.register({ auth: { authKey } })).error, '')
  return made
}

async function polled(t: TestContext, one: TestMachine): Promise<TestPoll> {
  const stream = await one.poll()
  t.after(() => stream.close())
  return stream
}

/** A change is on the other server within two seconds, mostly at once; the rest is for a machine that is busy. */
const CHANGE_MS = 6_000

/** What the other server did last is here a moment later. */
async function nodesOf({ admin }: Pick<CoordServer, 'admin'>, count: number) {
  let nodes = await admin.listNodes()
  for (let i = 0; nodes.length < count && i < CHANGE_MS / 10; i++) {
    await delay(10)
    nodes = await admin.listNodes()
  }
  return nodes
}

test('what changes on one server reaches the nodes of the other', { skip }, async (t) => {
  const { here, there } = await two(t)
  const { key } = await here.admin.createAuthKey({ reusable: true })
  const viewer = await machine(t, here.url, 'viewer', key)
  const stream = await polled(t, viewer)
  await stream.until(({ node }) => node !== undefined)

  const other = await machine(t, there, 'other', key)
  const added = await stream.until(
    ({ peersChanged = [] }) => peersChanged.some(({ name }) => name.startsWith('other.')),
    CHANGE_MS,
  )
  const id = added.peersChanged?.find(({ name }) => name.startsWith('other.'))?.id
  const otherStream = await polled(t, other)
  const isOnline = (is: boolean) =>
    stream.until(
      ({ peersChanged = [], peersChangedPatch = [], onlineChange }) =>
        peersChanged.some((peer) => peer.id === id && peer.online === is) ||
        peersChangedPatch.some((patch) => patch.nodeId === id && patch.online === is) ||
        (onlineChange && id !== undefined && onlineChange.get(id)) === is,
      CHANGE_MS,
    )
  await isOnline(true)
  const first = await otherStream.until(({ node }) => node !== undefined)
  assert.equal(first.peers?.[0]?.online, true, 'who is on the other server is online')

  const startedMs = performance.now()
  assert.equal(await other.update({ endpoints: ['192.0.2.7:7'] }), 200)
  await stream.until(
    ({ peersChanged = [], peersChangedPatch = [] }) =>
      [...peersChanged, ...peersChangedPatch].some(({ endpoints }) => endpoints.includes('192.0.2.7:7')),
    CHANGE_MS,
  )
  t.diagnostic(`an endpoint was on the other server after ${Math.round(performance.now() - startedMs)} ms`)
  // In the other direction.
  await here.admin.renameNode('other', 'renamed')
  await otherStream.until(({ node }) => node?.name.startsWith('renamed.') === true, CHANGE_MS)
  await here.admin.policy.set('{"grants": []}', 'cli')
  await otherStream.until(({ peersRemoved = [] }) => peersRemoved.length === 1, CHANGE_MS)
  await here.admin.deleteNode('renamed')
  await Promise.race([otherStream.ended, delay(CHANGE_MS).then(() => assert.fail('a deleted node keeps its stream'))])
})

test('32 registrations at once on each of two servers: no name and no address twice', { skip }, async (t) => {
  const { here, there } = await two(t)
  const { key } = await here.admin.createAuthKey({ reusable: true })
  await Promise.all(Array.from({ length: 64 }, (_, i) => machine(t, i % 2 === 0 ? here.url : there, 'same', key)))
  const nodes = await nodesOf(here, 64)
  assert.equal(nodes.length, 64)
  assert.equal(new Set(nodes.map(({ name }) => name)).size, 64)
  assert.equal(new Set(nodes.flatMap(({ addresses }) => addresses)).size, 128)
})

test('a one-use key, used on both servers at the same time, lets in one', { skip }, async (t) => {
  const { here, there } = await two(t)
  const { key } = await here.admin.createAuthKey({})
  const all = Array.from({ length: 100 }, (_, i) => new TestMachine(i % 2 === 0 ? here.url : there, 'one'))
  t.after(() => {
    for (const one of all) one.close()
  })
  const answers = await Promise.all(all.map((one) => one.register({ auth: { authKey: key } })))
  assert.equal(answers.filter(({ error }) => error === '').length, 1)
})

test('a server is killed: its node, back on the other, was never shown offline', { skip }, async (t) => {
  const { here, there, kill } = await two(t)
  const { key } = await here.admin.createAuthKey({ reusable: true })
  const viewer = await machine(t, here.url, 'viewer', key)
  const moving = await machine(t, there, 'moving', key)
  const lost = await machine(t, there, 'lost', key)
  const former = await polled(t, moving)
  await polled(t, lost)
  await former.until(({ node }) => node !== undefined)
  await nodesOf(here, 3)
  const stream = await polled(t, viewer)
  await stream.until(({ node, peers = [] }) => node !== undefined && peers.length === 2)
  await delay(1_000)
  stream.messages.length = 0
  kill()
  await former.ended
  const again = new TestMachine(here.url, 'moving', moving.machineKey)
  t.after(() => again.close())
  again.nodeKey = moving.nodeKey
  assert.equal((await again.register({})).error, '')
  const back = await polled(t, again)
  const first = await back.until(({ node }) => node !== undefined)
  const idOf = (name: string) => first.peers?.find((peer) => peer.name.startsWith(name))?.id
  const movingId = first.node?.id
  const offline: unknown[] = []
  const deadline = Date.now() + 30_000
  while (!offline.includes(idOf('lost.'))) {
    assert.ok(Date.now() < deadline, 'who did not come back is still shown online')
    await delay(100)
    for (const { peersChanged = [], peersChangedPatch = [], onlineChange = new Map() } of stream.messages) {
      offline.push(...peersChanged.flatMap(({ id, online }) => (online === false ? [id] : [])))
      offline.push(...peersChangedPatch.flatMap(({ nodeId, online }) => (online === false ? [nodeId] : [])))
      for (const [id, isOnline] of onlineChange) if (!isOnline) offline.push(id)
    }
  }
  assert.ok(!offline.includes(movingId))
})

test('the connection that hears breaks: nothing is missed, and it is there again', { skip }, async (t) => {
  const { here, there, database } = await two(t)
  const { key } = await here.admin.createAuthKey({ reusable: true })
  const viewer = await machine(t, here.url, 'viewer', key)
  const stream = await polled(t, viewer)
  await stream.until(({ node }) => node !== undefined)
  const name = database.slice(database.lastIndexOf('/') + 1).split('?')[0] ?? ''
  for (let round = 0; round < 3; round++) {
    await postgres?.sql(
      'postgres',
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}' AND query LIKE 'LISTEN%'`,
    )
    await machine(t, there, `late${round}`, key)
    await stream.until(
      ({ peersChanged = [] }) => peersChanged.some((peer) => peer.name.startsWith(`late${round}.`)),
      CHANGE_MS,
    )
  }
})

test('what PostgreSQL gave up because of another is tried again, and shown only in the end', { skip }, async () => {
  const store = await PostgresStore.open((await postgres?.database()) ?? '')
  const failing = (times: number) => {
    let tries = 0
    return store.transaction(async () => {
      if (++tries <= times) throw Object.assign(new Error('deadlock detected'), { code: '40P01' })
      return tries
    })
  }
  assert.equal(await failing(3), 4)
  await assert.rejects(failing(100), (error) => isCoded(error, 'coord/storage-unreachable'))
  await store.close()
})
