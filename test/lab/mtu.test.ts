// Scenario 18 of docs/lab.md: a router between two sites drops large packets without a word. Pings and acknowledgements
// pass, so the path looks well and a transfer would stand still.

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { stockUnavailable } from '../stock/binaries.ts'
import { startTailscaled } from '../stock/tailscaled.ts'
import { names, watchDoctor } from './doctor.ts'
import { createLab, type Lab } from './lab.ts'
import { addressOf, pingUntil, systemPingUntil, type MeshNode } from './mesh-node.ts'
import { labUnavailable, runOrSkip } from './netns.ts'
import { peerwayUnavailable, startAgent, startCoord, untilPath, type PeerwayAgent } from './peerway.ts'
import { startTransfer } from './transfer.ts'

const needsOurs = runOrSkip(labUnavailable() ?? peerwayUnavailable(), 180_000)
const needsStock = runOrSkip(labUnavailable() ?? peerwayUnavailable() ?? stockUnavailable('tailscale-new'), 180_000)

/** Found in some five seconds; after that TCP waits for up to as long again. */
const THROUGH_MS = 40_000
/** Tried with a large packet each five seconds. */
const BACK_MS = 20_000
const STREAM_BYTES_PER_SECOND = 500_000
const SOME_BYTES = 1_000_000
/** An IPv4 packet around a full one of the tunnel has 1340 bytes. */
const NARROW_BYTES = 1_300

interface Scene {
  readonly lab: Lab
  readonly a: PeerwayAgent
  /** Logs a machine in. */
  readonly up: (node: { up(login: { loginServer: string; authKey: string }): Promise<void> }) => Promise<void>
}

async function scene(t: TestContext): Promise<Scene> {
  const lab = await createLab({ sites: [{ nat: 'easy' }, { nat: 'easy' }] })
  t.after(() => lab.close())
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  const login = { loginServer: coord.url, authKey: await coord.createAuthKey('anna', { reusable: true }) }
  const up: Scene['up'] = (node) => node.up(login)
  const a = await startAgent(lab, lab.client(0), { hostname: 'agent-a' })
  await up(a)
  return { lab, a, up }
}

/** Between the two sites only, both ways; the servers are reached with packets of any size. */
async function narrow(lab: Lab): Promise<void> {
  const { router } = lab.site(0)
  for (const way of ['saddr', 'daddr'])
    await router.addRule(
      `ip ${way} ${lab.site(1).router.wanAddress} meta l4proto udp meta length > ${NARROW_BYTES} drop`,
    )
}

async function direct(a: PeerwayAgent, b: MeshNode): Promise<void> {
  await systemPingUntil(a, await addressOf(b), 15_000)
  await pingUntil(a, b, 'direct', 15_000)
}

test(
  'scenario 18: a stream over a path that begins to drop large packets goes on, and comes back',
  needsOurs,
  async (t) => {
    const { lab, a, up } = await scene(t)
    const b = await startAgent(lab, lab.client(1), { hostname: 'agent-b' })
    await up(b)
    const watch = watchDoctor(t, a)
    await direct(a, b)
    const stream = await startTransfer(a, b, { bytesPerSecond: STREAM_BYTES_PER_SECOND, timeoutMs: 170_000 })
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
  const { lab, a, up } = await scene(t)
  const b = await startTailscaled(lab, lab.client(1), { version: 'new', hostname: 'stock-b', port: 41_643 })
  await up(b)
  await direct(a, b)
  const stream = await startTransfer(a, b, { bytesPerSecond: STREAM_BYTES_PER_SECOND, timeoutMs: 170_000 })
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
  const { lab, a, up } = await scene(t)
  const b = await startTailscaled(lab, lab.client(1), { version: 'new', hostname: 'stock-b', port: 41_643 })
  await up(b)
  await direct(a, b)
  const stream = await startTransfer(b, a, { bytesPerSecond: STREAM_BYTES_PER_SECOND, timeoutMs: 170_000 })
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
