// What only shows after minutes: WireGuard's keys change every 120 s under traffic, map streams stay, idle peers wake again.
// Takes about seven minutes: runs with PEERWAY_LONG=1 only.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createLab } from '../lab/lab.ts'
import { addressOf, pingUntil, systemPingUntil } from '../lab/mesh-node.ts'
import { runOrSkip } from '../lab/netns.ts'
import { startAgent, startCoord } from '../lab/peerway.ts'
import { startTransfer } from '../lab/transfer.ts'
import { startTailscaled } from '../stock/tailscaled.ts'
import { mixedUnavailable, nobodyComplains } from './mixed-tailnet.ts'

const options = process.env['PEERWAY_LONG']
  ? runOrSkip(mixedUnavailable(), 840_000)
  : { skip: 'takes minutes: PEERWAY_LONG=1' }

/** Two changes of keys (at 120 s, by either side) and the end of the life of the first ones (180 s). */
const TRAFFIC_MS = 270_000
/** Long enough for a NAT's mappings, the session window and the keys themselves to be gone. */
const IDLE_MS = 200_000
const LOOK_EVERY_MS = 5_000

test('minutes of traffic and of silence between ours and stock clients', options, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'easy' }, { nat: 'easy' }, { nat: 'easy' }] })
  t.after(() => lab.close())
  for (const site of lab.sites) await site.router.setUdpTimeouts({ unreplied: 30, stream: 120 })
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  const authKey = await coord.createAuthKey('anna', { reusable: true })
  const stockNew = await startTailscaled(lab, lab.client(0), { version: 'new', hostname: 'stock-new' })
  const stockOld = await startTailscaled(lab, lab.client(1), { version: 'old', hostname: 'stock-old' })
  const agent = await startAgent(lab, lab.client(2), { hostname: 'ours', env: { PEERWAY_LOG: 'info' } })
  for (const node of [stockNew, stockOld, agent]) await node.up({ loginServer: coord.url, authKey })
  for (const stock of [stockNew, stockOld]) await systemPingUntil(agent, await addressOf(stock), 10_000)
  for (const stock of [stockNew, stockOld]) await pingUntil(agent, stock, 'direct', 30_000)

  await t.test('keys change under traffic without a break', async () => {
    const rate = { bytesPerSecond: 200_000, timeoutMs: TRAFFIC_MS + 60_000 }
    const out = await startTransfer(agent, stockNew, rate)
    const into = await startTransfer(stockOld, agent, rate)
    const handshakes = { 'stock-new': new Set<string>(), 'stock-old': new Set<string>() }
    const started = performance.now()
    while (performance.now() - started < TRAFFIC_MS) {
      for (const [name, seen] of Object.entries(handshakes)) {
        const peer = await agent.peer(name)
        assert.equal(peer?.Path.kind, 'direct', `${name} by ${JSON.stringify(peer?.Path)}`)
        seen.add(peer.LastHandshake)
      }
      await sleep(LOOK_EVERY_MS)
    }
    for (const result of [await out.finish(), await into.finish()]) {
      t.diagnostic(`${result.bytes} bytes in ${result.seconds.toFixed(0)} s, longest gap ${result.longestGapMs} ms`)
      assert.ok(result.longestGapMs < 2_000, `a gap of ${result.longestGapMs} ms`)
    }
    // The first, one at 120 s and one at 240 s; either side may have made one more at the start.
    for (const [name, seen] of Object.entries(handshakes))
      assert.ok(seen.size >= 3 && seen.size <= 6, `${seen.size} handshakes with ${name}`)
  })

  await t.test('after minutes of silence they reach each other again at once', async () => {
    await sleep(IDLE_MS)
    for (const stock of [stockNew, stockOld]) {
      await systemPingUntil(agent, await addressOf(stock), 5_000)
      await systemPingUntil(stock, await addressOf(agent), 5_000)
      await pingUntil(agent, stock, 'direct', 10_000)
    }
  })

  await t.test('nobody lost the server, and nobody complains', async () => {
    assert.doesNotMatch(agent.log(), /map poll ended/)
    for (const stock of [stockNew, stockOld]) assert.doesNotMatch(stock.log(), /map response long-poll timed out/i)
    await nobodyComplains([stockNew, stockOld, agent])
  })
})
