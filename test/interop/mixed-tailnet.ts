// The scenario that every server has to stand: a stock client of each version and two of our agents in one tailnet, each
// behind a home router of its own.

import assert from 'node:assert/strict'
import type { Lab, LabOptions } from '../lab/lab.ts'
import { labUnavailable } from '../lab/netns.ts'
import { addressOf, everyPairTalks, pingUntil, systemPingUntil, type MeshNode } from '../lab/mesh-node.ts'
import { peerwayUnavailable, startAgent, type PeerwayAgent } from '../lab/peerway.ts'
import { until } from '../lab/process.ts'
import { transfer } from '../lab/transfer.ts'
import { stockUnavailable, type StockName } from '../stock/binaries.ts'
import { startTailscaled, type Tailscaled } from '../stock/tailscaled.ts'

/** A site for each of the four nodes; DERP may stand on a host of its own. */
export const MIXED_LAB: LabOptions = {
  sites: [{ nat: 'easy' }, { nat: 'easy' }, { nat: 'easy' }, { nat: 'easy' }],
  hosts: ['derp'],
}

/** From joined to a direct pong, for the first pair; the others are ready by then. */
const DIRECT_MS = 30_000

/** A blocked direct path is given up after some seconds; the rest is for a busy machine. */
const FALLBACK_MS = 30_000

/** Upgrades are tried at intervals of up to a minute by some clients. */
const RETURN_MS = 90_000

/** From started anew to answering: the others hear of the new disco key within about a second. */
export const BACK_MS = 10_000

const COMPLAINTS_MS = 20_000

export function mixedUnavailable(...more: readonly StockName[]): string | undefined {
  return labUnavailable() ?? peerwayUnavailable() ?? stockUnavailable('tailscale-new', 'tailscale-old', ...more)
}

export interface MixedTailnet {
  readonly stock: readonly [Tailscaled, Tailscaled]
  readonly ours: readonly [PeerwayAgent, PeerwayAgent]
  readonly all: readonly MeshNode[]
}

/** Starts the four and joins them with one reusable key. */
export async function joinMixed(lab: Lab, login: { loginServer: string; authKey: string }): Promise<MixedTailnet> {
  const stock = [
    await startTailscaled(lab, lab.client(0), { version: 'new', hostname: 'stock-new' }),
    await startTailscaled(lab, lab.client(1), { version: 'old', hostname: 'stock-old' }),
  ] as const
  const ours = [
    await startAgent(lab, lab.client(2), { hostname: 'ours-a' }),
    await startAgent(lab, lab.client(3), { hostname: 'ours-b' }),
  ] as const
  for (const node of [...stock, ...ours]) await node.up(login)
  return { stock, ours, all: [...stock, ...ours] }
}

/** Direct, then over DERP, then direct again; whole transfers between ours and each stock version both ways. */
export async function talksInEveryWay(lab: Lab, tailnet: MixedTailnet): Promise<void> {
  await everyPairTalks(tailnet.all, 'direct', DIRECT_MS)
  const [agent] = tailnet.ours
  for (const stock of tailnet.stock) {
    await transfer(agent, stock, { bytes: 10_000_000, timeoutMs: 30_000 })
    await transfer(stock, agent, { bytes: 10_000_000, timeoutMs: 30_000 })
  }

  await lab.blockUdp()
  await everyPairTalks(tailnet.all, 'derp', FALLBACK_MS)
  for (const stock of tailnet.stock) {
    await transfer(agent, stock, { bytes: 1_000_000, timeoutMs: 30_000 })
    await transfer(stock, agent, { bytes: 1_000_000, timeoutMs: 30_000 })
  }

  await lab.unblockUdp()
  for (const stock of tailnet.stock) {
    await pingUntil(agent, stock, 'direct', RETURN_MS)
    await pingUntil(stock, agent, 'direct', RETURN_MS)
  }
}

/** Warnings come and go while a client starts; those that stay are ours to answer for: under a stock server there are none. */
export async function nobodyComplains(nodes: readonly MeshNode[]): Promise<void> {
  for (const node of nodes) {
    let last: readonly string[] = []
    await until(async () => (last = await node.health()).length === 0, {
      timeoutMs: COMPLAINTS_MS,
      everyMs: 500,
      what: `${node.hostname} to have nothing to complain of`,
      explain: () => last.join('\n'),
    })
  }
}

/** The same addresses after going down and up, and everyone reaches them. */
export async function agentGoesDownAndUp(tailnet: MixedTailnet): Promise<void> {
  const [agent, other] = tailnet.ours
  const before = await other.addresses()
  for (const node of tailnet.all) if (node !== other) await systemPingUntil(node, before[0] ?? '', BACK_MS)
  const down = await other.cli('down')
  assert.equal(down.status, 0, down.stderr)
  await until(async () => (await agent.peer('ours-b'))?.Online === false, {
    timeoutMs: 2 * BACK_MS,
    what: 'the others to see it offline',
  })
  const up = await other.cli('up', '--timeout', '60s')
  assert.equal(up.status, 0, up.stderr)
  assert.deepEqual(await other.addresses(), before)
  for (const node of tailnet.all) if (node !== other) await systemPingUntil(node, before[0] ?? '', BACK_MS)
}

/** Our second agent in a new process comes back by itself. Ends with the new process gone: callers go on without it. */
export async function agentStartsAnew(lab: Lab, tailnet: MixedTailnet): Promise<void> {
  const [, other] = tailnet.ours
  const before = await other.addresses()
  await other.stop()
  const again = await startAgent(lab, other.machine, { hostname: other.hostname })
  await again.untilState('Running', BACK_MS)
  // It speaks first, maybe before the others have heard that it is a new process.
  for (const node of tailnet.all) if (node !== other) await systemPingUntil(again, await addressOf(node), BACK_MS)
  for (const node of tailnet.all) if (node !== other) await systemPingUntil(node, before[0] ?? '', BACK_MS)
  assert.deepEqual(await again.addresses(), before)
  await again.stop()
}

/** Each stock client in a new process is reached again, directly. */
export async function stockStartsAnew(lab: Lab, tailnet: MixedTailnet): Promise<void> {
  const [agent] = tailnet.ours
  for (const stock of tailnet.stock) {
    const address = await addressOf(stock)
    await systemPingUntil(agent, address, BACK_MS)
    await stock.stop()
    const again = await startTailscaled(lab, stock.machine, { version: stock.version, hostname: stock.hostname })
    await systemPingUntil(agent, address, 2 * BACK_MS)
    await pingUntil(agent, again, 'direct', 2 * BACK_MS)
  }
}
