// Which way our agents find between the kinds of routers (RFC 4787 words in nat.ts), and which they cannot.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLab } from './lab.ts'
import { addressOf, pingUntil, systemPingUntil } from './mesh-node.ts'
import { labUnavailable, runOrSkip } from './netns.ts'
import { peerwayUnavailable, startAgent, startCoord, type PeerwayAgent } from './peerway.ts'

const options = runOrSkip(labUnavailable() ?? peerwayUnavailable(), 120_000)

const DIRECT_MS = 10_000
const PINGS_WITHOUT_DIRECT = 5

test('the kinds of routers decide which pairs go direct', options, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'easy', clients: 2 }, { nat: 'hard' }, { nat: 'open' }] })
  t.after(() => lab.close())
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  const authKey = await coord.createAuthKey('anna', { reusable: true })
  const join = async (site: number, index: number, hostname: string): Promise<PeerwayAgent> => {
    const agent = await startAgent(lab, lab.client(site, index), { hostname })
    await agent.up({ loginServer: coord.url, authKey })
    return agent
  }
  const home = await join(0, 0, 'home')
  const laptop = await join(0, 1, 'laptop')
  const phone = await join(1, 0, 'phone')
  const server = await join(2, 0, 'server')

  const goDirect = async (a: PeerwayAgent, b: PeerwayAgent): Promise<void> => {
    await systemPingUntil(a, await addressOf(b), DIRECT_MS)
    await pingUntil(a, b, 'direct', DIRECT_MS)
    await pingUntil(b, a, 'direct', DIRECT_MS)
  }

  await t.test('two machines at home talk inside their own network', async () => {
    await goDirect(home, laptop)
    const there = (await home.peer('laptop'))?.Path.via
    const back = (await laptop.peer('home'))?.Path.via
    assert.deepEqual([there, back], [`${lab.client(0, 1).address}:41641`, `${lab.client(0, 0).address}:41641`])
  })
  await t.test('a public server is reached from behind an easy router and from behind a hard one', async () => {
    await goDirect(home, server)
    await goDirect(phone, server)
    assert.equal((await phone.peer('server'))?.Path.via, `${lab.client(2).address}:41641`)
  })
  await t.test('a public server reaches those behind routers, too', async () => {
    await goDirect(server, laptop)
  })
  await t.test('an easy and a hard router leave DERP, which carries on', async () => {
    const address = await addressOf(phone)
    await systemPingUntil(laptop, address, DIRECT_MS)
    for (let i = 0; i < PINGS_WITHOUT_DIRECT; i += 1) {
      assert.equal((await laptop.ping(address))?.via, 'derp')
      assert.ok(await laptop.machine.ns.canPing(address, 3))
    }
  })
  await t.test('nobody has anything to complain of', async () => {
    for (const agent of [home, laptop, phone, server]) assert.deepEqual(await agent.health(), [])
  })
})

test('IPv6 goes around two hard routers', options, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'hard' }, { nat: 'hard' }], ipv6: true })
  t.after(() => lab.close())
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  const agents: PeerwayAgent[] = []
  for (const site of [0, 1]) {
    const agent = await startAgent(lab, lab.client(site), { hostname: `agent-${site}` })
    await agent.up({ loginServer: coord.url, authKey: await coord.createAuthKey('anna') })
    agents.push(agent)
  }
  const [a, b] = agents
  assert.ok(a && b)
  await systemPingUntil(a, await addressOf(b), DIRECT_MS)
  await pingUntil(a, b, 'direct', DIRECT_MS)
  await pingUntil(b, a, 'direct', DIRECT_MS)
  assert.equal((await a.peer('agent-1'))?.Path.via, `[${lab.client(1).address6}]:41641`)
})
