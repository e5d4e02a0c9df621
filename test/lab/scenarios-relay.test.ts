// A pair of ours that talks, with a relay at hand or its server away: scenarios 4, 10 and 17 of docs/lab.md.

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { createLab, type Lab } from './lab.ts'
import { addressOf, pingUntil, systemPingUntil } from './mesh-node.ts'
import type { NatKind } from './nat.ts'
import { labUnavailable, runOrSkip } from './netns.ts'
import {
  peerwayUnavailable,
  startAgent,
  startCoord,
  untilPath,
  type PeerwayAgent,
  type PeerwayCoord,
} from './peerway.ts'
import { until } from './process.ts'
import { startTransfer } from './transfer.ts'

const options = runOrSkip(labUnavailable() ?? peerwayUnavailable(), 280_000)

const RELAY_PORT = 40_000
const STREAM_BYTES_PER_SECOND = 500_000
/** Left by missing answers; the rest is for a busy machine and the polling. */
const LEFT_MS = 12_000
const BACK_MS = 40_000

interface Scene {
  readonly lab: Lab
  readonly coord: PeerwayCoord
  readonly a: PeerwayAgent
  readonly b: PeerwayAgent
  readonly relay: PeerwayAgent
}

/** Two sites and a machine with a public address, which relays when told to. */
async function scene(t: TestContext, kind: NatKind): Promise<Scene> {
  const lab = await createLab({ sites: [{ nat: kind }, { nat: kind }], hosts: ['relay'] })
  t.after(() => lab.close())
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  const login = { loginServer: coord.url, authKey: await coord.createAuthKey('anna', { reusable: true }) }
  const join = async (machine: ReturnType<Lab['client']>, hostname: string): Promise<PeerwayAgent> => {
    const agent = await startAgent(lab, machine, { hostname })
    await agent.up(login)
    return agent
  }
  const relay = await join(lab.host('relay'), 'relay')
  return { lab, coord, relay, a: await join(lab.client(0), 'agent-a'), b: await join(lab.client(1), 'agent-b') }
}

async function relayOn(relay: PeerwayAgent): Promise<void> {
  const { status, stderr } = await relay.cli('set', `--relay-server-port=${RELAY_PORT}`)
  assert.equal(status, 0, stderr)
}

async function direct(a: PeerwayAgent, b: PeerwayAgent): Promise<void> {
  await systemPingUntil(a, await addressOf(b), 15_000)
  await pingUntil(a, b, 'direct', 15_000)
  await pingUntil(b, a, 'direct', 15_000)
}

test('scenario 4: a direct path that loses half of all packets is left for a clean relay', options, async (t) => {
  const { lab, a, b, relay } = await scene(t, 'easy')
  await relayOn(relay)
  await direct(a, b)
  const address = await addressOf(b)
  // No TCP: after such a loss it waits for longer than a test does.
  const flow = a.machine.ns.start(['ping', '-n', '-i', '0.1', address], { name: 'flow' })
  // Between the two sites only: the way to the relay is clean.
  const other = lab.site(1).router.wanAddress
  for (const way of ['saddr', 'daddr'])
    await lab.site(0).router.addRule(`ip ${way} ${other} meta l4proto udp numgen random mod 100 < 50 drop`)
  await untilPath(a, 'agent-b', 'peer-relay', 60_000)
  await untilPath(b, 'agent-a', 'peer-relay', 60_000)
  // A path that merely fell silent is taken again when it answers; one that keeps losing is let be, then.
  const seen: number[] = []
  const isClean = async (): Promise<boolean> => {
    const { stdout } = await a.machine.ns.tryRun(['ping', '-n', '-c', '40', '-i', '0.1', address])
    seen.push(Number(/(\d+) received/.exec(stdout)?.[1] ?? 0))
    return (seen.at(-1) ?? 0) >= 36
  }
  await until(isClean, {
    timeoutMs: 100_000,
    what: 'packets to pass unharmed',
    explain: () => `of 40: ${seen.join(', ')}`,
  })
  t.diagnostic(`answered of 40, one try after the other: ${seen.join(', ')}`)
  await flow.stop()
})

test(
  'scenario 10: both routers start anew while the coordination server is away, and the pair is direct again',
  options,
  async (t) => {
    const { lab, coord, a, b } = await scene(t, 'easy')
    await direct(a, b)
    const stream = await startTransfer(a, b, { bytesPerSecond: STREAM_BYTES_PER_SECOND, timeoutMs: 200_000 })
    await stream.progress(500_000, 20_000)
    // The process also is the DERP and STUN server; only control goes.
    const port = new URL(coord.url).port
    for (const { router } of lab.sites) await router.addRule(`tcp dport ${port} drop`)
    for (const { router } of lab.sites) await router.forgetMappings()
    await stream.progress(500_000, 30_000)
    await untilPath(a, 'agent-b', 'direct', BACK_MS)
    const { longestGapMs } = await stream.finish()
    t.diagnostic(`longest gap ${longestGapMs} ms`)
  },
)

test('scenario 17: a policy that takes the relay away ends its use, and the pair talks on', options, async (t) => {
  const { lab, coord, a, b, relay } = await scene(t, 'hard')
  const policy = async (text: string): Promise<void> => {
    const file = join(lab.dir, 'policy.hujson')
    writeFileSync(file, text)
    await coord.cli('policy', 'set', file)
  }
  const everyone = '{"src": ["*"], "dst": ["*"], "ip": ["*"]}'
  await policy(`{"grants": [${everyone}, {"src": ["*"], "dst": ["*"], "app": {"tailscale.com/cap/relay": []}}]}`)
  await relayOn(relay)
  await systemPingUntil(a, await addressOf(b), 15_000)
  const stream = await startTransfer(a, b, { bytesPerSecond: STREAM_BYTES_PER_SECOND, timeoutMs: 200_000 })
  await untilPath(a, 'agent-b', 'peer-relay', 20_000)
  await policy(`{"grants": [${everyone}]}`)
  await stream.progress(1_000_000, 20_000)
  // Whoever was on it may stay until the place ends; nobody comes onto it anew.
  const off = await relay.cli('set', '--relay-server-port=')
  assert.equal(off.status, 0, off.stderr)
  await untilPath(a, 'agent-b', 'derp', LEFT_MS * 2)
  await relayOn(relay)
  await stream.progress(2_000_000, 30_000)
  assert.equal((await a.peer('agent-b'))?.Path.kind, 'derp')
  await stream.finish()
})
