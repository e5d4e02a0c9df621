// One machine in several networks: joins, changes, forgets; by our own command line and by a stock one.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLab } from '../lab/lab.ts'
import { addressOf, systemPingUntil } from '../lab/mesh-node.ts'
import { labUnavailable, runOrSkip } from '../lab/netns.ts'
import { peerwayUnavailable, startAgent, startCoord, type PeerwayAgent } from '../lab/peerway.ts'
import { stockUnavailable } from '../stock/binaries.ts'
import { startTailscaled } from '../stock/tailscaled.ts'

const unavailable = labUnavailable() ?? peerwayUnavailable() ?? stockUnavailable('tailscale-new')
const options = runOrSkip(unavailable, 240_000)

/** From the wish to an answered ping in the other network (issue: three seconds). */
const SWITCH_MS = 3_000

interface Listed {
  readonly ID: string
  readonly Network: string
  readonly Account: string
  readonly Server: string
  readonly Current: boolean
}

async function list(agent: PeerwayAgent): Promise<readonly Listed[]> {
  return JSON.parse((await agent.cli('switch', '--list', '--json')).stdout) as Listed[]
}

async function done(agent: PeerwayAgent, ...args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await agent.cli(...args)
  assert.equal(status, 0, `${args.join(' ')}: ${stderr}\n${agent.log().slice(-2_000)}`)
  return stdout
}

test('a machine in several networks', options, async (t) => {
  const lab = await createLab({
    sites: [{ nat: 'easy' }, { nat: 'easy' }, { nat: 'easy' }],
    hosts: ['work'],
  })
  t.after(() => lab.close())
  const home = await startCoord(lab, lab.coord)
  const work = await startCoord(lab, lab.host('work'))
  for (const name of ['anna', 'ben']) for (const coord of [home, work]) await coord.createUser(name)
  const atHome = await startTailscaled(lab, lab.client(1), { version: 'new', hostname: 'nas' })
  await atHome.up({ loginServer: home.url, authKey: await home.createAuthKey('anna') })
  const atWork = await startTailscaled(lab, lab.client(2), { version: 'new', hostname: 'build' })
  await atWork.up({ loginServer: work.url, authKey: await work.createAuthKey('anna') })
  const [nas, build] = [await addressOf(atHome), await addressOf(atWork)]
  let agent = await startAgent(lab, lab.client(0), { hostname: 'laptop' })
  await agent.up({ loginServer: home.url, authKey: await home.createAuthKey('anna') })
  await systemPingUntil(agent, nas, 20_000)

  const joinWork = async (account: string): Promise<void> => {
    const key = ['--login-server', work.url, '--auth-key', await work.createAuthKey(account)]
    await done(agent, 'login', ...key, '--hostname', 'laptop', '--timeout', '30s')
    await systemPingUntil(agent, build, 20_000)
  }

  await t.test('another network is joined beside the first', async () => {
    await joinWork('anna')
    const networks = await list(agent)
    assert.deepEqual(
      networks.map(({ Server, Account, Current }) => [Server, Account, Current]),
      [
        [home.url, 'anna', false],
        [work.url, 'anna', true],
      ],
    )
    const shown = await done(agent, 'switch', '--list')
    assert.match(shown, new RegExp(`^\\* +\\S+ .* ${work.url}$`, 'm'))
  })

  await t.test('changing takes less than three seconds, and leaves nothing of the other network behind', async () => {
    const peers = async (): Promise<string[]> =>
      Object.values((await agent.status()).Peer ?? {}).map(({ HostName }) => HostName)
    const times: number[] = []
    for (const [server, peer, address, hidden] of [
      [home.url, 'nas', nas, build],
      [work.url, 'build', build, nas],
      [home.url, 'nas', nas, build],
    ] as const) {
      const started = performance.now()
      await done(agent, 'switch', server)
      await systemPingUntil(agent, address, 20_000)
      const tookMs = performance.now() - started
      t.diagnostic(`${peer} answered ${(tookMs / 1_000).toFixed(2)} s after the wish`)
      times.push(tookMs)
      assert.deepEqual(await peers(), [peer])
      const routes = await agent.machine.ns.run(['ip', 'route', 'show', 'table', '7152'])
      assert.ok(nas === build || !routes.includes(hidden), routes)
    }
    // A busy machine may hold up one or the other; it says nothing of the program.
    assert.ok(Math.min(...times) < SWITCH_MS, `took ${times.join(', ')} ms`)
  })

  await t.test('after a restart, and after a crash, the last one is the current one', async () => {
    await agent.stop()
    agent = await startAgent(lab, lab.client(0), { hostname: 'laptop' })
    await systemPingUntil(agent, nas, 20_000)
    await done(agent, 'switch', work.url)
    agent.process.killNow()
    await agent.process.exited
    agent = await startAgent(lab, lab.client(0), { hostname: 'laptop' })
    await systemPingUntil(agent, build, 20_000)
  })

  await t.test('a stock command line lists the networks and changes between them', async () => {
    const stock = (...args: readonly string[]) =>
      agent.machine.ns.tryRun([atHome.cliPath, `--socket=${agent.socket}`, ...args], { timeoutMs: 30_000 })
    const listed = await stock('switch', '--list')
    const [first] = await list(agent)
    assert.ok(first && first.Server === home.url)
    assert.match(listed.stdout, new RegExp(`^${first.ID} .*anna`, 'm'), listed.stderr)
    const switched = await stock('switch', first.ID)
    assert.match(switched.stdout, /Success/, switched.stderr)
    await systemPingUntil(agent, nas, 20_000)
  })

  await t.test(
    'a second account of the same network is another one, and a name that fits both is asked about',
    async () => {
      const key = await work.createAuthKey('ben')
      await done(
        agent,
        'login',
        '--login-server',
        work.url,
        '--auth-key',
        key,
        '--hostname',
        'laptop',
        '--timeout',
        '30s',
      )
      await systemPingUntil(agent, build, 20_000)
      assert.equal((await list(agent)).length, 3)
      const both = await agent.cli('switch', work.url)
      assert.deepEqual([both.status, both.stderr.includes('[agent/many-profiles]')], [1, true])
      const unknown = await agent.cli('switch', 'nowhere')
      assert.deepEqual([unknown.status, unknown.stderr.includes('[agent/no-profile]')], [1, true])
      await done(agent, 'switch', (await list(agent))[1]?.ID ?? '')
      await systemPingUntil(agent, build, 20_000)
    },
  )

  await t.test('the same account again replaces itself', async () => {
    await joinWork('anna')
    assert.equal((await list(agent)).length, 3)
  })

  await t.test('who logs in again as another keeps the login from before', async () => {
    await work.createUser('cleo')
    const before = (await list(agent)).find(({ Current }) => Current)
    const key = await work.createAuthKey('cleo')
    await done(agent, 'up', '--force-reauth', '--auth-key', key, '--timeout', '30s')
    await systemPingUntil(agent, build, 20_000)
    const both = await list(agent)
    assert.deepEqual(
      both.map(({ Account, Current }) => [Account, Current]),
      [
        ['anna', false],
        ['anna', false],
        ['ben', false],
        ['cleo', true],
      ],
    )
    await done(agent, 'switch', before?.ID ?? '')
    await systemPingUntil(agent, build, 20_000)
    await done(agent, 'switch', 'remove', 'cleo')
    assert.equal((await list(agent)).length, 3)
  })

  await t.test('a network whose server is away is changed to all the same, and says what it waits for', async () => {
    await home.stop()
    const away = await agent.cli('switch', home.url, '--timeout', '3s')
    assert.equal(away.status, 1)
    assert.match(away.stderr, /coordination server|\[control\//)
    await startCoord(lab, lab.coord)
    await systemPingUntil(agent, nas, 30_000)
  })

  await t.test('a network that is forgotten is logged out there, and the others stay', async () => {
    const bens = (await list(agent)).find(({ Account }) => Account === 'ben')
    await done(agent, 'switch', 'remove', bens?.ID ?? '')
    assert.equal((await list(agent)).length, 2)
    const nodes = JSON.parse(await work.cli('nodes', 'list', '--json')) as {
      user: string
      name: string
      expired: boolean
    }[]
    const laptops = nodes.filter(({ name }) => name.startsWith('laptop')).map(({ user, expired }) => [user, expired])
    assert.deepEqual(laptops, [
      ['anna', false],
      ['ben', true],
      ['cleo', true],
    ])
    await done(agent, 'switch', 'remove', home.url)
    const left = await list(agent)
    assert.deepEqual(
      left.map(({ Current }) => Current),
      [true],
    )
    assert.equal((await agent.status()).BackendState, 'Stopped')
  })
})
