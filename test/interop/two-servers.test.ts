// Stock clients of both versions at two of our servers behind one address: each logs in at whichever its connections come to,
// is let in at the other, and reaches the other client over the DERP servers of both.

import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { noPostgres, TestPostgres } from '../../electron/coord/store/test-postgres.ts'
import { createLab, type Lab } from '../lab/lab.ts'
import { everyPairTalks } from '../lab/mesh-node.ts'
import { labUnavailable, runOrSkip } from '../lab/netns.ts'
import { PeerwayCoord, peerwayUnavailable, startCoord } from '../lab/peerway.ts'
import { stockUnavailable } from '../stock/binaries.ts'
import { startTailscaled } from '../stock/tailscaled.ts'

const unavailable = labUnavailable() ?? peerwayUnavailable() ?? stockUnavailable('tailscale-new', 'tailscale-old')
const options = noPostgres === false ? runOrSkip(unavailable, 120_000) : { skip: noPostgres }
const SPREAD = fileURLToPath(new URL('spread-connections.mjs', import.meta.url))
const FRONT = 8480
const PORTS = [8490, 8500]

interface RegionView {
  readonly RegionID: number
}

async function startServers(t: TestContext, lab: Lab): Promise<{ url: string; servers: readonly PeerwayCoord[] }> {
  const postgres = await TestPostgres.start()
  t.after(() => postgres.end())
  const database = await postgres.database()
  const { address } = lab.coord
  const url = `http://${address}:${FRONT}`
  const servers: PeerwayCoord[] = []
  for (const port of PORTS) {
    const state = join(lab.dir, `server-${port}`)
    mkdirSync(state, { recursive: true })
    const [first] = servers
    if (first) copyFileSync(join(first.stateDir, 'noise.key'), join(state, 'noise.key'))
    const where = ['--listen', `${address}:${port}`, '--url', url, '--stun', `${address}:${port + 2}`]
    const started = await startCoord(lab, lab.coord, [...where, '--state', state, '--database', database])
    t.after(() => started.stop())
    servers.push(new PeerwayCoord(lab.coord, started.process, url, state))
  }
  const front = lab.coord.ns.start([process.execPath, SPREAD, address, String(FRONT), ...PORTS.map(String)], {
    name: 'front',
  })
  await front.waitForOutput(/^ready$/m, 10_000)
  return { url, servers }
}

test('two servers behind one address are one to stock clients', options, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'hard' }, { nat: 'hard' }] })
  t.after(() => lab.close())
  const { url, servers } = await startServers(t, lab)
  await servers[0]?.createUser('anna')
  const clients = [
    await startTailscaled(lab, lab.client(0), { version: 'new', hostname: 'stock-new' }),
    await startTailscaled(lab, lab.client(1), { version: 'old', hostname: 'stock-old' }),
  ]
  // Each of the servers lets in each of the clients once, so that one of them at least waits at the other.
  for (const client of clients)
    for (const server of servers) {
      const { url: page, up } = await client.startLogin(url)
      const login = page.split('/').at(-1) ?? ''
      const startedMs = performance.now()
      await server.cli('nodes', 'approve', '--login', login, '--user', 'anna')
      assert.equal(await up.exited, 0, up.output)
      t.diagnostic(`${client.version}: up ${Math.round(performance.now() - startedMs)} ms after its approval began`)
      assert.equal((await client.status()).BackendState, 'Running')
      if (server !== servers.at(-1)) assert.equal((await client.cli('logout')).status, 0)
    }

  await t.test('both know the regions of both, and reach each other over them', async () => {
    for (const client of clients) {
      const map = JSON.parse((await client.cli('debug', 'derp-map')).stdout) as { Regions: Record<string, RegionView> }
      assert.deepEqual(Object.keys(map.Regions).toSorted(), ['900', '999'])
    }
    await everyPairTalks(clients, 'derp', 30_000)
  })
})
