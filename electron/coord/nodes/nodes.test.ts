// The life of a node beyond its first login, with real handshakes and requests: tags, owners, and the end of keys.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { VirtualClock } from '../../base/clock.ts'
import { isCoded } from '../../base/errors.ts'
import { startCoord } from '../coord-server.ts'
import { operatorLogin } from '../login/operator-login.ts'
import { TestMachine } from '../test-machine.ts'

const HOUR_MS = 3_600_000

async function started(t: TestContext, policy?: string) {
  const stateDir = mkdtempSync(join(tmpdir(), 'peerway-nodes-'))
  const clock = new VirtualClock()
  const coord = await startCoord({
    stateDir,
    listen: { host: '127.0.0.1', port: 0 },
    prepare: async () => ({ derpMap: { regions: new Map() } }),
    login: operatorLogin,
    clock,
  })
  const machines: TestMachine[] = []
  t.after(async () => {
    for (const machine of machines) machine.close()
    await coord.close()
    rmSync(stateDir, { recursive: true, force: true })
  })
  const { admin } = coord
  for (const name of ['anna', 'ben']) await admin.createUser({ name })
  if (policy !== undefined) await admin.policy.set(policy, 'test')
  const machine = (name: string): TestMachine => {
    const made = new TestMachine(coord.url, name)
    machines.push(made)
    return made
  }
  const register = async (name: string, user: string, requestTags: string[] = []) => {
    const made = machine(name)
    const { key } = await admin.createAuthKey({ user })
    const hostinfo = { hostname: name, os: 'linux', requestTags }
    return { machine: made, answer: await made.register({ auth: { authKey: key }, hostinfo }) }
  }
  return { admin, clock, machine, register }
}

const failsWith = (code: string) => (error: unknown) => isCoded(error, code)

const OWNERS = `{
  "groups": {"group:ops": ["anna@"]},
  "tagOwners": {"tag:server": ["group:ops"], "tag:web": ["tag:server"]},
}`

test('a machine is tagged as it wishes where the policy lets its person do so', async (t) => {
  const { admin, register } = await started(t, OWNERS)
  const { answer } = await register('nas', 'anna', ['tag:server'])
  assert.equal(answer.error, '')
  assert.deepEqual((await admin.showNode('nas')).tags, ['tag:server'])
  const refused = await register('pc', 'ben', ['tag:server'])
  assert.match(refused.answer.error, /requested tags \[tag:server\]/)
  await assert.rejects(admin.showNode('pc'), failsWith('coord/not-found'))
})

test('without a policy nobody gives tags but administrators', async (t) => {
  const { register } = await started(t)
  assert.match((await register('nas', 'anna', ['tag:server'])).answer.error, /not permitted/)
})

test('a login at the page gives tags under the same rule', async (t) => {
  const { admin, machine } = await started(t, OWNERS)
  const nas = machine('nas')
  const hostinfo = { hostname: 'nas', os: 'linux', requestTags: ['tag:server'] }
  const { authUrl } = await nas.register({ hostinfo })
  await assert.rejects(admin.approveLogin(authUrl, 'ben'), /tag:server, which the policy does not let ben give/)
  assert.deepEqual((await admin.approveLogin(authUrl, 'anna')).tags, ['tag:server'])
})

test('a machine that changes its wish gets what its tags may give, and nothing else', async (t) => {
  const { admin, register } = await started(t, OWNERS)
  const { machine } = await register('nas', 'anna', ['tag:server'])
  const wish = (requestTags: string[]) => machine.update({ hostinfo: { hostname: 'nas', os: 'linux', requestTags } })
  await wish(['tag:other'])
  assert.deepEqual((await admin.showNode('nas')).tags, ['tag:server'])
  await wish(['tag:server', 'tag:web'])
  assert.deepEqual((await admin.showNode('nas')).tags, ['tag:server', 'tag:web'])
})

test('an administrator tags a node, and gives it back', async (t) => {
  const { admin, register } = await started(t)
  await admin.nodes.setKeySettings({ lifetimeMs: 10 * HOUR_MS })
  await register('nas', 'anna')
  assert.notEqual((await admin.showNode('nas')).expiresAt, undefined)
  const tagged = await admin.tagNode('nas', ['tag:server'])
  assert.deepEqual([tagged.tags, tagged.expiresAt], [['tag:server'], undefined])
  await assert.rejects(admin.moveNode('nas', 'ben'), failsWith('coord/conflict'))
  const bare = await admin.tagNode('nas', [])
  assert.deepEqual([bare.tags, bare.user, bare.expiresAt !== undefined], [[], 'anna', true])
  await assert.rejects(admin.tagNode('nas', ['server']), failsWith('coord/bad-argument'))
})

test('a node that moves to another user keeps its name and addresses, and its login', async (t) => {
  const { admin, register } = await started(t)
  const { machine } = await register('pc', 'anna')
  const before = await admin.showNode('pc')
  const after = await admin.moveNode('pc', 'ben')
  assert.deepEqual([after.user, after.name, after.addresses], ['ben', before.name, before.addresses])
  assert.equal((await machine.register()).login.loginName, 'ben')
})

test('a key ends after its time, and is renewed without a word while the machine is there', async (t) => {
  const { admin, clock, register } = await started(t)
  await admin.nodes.setKeySettings({ lifetimeMs: 100 * HOUR_MS })
  const { machine } = await register('pc', 'anna')
  await register('away', 'anna')
  const poll = async (): Promise<void> => {
    // The server ended the connection before at the leap; this end may not have noticed.
    machine.close()
    await (await machine.poll()).until((message) => message.node !== undefined)
  }
  /** Long enough for a look at all nodes. */
  const settle = async (): Promise<void> => {
    clock.advance(6_000)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const endsIn = async (name: string): Promise<number> =>
    Math.round((Date.parse((await admin.showNode(name)).expiresAt ?? '') - clock.wallNow()) / HOUR_MS)
  clock.advance(40 * HOUR_MS)
  await poll()
  await settle()
  assert.deepEqual([await endsIn('pc'), await endsIn('away')], [60, 60])
  clock.advance(15 * HOUR_MS)
  await poll()
  await settle()
  for (let i = 0; i < 500 && (await endsIn('pc')) < 100; i++) await new Promise((resolve) => setTimeout(resolve, 10))
  assert.deepEqual([await endsIn('pc'), await endsIn('away')], [100, 45])
})

test('an end that somebody chose is not put off', async (t) => {
  const { admin, clock, register } = await started(t)
  await admin.nodes.setKeySettings({ lifetimeMs: 100 * HOUR_MS })
  const { machine } = await register('pc', 'anna')
  await admin.expireNode('pc', 10 * HOUR_MS)
  await (await machine.poll()).until((message) => message.node !== undefined)
  clock.advance(6_000)
  await new Promise((resolve) => setTimeout(resolve, 20))
  assert.ok(Date.parse((await admin.showNode('pc')).expiresAt ?? '') <= clock.wallNow() + 10 * HOUR_MS)
  assert.equal((await admin.expireNode('pc', 'never')).expiresAt, undefined)
})

test('an end that was due a moment ago is now, and one long over is refused', async (t) => {
  const { admin, clock, register } = await started(t)
  await register('pc', 'anna')
  const nowMs = clock.wallNow()
  assert.equal((await admin.nodes.expireAt('pc', nowMs - 3_000)).expiresAtMs, nowMs)
  await assert.rejects(admin.nodes.expireAt('pc', nowMs - 120_000), failsWith('coord/bad-argument'))
})

test('addresses lie where the policy says', async (t) => {
  const pools = `{
    "tagOwners": {"tag:server": ["anna@"]},
    "nodeAttrs": [
      {"target": ["tag:server"], "ipPool": ["100.81.0.0/30"]},
      {"target": ["ben@"], "ipPool": ["100.82.0.0/16"]},
    ],
  }`
  const { admin, register } = await started(t, pools)
  const addressOf = async (name: string): Promise<string | undefined> => (await admin.showNode(name)).addresses[0]
  await register('annas', 'anna')
  assert.equal(await addressOf('annas'), '100.64.0.1')
  await register('bens', 'ben')
  assert.equal(await addressOf('bens'), '100.82.0.0')
  for (let i = 0; i < 4; i++) await register(`server-${i}`, 'anna', ['tag:server'])
  assert.deepEqual(await Promise.all([0, 3].map((i) => addressOf(`server-${i}`))), ['100.81.0.0', '100.81.0.3'])
})

test('a new machine waits, sees nobody and is seen by nobody, until somebody approves it', async (t) => {
  const { admin, clock, register } = await started(t)
  const seen = await register('first', 'anna')
  assert.equal(seen.answer.machineAuthorized, true)
  await admin.setSettings({ deviceApproval: 'always' })
  assert.equal((await admin.showNode('first')).approved, true, 'who is in stays in')
  const firstMap = await seen.machine.poll()
  await firstMap.until((message) => message.node !== undefined)
  const late = await register('late', 'ben')
  assert.deepEqual([late.answer.machineAuthorized, late.answer.login.loginName], [false, 'ben'])
  const lateMap = await late.machine.poll()
  const own = await lateMap.until((message) => message.node !== undefined)
  assert.deepEqual([own.node?.machineAuthorized, own.peers ?? []], [false, []])
  const step = async (): Promise<void> => {
    clock.advance(1_000)
    await new Promise((resolve) => setTimeout(resolve, 30))
  }
  await step()
  assert.equal((await late.machine.register()).machineAuthorized, false, 'a restart does not let it in')
  const other = await register('other', 'anna')
  const otherMap = await (await other.machine.poll()).until((message) => message.node !== undefined)
  assert.deepEqual(otherMap.peers ?? [], [])
  await admin.approveNode('late')
  await step()
  const through = await lateMap.until((message) => message.node?.machineAuthorized === true)
  const peersOf = through.peers ?? through.peersChanged ?? []
  assert.deepEqual(
    peersOf.map(({ name }) => name.split('.')[0]),
    ['first'],
  )
  const news = await firstMap.until((message) => (message.peersChanged ?? []).length > 0)
  assert.ok((news.peersChanged ?? []).some(({ name }) => name.startsWith('late.')))
  assert.equal((await late.machine.register()).machineAuthorized, true)
  const actions = (await admin.auditSince(0)).map(({ action }) => action)
  for (const action of ['device-approval.set', 'node.wait', 'node.approve']) assert.ok(actions.includes(action), action)
})

test('a pre-approved key lets in where the setting says so, and a machine let in by hand does not wait', async (t) => {
  const { admin, machine } = await started(t)
  const joins = async (name: string, preApproved: boolean): Promise<boolean> => {
    const { key, preApproved: isShown } = await admin.createAuthKey({ user: 'anna', preApproved })
    assert.equal(isShown, preApproved)
    return (await machine(name).register({ auth: { authKey: key } })).machineAuthorized
  }
  await admin.setSettings({ deviceApproval: 'unless-pre-approved' })
  assert.deepEqual([await joins('a', true), await joins('b', false)], [true, false])
  await admin.setSettings({ deviceApproval: 'always' })
  assert.equal(await joins('c', true), false)
  const { authUrl } = await machine('d').register()
  assert.equal((await admin.approveLogin(authUrl, 'ben')).approved, true)
  await admin.setSettings({ deviceApproval: 'off' })
  assert.equal(await joins('e', false), true)
  assert.equal((await admin.showNode('b')).approved, false, 'who waits goes on waiting')
  await assert.rejects(admin.setSettings({ deviceApproval: 'perhaps' }), failsWith('coord/bad-argument'))
})
