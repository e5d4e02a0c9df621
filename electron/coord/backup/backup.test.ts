import assert from 'node:assert/strict'
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import { isCoded } from '../../base/errors.ts'
import { administer } from '../admin/open-admin.ts'
import { startCoord, type CoordServer } from '../coord-server.ts'
import { operatorLogin } from '../login/operator-login.ts'
import { readServerKey } from '../server-key.ts'
import { storePlace } from '../store/open-store.ts'
import { noPostgres, TestPostgres } from '../store/test-postgres.ts'
import { TestMachine } from '../test-machine.ts'
import { moveToPostgres, restore } from './backup.ts'

const NOW_MS = Date.UTC(2026, 0, 2, 3, 4, 5)
const PASSPHRASE = 'correct horse'

function tempFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'peerway-backup-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

const start = (stateDir: string): Promise<CoordServer> =>
  startCoord({
    stateDir,
    listen: { host: '127.0.0.1', port: 0 },
    prepare: async () => ({ derpMap: { regions: new Map() } }),
    login: operatorLogin,
  })

/** A server with a node, backed up while it ran. */
async function backedUp(t: TestContext, passphrase?: string) {
  const folder = tempFolder(t)
  const state = join(folder, 'state')
  const coord = await start(state)
  const { key } = await coord.admin.createAuthKey({})
  const machine = new TestMachine(coord.url, 'laptop')
  await machine.register({ auth: { authKey: key } })
  const file = join(folder, 'a.backup')
  const info = await administer(state, 'backup', { file, passphrase })
  machine.close()
  await coord.close()
  return { folder, state, file, info, publicKey: coord.publicKey.text }
}

const nodesOf = async (state: string): Promise<string[]> =>
  (await administer(state, 'nodes.list', {})).map(({ name }) => name)
const restored = async (state: string, file: string, passphrase?: string) =>
  restore(state, await storePlace(state), { file, passphrase, nowMs: NOW_MS })
const failsWith = (code: string) => (error: unknown) => isCoded(error, code)

test('a backup made while the server runs brings it back on a new machine, with its key', async (t) => {
  const { folder, file, info, publicKey } = await backedUp(t, PASSPHRASE)
  assert.ok(info.hasKey && info.rows > 3)
  assert.equal(statSync(file).mode & 0o777, 0o600)
  const other = join(folder, 'other')
  await assert.rejects(restored(other, file), failsWith('coord/bad-argument'))
  await assert.rejects(restored(other, file, 'another passphrase'), failsWith('coord/bad-argument'))
  const done = await restored(other, file, PASSPHRASE)
  assert.deepEqual([done.rows, done.former], [info.rows, undefined])
  assert.equal((await readServerKey(other))?.public.text, publicKey)
  assert.deepEqual(await nodesOf(other), ['laptop'])
  const coord = await start(other)
  t.after(() => coord.close())
  assert.equal(coord.publicKey.text, publicKey)
})

test('no key of the server is in a backup in clear, nor without a passphrase at all', async (t) => {
  const { folder, state, file } = await backedUp(t)
  const secret = (await readServerKey(state))?.secretText() ?? assert.fail()
  const text = gunzipSync(readFileSync(file)).toString()
  assert.ok(!text.includes(secret) && !text.includes(secret.slice(-64)))
  const other = join(folder, 'other')
  await assert.rejects(restored(other, file, PASSPHRASE), failsWith('coord/not-found'))
  assert.ok(!existsSync(join(other, 'coord.db')))
})

test('what was there before a restore is kept, and can be restored in turn', async (t) => {
  const { state, file } = await backedUp(t)
  await administer(state, 'nodes.delete', { node: 'laptop' })
  const done = await restored(state, file)
  assert.deepEqual(await nodesOf(state), ['laptop'])
  await restored(state, done.former ?? '')
  assert.deepEqual(await nodesOf(state), [])
})

test('a damaged database is put aside for the backup', async (t) => {
  const { state, file } = await backedUp(t)
  writeFileSync(join(state, 'coord.db'), 'rubbish '.repeat(999))
  await restored(state, file)
  assert.deepEqual(await nodesOf(state), ['laptop'])
  assert.ok(readdirSync(state).some((name) => name.startsWith('coord.db.damaged-')))
})

test('a file that is cut, changed or none of ours changes nothing', async (t) => {
  const { folder, state, file } = await backedUp(t)
  const whole = readFileSync(file)
  const lines = gunzipSync(whole).toString().trimEnd().split('\n')
  const broken: readonly [string, Uint8Array][] = [
    ['cut', whole.subarray(0, -20)],
    ['without its end', gzipSync(lines.slice(0, -1).join('\n'))],
    ['without a row', gzipSync([...lines.slice(0, 3), ...lines.slice(4)].join('\n'))],
    ['of another program', gzipSync('{"format":"other"}\n')],
    ['no gzip', Buffer.from('hello')],
    ['empty', Buffer.alloc(0)],
  ]
  for (const [what, bytes] of broken) {
    const path = join(folder, 'broken')
    writeFileSync(path, bytes)
    await assert.rejects(restored(state, path), failsWith('coord/backup-damaged'), what)
    assert.deepEqual(await nodesOf(state), ['laptop'], what)
  }
  const later = join(folder, 'later')
  writeFileSync(later, gzipSync(lines.join('\n').replace(/"schema":\d+/, '"schema":999') + '\n'))
  await assert.rejects(restored(state, later), failsWith('coord/state-newer'))
  await assert.rejects(restored(state, join(folder, 'none')), failsWith('coord/not-found'))
})

test('nothing is restored under a server that runs', async (t) => {
  const { state, file } = await backedUp(t)
  const coord = await start(state)
  t.after(() => coord.close())
  await assert.rejects(restored(state, file), failsWith('coord/state-in-use'))
})

test('a server moves to PostgreSQL by one call and goes on there', { skip: noPostgres }, async (t) => {
  const postgres = await TestPostgres.start()
  t.after(() => postgres.end())
  const { folder, state, publicKey } = await backedUp(t)
  const url = await postgres.database()
  const used = await postgres.database()
  copyFileSync(join(state, 'coord.db'), join(folder, 'copy.db'))
  const done = await moveToPostgres(state, url, NOW_MS)
  assert.ok(done.rows > 3)
  assert.ok(!existsSync(join(state, 'coord.db')))
  assert.equal(statSync(join(state, 'database.url')).mode & 0o777, 0o600)
  const coord = await start(state)
  t.after(() => coord.close())
  assert.equal(coord.publicKey.text, publicKey)
  assert.deepEqual(await nodesOf(state), ['laptop'])
  await assert.rejects(moveToPostgres(state, used, NOW_MS), failsWith('coord/not-found'))
  copyFileSync(join(folder, 'copy.db'), join(state, 'coord.db'))
  await assert.rejects(moveToPostgres(state, url, NOW_MS), failsWith('coord/conflict'))
  await assert.rejects(moveToPostgres(state, 'mysql://x/y', NOW_MS), failsWith('coord/bad-config'))
})
