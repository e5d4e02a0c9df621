// Our own agent as a subnet router and exit node for stock clients, and as one who uses the routers of others.

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createLab } from '../lab/lab.ts'
import { addressOf } from '../lab/mesh-node.ts'
import { labUnavailable, runOrSkip } from '../lab/netns.ts'
import { peerwayUnavailable, startAgent, startCoord, type PeerwayAgent } from '../lab/peerway.ts'
import { until } from '../lab/process.ts'
import { stockUnavailable } from '../stock/binaries.ts'
import { startTailscaled } from '../stock/tailscaled.ts'
import { buildOffice, OFFICE, PRINTER, seenAs, seenByPrinter, serveAddresses, untilSeen } from './office.ts'

const unavailable = labUnavailable() ?? peerwayUnavailable() ?? stockUnavailable('tailscale-new')
const options = runOrSkip(unavailable, 300_000)

const ARRIVE_MS = 30_000
const WEB = '198.51.100.10'
const WEB_PORT = 8_000

async function set(agent: PeerwayAgent, ...args: readonly string[]): Promise<void> {
  const { status, stderr } = await agent.cli('set', ...args)
  assert.equal(status, 0, stderr)
}

test('our own subnet router, exit node, and user of routes', options, async (t) => {
  const lab = await createLab({
    sites: [{ nat: 'easy' }, { nat: 'easy' }, { nat: 'easy' }, { nat: 'easy' }],
    hosts: ['web'],
  })
  t.after(() => lab.close())
  const office = await buildOffice(lab, [lab.client(0), lab.client(1)])
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  const login = async () => ({ loginServer: coord.url, authKey: await coord.createAuthKey('anna') })
  const ours = await startAgent(lab, lab.client(0), { hostname: 'ours' })
  const stock = await startTailscaled(lab, lab.client(1), { version: 'new', hostname: 'stock' })
  const user = await startAgent(lab, lab.client(2), { hostname: 'user' })
  const guest = await startTailscaled(lab, lab.client(3), { version: 'new', hostname: 'guest' })
  await stock.machine.ns.sysctl({ 'net/ipv4/ip_forward': 1 })
  await ours.up({ ...(await login()), more: ['--advertise-routes', OFFICE] })
  await stock.up({ ...(await login()), more: ['--accept-routes=false', `--advertise-routes=${OFFICE}`] })
  await user.up({ ...(await login()), more: ['--accept-routes'] })
  await guest.up({ ...(await login()), more: ['--accept-routes'] })
  const users = [user, guest] as const
  const forwards = (): Promise<string> => ours.machine.ns.run(['cat', '/proc/sys/net/ipv4/ip_forward'])

  await t.test('a network we offer is reached through us, by ours and by stock clients', async () => {
    await until(async () => (await coord.cli('routes', 'list')).includes(OFFICE), {
      timeoutMs: ARRIVE_MS,
      what: 'the offer to arrive',
    })
    for (const one of users) assert.equal(await seenByPrinter(one), undefined)
    await coord.cli('routes', 'approve', 'ours', OFFICE)
    for (const one of users) await untilSeen(one, '10.50.0.1', ARRIVE_MS)
  })

  await t.test('through a stock router as well, and whoever does not accept routes has none', async () => {
    await coord.cli('routes', 'approve', 'stock', OFFICE)
    await coord.cli('routes', 'revoke', 'ours', OFFICE)
    for (const one of users) await untilSeen(one, '10.50.0.2', ARRIVE_MS)
    await set(user, '--accept-routes=false')
    await untilSeen(user, undefined, ARRIVE_MS)
    await set(user, '--accept-routes')
    await untilSeen(user, '10.50.0.2', ARRIVE_MS)
  })

  await t.test('one who stands in that network takes the short way', async () => {
    await set(ours, '--accept-routes')
    const way = await ours.machine.ns.run(['ip', 'route', 'get', PRINTER])
    assert.match(way, /dev office0/)
    assert.equal(await seenByPrinter(ours), '10.50.0.1')
    await set(ours, '--no-accept-routes')
    await coord.cli('routes', 'revoke', 'stock', OFFICE)
    await coord.cli('routes', 'approve', 'ours', OFFICE)
    for (const one of users) await untilSeen(one, '10.50.0.1', ARRIVE_MS)
  })

  await t.test('we lead out to the internet, and into no network that was not offered', async () => {
    const web = lab.host('web')
    await web.ns.ip(`addr add ${WEB}/32 dev eth0`)
    for (const { router } of lab.sites) await router.ns.ip(`route add ${WEB} via ${web.address}`)
    await serveAddresses(web.ns, WEB, WEB_PORT)
    await set(ours, '--advertise-exit-node', '--advertise-routes', '')
    await until(async () => (await coord.cli('routes', 'list')).includes('exit'), {
      timeoutMs: ARRIVE_MS,
      what: 'the offer to arrive',
    })
    await coord.cli('routes', 'approve', 'ours', 'exit')
    await until(() => guest.cli('set', '--exit-node=ours').then(({ status }) => status === 0), {
      timeoutMs: ARRIVE_MS,
      what: 'the exit node to be offered',
    })
    const exit = lab.site(0).router.wanAddress
    await until(async () => (await seenAs(guest, WEB, WEB_PORT)) === exit, {
      timeoutMs: ARRIVE_MS,
      what: 'traffic to leave by our exit node',
    })
    assert.equal(await seenByPrinter(guest), undefined, 'the office was not offered any more')
    const own = lab.client(0).address
    const server = await serveAddresses(ours.machine.ns, '0.0.0.0', 9_101)
    assert.equal(await seenAs(guest, own, 9_101), undefined, 'our own address in our own network')
    assert.ok(await seenAs(guest, await addressOf(ours), 9_101), 'our address in the tailnet')
    await guest.cli('set', '--exit-node=')
    await server.stop()
  })

  await t.test('we go out through an exit node, and the tunnel itself does not', async () => {
    const own = lab.site(2).router.wanAddress
    const exit = lab.site(0).router.wanAddress
    const goesBy = async (to: string): Promise<string> =>
      /dev (\S+)/.exec(await user.machine.ns.run(['ip', 'route', 'get', to]))?.[1] ?? ''
    assert.equal(await seenAs(user, WEB, WEB_PORT), own)
    await set(user, '--exit-node=ours')
    await until(async () => (await seenAs(user, WEB, WEB_PORT)) === exit, {
      timeoutMs: ARRIVE_MS,
      what: 'traffic to leave by the exit node',
      explain: () => user.log().slice(-3_000),
    })
    const neighbour = user.machine.address.replace(/\d+$/, '77')
    const control = new URL(coord.url).hostname
    assert.deepEqual(
      [await goesBy(WEB), await goesBy(neighbour), await goesBy(control)],
      ['peerway0', 'peerway0', 'eth0'],
    )
    await set(user, '--exit-node-allow-lan-access')
    assert.deepEqual([await goesBy(WEB), await goesBy(neighbour)], ['peerway0', 'eth0'])
    await ours.cli('down')
    await until(async () => (await user.health()).some((line) => line.includes('exit node')), {
      timeoutMs: ARRIVE_MS,
      what: 'the absence of the exit node to be told',
    })
    assert.equal(await seenAs(user, WEB, WEB_PORT), undefined, 'nothing leaves beside the tunnel')
    assert.equal((await ours.cli('up', '--timeout', '30s')).status, 0)
    await until(async () => (await seenAs(user, WEB, WEB_PORT)) === exit, {
      timeoutMs: ARRIVE_MS,
      what: 'traffic to leave by the exit node again',
    })
    await set(user, '--exit-node=')
    assert.equal(await seenAs(user, WEB, WEB_PORT), own)
    const wrong = await user.cli('set', '--exit-node=nobody')
    assert.deepEqual([wrong.status, wrong.stderr.includes('[agent/unknown-node]')], [1, true])
  })

  await t.test('with shields up nobody comes in, and we still get out', async () => {
    const server = await serveAddresses(ours.machine.ns, '0.0.0.0', 9_102)
    const theirs = await serveAddresses(user.machine.ns, '0.0.0.0', 9_102)
    assert.ok(await seenAs(user, await addressOf(ours), 9_102))
    await set(ours, '--shields-up')
    assert.equal(await seenAs(user, await addressOf(ours), 9_102), undefined)
    assert.ok(await seenAs(ours, await addressOf(user), 9_102))
    await set(ours, '--shields-up=false')
    assert.ok(await seenAs(user, await addressOf(ours), 9_102))
    await server.stop()
    await theirs.stop()
  })

  await t.test('what was changed in the system is as before when nothing is offered any more', async () => {
    assert.equal((await forwards()).trim(), '1')
    await set(ours, '--advertise-exit-node=false')
    assert.equal((await forwards()).trim(), '0')
    assert.ok(!(await ours.machine.ns.run(['nft', 'list', 'tables'])).includes('peerway'))
  })

  await t.test('a machine asks for tags, and gets those that its person may give', async () => {
    const file = join(lab.dir, 'policy.hujson')
    writeFileSync(
      file,
      '{"tagOwners": {"tag:web": ["anna@"], "tag:db": []}, "grants": [{"src": ["*"], "dst": ["*"], "ip": ["*"]}]}',
    )
    await coord.cli('policy', 'set', file)
    const tags = async (): Promise<unknown> =>
      (JSON.parse(await coord.cli('nodes', 'show', 'user', '--json')) as { tags: unknown }).tags
    await set(user, '--advertise-tags', 'tag:web')
    await until(async () => JSON.stringify(await tags()) === '["tag:web"]', {
      timeoutMs: ARRIVE_MS,
      what: 'the tag to be given',
    })
    const wrong = await user.cli('set', '--advertise-tags', 'web')
    assert.equal(wrong.status, 1)
    assert.match(wrong.stderr, /Write it like tag:server.*\[agent\/bad-tag\]/)
  })
  assert.ok(office.server.isRunning)
})
