// Two homes behind easy routers, and a stream between them: where a path goes bad in the middle of a transfer.

import type { TestContext } from 'node:test'
import { createLab, type Lab } from './lab.ts'
import { addressOf, pingUntil, systemPingUntil, type MeshNode } from './mesh-node.ts'
import { startAgent, startCoord, type PeerwayAgent } from './peerway.ts'
import { startTailscaled, type Tailscaled } from '../stock/tailscaled.ts'
import { startTransfer } from './transfer.ts'

const STREAM_BYTES_PER_SECOND = 500_000

export interface Homes {
  readonly lab: Lab
  readonly a: PeerwayAgent
  /** Logs a machine in. */
  readonly up: (node: { up(login: { loginServer: string; authKey: string }): Promise<void> }) => Promise<void>
}

export async function twoHomes(t: TestContext): Promise<Homes> {
  const lab = await createLab({ sites: [{ nat: 'easy' }, { nat: 'easy' }] })
  t.after(() => lab.close())
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  const login = { loginServer: coord.url, authKey: await coord.createAuthKey('anna', { reusable: true }) }
  const up: Homes['up'] = (node) => node.up(login)
  const a = await startAgent(lab, lab.client(0), { hostname: 'agent-a' })
  await up(a)
  return { lab, a, up }
}

/** A stock client in the second home, reached directly from the first. */
export async function withStock(t: TestContext): Promise<Homes & { readonly b: Tailscaled }> {
  const homes = await twoHomes(t)
  const b = await startTailscaled(homes.lab, homes.lab.client(1), { version: 'new', hostname: 'stock-b', port: 41_643 })
  await homes.up(b)
  await direct(homes.a, b)
  return { ...homes, b }
}

export async function direct(a: PeerwayAgent, b: MeshNode): Promise<void> {
  await systemPingUntil(a, await addressOf(b), 15_000)
  await pingUntil(a, b, 'direct', 15_000)
}

export const startStream = (from: MeshNode, to: MeshNode, timeoutMs: number): ReturnType<typeof startTransfer> =>
  startTransfer(from, to, { bytesPerSecond: STREAM_BYTES_PER_SECOND, timeoutMs })
