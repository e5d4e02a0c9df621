// The known-good reference: stock clients with a stock server in our lab. When this fails, the lab is at fault and no
// other interop result means anything.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLab } from '../lab/lab.ts'
import { labUnavailable, runOrSkip } from '../lab/netns.ts'
import { everyPairTalks, pingUntil } from '../lab/mesh-node.ts'
import { transfer } from '../lab/transfer.ts'
import { stockUnavailable } from '../stock/binaries.ts'
import { startDerper } from '../stock/derper.ts'
import { startHeadscale } from '../stock/headscale.ts'
import { startTailscaled } from '../stock/tailscaled.ts'

const unavailable = labUnavailable() ?? stockUnavailable('tailscale-new', 'tailscale-old', 'headscale')
const options = runOrSkip(unavailable, 180_000)

test('two stock clients under a stock server go direct, fall back to DERP and come back', options, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'easy' }, { nat: 'easy' }], hosts: ['derp'] })
  t.after(() => lab.close())
  const derper = await startDerper(lab, lab.host('derp'))
  const headscale = await startHeadscale(lab, lab.coord, { derpMap: derper.derpMap })
  const user = await headscale.createUser('anna')
  const authKey = await headscale.createAuthKey(user, { reusable: true })

  const a = await startTailscaled(lab, lab.client(0), { version: 'new', hostname: 'stock-new' })
  const b = await startTailscaled(lab, lab.client(1), { version: 'old', hostname: 'stock-old' })
  for (const client of [a, b]) await client.up({ loginServer: headscale.url, authKey })

  await everyPairTalks([a, b], 'direct', 20_000)
  assert.deepEqual(await a.health(), [])
  assert.deepEqual(await b.health(), [])

  await lab.blockUdp()
  await everyPairTalks([a, b], 'derp', 30_000)
  await lab.unblockUdp()
  await pingUntil(a, b, 'direct', 60_000)
  await transfer(a, b, { bytes: 5_000_000, timeoutMs: 20_000 })
})

test('two stock clients behind hard NATs stay on DERP', options, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'hard' }, { nat: 'hard' }], hosts: ['derp'] })
  t.after(() => lab.close())
  const host = lab.host('derp')
  const derper = await startDerper(lab, host, { secondAddress: host.secondAddress })
  const headscale = await startHeadscale(lab, lab.coord, { derpMap: derper.derpMap })
  const authKey = await headscale.createAuthKey(await headscale.createUser('anna'), { reusable: true })
  const a = await startTailscaled(lab, lab.client(0), { version: 'new', hostname: 'stock-new' })
  const b = await startTailscaled(lab, lab.client(1), { version: 'old', hostname: 'stock-old' })
  for (const client of [a, b]) await client.up({ loginServer: headscale.url, authKey })
  for (let i = 0; i < 3; i += 1) await everyPairTalks([a, b], 'derp', 20_000)
  const netcheck = await a.cli('netcheck')
  assert.match(netcheck.stdout + netcheck.stderr, /MappingVariesByDestIP: true/)
})
