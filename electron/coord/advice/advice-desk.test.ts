import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import {
  CAP_PATH_REPORT,
  type PathReportAnswer,
  PATH_REPORT_ROUTE,
  type PathReportInput,
  pathReport,
  pathReportAnswer,
} from '../../wire/path-report.ts'
import type { NetInfoInput } from '../../wire/tailcfg/hostinfo.ts'
import { encodeMessage, parseMessage } from '../../wire/tailcfg/schema.ts'
import type { Admin } from '../admin/admin.ts'
import { startCoord } from '../coord-server.ts'
import { operatorLogin } from '../login/operator-login.ts'
import { TestMachine } from '../test-machine.ts'

const EASY: NetInfoInput = { mappingVariesByDestIp: false, workingUdp: true, preferredDerp: 1 }
const HARD: NetInfoInput = { mappingVariesByDestIp: true, workingUdp: true, preferredDerp: 1 }

interface Joined {
  readonly machine: TestMachine
  readonly id: string
  readonly capabilities: readonly string[]
}

async function setUp(t: TestContext) {
  const stateDir = mkdtempSync(join(tmpdir(), 'peerway-advice-'))
  t.after(() => rmSync(stateDir, { recursive: true, force: true }))
  const coord = await startCoord({
    stateDir,
    listen: { host: '127.0.0.1', port: 0 },
    prepare: async () => ({ derpMap: { regions: new Map() } }),
    login: operatorLogin,
  })
  t.after(() => coord.close())
  await coord.serverAdmin.of().createUser({ name: 'anna' })
  /** In the tailnet, online, and with its network told. */
  const joined = async (
    hostname: string,
    netInfo: NetInfoInput,
    peerRelay = false,
    tailnet?: string,
  ): Promise<Joined> => {
    const { key } = await coord.serverAdmin.of(tailnet).createAuthKey({ reusable: true })
    const machine = new TestMachine(coord.url, hostname)
    t.after(() => machine.close())
    assert.equal((await machine.register({ auth: { authKey: key } })).error, '')
    const poll = await machine.poll()
    const { node } = await poll.until((message) => message.node !== undefined)
    assert.equal(await machine.update({ hostinfo: { hostname, os: 'linux', netInfo, peerRelay } }), 200)
    return { machine, id: node?.id ?? '', capabilities: [...(node?.capMap.keys() ?? [])] }
  }
  return { coord, admin: coord.admin, joined }
}

async function report(
  { machine }: Joined,
  peers: readonly (readonly [Joined, string, number?, Joined?])[],
): Promise<PathReportAnswer> {
  const input: PathReportInput = {
    nodeKey: machine.nodeKey.public,
    peers: peers.map(([peer, kind, latencyMs, relay]) => ({
      node: peer.id,
      kind,
      latencyMs,
      relay: relay?.id,
      isUsed: true,
    })),
  }
  const answer = await machine.post(PATH_REPORT_ROUTE, encodeMessage(pathReport, input))
  assert.equal(answer.status, 200)
  return parseMessage(pathReportAnswer, answer.body)
}

const names = async (admin: Admin): Promise<string[]> => (await admin.relayAdvice()).candidates.map(({ node }) => node)

test('reports lead to questions, then to advice, and after the relay is there to its gain', async (t) => {
  const { admin, joined } = await setUp(t)
  const [a, b] = [await joined('a', HARD), await joined('b', HARD)]
  const [near, far] = [await joined('near', EASY), await joined('far', EASY)]
  await joined('shut', HARD)
  assert.ok(a.capabilities.includes(CAP_PATH_REPORT))
  const asked = await report(a, [[b, 'derp', 80]])
  assert.deepEqual([asked.measure, asked.afterSeconds], [[near.id, far.id], 60])
  assert.deepEqual(await names(admin), [])
  assert.equal((await admin.relayAdvice()).pairsInNeed, 1)

  const done = await report(a, [
    [b, 'derp', 80],
    [near, 'direct', 2],
    [far, 'direct', 20],
  ])
  assert.deepEqual([done.measure, done.afterSeconds], [[], 180])
  await report(b, [
    [near, 'direct', 3],
    [far, 'direct', 20],
  ])
  assert.deepEqual(await names(admin), ['near', 'far'])
  const [best] = (await admin.relayAdvice()).candidates
  assert.deepEqual(best?.pairs, [
    { nodes: ['a', 'b'], path: 'derp', nowMs: 80, thenMs: 5, savedMs: 75, basis: 'measured' },
  ])

  await report(a, [[b, 'peer-relay', 6, near]])
  const reached = new Map((await admin.nodePaths()).map(({ nodeId, ...counts }) => [String(nodeId), counts]))
  assert.deepEqual(reached.get(a.id), { direct: 2, peerRelay: 1, derp: 0 })
  assert.deepEqual(reached.get(far.id), { direct: 2, peerRelay: 0, derp: 0 })
  assert.equal(reached.size, 4, 'of the one nobody told of, nothing is known')
  const { candidates, relays } = await admin.relayAdvice()
  assert.deepEqual(candidates, [])
  assert.deepEqual(relays, [
    {
      node: 'near',
      pairCount: 1,
      inUseCount: 1,
      slowerCount: 0,
      savedMs: 74,
      pairs: [{ nodes: ['a', 'b'], beforeMs: 80, afterMs: 6, savedMs: 74, basis: 'measured', isInUse: true }],
    },
  ])
})

test('with a policy, only pairs that it lets use the relay are counted', async (t) => {
  const { admin, joined } = await setUp(t)
  const [a, b] = [await joined('a', HARD), await joined('b', HARD)]
  const relay = await joined('relay', EASY, true)
  const tell = async (): Promise<string[]> => {
    await report(a, [
      [b, 'derp', 80],
      [relay, 'direct', 2],
    ])
    await report(b, [[relay, 'direct', 2]])
    return names(admin)
  }
  const ip = { src: ['*'], dst: ['*'], ip: ['*'] }
  const grant = (app: string) => ({ src: ['*'], dst: ['*'], app: { [app]: [] } })
  const set = (grants: unknown[]): Promise<unknown> => admin.policy.set(JSON.stringify({ grants }), 'test')
  assert.deepEqual(await tell(), ['relay'])
  await set([ip])
  assert.deepEqual(await tell(), [])
  await set([ip, grant('example.com/cap/other')])
  assert.deepEqual(await tell(), [])
  await set([ip, grant('tailscale.com/cap/relay')])
  assert.deepEqual(await tell(), ['relay'])
})

test('what is told in one tailnet is not known in another, and nobody tells of nodes it cannot see', async (t) => {
  const { coord, admin, joined } = await setUp(t)
  await coord.serverAdmin.createTailnet({ name: 'office' })
  await coord.serverAdmin.of('office').createUser({ name: 'ben' })
  const [a, b, relay] = [await joined('a', HARD), await joined('b', HARD), await joined('relay', EASY, true)]
  const spy = await joined('spy', EASY, true, 'office')
  await report(a, [
    [b, 'derp', 80],
    [relay, 'direct', 2],
    [spy, 'direct', 1],
  ])
  await report(b, [[relay, 'direct', 2]])
  await report(spy, [
    [a, 'direct', 1],
    [b, 'direct', 1],
    [relay, 'derp', 900],
  ])
  assert.deepEqual(await names(admin), ['relay'])
  const office = await coord.serverAdmin.of('office').relayAdvice()
  assert.deepEqual([office.candidates, office.pairsInNeed], [[], 0])
})

test('of clients that report nothing, latencies to DERP regions make a guess', async (t) => {
  const { admin, joined } = await setUp(t)
  const from = (...seconds: readonly number[]) => ({
    derpLatencySeconds: new Map(seconds.map((value, i) => [`${i + 1}-v4`, value])),
  })
  await joined('stock-1', { ...HARD, ...from(0.09, 0.11, 0.1) })
  await joined('stock-2', { ...HARD, ...from(0.091, 0.109, 0.101) })
  await joined('relay', { ...EASY, ...from(0.09, 0.11, 0.1) }, true)
  const { candidates } = await admin.relayAdvice()
  assert.deepEqual(
    candidates.map(({ node, measuredCount, pairs }) => [node, measuredCount, pairs[0]?.basis]),
    [['relay', 0, 'estimated']],
  )
})

test('a report of any size or sense is taken or refused, and nothing more', async (t) => {
  const { admin, joined } = await setUp(t)
  const a = await joined('a', HARD)
  const many = Array.from({ length: 5_000 }, (_, i) => ({
    Node: i,
    Kind: 'derp',
    LatencyMs: -1e300,
    Relay: i,
    Used: true,
  }))
  const key = a.machine.nodeKey.public.text
  const bodies: readonly (readonly [number, unknown])[] = [
    [200, { NodeKey: key, Peers: many }],
    [200, { NodeKey: key, Peers: [{ Node: 1, Kind: 'teleport' }, null, {}] }],
    [400, { NodeKey: key, Peers: [{ Node: 'x' }] }],
    [400, { Peers: 7 }],
    [400, []],
  ]
  for (const [status, body] of bodies) {
    const answer = await a.machine.post(PATH_REPORT_ROUTE, Buffer.from(JSON.stringify(body)))
    assert.equal(answer.status, status, JSON.stringify(body).slice(0, 80))
  }
  assert.deepEqual((await admin.relayAdvice()).candidates, [])
  const statuses = []
  for (let i = 0; i < 10; i++) statuses.push((await a.machine.post(PATH_REPORT_ROUTE, Buffer.from('{}'))).status)
  assert.ok(statuses.includes(429), 'more often than each half minute is too often')
})
