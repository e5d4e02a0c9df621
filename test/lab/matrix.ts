// Which way pairs of machines find between two kinds of router, ours and stock ones side by side: the same routers, the same
// server, the same minute.

import { setTimeout as sleep } from 'node:timers/promises'
import { startTailscaled, type Tailscaled } from '../stock/tailscaled.ts'
import { createLab, type Lab, type LabOptions, type Machine } from './lab.ts'
import { addressOf, type PathKind } from './mesh-node.ts'
import type { NatKind } from './nat.ts'
import { startAgent, startCoord, type PeerwayAgent } from './peerway.ts'

/** `open` stands for itself in other tests; here every machine has a private address. */
export const KINDS = ['one-to-one', 'full-cone', 'address-restricted', 'easy', 'hard', 'blk'] as const
export type Kind = (typeof KINDS)[number] & NatKind

export type Reached = PathKind | 'none'
export type PairName = 'ours-ours' | 'ours-stock' | 'stock-stock'
export const PAIRS: readonly PairName[] = ['ours-ours', 'ours-stock', 'stock-stock']

const RANK: Readonly<Record<Reached, number>> = { none: 0, derp: 1, 'peer-relay': 2, direct: 3 }
export const isBetter = (a: Reached, b: Reached): boolean => RANK[a] > RANK[b]

/** What the rules of the routers allow (paths.md §10.2). With a relay whatever is not direct is relayed, unless UDP is blocked. */
export function expected(a: Kind, b: Kind, hasRelay: boolean): Reached {
  const has = (kind: Kind): boolean => a === kind || b === kind
  if (has('blk')) return 'derp'
  const isDirect = !has('hard') || ((a !== 'hard' || b !== 'hard') && !has('easy'))
  return isDirect ? 'direct' : hasRelay ? 'peer-relay' : 'derp'
}

export interface Outcome {
  readonly reached: Reached
  /** From the first packet; undefined when it was never more than what everybody begins with. */
  readonly afterMs: number | undefined
  readonly sent: number
  readonly lost: number
}

export type Cell = Readonly<Record<PairName, Outcome>>

/** A path may come as late as that; a stock client looks for one every few seconds. */
const WINDOW_MS = 16_000
/** A relay, which stock clients look for at most every 30 s when the first try fails. */
const RELAY_WINDOW_MS = 36_000
/** How long what cannot be direct is watched, lest it is after all. */
const WATCH_MS = 6_000
const POLL_MS = 500
/** For STUN, and for the news of new endpoints to go round. */
const SETTLE_MS = 3_000

/** Where the machines stand: two of ours, two stock ones, and what the network between them is made of. */
export interface Ground {
  readonly lab: LabOptions
  /** When the lab is there and no program runs yet. */
  readonly make?: (lab: Lab) => Promise<unknown>
  readonly machines?: (lab: Lab, end: 0 | 1) => Readonly<Record<'ours' | 'stock', Machine>>
}

const TWO_SITES: Ground = {
  lab: {
    sites: [
      { nat: 'easy', clients: 2 },
      { nat: 'easy', clients: 2 },
    ],
  },
}
const siteOfEach: NonNullable<Ground['machines']> = (lab, end) => ({
  ours: lab.client(end, 0),
  stock: lab.client(end, 1),
})

export class Matrix {
  readonly lab: Lab
  readonly #ours: readonly [PeerwayAgent, PeerwayAgent]
  readonly #stock: readonly [Tailscaled, Tailscaled]
  readonly #relay: PeerwayAgent

  private constructor(
    lab: Lab,
    ours: readonly [PeerwayAgent, PeerwayAgent],
    stock: readonly [Tailscaled, Tailscaled],
    relay: PeerwayAgent,
  ) {
    this.lab = lab
    this.#ours = ours
    this.#stock = stock
    this.#relay = relay
  }

  /** One of ours and a stock one at each end, and a machine with a public address that can relay. */
  static async create({ lab: labOptions, make, machines = siteOfEach }: Ground = TWO_SITES): Promise<Matrix> {
    const lab = await createLab({ ...labOptions, hosts: ['relay'] })
    try {
      await make?.(lab)
      const coord = await startCoord(lab, lab.coord)
      await coord.createUser('anna')
      const login = { loginServer: coord.url, authKey: await coord.createAuthKey('anna', { reusable: true }) }
      // Behind some kinds of router no two machines may share a port.
      const ours = async (end: 0 | 1): Promise<PeerwayAgent> => {
        const agent = await startAgent(lab, machines(lab, end).ours, { hostname: `ours-${end}`, port: 41_641 + end })
        await agent.up(login)
        return agent
      }
      const stock = async (end: 0 | 1): Promise<Tailscaled> => {
        const options = { version: 'new', hostname: `stock-${end}`, port: 41_643 + end } as const
        const daemon = await startTailscaled(lab, machines(lab, end).stock, options)
        await daemon.up(login)
        return daemon
      }
      const relay = await startAgent(lab, lab.host('relay'), { hostname: 'relay' })
      await relay.up(login)
      return new Matrix(lab, [await ours(0), await ours(1)], [await stock(0), await stock(1)], relay)
    } catch (error) {
      await lab.close()
      throw error
    }
  }

  async setRelay(isOn: boolean): Promise<void> {
    const { status, stderr } = await this.#relay.cli('set', `--relay-server-port=${isOn ? 40_000 : ''}`)
    if (status !== 0) throw new Error(`the relay: ${stderr}`)
    await sleep(SETTLE_MS)
  }

  /** All of one cell: machines that have just come up behind these routers begin to talk. */
  async cell(a: Kind, b: Kind, hasRelay: boolean): Promise<Cell> {
    return this.meet(expected(a, b, hasRelay), async () => {
      await this.lab.site(0).router.become(a)
      await this.lab.site(1).router.become(b)
    })
  }

  /** Machines that have just come up begin to talk; what is changed is changed while they are down. */
  async meet(wanted: Reached, change?: () => Promise<void>): Promise<Cell> {
    const [ours, stock] = [this.#ours, this.#stock]
    const all = [...ours, ...stock]
    await Promise.all(all.map((node) => this.#must(node, 'down')))
    await change?.()
    await Promise.all(all.map((node) => this.#must(node, 'up')))
    await sleep(SETTLE_MS)
    const [oursOurs, oursStock, stockStock] = await Promise.all([
      this.#talk(ours[0], ours[1], wanted),
      this.#talk(ours[0], stock[1], wanted),
      this.#talk(stock[0], stock[1], wanted),
    ])
    return { 'ours-ours': oursOurs, 'ours-stock': oursStock, 'stock-stock': stockStock }
  }

  async #must(node: PeerwayAgent | Tailscaled, verb: 'up' | 'down'): Promise<void> {
    const { status, stderr } = await node.cli(verb)
    if (status !== 0) throw new Error(`${node.hostname}: ${verb}: ${stderr}\n${node.log().slice(-2_000)}`)
  }

  async #talk(from: PeerwayAgent | Tailscaled, to: PeerwayAgent | Tailscaled, wanted: Reached): Promise<Outcome> {
    const address = await addressOf(to)
    const flow = from.machine.ns.start(['ping', '-n', '-i', '0.2', address], {
      name: `flow-${from.hostname}-${to.hostname}`,
    })
    const startMs = performance.now()
    let reached: Reached = 'none'
    let afterMs: number | undefined
    const windowMs = wanted === 'derp' ? WATCH_MS : wanted === 'peer-relay' ? RELAY_WINDOW_MS : WINDOW_MS
    while (performance.now() - startMs < windowMs) {
      const now = /bytes from/.test(flow.output) ? await kindNow(from, to.hostname) : 'none'
      if (isBetter(now, reached)) afterMs = performance.now() - startMs
      // What is reached for a moment counts only if it is still there at the end.
      reached = now
      if (reached === wanted && wanted !== 'derp') break
      await sleep(POLL_MS)
    }
    // The packets of the change itself are to be counted.
    await sleep(1_000)
    flow.signal('SIGINT')
    await flow.exited
    const [, sent = '0', received = '0'] = /(\d+) packets transmitted, (\d+) received/.exec(flow.output) ?? []
    return { reached, afterMs, sent: Number(sent), lost: Number(sent) - Number(received) }
  }
}

async function kindNow(node: PeerwayAgent | Tailscaled, peer: string): Promise<Reached> {
  const status = await node.cli('status', '--json')
  const { Peer = {} } = JSON.parse(status.stdout) as { Peer?: Record<string, PeerNow> }
  const found = Object.values(Peer).find(({ HostName }) => HostName === peer)
  if (!found) return 'none'
  if (found.Path) return found.Path.kind
  if (found.PeerRelay) return 'peer-relay'
  return found.CurAddr ? 'direct' : 'derp'
}

interface PeerNow {
  readonly HostName: string
  readonly CurAddr?: string
  readonly PeerRelay?: string
  readonly Path?: { readonly kind: Reached }
}

const shown = ({ reached, afterMs, sent, lost }: Outcome): string =>
  `${reached}${reached === 'derp' || afterMs === undefined ? '' : ` ${(afterMs / 1000).toFixed(1)} s`}, ${lost}/${sent} lost`

export const shownCell = (wanted: Reached, cell: Cell): string =>
  `wanted ${wanted}; ${PAIRS.map((pair) => `${pair} ${shown(cell[pair])}`).join('; ')}`

export const line = (a: Kind, b: Kind, hasRelay: boolean, cell: Cell): string =>
  `${a} – ${b}${hasRelay ? ', relay' : ''}: ${shownCell(expected(a, b, hasRelay), cell)}`
