// Our coordination server with clients of others and our own in one tailnet.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLab } from '../lab/lab.ts'
import { addressOf, pingUntil } from '../lab/mesh-node.ts'
import { runOrSkip } from '../lab/netns.ts'
import { startCoord } from '../lab/peerway.ts'
import { joinMixed, MIXED_LAB, mixedUnavailable, nobodyComplains, talksInEveryWay } from './mixed-tailnet.ts'

const options = runOrSkip(mixedUnavailable(), 600_000)

test('stock clients and our agents under our server reach each other, direct and over DERP', options, async (t) => {
  const lab = await createLab(MIXED_LAB)
  t.after(() => lab.close())
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  const authKey = await coord.createAuthKey('anna', { reusable: true })
  const tailnet = await joinMixed(lab, { loginServer: coord.url, authKey })

  await t.test('every pair talks', () => talksInEveryWay(lab, tailnet))
  await t.test('nobody complains', () => nobodyComplains(tailnet.all))

  await t.test('the status command of others understands our agent', async () => {
    const [agent] = tailnet.ours
    for (const stock of tailnet.stock) {
      const result = await agent.machine.ns.tryRun([stock.cliPath, `--socket=${agent.socket}`, 'status'])
      assert.equal(result.status, 0, result.stderr)
      for (const node of tailnet.all) assert.match(result.stdout, new RegExp(node.hostname))
    }
  })

  await t.test('an agent that goes down and up again keeps its addresses', async () => {
    const [agent, other] = tailnet.ours
    const before = await other.addresses()
    const down = await other.cli('down')
    assert.equal(down.status, 0, down.stderr)
    const up = await other.cli('up', '--timeout', '60s')
    assert.equal(up.status, 0, up.stderr)
    assert.deepEqual(await other.addresses(), before)
    assert.ok(await agent.machine.ns.canPing(before[0] ?? '', 20))
  })

  await t.test('a restart of the server leaves traffic alone, and the clients find it again', async () => {
    const [agent] = tailnet.ours
    await coord.stop()
    const [stock] = tailnet.stock
    assert.ok(await agent.machine.ns.canPing(await addressOf(stock), 10), 'a direct path needs no server')
    const again = await startCoord(lab, lab.coord)
    assert.equal(again.url, coord.url)
    // DERP lives in the server here: talking over it shows that both sides came back.
    await lab.blockUdp()
    await pingUntil(agent, stock, 'derp', 60_000)
    await pingUntil(stock, agent, 'derp', 60_000)
  })
})
