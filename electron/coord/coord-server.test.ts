import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { isCoded } from '../base/errors.ts'
import { MachinePrivate, NodePrivate } from '../crypto/keys.ts'
import { INITIATION_BYTES } from '../wire/noise/handshake.ts'
import { startCoord, type CoordOptions, type CoordServer } from './coord-server.ts'
import { administer } from './admin/open-admin.ts'
import { encodeMessage } from '../wire/tailcfg/schema.ts'
import { pathReport } from '../wire/path-report.ts'
import { MACHINE_ROUTES } from './http/machine-api.ts'
import { operatorLogin } from './login/operator-login.ts'
import { TestMachine } from './test-machine.ts'

const derpMap = { regions: new Map() }

function tempFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'peerway-coord-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

async function started(t: TestContext, more: Partial<CoordOptions> = {}) {
  const stateDir = more.stateDir ?? tempFolder(t)
  const listen = { host: '127.0.0.1', port: 0 }
  const coord = await startCoord({
    stateDir,
    listen,
    prepare: async () => ({ derpMap }),
    login: operatorLogin,
    ...more,
  })
  t.after(() => coord.close())
  const machine = (name: string, key?: MachinePrivate): TestMachine => {
    const made = new TestMachine(coord.url, name, key)
    t.after(() => made.close())
    return made
  }
  const joined = async (name: string): Promise<TestMachine> => {
    const made = machine(name)
    const { key } = await coord.admin.createAuthKey()
    const answer = await made.register({ auth: { authKey: key } })
    assert.equal(answer.error, '')
    return made
  }
  return { coord, stateDir, machine, joined }
}

const failsWith = (code: string) => (error: unknown) => isCoded(error, code)

test('a machine joins with a key and is told of the tailnet, and its peers of it', async (t) => {
  const { coord, joined, machine } = await started(t)
  const one = await joined('One')
  const poll = await one.poll()
  const first = await poll.until((message) => message.node !== undefined)
  assert.equal(first.node?.name, 'one.home.peerway.internal.')
  assert.deepEqual(first.node.addresses, ['100.64.0.1/32', 'fd7a:115c:a1e0::1/128'])
  assert.equal(first.node.machineAuthorized, true)
  assert.equal(first.userProfiles?.[0]?.loginName, 'owner')

  const two = machine('one')
  const { key } = await coord.admin.createAuthKey()
  const welcome = await two.register({ auth: { authKey: key } })
  assert.deepEqual([welcome.login.loginName, welcome.machineAuthorized, welcome.authUrl], ['owner', true, ''])
  const heard = await poll.until((message) => message.peersChanged !== undefined)
  assert.equal(heard.peersChanged?.[0]?.name, 'one-1.home.peerway.internal.')
  const netInfo = { preferredDerp: 900 }
  assert.equal(await two.update({ endpoints: ['192.0.2.7:41641'], hostinfo: { hostname: 'one', netInfo } }), 200)
  const update = await poll.until((message) => (message.peersChangedPatch ?? message.peersChanged) !== undefined)
  const told = update.peersChangedPatch?.[0] ?? update.peersChanged?.[0]
  assert.deepEqual(told?.endpoints, ['192.0.2.7:41641'])
  assert.ok(told.discoKey?.equals(two.discoKey.public))
})

test('NetInfo stays when a later update leaves it out', async (t) => {
  const { coord, joined } = await started(t)
  const one = await joined('one')
  await one.update({ hostinfo: { hostname: 'one', netInfo: { preferredDerp: 900 } } })
  await one.update({ hostinfo: { hostname: 'one' } })
  await one.update({})
  assert.equal((await coord.admin.showNode('one')).homeDerp, 900)
})

test('the map poll itself stores nothing', async (t) => {
  const { coord, joined } = await started(t)
  const one = await joined('one')
  await one.update({ endpoints: ['192.0.2.7:1'] })
  await one.post('/machine/map', one.mapBody({ stream: false, readOnly: true, endpoints: ['192.0.2.8:1'] }))
  const poll = await one.poll()
  await poll.until((message) => message.node !== undefined)
  assert.deepEqual((await coord.admin.showNode('one')).endpoints, ['192.0.2.7:1'])
})

test('a new host name is a new name, unless an administrator chose one', async (t) => {
  const { coord, joined } = await started(t)
  const [one, two] = [await joined('one'), await joined('two')]
  await coord.admin.renameNode('one', 'chosen')
  for (const machine of [one, two]) await machine.update({ hostinfo: { hostname: 'Fresh Name' } })
  const names = (await coord.admin.listNodes()).map(({ name }) => name)
  assert.deepEqual(names, ['chosen', 'fresh-name'])
})

test('a key for one use lets exactly one of many machines in', async (t) => {
  const { coord, machine } = await started(t)
  const { key } = await coord.admin.createAuthKey()
  const machines = Array.from({ length: 20 }, (_, i) => machine(`m${i}`))
  const answers = await Promise.all(machines.map((one) => one.register({ auth: { authKey: key } })))
  assert.equal(answers.filter(({ error }) => error === '').length, 1)
  assert.ok(answers.filter(({ error }) => error !== '').every(({ error }) => /already used/.test(error)))
  assert.equal((await coord.admin.listNodes()).length, 1)
})

test('a rotated node key keeps id, address and name', async (t) => {
  const { coord, joined } = await started(t)
  const one = await joined('one')
  const before = await coord.admin.showNode('one')
  const old = one.nodeKey
  one.nodeKey = NodePrivate.generate()
  const { key } = await coord.admin.createAuthKey()
  await one.register({ auth: { authKey: key }, oldNodeKey: old.public })
  const after = await coord.admin.showNode('one')
  assert.deepEqual([after.id, after.addresses, after.name], [before.id, before.addresses, before.name])
  assert.equal(after.nodeKey, one.nodeKey.public.text)
  assert.ok(!coord.admitsToDerp(old.public) && coord.admitsToDerp(one.nodeKey.public))
})

test('a logout ends the node key now, not in 1970, and the login after it keeps the address', async (t) => {
  const { coord, joined } = await started(t)
  const one = await joined('one')
  const before = await coord.admin.showNode('one')
  const answer = await one.register({ expiryMs: 123_000, auth: { authKey: 'whatever' } })
  assert.deepEqual([answer.error, answer.nodeKeyExpired], ['', true])
  const after = await coord.admin.showNode('one')
  assert.ok(after.expired && Date.parse(after.expiresAt ?? '') > Date.now() - 60_000)
  assert.ok(!coord.admitsToDerp(one.nodeKey.public))
  one.nodeKey = NodePrivate.generate()
  const { key } = await coord.admin.createAuthKey()
  await one.register({ auth: { authKey: key } })
  assert.deepEqual((await coord.admin.showNode('one')).addresses, before.addresses)
})

test('an interactive login waits for its approval and then goes on by itself', async (t) => {
  const { coord, machine } = await started(t)
  await coord.admin.createUser({ name: 'anna' })
  const one = machine('one')
  const { authUrl } = await one.register()
  assert.ok(authUrl.startsWith(`${coord.url}/login/`))
  const page = await fetch(authUrl)
  const html = await page.text()
  assert.equal(page.status, 200)
  assert.match(html, /peerway coord nodes approve --login/)
  assert.match(page.headers.get('content-security-policy') ?? '', /default-src 'none'/)
  const waiting = one.register({ followup: authUrl })
  await coord.admin.approveLogin(authUrl, 'anna')
  const welcome = await waiting
  assert.deepEqual([welcome.login.loginName, welcome.authUrl, welcome.error], ['anna', '', ''])
  assert.equal((await one.register({ followup: authUrl })).login.loginName, 'anna', 'asked again after a lost answer')
  await assert.rejects(coord.admin.approveLogin(authUrl, 'anna'), failsWith('coord/not-found'))
  assert.equal((await fetch(authUrl)).status, 404)
})

test('a login the server has forgotten begins anew, with an address and no error', async (t) => {
  const { machine } = await started(t)
  const one = machine('one')
  const { authUrl, error } = await one.register({ followup: 'http://elsewhere/login/5Kq0vW3nT1m8sYxZ2bRcEA' })
  assert.match(authUrl, /\/login\//)
  assert.equal(error, '')
})

test('what a device calls itself cannot write into the login page', async (t) => {
  const { machine } = await started(t)
  const one = machine('"><script>alert(1)</script>')
  const html = await (await fetch((await one.register()).authUrl)).text()
  assert.ok(!html.includes('<script'))
})

test('no endpoint serves a machine with the node key of another', async (t) => {
  const { coord, joined, machine } = await started(t)
  const victim = await joined('victim')
  await victim.update({ endpoints: ['192.0.2.7:1'] })
  const poll = await victim.poll()
  await poll.until((message) => message.node !== undefined)
  const before = await coord.admin.showNode('victim')
  for (const thief of [machine('unknown'), await joined('member')]) {
    thief.nodeKey = victim.nodeKey
    const { key } = await coord.admin.createAuthKey({ reusable: true })
    const tries: [string, Uint8Array][] = [
      ['/machine/register', thief.registerBody()],
      ['/machine/register', thief.registerBody({ auth: { authKey: key } })],
      ['/machine/register', thief.registerBody({ expiryMs: 123_000 })],
      ['/machine/register', thief.registerBody({ followup: `${coord.url}/login/5Kq0vW3nT1m8sYxZ2bRcEA` })],
      ['/machine/map', thief.mapBody({ stream: true })],
      ['/machine/map', thief.mapBody({ omitPeers: true, endpoints: ['203.0.113.1:1'] })],
      ['/machine/map', thief.mapBody({ readOnly: true })],
      ['/machine/map', thief.mapBody()],
      ['/machine/path-report', encodeMessage(pathReport, { nodeKey: thief.nodeKey.public, peers: [] })],
    ]
    for (const route of MACHINE_ROUTES)
      assert.ok(
        tries.some(([path]) => `POST ${path}` === route),
        `${route} is not tried`,
      )
    for (const [path, body] of tries) {
      const { status, body: text } = await thief.post(path, body)
      assert.ok(status === 401 || status === 404, `${path}: ${status} ${Buffer.from(text).toString().slice(0, 200)}`)
    }
  }
  assert.deepEqual(await coord.admin.showNode('victim'), before)
  const rows = (await coord.admin.auditSince(0)).filter(({ action }) => action.endsWith('rejected'))
  assert.ok(rows.length > 0 && rows.every(({ subject }) => subject === `node:${before.id}`))
})

test('a login can be followed by the machine that began it only', async (t) => {
  const { coord, machine } = await started(t)
  await coord.admin.createUser({ name: 'anna' })
  const [one, thief] = [machine('one'), machine('thief')]
  const { authUrl } = await one.register()
  const stolen = await thief.register({ followup: authUrl })
  assert.match(stolen.authUrl, /\/login\//)
  assert.notEqual(stolen.authUrl, authUrl)
})

test('a deleted node is refused at once', async (t) => {
  const { coord, joined } = await started(t)
  const one = await joined('one')
  const poll = await one.poll()
  await poll.until((message) => message.node !== undefined)
  await coord.admin.deleteNode('one')
  await poll.ended
  assert.equal(await (await one.poll()).status, 404)
  assert.equal(await one.update(), 404)
  assert.ok(!coord.admitsToDerp(one.nodeKey.public))
  assert.match((await one.register()).authUrl, /\/login\//)
})

test('what clients may ask beyond that is answered with 501, and nonsense with 400 or 404', async (t) => {
  const { joined } = await started(t)
  const one = await joined('one')
  const empty = new Uint8Array(0)
  const json = (value: unknown) => Buffer.from(JSON.stringify(value))
  assert.equal((await one.post('/machine/set-dns', json({}))).status, 501)
  assert.equal((await one.post('/machine/tka/bootstrap', json({}), 'GET')).status, 501)
  assert.equal((await one.post('/machine/map', empty, 'GET')).status, 501)
  assert.equal((await one.post('/elsewhere', empty)).status, 404)
  for (const body of [
    empty,
    Buffer.from('{'),
    json([]),
    json({ Version: 'x' }),
    json({ Version: 130, NodeKey: 'nope' }),
  ]) {
    assert.equal((await one.post('/machine/map', body)).status, 400)
    assert.equal((await one.post('/machine/register', body)).status, 400)
  }
  assert.equal((await one.post('/machine/map', one.mapBody({ version: 30 }))).status, 400)
  assert.equal((await one.post('/machine/register', one.registerBody({ version: 0 }))).status, 400)
  assert.equal(await one.update(), 200, 'and the connection goes on')
})

test('a body is as long as a node may need and no longer', async (t) => {
  const { joined, machine } = await started(t)
  const [one, stranger] = [await joined('one'), machine('stranger')]
  const body = (bytes: number) => Buffer.from(JSON.stringify({ Version: 130, Pad: 'x'.repeat(bytes) }))
  assert.equal((await stranger.post('/machine/register', body(70_000))).status, 413)
  assert.equal((await one.post('/machine/register', body(70_000))).status, 400)
  assert.equal((await one.post('/machine/register', body(1_100_000))).status, 413)
})

test('everything is there again after a restart', async (t) => {
  const { coord, stateDir, joined } = await started(t)
  const one = await joined('one')
  await one.update({ endpoints: ['192.0.2.7:1'], hostinfo: { hostname: 'one', netInfo: { preferredDerp: 900 } } })
  const key = coord.publicKey.text
  const before = await coord.admin.showNode('one')
  await coord.close()
  const again = await started(t, { stateDir })
  assert.equal(again.coord.publicKey.text, key)
  const { lastSeen: _, ...after } = await again.coord.admin.showNode('one')
  assert.deepEqual(after, before)
  const back = new TestMachine(again.coord.url, 'one', one.machineKey)
  back.nodeKey = one.nodeKey
  assert.equal((await back.register()).error, '')
  assert.equal((await (await back.poll()).until((message) => message.node !== undefined)).node?.homeDerp, 900)
  back.close()
})

test('a server that was killed loses nothing it had answered for', async (t) => {
  const { stateDir, coord, joined } = await started(t)
  const names = ['one', 'two', 'three']
  for (const name of names) await joined(name)
  // What a power cut leaves: the files as they are while the server runs.
  const copy = tempFolder(t)
  for (const file of ['coord.db', 'coord.db-wal', 'noise.key'])
    writeFileSync(join(copy, file), readFileSync(join(stateDir, file)))
  const revived = await started(t, { stateDir: copy })
  assert.deepEqual(
    (await revived.coord.admin.listNodes()).map(({ name }) => name),
    names,
  )
  assert.equal(revived.coord.publicKey.text, coord.publicKey.text)
})

test('a server key that is gone, damaged or another one is never replaced', async (t) => {
  const { coord, stateDir } = await started(t)
  await coord.close()
  const path = join(stateDir, 'noise.key')
  const kept = readFileSync(path)
  const refuses = async () => {
    await assert.rejects(
      startCoord({ stateDir, listen: { host: '127.0.0.1', port: 0 }, prepare: async () => ({ derpMap }) }),
      failsWith('coord/state-damaged'),
    )
  }
  rmSync(path)
  await refuses()
  for (const wrong of ['', 'privkey:12', MachinePrivate.generate().secretText()]) {
    writeFileSync(path, wrong)
    await refuses()
    assert.equal(readFileSync(path, 'utf8'), wrong)
  }
  writeFileSync(path, kept)
  await started(t, { stateDir })
})

test('two servers do not share a folder, and what the second began is undone', async (t) => {
  const { coord, stateDir } = await started(t)
  let isPrepared = false
  const prepare = async () => {
    isPrepared = true
    return { derpMap }
  }
  await assert.rejects(
    startCoord({ stateDir, listen: { host: '127.0.0.1', port: 0 }, prepare }),
    failsWith('coord/state-in-use'),
  )
  assert.ok(!isPrepared)
  assert.equal((await fetch(`${coord.url}/health`)).status, 200)
})

test('a port in use, a URL with a path and a base domain that is none are told apart', async (t) => {
  const { coord } = await started(t)
  const cases: [Partial<CoordOptions>, string, RegExp][] = [
    [{ listen: { host: '127.0.0.1', port: coord.port } }, 'coord/listen-failed', /another program/],
    [{ listen: { host: '192.0.2.1', port: 0 } }, 'coord/listen-failed', /does not have that address/],
    [{ url: 'http://host/path' }, 'coord/bad-config', /path/],
    [{ url: 'ftp://host' }, 'coord/bad-config', /not an address/],
    [{ baseDomain: 'UPPER' }, 'coord/bad-config', /base domain/],
  ]
  for (const [options, code, text] of cases) {
    const stateDir = tempFolder(t)
    await assert.rejects(
      started(t, { stateDir, ...options }),
      (error) => isCoded(error, code) && text.test(error.message),
    )
    await started(t, { stateDir })
  }
})

test('the command line asks the running server, and works on the folder when there is none', async (t) => {
  const { coord, stateDir, joined } = await started(t)
  await joined('one')
  const running = await administer(stateDir, 'nodes.list', {})
  assert.deepEqual(running, await coord.admin.listNodes())
  await assert.rejects(administer(stateDir, 'users.delete', { name: 'nobody' }), failsWith('coord/not-found'))
  await assert.rejects(administer(stateDir, 'users.create', { name: 7 }), failsWith('coord/bad-argument'))
  await coord.close()
  assert.deepEqual(
    (await administer(stateDir, 'nodes.list', {})).map(({ name }) => name),
    ['one'],
  )
  const elsewhere = join(tempFolder(t), 'none')
  await assert.rejects(administer(elsewhere, 'nodes.list', {}), failsWith('coord/not-found'))
  assert.match((await administer(elsewhere, 'auth-keys.create', {})).key, /^pwkey-auth-/)
})

// The door

async function raw(coord: CoordServer, text: string | Buffer, waitMs = 2_000): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(coord.port, '127.0.0.1', () => socket.write(text))
    let received = ''
    const timer = setTimeout(() => socket.destroy(), waitMs)
    socket.setEncoding('latin1').on('data', (chunk: string) => (received += chunk))
    socket.on('error', () => {})
    socket.on('close', () => {
      clearTimeout(timer)
      resolve(received)
    })
  })
}

const upgradeWith = (handshake: string, more = '') =>
  `POST /ts2021 HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: tailscale-control-protocol\r\n${more}X-Tailscale-Handshake: ${handshake}\r\nContent-Length: 0\r\n\r\n`

test('an upgrade that is none is refused in HTTP, a handshake that does not open without a word', async (t) => {
  const { coord } = await started(t)
  const zeros = Buffer.alloc(INITIATION_BYTES).toString('base64')
  assert.match(await raw(coord, upgradeWith('!!')), /^HTTP\/1\.1 400 /)
  assert.match(await raw(coord, upgradeWith(zeros.repeat(2))), /^HTTP\/1\.1 400 /)
  assert.match(
    await raw(coord, upgradeWith(zeros).replace('tailscale-control-protocol', 'websocket')),
    /^HTTP\/1\.1 400 /,
  )
  assert.match(await raw(coord, upgradeWith(zeros).replace('POST', 'GET')), /^HTTP\/1\.1 400 /)
  assert.match(await raw(coord, upgradeWith(zeros)), /101 Switching Protocols[^]*unexpected handshake message type/)
  const sealed = Buffer.alloc(INITIATION_BYTES, 7)
  sealed.set([0, 130, 1, 0, 96])
  assert.equal(await raw(coord, upgradeWith(sealed.toString('base64'))), '')
  assert.equal((await fetch(`${coord.url}/ts2021`, { method: 'POST' })).status, 400)
})

test('the public endpoints answer what they should and nothing more', async (t) => {
  const { coord, joined } = await started(t)
  const one = await joined('one')
  const verify = async (body: string) => fetch(`${coord.url}/verify`, { method: 'POST', body })
  const allows = async (key: string) =>
    ((await (await verify(JSON.stringify({ NodePublic: key, Source: '192.0.2.1' }))).json()) as { Allow: boolean })
      .Allow
  assert.equal(await allows(one.nodeKey.public.text), true)
  assert.equal(await allows(NodePrivate.generate().public.text), false)
  assert.equal((await verify('{')).status, 400)
  assert.equal((await verify(JSON.stringify({ Pad: 'x'.repeat(5_000) }))).status, 413)
  assert.equal((await fetch(`${coord.url}/key`)).status, 400)
  assert.equal((await fetch(`${coord.url}/nothing`)).status, 404)
  assert.equal((await fetch(coord.url)).status, 200)
  await coord.admin.expireNode('one')
  assert.equal(await allows(one.nodeKey.public.text), false)
})
