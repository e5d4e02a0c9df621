// Port mapping between clients of others and ours: whichever of a hard pair has a router that maps ports, the other reaches it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLab } from '../lab/lab.ts'
import { addressOf, pingUntil, systemPingUntil } from '../lab/mesh-node.ts'
import { runOrSkip } from '../lab/netns.ts'
import { startAgent, startCoord } from '../lab/peerway.ts'
import { portMappingUnavailable, startPortMapping } from '../lab/port-mapping.ts'
import { startTailscaled } from '../stock/tailscaled.ts'
import { mixedUnavailable } from './mixed-tailnet.ts'

const options = runOrSkip(mixedUnavailable() ?? portMappingUnavailable(), 300_000)

/** A stock client looks for a direct path every five seconds while there is traffic. */
const DIRECT_MS = 40_000

for (const mapped of ['ours', 'stock'] as const) {
  test(`${mapped} behind a hard NAT that maps ports is reached from behind another`, options, async (t) => {
    const lab = await createLab({ sites: [{ nat: 'hard' }, { nat: 'hard' }] })
    t.after(() => lab.close())
    const [ourSite, stockSite] = mapped === 'ours' ? [0, 1] : [1, 0]
    const router = await startPortMapping(lab, 0)
    const coord = await startCoord(lab, lab.coord)
    await coord.createUser('anna')
    const loginServer = coord.url
    const [agent, stock] = await Promise.all([
      startAgent(lab, lab.client(ourSite), { hostname: 'ours' }),
      startTailscaled(lab, lab.client(stockSite), { hostname: 'stock', version: 'new' }),
    ])
    await agent.up({ loginServer, authKey: await coord.createAuthKey('anna') })
    await stock.up({ loginServer, authKey: await coord.createAuthKey('anna') })
    await systemPingUntil(agent, await addressOf(stock), 20_000)
    const pongs = await Promise.all([
      pingUntil(agent, stock, 'direct', DIRECT_MS),
      pingUntil(stock, agent, 'direct', DIRECT_MS),
    ])
    const [fromOurs, fromStock] = pongs.map(({ text }) => text)
    if (mapped === 'ours') {
      const asked = [stock.cliPath, `--socket=${agent.socket}`, 'netcheck', '--format=json']
      const found = JSON.parse(await agent.machine.ns.run(asked)) as Record<string, unknown>
      assert.deepEqual([found['UDP'], found['PMP'], found['PreferredDERP']], [true, true, 900])
    }
    const towardsMapped = mapped === 'ours' ? fromStock : fromOurs
    const { wanAddress } = lab.site(0).router
    const outside = [router.externalAddress, wanAddress].map((address) => `${address}:41641`)
    assert.ok(
      outside.some((where) => towardsMapped?.includes(where)),
      towardsMapped,
    )
  })
}
