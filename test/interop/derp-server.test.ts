// Our DERP and STUN server under clients and a coordination server that nobody here wrote.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createLab } from '../lab/lab.ts'
import { everyPairTalks } from '../lab/mesh-node.ts'
import { labUnavailable, runOrSkip } from '../lab/netns.ts'
import { transfer } from '../lab/transfer.ts'
import { stockUnavailable } from '../stock/binaries.ts'
import { startHeadscale } from '../stock/headscale.ts'
import { startTailscaled } from '../stock/tailscaled.ts'

const VERB = fileURLToPath(new URL('../../electron/cli/derp.ts', import.meta.url))
const unavailable = labUnavailable() ?? stockUnavailable('tailscale-new', 'tailscale-old', 'headscale')

test(
  'stock clients talk through our DERP server, and learn their endpoints from it',
  runOrSkip(unavailable, 180_000),
  async (t) => {
    const lab = await createLab({ sites: [{ nat: 'blk' }, { nat: 'blk' }], hosts: ['derp'] })
    t.after(() => lab.close())
    const host = lab.host('derp')
    const verb = `import { runDerp } from ${JSON.stringify(VERB)}; process.exitCode = await runDerp(process.argv.slice(1))`
    const flags = ['--listen', `${host.address}:443`, '--stun', `${host.address}:3478`, '--hostname', host.address]
    const where = ['--cert-dir', join(lab.dir, 'derp'), '--verify-url', `http://${lab.coord.address}:8080/verify`]
    const ours = host.ns.start(
      [process.execPath, '--import', 'tsx', '--input-type=module', '-e', verb, '--', ...flags, ...where],
      { name: 'our-derp', env: { PEERWAY_LOG: 'debug' } },
    )
    const [, certName = ''] = await ours.waitForOutput(/^ready \S+ (sha256-raw:[0-9a-f]{64})$/m)
    const node = { Name: '900a', RegionID: 900, HostName: host.address, IPv4: host.address }
    const ports = { STUNPort: 3478, DERPPort: 443, CertName: certName }
    const region = { RegionID: 900, RegionCode: 'ours', RegionName: 'Ours', Nodes: [{ ...node, ...ports }] }
    const headscale = await startHeadscale(lab, lab.coord, { derpMap: { Regions: { 900: region } } })
    const authKey = await headscale.createAuthKey(await headscale.createUser('anna'), { reusable: true })

    const a = await startTailscaled(lab, lab.client(0), { version: 'new', hostname: 'stock-new' })
    const b = await startTailscaled(lab, lab.client(1), { version: 'old', hostname: 'stock-old' })
    for (const client of [a, b]) await client.up({ loginServer: headscale.url, authKey })

    await everyPairTalks([a, b], 'derp', 30_000)
    await transfer(a, b, { bytes: 20_000_000, timeoutMs: 30_000 })
    assert.deepEqual(await a.health(), [])
    assert.deepEqual(await b.health(), [])

    await t.test('with UDP, they ask our STUN server and go direct', async () => {
      for (const site of lab.sites) await site.router.become('easy')
      await everyPairTalks([a, b], 'direct', 60_000)
      const netcheck = await a.cli('netcheck')
      assert.match(netcheck.stdout + netcheck.stderr, /UDP: true/)
    })

    await t.test('it ends cleanly when told to', async () => {
      ours.signal('SIGTERM')
      assert.equal(await ours.exited, 0)
    })
  },
)
