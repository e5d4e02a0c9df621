import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { gunzipSync, gzipSync } from 'node:zlib'
import { startCoord } from '../coord-server.ts'
import { type Answer, Browser, PASSWORD, withOwner } from '../identity/test-site.ts'
import { serverKeyPath } from '../server-key.ts'
import { noPostgres, TestPostgres } from '../store/test-postgres.ts'
import { TestMachine } from '../test-machine.ts'
import type { TestContext } from 'node:test'

const OUTCOME_MS = 20_000

type Owned = Awaited<ReturnType<typeof withOwner>>

interface Scene extends Owned {
  readonly machine: TestMachine
  readonly json: (method: string, path: string, ask?: unknown) => Promise<Answer>
  readonly upload: (bytes: Uint8Array) => Promise<Answer>
  readonly download: (passphrase?: string) => Promise<Uint8Array>
  /** Until it is told; while the server begins anew, nobody answers. */
  readonly outcome: (upload: string) => Promise<{ readonly state: string; readonly message?: string }>
  readonly names: () => Promise<readonly string[]>
}

const part = (answer: Answer, name: string): unknown => (answer.body as Record<string, unknown>)[name]
const codeOf = (answer: Answer): unknown => (part(answer, 'error') as { code?: string } | undefined)?.code

async function scene(t: TestContext, database?: string): Promise<Scene> {
  const its = await withOwner(t, database)
  const { key } = await its.coord.admin.createAuthKey({ user: 'ines' })
  const machine = new TestMachine(`http://127.0.0.1:${its.coord.port}`, 'laptop')
  t.after(() => machine.close())
  await machine.register({ auth: { authKey: key } })
  const json: Scene['json'] = (method, path, ask) =>
    its.send(`/api/v1${path}`, {
      method,
      headers: its.browser.headers(),
      ...(ask !== undefined && { body: JSON.stringify(ask) }),
    })
  return {
    ...its,
    machine,
    json,
    upload: (body) =>
      its.send('/api/v1/restore/upload', {
        method: 'POST',
        headers: { ...its.browser.headers(), 'content-type': 'application/octet-stream' },
        body,
      }),
    async download(passphrase) {
      const ask = (): Promise<Answer> => json('POST', '/backup', passphrase === undefined ? {} : { passphrase })
      let answer = await ask()
      // The one before may still be cleaned up after.
      for (; answer.status === 429; answer = await ask()) await sleep(20)
      assert.equal(answer.status, 200, answer.text)
      return answer.bytes
    },
    async outcome(upload) {
      for (const endMs = Date.now() + OUTCOME_MS; Date.now() < endMs; await sleep(50)) {
        const answer = await its.send(`/api/v1/restore/${upload}`).catch(() => undefined)
        const state = answer && part(answer, 'state')
        if (answer?.status === 200 && state !== 'running')
          return { state: String(state), message: String(part(answer, 'message')) }
      }
      assert.fail('nobody tells what came of it')
    },
    names: async () => (await its.coord.admin.listNodes()).map(({ name }) => name),
  }
}

async function comesBack(t: TestContext, database?: string): Promise<void> {
  const { json, upload, download, outcome, names, coord, machine, stateDir } = await scene(t, database)
  const bytes = await download()
  await coord.admin.deleteNode('laptop')
  const { port, publicKey } = coord
  const taken = await upload(bytes)
  assert.equal(taken.status, 200, taken.text)
  const { upload: name, createdAt, rows, ...told } = JSON.parse(taken.text) as Record<string, unknown>
  assert.deepEqual(told, {
    networks: ['home'],
    people: 1,
    machines: 1,
    isOfThisServer: true,
    needsPassphrase: false,
  })
  assert.ok(typeof createdAt === 'string' && Number(rows) > 5)
  assert.deepEqual(await names(), [], 'nothing is changed yet')

  const begun = await json('POST', '/restore', { upload: name })
  assert.equal(begun.status, 202, begun.text)
  assert.equal((await outcome(String(name))).state, 'done')
  assert.deepEqual([coord.port, coord.publicKey.text], [port, publicKey.text])
  assert.deepEqual(await names(), ['laptop'])
  machine.close()
  assert.equal(await machine.update({ endpoints: ['198.51.100.1:1'] }), 200, 'the machine is known again')
  const entries = await coord.admin.auditSince(0)
  assert.ok(entries.some(({ action, actor }) => action === 'server.restore' && actor.startsWith('user:')))
  assert.equal(readdirSync(stateDir).filter((file) => /^before-restore-.*\.backup$/.test(file)).length, 1)
  assert.equal(codeOf(await json('POST', '/restore', { upload: name })), 'coord/not-found', 'once is enough')
}

test('a backup comes back through the console, at the same address, without the process ending', (t) => comesBack(t))

test('on PostgreSQL too, where no other server may work on it', { skip: noPostgres }, async (t) => {
  const postgres = await TestPostgres.start()
  t.after(() => postgres.end())
  await comesBack(t, await postgres.database())
  const database = await postgres.database()
  const { json, upload, download, outcome, stateDir } = await scene(t, database)
  const other = mkdtempSync(join(tmpdir(), 'peerway-other-'))
  t.after(() => rmSync(other, { recursive: true, force: true }))
  copyFileSync(serverKeyPath(stateDir), serverKeyPath(other))
  const prepare = async () => ({ derpMap: { regions: new Map() } })
  const second = await startCoord({ stateDir: other, database, listen: { host: '127.0.0.1', port: 0 }, prepare })
  t.after(() => second.close())
  const name = String(part(await upload(await download()), 'upload'))
  assert.equal(codeOf(await json('POST', '/restore', { upload: name })), 'api/not-alone')
  await second.close()
  assert.equal((await json('POST', '/restore', { upload: name })).status, 202)
  assert.equal((await outcome(name)).state, 'done')
})

test('only who owns everything and has just signed in may', async (t) => {
  const { json, upload, download, coord, clock, browser, ...its } = await scene(t)
  const send: typeof its.send = (path, more) => its.send(path, more)
  const bytes = await download()
  const taken = await upload(bytes)
  const name = part(taken, 'upload')
  const nobody = { origin: browser.origin, 'content-type': 'application/octet-stream' }
  const stranger = await send('/api/v1/restore/upload', { method: 'POST', headers: nobody })
  assert.equal(stranger.status, 401)
  const elsewhere = { ...browser.headers(), origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }
  assert.equal((await send('/api/v1/restore', { method: 'POST', headers: elsewhere, body: '{}' })).status, 403)
  const { token } = await coord.serverAdmin.of().tokens.create({ name: 'test', scopes: ['all'], user: 'ines' })
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const byToken = await send('/api/v1/restore', { method: 'POST', headers, body: JSON.stringify({ upload: name }) })
  assert.equal(codeOf(byToken), 'api/prove-again')
  clock.advance(6 * 60_000)
  assert.equal(codeOf(await json('POST', '/restore', { upload: name })), 'api/prove-again')
  assert.equal(codeOf(await upload(bytes)), 'api/prove-again')
  await browser.call('sign-in/password', { name: 'ines', password: PASSWORD })
  await coord.serverAdmin.createTailnet({ name: 'of-others' })
  assert.equal(codeOf(await json('POST', '/restore', { upload: name })), 'api/not-allowed')
  assert.equal((await json('GET', `/restore/${String(name)}`)).status, 404, 'nothing was begun')
})

test('nobody below may take the server along or replace it, however fresh their session', async (t) => {
  const { download, coord, ...its } = await scene(t)
  const bytes = await download()
  const asks: readonly (readonly [path: string, type: string, body: string | Uint8Array])[] = [
    ['/backup', 'application/json', '{}'],
    ['/restore/upload', 'application/octet-stream', bytes],
    ['/restore', 'application/json', `{"upload":"${'x'.repeat(22)}"}`],
  ]
  await coord.serverAdmin.createTailnet({ name: 'of-others' })
  for (const [tailnet, role] of [
    ['home', 'admin'],
    ['home', 'auditor'],
    ['home', 'member'],
    ['of-others', 'owner'],
  ] as const) {
    const admin = coord.serverAdmin.of(tailnet)
    const name = `${tailnet}-${role}`
    await admin.createUser({ name, role })
    const enrol = (await admin.inviteUser(name)).url.split('/').at(-1) ?? ''
    const browser = new Browser({ ...its, coord })
    await browser.open({ enrol })
    assert.equal((await browser.call('enrol/password', { enrol, password: PASSWORD })).status, 200)
    await browser.open({ account: true })
    assert.equal((await browser.call('sign-in/password', { name, password: PASSWORD })).status, 200)
    its.clock.advance(20_000)
    for (const [path, type, body] of asks) {
      const headers = { ...browser.headers(), 'content-type': type }
      const answer = await its.send(`/api/v1${path}`, { method: 'POST', headers, body })
      assert.deepEqual([answer.status, codeOf(answer)], [403, 'api/not-allowed'], `${name} ${path}: ${answer.text}`)
    }
  }
})

test('what is no whole backup is refused, and changes nothing', async (t) => {
  const { json, upload, download, names } = await scene(t)
  const bytes = await download()
  const text = gunzipSync(bytes).toString()
  const bad: Readonly<Record<string, Uint8Array>> = {
    nothing: new Uint8Array(0),
    'no gzip': Buffer.from('{"format":"peerway-coord-backup"}'),
    'cut off': bytes.subarray(0, bytes.length / 2),
    'without its end': gzipSync(text.replace(/\{"end":.*\n$/, '')),
    'of a later version': gzipSync(text.replace(/"schema":\d+/, '"schema":9999')),
    'with a row that points nowhere': gzipSync(text.replace(/("table":"nodes".*?"user_id":)\d+/, '$199999')),
    'of something else': gzipSync('{"hello":1}\n'.repeat(100)),
  }
  for (const [what, file] of Object.entries(bad)) {
    const answer = await upload(file)
    assert.equal(answer.status, 422, `${what}: ${answer.text}`)
    assert.ok(!answer.text.includes('/tmp'), 'no path of the server')
  }
  assert.equal(codeOf(await json('POST', '/restore', { upload: 'x'.repeat(22) })), 'coord/not-found')
  assert.deepEqual(await names(), ['laptop'])
})

test('of another server: with its passphrase the server becomes that one, without nothing happens', async (t) => {
  const other = await scene(t)
  const [open, sealed] = [await other.download(), await other.download('correct horse')]
  const { json, upload, outcome, coord } = await scene(t)
  const keyless = await upload(open)
  assert.equal(codeOf(await json('POST', '/restore', { upload: part(keyless, 'upload') })), 'coord/conflict')
  const taken = await upload(sealed)
  assert.deepEqual([part(taken, 'isOfThisServer'), part(taken, 'needsPassphrase')], [false, true])
  const name = String(part(taken, 'upload'))
  const wrong = await json('POST', '/restore', { upload: name, passphrase: 'wrong horse' })
  assert.equal(codeOf(wrong), 'coord/bad-argument')
  assert.equal((await json('POST', '/restore', { upload: name, passphrase: 'correct horse' })).status, 202)
  assert.equal((await outcome(name)).state, 'done')
  assert.equal(coord.publicKey.text, other.coord.publicKey.text)
})

test('where there is no room to keep what was, the server goes on as before', async (t) => {
  const { json, upload, download, outcome, names, stateDir, clock, coord } = await scene(t)
  const taken = await upload(await download())
  await coord.admin.renameNode('laptop', 'renamed')
  // In the way of the file that would keep it.
  const stamp = new Date(clock.wallNow()).toISOString().slice(0, 19).replaceAll(/[-:]/g, '')
  mkdirSync(`${stateDir}/before-restore-${stamp}.backup/x`, { recursive: true })
  const name = String(part(taken, 'upload'))
  assert.equal((await json('POST', '/restore', { upload: name })).status, 202)
  const { state, message } = await outcome(name)
  assert.equal(state, 'failed', message)
  assert.deepEqual(await names(), ['renamed'])
  assert.equal((await json('GET', '/me')).status, 200, 'who was signed in still is')
})
