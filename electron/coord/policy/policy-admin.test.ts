import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { VirtualClock } from '../../base/clock.ts'
import { isCoded } from '../../base/errors.ts'
import { silentLogger } from '../../base/log.ts'
import { MachinePublic, NodePublic, randomScalar } from '../../crypto/keys.ts'
import { NO_REPORT } from '../model.ts'
import { ServerRegistry } from '../server-registry.ts'
import { SqliteStore } from '../store/sqlite-store.ts'
import { DEFAULT_POLICY, PolicyAdmin } from './policy-admin.ts'
import { PolicyError } from './problem.ts'

async function setUp(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'peerway-policy-'))
  const clock = new VirtualClock()
  const load = () => ServerRegistry.load(SqliteStore.open(join(folder, 'coord.db')), clock, silentLogger)
  let server = await load()
  t.after(async () => {
    await server.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const users = ['anna', 'ben']
  for (const [i, name] of users.entries())
    await server.first.transaction(async (tx) => {
      const user = await tx.insertUser({ name, displayName: name, email: undefined, role: 'member', createdAtMs: 0 })
      const node = {
        stableId: `n${i}`,
        userId: user.id,
        machineKey: new MachinePublic(randomScalar()),
        nodeKey: new NodePublic(randomScalar()),
        name: `${name}s-pc`,
        nameIsFixed: false,
        addressV4: `100.64.0.${i + 1}`,
        addressV6: `fd7a:115c:a1e0::${i + 1}`,
        tags: [],
        expiresAtMs: undefined,
        createdAtMs: 0,
        ephemeral: false,
        authKeyId: undefined,
      }
      await tx.insertNode(node, NO_REPORT)
    })
  return {
    clock,
    admin: () => new PolicyAdmin({ registry: server.first, clock }),
    registry: () => server.first,
    restart: async () => {
      await server.close()
      server = await load()
    },
  }
}

const to22 = (src: string): string =>
  `{"acls": [{"action": "accept", "src": ["${src}"], "dst": ["ben@:22"]}] /* as I like it */}`

test('the policy is kept as it was written, with who, when and all that were before', async (t) => {
  const { admin, registry, restart, clock } = await setUp(t)
  assert.deepEqual(await admin().get(), { revision: 0, text: DEFAULT_POLICY })
  const first = await admin().set(to22('anna@'), 'user:1')
  assert.deepEqual(
    [first.revision, first.by, first.savedAt],
    [1, 'user:1', new Date(clock.wallNow()).toISOString().replace('.000Z', 'Z')],
  )
  await admin().set(to22('*'), 'cli')
  await restart()
  assert.deepEqual([(await admin().get()).revision, (await admin().get()).text], [2, to22('*')])
  assert.equal((await admin().get(1)).text, to22('anna@'))
  assert.equal((await admin().get(0)).text, DEFAULT_POLICY)
  await assert.rejects(admin().get(3), (error) => isCoded(error, 'coord/not-found'))
  const audit = await registry().read((store) => store.auditSince(0, 9))
  assert.deepEqual(
    audit.map(({ actor, action, subject }) => [actor, action, subject]),
    [
      ['user:1', 'policy.set', 'policy:1'],
      ['cli', 'policy.set', 'policy:2'],
    ],
  )
})

test('an invalid policy, or one whose tests fail, changes nothing', async (t) => {
  const { admin } = await setUp(t)
  await admin().set(to22('anna@'), 'cli')
  const failing = `{"acls": [], "tests": [{"src": "anna@", "accept": ["ben@:22"]}]}`
  for (const text of ['{', '{"acls": 1}', failing])
    await assert.rejects(
      admin().set(text, 'cli'),
      (error) => error instanceof PolicyError && error.problems.length === 1,
    )
  await assert.rejects(admin().set(`"${'x'.repeat(600_000)}"`, 'cli'), (error) => isCoded(error, 'coord/bad-argument'))
  assert.equal((await admin().get()).revision, 1)
})

test('of two who change the same revision one is told', async (t) => {
  const { admin } = await setUp(t)
  const both = await Promise.allSettled([admin().set(to22('anna@'), 'cli', 0), admin().set(to22('*'), 'cli', 0)])
  assert.deepEqual(
    both.map(({ status }) => status),
    ['fulfilled', 'rejected'],
  )
  assert.equal((await admin().get()).revision, 1)
})

test('the difference says who gains and who loses what, before anything is in force', async (t) => {
  const { admin } = await setUp(t)
  assert.deepEqual((await admin().diff(DEFAULT_POLICY)).effects, [])
  assert.deepEqual(await admin().diff(to22('anna@')), {
    effects: [
      { from: 'annas-pc', to: 'bens-pc', gains: ['*:22'], loses: ['*:*'] },
      { from: 'bens-pc', to: 'annas-pc', gains: [], loses: ['*:*'] },
    ],
    isCut: false,
  })
  await admin().set(to22('anna@'), 'cli')
  const more = `{
    "acls": [{"action": "accept", "src": ["anna@"], "dst": ["ben@:22"]}],
    "grants": [{"src": ["ben@"], "dst": ["anna@"], "ip": ["tcp:80-90"], "app": {"example.com/cap/print": [{}]}}],
    "ssh": [{"action": "accept", "src": ["ben@"], "dst": ["ben@"], "users": ["root"]}],
  }`
  assert.deepEqual((await admin().diff(more)).effects, [
    { from: 'bens-pc', to: 'annas-pc', gains: ['tcp:80-90', 'example.com/cap/print'], loses: [] },
  ])
  assert.equal((await admin().get()).revision, 1)
})
