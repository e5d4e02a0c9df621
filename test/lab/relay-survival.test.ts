// What a relayed pair lives through at our relay, with our agents and stock clients: the restart of either end, a kill, and
// minutes of silence (with PEERWAY_LONG=1: a place lives five minutes without data).

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { stockUnavailable } from '../stock/binaries.ts'
import { startTailscaled } from '../stock/tailscaled.ts'
import { createLab } from './lab.ts'
import { addressOf, pingUntil, systemPingUntil, type MeshNode } from './mesh-node.ts'
import { labUnavailable, runOrSkip } from './netns.ts'
import { peerwayUnavailable, startAgent, startCoord, type PeerwayAgent } from './peerway.ts'
import { relayStatus, turnRelayOn } from './relay.ts'
import { transfer } from './transfer.ts'

const unavailable = labUnavailable() ?? peerwayUnavailable() ?? stockUnavailable('tailscale-new', 'tailscale-old')
const PORT = 40_000
/** Our agents look for a relay at once; stock ones at most every 30 s. */
const RELAYED_MS = 75_000

interface Scene {
  readonly relay: PeerwayAgent
  readonly ours: readonly [PeerwayAgent, PeerwayAgent]
  readonly stock: readonly [MeshNode, MeshNode]
  /** Starts one of ours again, with its state. */
  readonly startOurs: (index: 0 | 1) => Promise<PeerwayAgent>
  readonly startStock: () => Promise<MeshNode>
  readonly stopStock: () => Promise<void>
}

/** Four sites behind routers with a new port for each destination, and one relay in the open. */
async function scene(t: TestContext): Promise<Scene> {
  const hard = { nat: 'hard' } as const
  const lab = await createLab({ sites: [hard, hard, hard, hard], hosts: ['relay'] })
  t.after(() => lab.close())
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  const login = { loginServer: coord.url, authKey: await coord.createAuthKey('anna', { reusable: true }) }
  const relay = await startAgent(lab, lab.host('relay'), { hostname: 'relay' })
  const startOurs = (index: 0 | 1) => startAgent(lab, lab.client(index), { hostname: `ours-${index}` })
  const startStock = () => startTailscaled(lab, lab.client(2), { version: 'new', hostname: 'stock-new' })
  const [first, second] = [await startOurs(0), await startOurs(1)]
  const newer = await startStock()
  const older = await startTailscaled(lab, lab.client(3), { version: 'old', hostname: 'stock-old' })
  for (const node of [relay, first, second, newer, older]) await node.up(login)
  await turnRelayOn(relay, PORT)
  return {
    relay,
    ours: [first, second],
    stock: [newer, older],
    startOurs,
    startStock,
    stopStock: () => newer.stop(),
  }
}

async function relayed(from: MeshNode, to: MeshNode): Promise<void> {
  await systemPingUntil(from, await addressOf(to), 30_000)
  await pingUntil(from, to, 'peer-relay', RELAYED_MS)
  await pingUntil(to, from, 'peer-relay', RELAYED_MS)
}

test(
  'either end may be killed and started anew, and the pair meets at the relay again',
  runOrSkip(unavailable, 420_000),
  async (t) => {
    const { ours, stock, startOurs, startStock, stopStock } = await scene(t)
    let [first, second] = ours
    const [newer, older] = stock
    await relayed(first, second)
    await relayed(first, newer)
    await relayed(newer, older)

    await t.test('the one who asked, killed', async () => {
      first.process.signal('SIGKILL')
      await first.process.exited
      first = await startOurs(0)
      await first.untilState('Running', 30_000)
      await relayed(first, second)
      await transfer(first, second, { bytes: 2_000_000, timeoutMs: 30_000 })
    })

    await t.test('the other one, stopped', async () => {
      await second.stop()
      second = await startOurs(1)
      await second.untilState('Running', 30_000)
      await relayed(second, first)
      await relayed(first, newer)
      await transfer(second, first, { bytes: 2_000_000, timeoutMs: 30_000 })
    })

    await t.test('a stock client, towards ours and towards another stock one', async () => {
      await stopStock()
      const again = await startStock()
      await relayed(first, again)
      await relayed(older, again)
      await transfer(first, again, { bytes: 2_000_000, timeoutMs: 30_000 })
    })
  },
)

const long = process.env['PEERWAY_LONG'] ? runOrSkip(unavailable, 1_200_000) : { skip: 'takes minutes: PEERWAY_LONG=1' }

test('pairs that are silent for four and for six minutes go on over the relay', long, async (t) => {
  const { relay, ours, stock } = await scene(t)
  const pairs = [
    [ours[0], ours[1]],
    [ours[0], stock[0]],
    [stock[0], stock[1]],
  ] as const
  for (const [from, to] of pairs) await relayed(from, to)
  for (const minutes of [4, 6])
    await t.test(`${minutes} minutes`, async () => {
      await sleep(minutes * 60_000)
      const open = (await relayStatus(relay)).Sessions.length
      for (const [from, to] of pairs) {
        // Nothing must be answered later than it takes to fall back.
        const tookMs = await systemPingUntil(from, await addressOf(to), 10_000)
        t.diagnostic(
          `${from.hostname} to ${to.hostname} answered after ${tookMs.toFixed(0)} ms; ${open} places were left`,
        )
        assert.ok(tookMs < 8_000)
        await relayed(from, to)
      }
    })
})
