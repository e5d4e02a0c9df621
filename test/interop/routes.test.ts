// Subnet routers and exit nodes of others under our server: approved, taken over by one another, and closed by policy.

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createLab } from '../lab/lab.ts'
import { labUnavailable, runOrSkip } from '../lab/netns.ts'
import { peerwayUnavailable, startCoord, type PeerwayCoord } from '../lab/peerway.ts'
import { until } from '../lab/process.ts'
import { stockUnavailable } from '../stock/binaries.ts'
import { startTailscaled } from '../stock/tailscaled.ts'
import { buildOffice, OFFICE, seenAs, seenByPrinter, serveAddresses, untilSeen } from './office.ts'

const unavailable = labUnavailable() ?? peerwayUnavailable() ?? stockUnavailable('tailscale-new', 'tailscale-old')
const options = runOrSkip(unavailable, 300_000)

const ARRIVE_MS = 30_000
/** A router that falls silent is asked every 2.5 s and given 3 s; the rest is for clients and a busy machine. */
const FAILOVER_MS = 20_000
/** A public address: exit nodes of others keep private ones, such as the wan of the lab has, to themselves. */
const WEB = '198.51.100.10'
const WEB_PORT = 8_000

interface Route {
  readonly node: string
  readonly route: string
  readonly state: string
  readonly serving: boolean
}

const routes = async (coord: PeerwayCoord): Promise<Route[]> =>
  JSON.parse(await coord.cli('routes', 'list', '--json')) as Route[]

test('subnet routers and an exit node of others', options, async (t) => {
  const lab = await createLab({
    sites: [{ nat: 'easy' }, { nat: 'easy' }, { nat: 'easy' }, { nat: 'easy' }],
    hosts: ['web'],
  })
  t.after(() => lab.close())
  const office = await buildOffice(lab, [lab.client(0), lab.client(1)])
  const coord = await startCoord(lab, lab.coord)
  for (const user of ['anna', 'ben']) await coord.createUser(user)
  const key = (user: string): Promise<string> => coord.createAuthKey(user)
  const first = await startTailscaled(lab, lab.client(0), { version: 'new', hostname: 'first' })
  const second = await startTailscaled(lab, lab.client(1), { version: 'old', hostname: 'second' })
  const annas = await startTailscaled(lab, lab.client(2), { version: 'new', hostname: 'annas' })
  const bens = await startTailscaled(lab, lab.client(3), { version: 'old', hostname: 'bens' })
  for (const { machine } of [first, second]) await machine.ns.sysctl({ 'net/ipv4/ip_forward': 1 })
  const loginServer = coord.url
  const offers = ['--accept-routes=false', `--advertise-routes=${OFFICE}`, '--advertise-exit-node']
  await first.up({ loginServer, authKey: await key('anna'), more: offers })
  await second.up({ loginServer, authKey: await key('anna'), more: [`--advertise-routes=${OFFICE}`] })
  await annas.up({ loginServer, authKey: await key('anna'), more: ['--accept-routes'] })
  await bens.up({ loginServer, authKey: await key('ben'), more: ['--accept-routes'] })
  const users = [annas, bens] as const

  await t.test('what is announced is not used before somebody approved it', async () => {
    await until(async () => (await routes(coord)).length >= 4, { timeoutMs: ARRIVE_MS, what: 'all routes announced' })
    assert.ok((await routes(coord)).every(({ state, serving }) => state === 'waiting' && !serving))
    for (const user of users) assert.equal(await seenByPrinter(user), undefined)
  })

  await t.test('an approved route leads to what is behind the router', async () => {
    await coord.cli('routes', 'approve', 'first', OFFICE)
    for (const user of users) await untilSeen(user, '10.50.0.1', ARRIVE_MS)
    const status = JSON.parse((await annas.cli('status', '--json')).stdout) as {
      Peer: Record<string, { HostName: string; PrimaryRoutes?: string[]; ExitNodeOption?: boolean }>
    }
    const router = Object.values(status.Peer).find(({ HostName }) => HostName === 'first')
    assert.deepEqual(router?.PrimaryRoutes, [OFFICE])
    assert.notEqual(router.ExitNodeOption, true)
  })

  await t.test('a second router of the same network stands by', async () => {
    await coord.cli('routes', 'approve', 'second')
    const serving = (await routes(coord)).filter(({ route }) => route === OFFICE)
    assert.deepEqual(
      serving.map(({ node, serving }) => [node, serving]),
      [
        ['first', true],
        ['second', false],
      ],
    )
    assert.equal(await seenByPrinter(annas), '10.50.0.1')
  })

  await t.test('it takes over when the first falls silent', async () => {
    await first.machine.ns.ip('link set eth0 down')
    const took = await Promise.all(users.map((user) => untilSeen(user, '10.50.0.2', FAILOVER_MS)))
    t.diagnostic(`taken over after ${took.map((ms) => `${(ms / 1000).toFixed(1)} s`).join(' and ')}`)
  })

  await t.test('and keeps the network when the first comes back', async () => {
    await first.machine.ns.ip('link set eth0 up', 'route add default via 192.168.11.1')
    await until(async () => (await annas.peer('first'))?.Online === true, {
      timeoutMs: 60_000,
      what: 'the first router to be back',
    })
    for (let i = 0; i < 5; i++) assert.equal(await seenByPrinter(annas), '10.50.0.2')
  })

  await t.test('a rule with "via" takes one through the router that stands by, and others as before', async () => {
    const file = join(lab.dir, 'via.hujson')
    writeFileSync(
      file,
      `{
        "tagOwners": {"tag:front": ["anna@"]},
        "grants": [
          {"src": ["anna@"], "dst": ["${OFFICE}"], "ip": ["*"], "via": ["tag:front"]},
          {"src": ["ben@"], "dst": ["${OFFICE}"], "ip": ["*"]},
        ],
      }`,
    )
    await coord.cli('policy', 'set', file)
    await coord.cli('nodes', 'tag', 'first', 'tag:front')
    await untilSeen(annas, '10.50.0.1', ARRIVE_MS)
    assert.equal(await seenByPrinter(bens), '10.50.0.2')
    await coord.cli('nodes', 'tag', 'first', '--none')
    writeFileSync(file, '{}')
    await coord.cli('policy', 'set', file)
    await untilSeen(annas, '10.50.0.2', ARRIVE_MS)
  })

  await t.test('until it ends itself', async () => {
    await second.stop()
    const took = await Promise.all(users.map((user) => untilSeen(user, '10.50.0.1', FAILOVER_MS)))
    t.diagnostic(`taken over after ${took.map((ms) => `${(ms / 1000).toFixed(1)} s`).join(' and ')}`)
  })

  await t.test('an exit node, once approved, is offered and carries everything', async () => {
    const web = lab.host('web')
    await web.ns.ip(`addr add ${WEB}/32 dev eth0`)
    for (const { router } of lab.sites) await router.ns.ip(`route add ${WEB} via ${web.address}`)
    await serveAddresses(web.ns, WEB, WEB_PORT)
    const own = lab.site(2).router.wanAddress
    assert.equal(await seenAs(annas, WEB, WEB_PORT), own)
    await coord.cli('routes', 'approve', 'first', 'exit')
    const use = (): Promise<boolean> => annas.cli('set', '--exit-node=first').then(({ status }) => status === 0)
    await until(use, { timeoutMs: ARRIVE_MS, what: 'the exit node to be offered' })
    const exit = lab.site(0).router.wanAddress
    await until(async () => (await seenAs(annas, WEB, WEB_PORT)) === exit, {
      timeoutMs: ARRIVE_MS,
      what: 'traffic to leave by the exit node',
    })
    await annas.cli('set', '--exit-node=')
    assert.equal(await seenAs(annas, WEB, WEB_PORT), own)
  })

  await t.test('a policy closes the network to one, who no longer hears of it', async () => {
    const file = join(lab.dir, 'policy.hujson')
    writeFileSync(
      file,
      `{"acls": [
        {"action": "accept", "src": ["anna@"], "dst": ["${OFFICE}:*", "anna@:*"]},
        {"action": "accept", "src": ["ben@"], "dst": ["anna@:*"]},
      ]}`,
    )
    await coord.cli('policy', 'set', file)
    await untilSeen(bens, undefined, ARRIVE_MS)
    await untilSeen(annas, '10.50.0.1', ARRIVE_MS)
    const status = (await bens.cli('status', '--json')).stdout
    assert.ok(!status.includes(OFFICE), 'bens still knows of the route')
    assert.ok(!status.includes('"ExitNodeOption": true'), 'bens is still offered the exit node')
    assert.ok(await bens.peer('first'), 'the router itself may be reached')
  })

  await t.test('a revoked route leads nowhere', async () => {
    await coord.cli('routes', 'revoke', 'first', OFFICE)
    await untilSeen(annas, undefined, ARRIVE_MS)
  })
  assert.ok(office.server.isRunning)
})
