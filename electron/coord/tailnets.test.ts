import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { isCoded } from '../base/errors.ts'
import { startCoord } from './coord-server.ts'
import { operatorLogin } from './login/operator-login.ts'
import { TestMachine } from './test-machine.ts'

const failsWith = (code: string) => (error: unknown) => isCoded(error, code)

/** A server with two tailnets, one user in each, and a key into each. */
async function setUp(t: TestContext) {
  const stateDir = mkdtempSync(join(tmpdir(), 'peerway-tailnets-'))
  t.after(() => rmSync(stateDir, { recursive: true, force: true }))
  const start = () =>
    startCoord({
      stateDir,
      listen: { host: '127.0.0.1', port: 0 },
      prepare: async () => ({ derpMap: { regions: new Map() } }),
      login: operatorLogin,
    })
  const running = { coord: await start() }
  t.after(() => running.coord.close())
  const { serverAdmin } = running.coord
  await serverAdmin.of().createUser({ name: 'anna' })
  const office = await serverAdmin.createTailnet({ name: 'office' })
  await serverAdmin.of('office').createUser({ name: 'ben' })
  const join_ = async (tailnet: string | undefined, hostname: string): Promise<TestMachine> => {
    const { key } = await running.coord.serverAdmin.of(tailnet).createAuthKey({ reusable: true })
    const machine = new TestMachine(running.coord.url, hostname)
    t.after(() => machine.close())
    const answer = await machine.register({ auth: { authKey: key } })
    assert.equal(answer.error, '')
    return machine
  }
  return { running, start, serverAdmin, office, join: join_ }
}

test('what was before is the first tailnet, and who names none means that one', async (t) => {
  const { serverAdmin, office } = await setUp(t)
  const all = await serverAdmin.listTailnets()
  assert.deepEqual(
    all.map(({ name, domain, users }) => [name, domain, users]),
    [
      ['home', 'home.peerway.internal', 1],
      ['office', 'office.peerway.internal', 1],
    ],
  )
  assert.deepEqual(office.id, 2)
  assert.equal(serverAdmin.of(), serverAdmin.of('HOME'))
})

test('machines of two tailnets have the same names and addresses and never hear of each other', async (t) => {
  const { running, serverAdmin, join } = await setUp(t)
  const [home, office] = [await join(undefined, 'laptop'), await join('office', 'laptop')]
  const streams = [await home.poll(), await office.poll()] as const
  const [first, second] = await Promise.all(streams.map((stream) => stream.until(({ node }) => node !== undefined)))
  assert.equal(first?.node?.name, 'laptop.home.peerway.internal.')
  assert.equal(second?.node?.name, 'laptop.office.peerway.internal.')
  assert.deepEqual(first?.node?.addresses, second?.node?.addresses)
  assert.deepEqual([first?.peers, second?.peers], [[], []])
  await join('office', 'server')
  const told = await streams[1].until(({ peersChanged = [] }) => peersChanged.length > 0)
  assert.equal(told.peersChanged?.[0]?.name, 'server.office.peerway.internal.')
  await serverAdmin.of('office').renameNode('server', 'printer')
  await streams[1].until(({ peersChanged = [] }) => peersChanged.some(({ name }) => name.startsWith('printer.')))
  assert.ok(streams[0].messages.every(({ keepAlive, peersChanged = [] }) => keepAlive || peersChanged.length === 0))
  assert.ok(running.coord.admitsToDerp(home.nodeKey.public) && running.coord.admitsToDerp(office.nodeKey.public))
})

test('an administrator of one tailnet finds nothing of another, by name, number, address or key', async (t) => {
  const { serverAdmin, join } = await setUp(t)
  await join(undefined, 'laptop')
  await join('office', 'desktop')
  const [home, office] = [serverAdmin.of(), serverAdmin.of('office')]
  const [node] = await office.listNodes()
  const [key] = await office.listAuthKeys()
  assert.ok(node && key)
  for (const which of [String(node.id), node.stableId, node.name, node.dnsName]) {
    await assert.rejects(home.showNode(which), failsWith('coord/not-found'))
    await assert.rejects(home.deleteNode(which), failsWith('coord/not-found'))
    await assert.rejects(home.expireNode(which), failsWith('coord/not-found'))
    await assert.rejects(home.renameNode(which, 'mine'), failsWith('coord/not-found'))
  }
  await assert.rejects(home.revokeAuthKey(key.id), failsWith('coord/not-found'))
  await assert.rejects(home.deleteUser('ben'), failsWith('coord/not-found'))
  await assert.rejects(home.resetUser('ben'), failsWith('coord/not-found'))
  assert.deepEqual(
    (await home.listNodes()).map(({ name }) => name),
    ['laptop'],
  )
  assert.deepEqual(
    (await home.listAuthKeys()).map(({ user }) => user),
    ['anna'],
  )
  assert.ok((await home.auditSince(0)).every(({ detail }) => !/ben|desktop|office/.test(detail)))
  assert.equal((await office.listNodes())[0]?.name, 'desktop')
})

test('a person of two tailnets has a role in each, and whoever removes a guest leaves the person', async (t) => {
  const { serverAdmin, join } = await setUp(t)
  const guest = await serverAdmin.addMember({ tailnet: 'office', user: 'Anna', role: 'auditor' })
  assert.equal(guest.role, 'auditor')
  assert.equal((await serverAdmin.of().listUsers())[0]?.role, 'owner')
  const again = serverAdmin.addMember({ tailnet: 'office', user: 'anna' })
  await assert.rejects(again, failsWith('coord/conflict'))
  const { key } = await serverAdmin.of('office').createAuthKey({ user: 'anna' })
  await join(undefined, 'laptop')
  await serverAdmin.of('office').deleteUser('anna')
  assert.ok((await serverAdmin.of('office').listAuthKeys()).every(({ id }) => !key.includes(id)))
  assert.equal((await serverAdmin.of().listUsers())[0]?.nodes, 1)
})

test('a device that is logged in to one tailnet is not carried into another by a key', async (t) => {
  const { serverAdmin, join } = await setUp(t)
  const machine = await join(undefined, 'laptop')
  const { key } = await serverAdmin.of('office').createAuthKey({})
  const answer = await machine.register({ auth: { authKey: key } })
  assert.match(answer.error, /another tailnet/)
  assert.equal((await serverAdmin.of('office').listNodes()).length, 0)
})

test('a policy, like a rename, is of one tailnet, also after a restart', async (t) => {
  const { running, start, serverAdmin, join } = await setUp(t)
  await join(undefined, 'a')
  await join('office', 'b')
  await serverAdmin.of('office').policy.set('{"acls": []}', 'cli')
  await serverAdmin.renameTailnet('office', 'work')
  await running.coord.close()
  running.coord = await start()
  const again = running.coord.serverAdmin
  assert.equal((await again.of('work').policy.get()).text, '{"acls": []}')
  assert.equal((await again.of().policy.get()).revision, 0)
  assert.deepEqual(
    (await again.of('work').listNodes()).map(({ name }) => name),
    ['b'],
  )
})

test('a tailnet goes only when it is empty, and the first never', async (t) => {
  const { serverAdmin } = await setUp(t)
  await assert.rejects(serverAdmin.deleteTailnet('home'), failsWith('coord/conflict'))
  await assert.rejects(serverAdmin.deleteTailnet('office'), failsWith('coord/conflict'))
  await assert.rejects(serverAdmin.createTailnet({ name: 'Office 2' }), failsWith('coord/bad-argument'))
  await assert.rejects(serverAdmin.createTailnet({ name: 'office' }), failsWith('coord/conflict'))
  await serverAdmin.of('office').deleteUser('ben')
  await serverAdmin.deleteTailnet('office')
  assert.throws(() => serverAdmin.of('office'), failsWith('coord/not-found'))
  const next = await serverAdmin.createTailnet({ name: 'office' })
  assert.equal(next.id, 3)
})
