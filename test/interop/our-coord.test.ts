// Our coordination server with clients of others and our own in one tailnet.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLab } from '../lab/lab.ts'
import { addressOf, pingUntil, systemPingUntil } from '../lab/mesh-node.ts'
import { runOrSkip } from '../lab/netns.ts'
import { startCoord } from '../lab/peerway.ts'
import { until } from '../lab/process.ts'
import {
  agentGoesDownAndUp,
  agentStartsAnew,
  BACK_MS,
  joinMixed,
  MIXED_LAB,
  mixedUnavailable,
  nobodyComplains,
  stockStartsAnew,
  talksInEveryWay,
} from './mixed-tailnet.ts'

const options = runOrSkip(mixedUnavailable(), 600_000)

test('stock clients and our agents under our server reach each other, direct and over DERP', options, async (t) => {
  const lab = await createLab(MIXED_LAB)
  t.after(() => lab.close())
  let coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  const authKey = await coord.createAuthKey('anna', { reusable: true })
  const tailnet = await joinMixed(lab, { loginServer: coord.url, authKey })
  const [stockNew] = tailnet.stock
  const [agent] = tailnet.ours

  await t.test('every pair talks', () => talksInEveryWay(lab, tailnet))
  await t.test('nobody complains', () => nobodyComplains(tailnet.all))

  await t.test('the status command of others understands our agent', async () => {
    for (const stock of tailnet.stock) {
      const result = await agent.machine.ns.tryRun([stock.cliPath, `--socket=${agent.socket}`, 'status'])
      assert.equal(result.status, 0, result.stderr)
      for (const node of tailnet.all) assert.match(result.stdout, new RegExp(`${await addressOf(node)}.*anna.*linux`))
      const ip = await agent.machine.ns.tryRun([stock.cliPath, `--socket=${agent.socket}`, 'ip', '-4'])
      assert.equal(ip.stdout.trim(), await addressOf(agent), ip.stderr)
    }
  })

  await t.test('an agent that goes down and up again keeps its addresses', () => agentGoesDownAndUp(tailnet))
  await t.test('an agent that is started anew comes back by itself', () => agentStartsAnew(lab, tailnet))
  await t.test('a stock client that is started anew is reached again', () => stockStartsAnew(lab, tailnet))

  await t.test('a restart of the server leaves traffic alone, and the clients find it again', async () => {
    const address = await addressOf(stockNew)
    await systemPingUntil(agent, address, BACK_MS)
    await coord.stop()
    assert.ok(await agent.machine.ns.canPing(address, 3), 'a direct path needs no server')
    const { url } = coord
    coord = await startCoord(lab, lab.coord)
    assert.equal(coord.url, url)
    // DERP lives in the server here: talking over it shows that both sides came back.
    await lab.blockUdp()
    await pingUntil(agent, stockNew, 'derp', 60_000)
    await pingUntil(stockNew, agent, 'derp', 60_000)
    await lab.unblockUdp()
  })

  await t.test('an agent that logs out is gone for the others, and may join again', async () => {
    const [address = ''] = await agent.addresses()
    const logout = await agent.cli('logout')
    assert.equal(logout.status, 0, logout.stderr)
    assert.equal((await agent.status()).BackendState, 'NeedsLogin')
    await until(async () => (await stockNew.peer('ours-a'))?.Online !== true, {
      timeoutMs: BACK_MS,
      what: 'the others to see it gone',
    })
    assert.equal(await stockNew.machine.ns.canPing(address), false)
    await agent.up({ loginServer: coord.url, authKey })
    await systemPingUntil(stockNew, await addressOf(agent), BACK_MS)
  })

  await t.test('nobody complains after all that', () => nobodyComplains([agent, ...tailnet.stock]))
})
