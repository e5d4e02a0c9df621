// A stock server with clients of others and our own in one tailnet.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLab } from '../lab/lab.ts'
import { addressOf, systemPingUntil } from '../lab/mesh-node.ts'
import { runOrSkip } from '../lab/netns.ts'
import { until } from '../lab/process.ts'
import { startDerper } from '../stock/derper.ts'
import { startHeadscale } from '../stock/headscale.ts'
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

const options = runOrSkip(mixedUnavailable('headscale'), 600_000)

test('our agents and stock clients under a stock server reach each other, direct and over DERP', options, async (t) => {
  const lab = await createLab(MIXED_LAB)
  t.after(() => lab.close())
  const derper = await startDerper(lab, lab.host('derp'))
  const headscale = await startHeadscale(lab, lab.coord, { derpMap: derper.derpMap })
  const authKey = await headscale.createAuthKey(await headscale.createUser('anna'), { reusable: true })
  const tailnet = await joinMixed(lab, { loginServer: headscale.url, authKey })

  await t.test('every pair talks', () => talksInEveryWay(lab, tailnet))
  await t.test('nobody complains', () => nobodyComplains(tailnet.all))
  await t.test('an agent that goes down and up again keeps its addresses', () => agentGoesDownAndUp(tailnet))
  await t.test('an agent that is started anew comes back by itself', () => agentStartsAnew(lab, tailnet))
  await t.test('a stock client that is started anew is reached again', () => stockStartsAnew(lab, tailnet))

  await t.test('a restart of the server leaves traffic alone, and our agent hears from it again', async () => {
    const [agent] = tailnet.ours
    const [stock] = tailnet.stock
    const address = await addressOf(stock)
    await systemPingUntil(agent, address, BACK_MS)
    await headscale.stop()
    assert.ok(await agent.machine.ns.canPing(address, 3), 'a direct path needs no server')
    await until(async () => (await agent.health()).length > 0, { timeoutMs: BACK_MS, what: 'a warning' })
    await startHeadscale(lab, lab.coord, { derpMap: derper.derpMap })
    await until(async () => (await agent.health()).length === 0, { timeoutMs: 60_000, what: 'the warning to go' })
  })
})
