// Scenario 18 of docs/lab.md: a router between two sites drops large packets without a word. Pings and acknowledgements
// pass, so the path looks well and a transfer would stand still.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stockUnavailable } from '../stock/binaries.ts'
import { names, watchDoctor } from './doctor.ts'
import type { Lab } from './lab.ts'
import { labUnavailable, runOrSkip } from './netns.ts'
import { peerwayUnavailable, startAgent, untilPath } from './peerway.ts'
import { direct, startStream, twoHomes, withStock } from './two-homes.ts'

const needsOurs = runOrSkip(labUnavailable() ?? peerwayUnavailable(), 180_000)
const needsStock = runOrSkip(labUnavailable() ?? peerwayUnavailable() ?? stockUnavailable('tailscale-new'), 180_000)

/** Found in some five seconds; after that TCP waits for up to as long again. */
const THROUGH_MS = 40_000
/** Tried with a large packet each five seconds. */
const BACK_MS = 20_000
const SOME_BYTES = 1_000_000
/** An IPv4 packet around a full one of the tunnel has 1340 bytes. */
const NARROW_BYTES = 1_300

/** Between the two sites only, both ways; the servers are reached with packets of any size. */
async function narrow(lab: Lab): Promise<void> {
  const { router } = lab.site(0)
  for (const way of ['saddr', 'daddr'])
    await router.addRule(
      `ip ${way} ${lab.site(1).router.wanAddress} meta l4proto udp meta length > ${NARROW_BYTES} drop`,
    )
}

test(
  'scenario 18: a stream over a path that begins to drop large packets goes on, and comes back',
  needsOurs,
  async (t) => {
    const { lab, a, up } = await twoHomes(t)
    const b = await startAgent(lab, lab.client(1), { hostname: 'agent-b' })
    await up(b)
    const watch = watchDoctor(t, a)
    await direct(a, b)
    const stream = await startStream(a, b, 170_000)
    await stream.progress(SOME_BYTES, THROUGH_MS)
    await narrow(lab)
    await stream.progress(SOME_BYTES, THROUGH_MS)
    await untilPath(a, 'agent-b', 'derp', THROUGH_MS)
    await names(a, 'agent-b', 'mtu-black-hole', null)
    await stream.progress(2 * SOME_BYTES, THROUGH_MS)
    assert.equal((await a.peer('agent-b'))?.Path.kind, 'derp', 'small packets alone do not bring it back')
    watch.stays('agent-b', 'mtu-black-hole')
    await lab.site(0).router.clearRules()
    await untilPath(a, 'agent-b', 'direct', BACK_MS)
    await names(a, 'agent-b', null)
    await stream.progress(SOME_BYTES, THROUGH_MS)
    const { longestGapMs } = await stream.finish()
    t.diagnostic(`longest gap ${longestGapMs} ms`)
    assert.ok(longestGapMs < THROUGH_MS)
  },
)

test('scenario 18 with a stock client at the other end', needsStock, async (t) => {
  const { lab, a, b } = await withStock(t)
  const stream = await startStream(a, b, 170_000)
  await stream.progress(SOME_BYTES, THROUGH_MS)
  await narrow(lab)
  await stream.progress(SOME_BYTES, THROUGH_MS)
  await untilPath(a, 'stock-b', 'derp', THROUGH_MS)
  await lab.site(0).router.clearRules()
  await untilPath(a, 'stock-b', 'direct', BACK_MS)
  await stream.progress(SOME_BYTES, THROUGH_MS)
  const { longestGapMs } = await stream.finish()
  t.diagnostic(`longest gap ${longestGapMs} ms`)
})

test('scenario 18 with a stock client that sends, and cannot notice', needsStock, async (t) => {
  const { lab, a, b } = await withStock(t)
  const stream = await startStream(b, a, 170_000)
  await stream.progress(SOME_BYTES, THROUGH_MS)
  await narrow(lab)
  await stream.progress(SOME_BYTES, THROUGH_MS)
  assert.equal((await a.peer('stock-b'))?.Path.kind, 'derp')
  await lab.site(0).router.clearRules()
  await untilPath(a, 'stock-b', 'direct', BACK_MS)
  await stream.progress(SOME_BYTES, THROUGH_MS)
  const { longestGapMs } = await stream.finish()
  t.diagnostic(`longest gap ${longestGapMs} ms`)
})
