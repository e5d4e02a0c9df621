// Pairs that cannot be direct, and a third node that relays for them: stock clients as relay and as other end, ours as both.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stockUnavailable } from '../stock/binaries.ts'
import { startTailscaled, type Tailscaled } from '../stock/tailscaled.ts'
import { createLab, type Lab } from './lab.ts'
import { addressOf, pingUntil, type MeshNode } from './mesh-node.ts'
import { labUnavailable, runOrSkip } from './netns.ts'
import { peerwayUnavailable, startAgent, startCoord, type PeerwayAgent, type PeerwayCoord } from './peerway.ts'
import { until } from './process.ts'
import { startTransfer } from './transfer.ts'

const RELAY_PORT = 40_000
/** From the first packet over DERP; the rest is for a busy machine and the start of the ping program. */
const RELAYED_MS = 4_000
/** A relay that died is left in 1.5 s; the status is asked a few times a second. */
const LEFT_MS = 10_000
/** A new process of the relay joins, tells its addresses, and is asked again at intervals of up to ten seconds. */
const BACK_MS = 40_000
const STREAM_BYTES_PER_SECOND = 500_000

const needsStock = runOrSkip(labUnavailable() ?? peerwayUnavailable() ?? stockUnavailable('tailscale-new'), 240_000)
const needsOurs = runOrSkip(labUnavailable() ?? peerwayUnavailable(), 240_000)

interface Hard {
  readonly lab: Lab
  readonly coord: PeerwayCoord
  readonly login: { readonly loginServer: string; readonly authKey: string }
}

/** Two sites behind carrier NATs and one with a public address for the relay. */
async function hardLab(): Promise<Hard> {
  const lab = await createLab({ sites: [{ nat: 'hard' }, { nat: 'hard' }, { nat: 'open' }] })
  try {
    const coord = await startCoord(lab, lab.coord)
    await coord.createUser('anna')
    const authKey = await coord.createAuthKey('anna', { reusable: true })
    return { lab, coord, login: { loginServer: coord.url, authKey } }
  } catch (error) {
    await lab.close()
    throw error
  }
}

async function stockRelay(lab: Lab): Promise<Tailscaled> {
  return startTailscaled(lab, lab.client(2), { version: 'new', hostname: 'relay' })
}

async function relayOn(relay: Tailscaled | PeerwayAgent): Promise<void> {
  const result = await relay.cli('set', `--relay-server-port=${RELAY_PORT}`)
  assert.equal(result.status, 0, result.stderr)
}

/** The system's ping ten times a second, until both ends are on the relay. Returns how long that took. */
async function untilRelayed(from: PeerwayAgent, to: MeshNode, timeoutMs: number): Promise<number> {
  const flow = from.machine.ns.start(['ping', '-n', '-i', '0.1', await addressOf(to)], { name: 'flow' })
  try {
    await flow.waitForOutput(/bytes from/, 10_000)
    const started = performance.now()
    await until(async () => (await from.peer(to.hostname))?.Path.kind === 'peer-relay', {
      timeoutMs,
      everyMs: 50,
      what: `${from.hostname} to be on the relay`,
      explain: () => `${from.log().slice(-3_000)}\n--- ${to.hostname}\n${to.log().slice(-3_000)}`,
    })
    return performance.now() - started
  } finally {
    await flow.stop()
  }
}

test('two of our agents behind hard NATs meet at a stock relay, and live through its death', needsStock, async (t) => {
  const { lab, login } = await hardLab()
  t.after(() => lab.close())
  const relay = await stockRelay(lab)
  const a = await startAgent(lab, lab.client(0), { hostname: 'agent-a' })
  const b = await startAgent(lab, lab.client(1), { hostname: 'agent-b' })
  for (const node of [relay, a, b]) await node.up(login)
  await relayOn(relay)

  await t.test('they are on the relay within seconds, and say whose it is', async () => {
    const tookMs = await untilRelayed(a, b, RELAYED_MS)
    t.diagnostic(`on the relay ${tookMs.toFixed(0)} ms after the first answer over DERP`)
    await pingUntil(a, b, 'peer-relay', RELAYED_MS)
    await pingUntil(b, a, 'peer-relay', RELAYED_MS)
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const)
      // Whoever was told of the relay by the other end learns its name with its own answer from the relay.
      await until(async () => (await from.peer(to.hostname))?.Path.via === 'relay', {
        timeoutMs: RELAYED_MS,
        what: 'the name of the relay',
      })
  })

  await t.test('a transfer goes on over DERP while the relay is dead, and over the relay again after', async () => {
    const stream = await startTransfer(a, b, { bytesPerSecond: STREAM_BYTES_PER_SECOND, timeoutMs: 200_000 })
    await stream.progress(2_000_000, 20_000)
    assert.equal((await a.peer('agent-b'))?.Path.kind, 'peer-relay')
    relay.process.signal('SIGKILL')
    await until(async () => (await a.peer('agent-b'))?.Path.kind === 'derp', {
      timeoutMs: LEFT_MS,
      what: 'agent-a to leave the dead relay',
    })
    await stream.progress(1_000_000, 20_000)
    const again = await stockRelay(lab)
    await until(async () => (await a.peer('agent-b'))?.Path.kind === 'peer-relay', {
      timeoutMs: BACK_MS,
      what: 'agent-a to be on the relay again',
      explain: () => `${a.log().slice(-3_000)}\n---\n${again.log().slice(-6_000)}`,
    })
    await stream.progress(1_000_000, 20_000)
    const { bytes, longestGapMs } = await stream.finish()
    t.diagnostic(`stream: ${bytes} bytes, longest gap ${longestGapMs} ms`)
    assert.ok(longestGapMs < 6_000, `nothing arrived for ${longestGapMs} ms`)
  })
})

test('a stock client and ours behind hard NATs meet at a stock relay', needsStock, async (t) => {
  const { lab, login } = await hardLab()
  t.after(() => lab.close())
  const relay = await stockRelay(lab)
  const ours = await startAgent(lab, lab.client(0), { hostname: 'ours' })
  const stock = await startTailscaled(lab, lab.client(1), { version: 'new', hostname: 'stock' })
  for (const node of [relay, ours, stock]) await node.up(login)
  await relayOn(relay)
  const tookMs = await untilRelayed(ours, stock, RELAYED_MS)
  t.diagnostic(`on the relay ${tookMs.toFixed(0)} ms after the first answer over DERP`)
  await pingUntil(ours, stock, 'peer-relay', RELAYED_MS)
  await pingUntil(stock, ours, 'peer-relay', RELAYED_MS)
  const stream = await startTransfer(stock, ours, { bytes: 5_000_000, timeoutMs: 60_000 })
  await stream.done
})

test('two of our agents behind hard NATs meet at our relay', needsOurs, async (t) => {
  const { lab, login } = await hardLab()
  t.after(() => lab.close())
  const relay = await startAgent(lab, lab.client(2), { hostname: 'relay' })
  const a = await startAgent(lab, lab.client(0), { hostname: 'agent-a' })
  const b = await startAgent(lab, lab.client(1), { hostname: 'agent-b' })
  for (const node of [relay, a, b]) await node.up(login)
  await relayOn(relay)
  const tookMs = await untilRelayed(a, b, RELAYED_MS)
  t.diagnostic(`on the relay ${tookMs.toFixed(0)} ms after the first answer over DERP`)
  await pingUntil(b, a, 'peer-relay', RELAYED_MS)
  const stream = await startTransfer(a, b, { bytesPerSecond: STREAM_BYTES_PER_SECOND, timeoutMs: 200_000 })
  await stream.progress(2_000_000, 20_000)
  relay.process.signal('SIGKILL')
  await stream.progress(2_000_000, 20_000)
  const again = await startAgent(lab, lab.client(2), { hostname: 'relay' })
  await again.untilState('Running', 20_000)
  await until(async () => (await a.peer('agent-b'))?.Path.kind === 'peer-relay', {
    timeoutMs: BACK_MS,
    what: 'agent-a to be on the relay again',
    explain: () => `${a.log().slice(-3_000)}\n---\n${again.log().slice(-6_000)}`,
  })
  const { bytes, longestGapMs } = await stream.finish()
  t.diagnostic(`stream: ${bytes} bytes, longest gap ${longestGapMs} ms`)
  assert.ok(longestGapMs < 6_000, `nothing arrived for ${longestGapMs} ms`)

  // Policies: what is allowed is used, and nothing else.
  const policy = async (...args: readonly string[]): Promise<void> => {
    const result = await a.cli('path', ...args, 'agent-b')
    assert.equal(result.status, 0, result.stderr)
  }
  const untilKind = (kind: string): Promise<unknown> =>
    until(async () => (await a.peer('agent-b'))?.Path.kind === kind, {
      timeoutMs: 15_000,
      what: `the path to be ${kind}`,
    })
  await policy('--policy', 'only-direct')
  await untilKind('none')
  assert.equal((await a.peer('agent-b'))?.Path.reason, 'policy')
  assert.ok(!(await a.machine.ns.canPing(await addressOf(b), 2)), 'there is no direct way')
  await policy('--policy', 'only-relay', '--relay', 'relay')
  await pingUntil(a, b, 'peer-relay', 15_000)
  const said = await a.cli('path', 'agent-b')
  assert.match(said.stdout, /through relay\. .*\nPolicy: only-relay relay\n/)
  assert.match(said.stdout, /→ over DERP \S+: The path in use stopped answering\./)
  await policy('--policy', 'default')
})
