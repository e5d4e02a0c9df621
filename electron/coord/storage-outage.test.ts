// While the database cannot, machines see each other as before, whoever wants something new is told in words, and all goes
// on by itself afterwards.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readdirSync, rmSync, truncateSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { isCoded } from '../base/errors.ts'
import { startCoord } from './coord-server.ts'
import { operatorLogin } from './login/operator-login.ts'
import { noPostgres, TestPostgres } from './store/test-postgres.ts'
import { TestMachine, type TestPoll } from './test-machine.ts'

function tempFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'peerway-outage-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

async function crowd(t: TestContext, stateDir: string, database?: string, more = 0) {
  const coord = await startCoord({
    stateDir,
    database,
    listen: { host: '127.0.0.1', port: 0 },
    prepare: async () => ({ derpMap: { regions: new Map() } }),
    login: operatorLogin,
  })
  t.after(() => coord.close())
  const { key } = await coord.admin.createAuthKey({ reusable: true })
  const machines: TestMachine[] = []
  const names = ['one', 'two', ...Array.from({ length: more }, (_, i) => `more-${i}`)]
  for (const name of names) {
    const machine = new TestMachine(coord.url, name)
    t.after(() => machine.close())
    await machine.register({ auth: { authKey: key } })
    machines.push(machine)
  }
  const [one, two] = machines
  assert.ok(one && two)
  return { coord, key, one, two, machines }
}

type Crowd = Awaited<ReturnType<typeof crowd>>

/** What has to go on. */
async function mapsGoOn({ one, two, key }: Crowd, endpoint: string): Promise<void> {
  // A client that starts again registers, with or without the key it once had, and asks for the map.
  one.close()
  assert.equal((await one.register({})).error, '')
  assert.equal((await one.register({ auth: { authKey: key } })).error, '')
  const stream = await one.poll()
  const first = await stream.until(({ node }) => node !== undefined)
  assert.deepEqual(
    first.peers?.map(({ name }) => name.split('.')[0]),
    ['two'],
  )
  assert.equal(await two.update({ endpoints: [endpoint] }), 200)
  await stream.until(
    ({ peersChanged = [], peersChangedPatch = [] }) =>
      peersChanged.some(({ endpoints }) => endpoints.includes(endpoint)) ||
      peersChangedPatch.some(({ endpoints }) => endpoints.includes(endpoint)),
  )
  stream.close()
}

async function newcomersAreTold({ coord, key }: Crowd, code: string): Promise<void> {
  await assert.rejects(coord.admin.createAuthKey({}), (error) => isCoded(error, code))
  const late = new TestMachine(coord.url, 'late')
  await assert.rejects(late.register({ auth: { authKey: key } }), /register: 503/)
  // Not "not found", which would have it log in anew; but what can be read, and written by nobody, does tell who is there.
  if (code === 'coord/storage-unreachable') assert.equal(await late.update({}), 503)
  late.close()
}

async function worksAgain({ coord, key, machines }: Crowd): Promise<void> {
  const late = new TestMachine(coord.url, 'late')
  assert.equal((await late.register({ auth: { authKey: key } })).error, '')
  late.close()
  assert.equal((await coord.admin.listNodes()).length, machines.length + 1)
}

test('PostgreSQL goes, comes back, may only be read: maps are served all along', { skip: noPostgres }, async (t) => {
  const postgres = await TestPostgres.start()
  t.after(() => postgres.end())
  const url = await postgres.database()
  const all = await crowd(t, tempFolder(t), url)
  await mapsGoOn(all, '192.0.2.1:1')
  await postgres.stop('SIGQUIT')
  await newcomersAreTold(all, 'coord/storage-unreachable')
  await mapsGoOn(all, '192.0.2.2:2')
  await postgres.run()
  const name = url.slice(url.lastIndexOf('/') + 1).split('?')[0] ?? ''
  // The setting is that of later connections.
  const endConnections = () =>
    postgres.sql('postgres', `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`)
  await postgres.sql('postgres', `ALTER DATABASE ${name} SET default_transaction_read_only = on`)
  await endConnections()
  await newcomersAreTold(all, 'coord/storage-read-only')
  await mapsGoOn(all, '192.0.2.3:3')
  await postgres.sql('postgres', `ALTER DATABASE ${name} SET default_transaction_read_only = off`)
  await endConnections()
  await worksAgain(all)
  // What was told meanwhile reaches the disk by itself.
  for (let i = 0; ; i++) {
    const rows = await postgres.sql(name, "SELECT 1 FROM node_reports WHERE endpoints LIKE '%192.0.2.3:3%'")
    if (rows.length === 1) break
    assert.ok(i < 100, 'the report was not saved')
    await delay(50)
  }
})

const WRITERS = 32
const STREAMS = 50

test(
  `PostgreSQL restarted among ${WRITERS} writers and ${STREAMS} streams: each is told yes or no, and no map shrinks`,
  { skip: noPostgres },
  async (t) => {
    const postgres = await TestPostgres.start()
    t.after(() => postgres.end())
    const all = await crowd(t, tempFolder(t), await postgres.database(), STREAMS - 2)
    const streams = await Promise.all(all.machines.map((machine) => machine.poll()))
    const [own, ...others] = streams
    const cut: number[] = []
    for (const [i, stream] of streams.entries()) {
      await stream.until(({ peers = [] }) => peers.length === STREAMS - 1)
      void stream.ended.then(() => cut.push(i))
    }
    let removed = 0
    const hears = async (stream: TestPoll, endpoint: string): Promise<void> => {
      await stream.until((message) => {
        removed += message.peersRemoved?.length ?? 0
        if (message.peers) assert.equal(message.peers.length, STREAMS - 1)
        return message.peersChangedPatch?.some(({ endpoints }) => endpoints?.includes(endpoint)) ?? false
      }, 20_000)
    }
    const kept = new Set<string>()
    const state = { refused: 0, isOver: false }
    const writer = async (id: number): Promise<void> => {
      for (let n = 0; !state.isOver; n++) {
        const name = `user-${id}-${n}`
        try {
          await all.coord.admin.createUser({ name })
          kept.add(name)
        } catch (error) {
          assert.ok(isCoded(error, 'coord/storage-unreachable'), String(error))
          state.refused++
          await delay(20)
        }
      }
    }
    const writers = Array.from({ length: WRITERS }, (_, id) => writer(id))
    for (let round = 0; round < 3; round++) {
      await delay(150)
      await postgres.stop(round === 1 ? 'SIGQUIT' : 'SIGINT')
      const endpoint = `192.0.2.9:${1_000 + round}`
      assert.equal(await all.one.update({ endpoints: [endpoint] }), 200)
      await Promise.all(others.map((stream) => hears(stream, endpoint)))
      await postgres.run()
    }
    await delay(200)
    state.isOver = true
    await Promise.all(writers)
    assert.ok(state.refused > 0 && kept.size > 0)
    t.diagnostic(`${kept.size} writes were kept, ${state.refused} refused`)
    const there = new Set((await all.coord.admin.listUsers()).map(({ name }) => name))
    for (const name of kept) assert.ok(there.has(name), name)
    await worksAgain(all)
    for (const stream of streams)
      await stream.until(({ peersChanged = [] }) => peersChanged.some(({ name }) => name.startsWith('late.')))
    assert.deepEqual([removed, cut, own?.messages.some(({ peersRemoved }) => peersRemoved?.length)], [0, [], false])
  },
)

const noTmpfs =
  process.platform !== 'linux' || process.getuid?.() !== 0 ? 'a small file system takes root on Linux' : false

test(
  'a full disk under SQLite: maps are served all along, and room is enough to go on',
  { skip: noTmpfs },
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'peerway-outage-'))
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m,mode=0700', 'tmpfs', folder])
    t.after(() => {
      execFileSync('umount', ['--lazy', folder])
      rmSync(folder, { recursive: true, force: true })
    })
    const all = await crowd(t, folder)
    await mapsGoOn(all, '192.0.2.1:1')
    const filler = join(folder, 'filler')
    const file = openSync(filler, 'w')
    assert.throws(() => {
      for (;;) writeSync(file, Buffer.alloc(4096))
    }, /ENOSPC/)
    closeSync(file)
    // What the log has room for already still goes through.
    const disk = { isFull: false }
    for (let i = 0; i < 2_000 && !disk.isFull; i++)
      await all.coord.admin.createUser({ name: `user-${i}` }).catch((error: unknown) => {
        assert.ok(isCoded(error, 'coord/storage-full'), String(error))
        disk.isFull = true
      })
    assert.ok(disk.isFull)
    await newcomersAreTold(all, 'coord/storage-full')
    await mapsGoOn(all, '192.0.2.2:2')
    truncateSync(filler)
    await worksAgain(all)
  },
)

const noFlags = chattrUnavailable()

/** Why a file here cannot be made one that even root may not write. */
function chattrUnavailable(): string | false {
  const folder = mkdtempSync(join(tmpdir(), 'peerway-outage-'))
  const file = join(folder, 'file')
  try {
    closeSync(openSync(file, 'w'))
    execFileSync('chattr', ['+i', file], { stdio: 'ignore' })
    execFileSync('chattr', ['-i', file], { stdio: 'ignore' })
    return false
  } catch {
    return 'a file that nobody may write takes root and a file system with such a flag'
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

test(
  'a SQLite file that nobody may write any more: told so, maps are served all along',
  { skip: noFlags },
  async (t) => {
    const folder = tempFolder(t)
    const all = await crowd(t, folder)
    const files = readdirSync(folder)
      .filter((name) => name.startsWith('coord.db'))
      .map((name) => join(folder, name))
    const flag = (sign: string): void => void execFileSync('chattr', [`${sign}i`, ...files])
    await mapsGoOn(all, '192.0.2.1:1')
    for (let round = 0; round < 2; round++) {
      flag('+')
      try {
        await newcomersAreTold(all, 'coord/storage-read-only')
        await mapsGoOn(all, `192.0.2.2:${round + 2}`)
      } finally {
        flag('-')
      }
      // By itself: nobody starts anything again.
      await all.coord.admin.createAuthKey({})
    }
    await worksAgain(all)
  },
)
