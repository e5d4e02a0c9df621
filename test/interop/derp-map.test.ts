// A region of one's own beside the embedded one, with a stock DERP server that a pin proves: a changed map reaches a stock
// client and ours while they are connected, both move over, and no other certificate will do.

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createLab } from '../lab/lab.ts'
import { addressOf, pingUntil } from '../lab/mesh-node.ts'
import { labUnavailable, runOrSkip } from '../lab/netns.ts'
import { peerwayUnavailable, startAgent, startCoord } from '../lab/peerway.ts'
import { until } from '../lab/process.ts'
import { stockUnavailable } from '../stock/binaries.ts'
import { startDerper } from '../stock/derper.ts'
import { startTailscaled } from '../stock/tailscaled.ts'

const options = runOrSkip(labUnavailable() ?? peerwayUnavailable() ?? stockUnavailable('tailscale-new'), 240_000)

test('a region with a pinned certificate is added, moved to, and no other certificate will do', options, async (t) => {
  // By nothing but DERP do two of these reach each other.
  const lab = await createLab({ sites: [{ nat: 'hard' }, { nat: 'hard' }], hosts: ['derp'] })
  t.after(() => lab.close())
  const host = lab.host('derp')
  const derper = await startDerper(lab, host)
  const pin = derper.certNames.get(900) ?? ''
  assert.match(pin, /^sha256-raw:[0-9a-f]{64}$/)
  const coord = await startCoord(lab, lab.coord)
  const key = async (): Promise<string> => coord.createAuthKey('anna')
  await coord.createUser('anna')
  const stock = await startTailscaled(lab, lab.client(0), { version: 'new', hostname: 'stock' })
  const ours = await startAgent(lab, lab.client(1), { hostname: 'ours' })
  await stock.up({ loginServer: coord.url, authKey: await key() })
  await ours.up({ loginServer: coord.url, authKey: await key() })
  await pingUntil(stock, ours, 'derp', 30_000)

  const add = ['derp-map', 'add-region', 'lab', '--host', host.address, '--cert', pin, '--name', 'Lab', '--json']
  const added = JSON.parse(await coord.cli(...add)) as { regions: readonly { id: number }[] }
  assert.deepEqual(
    added.regions.map(({ id }) => id),
    [900, 901],
  )
  await until(
    async () => {
      const { stdout } = await stock.cli('debug', 'derp-map')
      const { Regions } = JSON.parse(stdout) as { Regions: Readonly<Record<string, { RegionName: string }>> }
      return Regions['901']?.RegionName === 'Lab'
    },
    { timeoutMs: 10_000, what: 'the stock client to be told of the region' },
  )

  await coord.cli('derp-map', 'remove-region', '900')
  await until(
    async () => {
      const nodes = JSON.parse(await coord.cli('nodes', 'list', '--json')) as readonly { homeDerp: number }[]
      return nodes.length === 2 && nodes.every(({ homeDerp }) => homeDerp === 901)
    },
    { timeoutMs: 60_000, what: 'both to make the other region their home' },
  )
  await pingUntil(stock, ours, 'derp', 30_000)
  await pingUntil(ours, stock, 'derp', 30_000)
  assert.match((await stock.peer('ours'))?.Relay ?? '', /lab/)

  const broken = JSON.stringify({
    omitDefaultRegions: true,
    Regions: {
      901: { RegionCode: 'lab', Nodes: [{ HostName: host.address, CertName: `sha256-raw:${'00'.repeat(32)}` }] },
    },
  })
  const file = join(lab.dir, 'map.json')
  writeFileSync(file, broken)
  await coord.cli('derp-map', 'set', file)
  await until(async () => (await ours.ping(await addressOf(stock), 2)) === undefined, {
    timeoutMs: 30_000,
    what: 'our client to leave a relay whose certificate is not the pinned one',
  })
  assert.equal(await ours.ping(await addressOf(stock), 3), undefined, 'and to stay away')
})
