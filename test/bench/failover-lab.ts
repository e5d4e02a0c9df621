// What the failover rows are measured in: a pair of nodes behind two routers, and beside them what a row needs.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createLab, type Lab, type Machine } from '../lab/lab.ts'
import { type MeshNode, pingUntil, systemPingUntil, addressOf } from '../lab/mesh-node.ts'
import type { NatKind } from '../lab/nat.ts'
import { PeerwayCoord, startAgent, startCoord } from '../lab/peerway.ts'
import type { LabProcess, RunResult } from '../lab/process.ts'
import { startTailscaled } from '../stock/tailscaled.ts'
import { pause, startEcho } from './udp-flow.ts'
import { WanCapture } from './wan-capture.ts'

export type Kind = 'ours' | 'stock'
export type Kinds = readonly [Kind, Kind]

export interface Subject extends MeshNode {
  readonly process: LabProcess
  up(login: Login): Promise<void>
  cli(...args: readonly string[]): Promise<RunResult>
}
interface Login {
  readonly loginServer: string
  readonly authKey: string
}

const RELAY_PORT = 40_000
const COORD_PORT = 8_480
const PROGRAM = fileURLToPath(new URL('../../build/peerway.mjs', import.meta.url))
const COORD = fileURLToPath(new URL('two-region-coord.ts', import.meta.url))
/** After the login of both ends: at home in a region, endpoints known to each other. */
const SETTLED_MS = 6_000

const startNode = (lab: Lab, machine: Machine, kind: Kind, hostname: string): Promise<Subject> =>
  kind === 'ours'
    ? startAgent(lab, machine, { hostname, env: { PEERWAY_LOG: 'info' } })
    : startTailscaled(lab, machine, { version: 'new', hostname })

/** Nodes `a` and `b`; the flow goes from `a`. */
export class Pair {
  readonly lab: Lab
  readonly kinds: Kinds
  readonly capture: WanCapture
  readonly #login: Login
  #generation = 0
  a: Subject
  b: Subject
  /** The relay is of our make when either end is. */
  relay: Subject | undefined

  constructor(lab: Lab, kinds: Kinds, login: Login, nodes: readonly [Subject, Subject], capture: WanCapture) {
    this.lab = lab
    this.kinds = kinds
    this.#login = login
    this.a = nodes[0]
    this.b = nodes[1]
    this.capture = capture
  }

  static async start(lab: Lab, kinds: Kinds, coord: PeerwayCoord): Promise<Pair> {
    await coord.createUser('anna')
    const login = { loginServer: coord.url, authKey: await coord.createAuthKey('anna', { reusable: true }) }
    const a = await startNode(lab, lab.client(0), kinds[0], 'a')
    const b = await startNode(lab, lab.client(1), kinds[1], 'b')
    for (const node of [a, b]) {
      await node.up(login)
      await startEcho(node)
    }
    return new Pair(lab, kinds, login, [a, b], await WanCapture.start(lab, lab.client(2).address))
  }

  async untilDirect(): Promise<void> {
    await systemPingUntil(this.a, await addressOf(this.b), 60_000)
    await pingUntil(this.a, this.b, 'direct', 60_000)
  }

  get #relayKind(): Kind {
    return this.kinds.includes('ours') ? 'ours' : 'stock'
  }

  async startRelay(): Promise<void> {
    const relay = await startNode(this.lab, this.lab.client(2), this.#relayKind, 'relay')
    this.relay = relay
    await relay.up(this.#login)
    const set = await relay.cli('set', `--relay-server-port=${RELAY_PORT}`)
    if (set.status !== 0) throw new Error(`relay: set: ${set.stderr}`)
    await pause(5_000)
  }

  /** A new process in the old place, with the settings it had. */
  async restartRelay(): Promise<void> {
    this.relay = await startNode(this.lab, this.lab.client(2), this.#relayKind, 'relay')
  }

  /** New nodes in the places of both, which have never met: no session, and nothing known of each other's paths. */
  async renewBoth(settleMs = SETTLED_MS): Promise<void> {
    for (const node of [this.a, this.b]) await node.process.stop()
    this.#generation++
    this.a = await startNode(this.lab, this.lab.client(0), this.kinds[0], `a${this.#generation}`)
    this.b = await startNode(this.lab, this.lab.client(1), this.kinds[1], `b${this.#generation}`)
    for (const node of [this.a, this.b]) await node.up(this.#login)
    await pause(settleMs)
  }

  /** Nothing passes between the two routers any more, and neither is told so. */
  async cutDirect(): Promise<void> {
    const { wanAddress } = this.lab.site(1).router
    await this.lab
      .site(0)
      .router.ns.nft(
        ['daddr', 'saddr']
          .map((end) => `add rule inet lab extra meta l4proto udp ip ${end} ${wanAddress} drop`)
          .join('\n'),
      )
  }

  async mendDirect(): Promise<void> {
    await this.lab.site(0).router.clearRules()
  }

  async become(...nats: readonly [NatKind, NatKind]): Promise<void> {
    for (const [index, nat] of nats.entries()) {
      const { router } = this.lab.site(index)
      if (router.kind !== nat) await router.become(nat)
    }
  }

  async close(): Promise<void> {
    await this.lab.close()
  }
}

/** Easy routers, one region, and a third site for a relay. */
export async function startPair(kinds: Kinds): Promise<Pair> {
  const lab = await createLab({ sites: [{ nat: 'easy' }, { nat: 'easy' }, { nat: 'open' }] })
  try {
    return await Pair.start(lab, kinds, await startCoord(lab, lab.coord))
  } catch (error) {
    await lab.close()
    throw error
  }
}

export const REGIONS = [1, 2] as const
export type Region = (typeof REGIONS)[number]

/** A pair that can only meet over DERP, and two regions. */
export interface DerpPair {
  readonly pair: Pair
  readonly derps: ReadonlyMap<Region, LabProcess>
}

export async function startDerpPair(
  kinds: Kinds,
  beforeNodes: (lab: Lab) => Promise<void> = () => Promise.resolve(),
): Promise<DerpPair> {
  const lab = await createLab({ sites: [{ nat: 'hard' }, { nat: 'hard' }, { nat: 'open' }], hosts: ['derp1', 'derp2'] })
  try {
    const derps = new Map<Region, LabProcess>()
    const regions: string[] = []
    for (const region of REGIONS) {
      const host = lab.host(`derp${region}`)
      const folder = join(lab.dir, `derp${region}`)
      mkdirSync(folder, { recursive: true })
      const { address } = host
      const where = ['--listen', `${address}:443`, '--stun', `${address}:3478`, '--hostname', address]
      const derp = host.ns.start([process.execPath, PROGRAM, 'derp', '--open', ...where, '--cert-dir', folder], {
        name: `derp${region}`,
      })
      const [, certName = ''] = await derp.waitForOutput(/^ready \S+ (\S+)$/m)
      derps.set(region, derp)
      regions.push(`${region}=${address}=${certName}`)
    }
    const { coord } = lab
    const state = join(lab.dir, 'coord')
    mkdirSync(state, { recursive: true })
    const command = [process.execPath, '--import', 'tsx', COORD, state, coord.address, String(COORD_PORT), ...regions]
    const started = coord.ns.start(command, { name: 'coord', cwd: fileURLToPath(new URL('../..', import.meta.url)) })
    const [, url = ''] = await started.waitForOutput(/^ready (\S+)$/m, 30_000)
    await beforeNodes(lab)
    return { pair: await Pair.start(lab, kinds, new PeerwayCoord(coord, started, url, state)), derps }
  } catch (error) {
    await lab.close()
    throw error
  }
}

/** The region where others reach the node, as its own status says. */
export async function homeOf(node: Subject): Promise<Region | undefined> {
  const { stdout } = await node.cli('status', '--json')
  const { Self } = JSON.parse(stdout) as { Self: { Relay: string } }
  return REGIONS.find((region) => Self.Relay === `lab${region}`)
}
