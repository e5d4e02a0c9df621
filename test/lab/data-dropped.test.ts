// Scenario 19 of docs/lab.md: something between two sites knows WireGuard by its first byte and drops it. Discovery passes,
// so the path looks well and carries nothing.

import { test } from 'node:test'
import { stockUnavailable } from '../stock/binaries.ts'
import { ask } from './doctor.ts'
import type { Lab } from './lab.ts'
import { labUnavailable, runOrSkip } from './netns.ts'
import { peerwayUnavailable, startAgent, untilPath } from './peerway.ts'
import { until } from './process.ts'
import { direct, startStream, twoHomes, withStock } from './two-homes.ts'

const needsOurs = runOrSkip(labUnavailable() ?? peerwayUnavailable(), 240_000)
const needsStock = runOrSkip(labUnavailable() ?? peerwayUnavailable() ?? stockUnavailable('tailscale-new'), 240_000)

const isWhole = process.env['PEERWAY_LAB'] === 'whole'
/** Found in some eight seconds, by the other end up to eight seconds later; after that TCP waits for up to as long again. */
const THROUGH_MS = 40_000
/** Left alone for a minute, or for two when it was tried in vain once. */
const BACK_MS = 190_000
const SOME_BYTES = 1_000_000
/** Initiation, response, data: the first four bytes of a WireGuard packet (paths.md §7.2). */
const WIREGUARD = ['0x01000000', '0x02000000', '0x04000000'] as const

/** Between the two sites, to (daddr) or from (saddr) the second one. */
async function dropWireGuard(lab: Lab, ways: readonly ('saddr' | 'daddr')[]): Promise<void> {
  for (const way of ways)
    for (const type of WIREGUARD)
      await lab
        .site(0)
        .router.addRule(`ip ${way} ${lab.site(1).router.wanAddress} meta l4proto udp @th,64,32 ${type} drop`)
}

test('scenario 19: data is dropped both ways while pings pass, and the stream goes on', needsOurs, async (t) => {
  const { lab, a, up } = await twoHomes(t)
  const b = await startAgent(lab, lab.client(1), { hostname: 'agent-b' })
  await up(b)
  await direct(a, b)
  const stream = await startStream(a, b, 230_000)
  await stream.progress(SOME_BYTES, THROUGH_MS)
  await dropWireGuard(lab, ['saddr', 'daddr'])
  await stream.progress(SOME_BYTES, THROUGH_MS)
  await untilPath(a, 'agent-b', 'derp', THROUGH_MS)
  // On a busy machine one end may leave before the other has found out; that one then knows no cause, and names no wrong one.
  const isNamed = async (): Promise<boolean> =>
    [await ask(a, 'agent-b'), await ask(b, 'agent-a')].some(({ cause }) => cause === 'data-dropped')
  await until(isNamed, { timeoutMs: THROUGH_MS, what: 'one end to name the cause' })
  await untilPath(b, 'agent-a', 'derp', THROUGH_MS)
  await lab.site(0).router.clearRules()
  if (isWhole) {
    await untilPath(a, 'agent-b', 'direct', BACK_MS)
    await stream.progress(SOME_BYTES, THROUGH_MS)
  } else t.diagnostic('whether the path is tried again is waited for with npm run test:lab only')
  const { longestGapMs } = await stream.finish()
  t.diagnostic(`longest gap ${longestGapMs} ms`)
})

test('scenario 19 one way only, with a stock client that cannot notice', needsStock, async (t) => {
  const { lab, a, b } = await withStock(t)
  const stream = await startStream(a, b, 230_000)
  await stream.progress(SOME_BYTES, THROUGH_MS)
  // What the stock client sends: it gets all data of ours, and its own answers vanish.
  await dropWireGuard(lab, ['saddr'])
  await stream.progress(SOME_BYTES, THROUGH_MS)
  await untilPath(a, 'stock-b', 'derp', THROUGH_MS)
  const { longestGapMs } = await stream.finish()
  t.diagnostic(`longest gap ${longestGapMs} ms`)
})
