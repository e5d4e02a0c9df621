// How long a pair stays without answers when its path changes: a ping each 20 ms through the tunnel, in network namespaces.
// Prints a table, ours beside stock where stock clients are there.
//
//   ROUNDS=5 PAIRS=ours-ours node --import tsx test/bench/failover.ts

import { stockUnavailable } from '../stock/binaries.ts'
import { startTailscaled } from '../stock/tailscaled.ts'
import { createLab, type Lab, type Machine } from '../lab/lab.ts'
import { addressOf, type MeshNode, pingUntil } from '../lab/mesh-node.ts'
import { labUnavailable } from '../lab/netns.ts'
import { peerwayUnavailable, startAgent, startCoord } from '../lab/peerway.ts'
import type { LabProcess, RunResult } from '../lab/process.ts'

const EVERY_MS = 20
const ROUNDS = Number(process.env['ROUNDS'] ?? 5)

type Kind = 'ours' | 'stock'
interface Subject extends MeshNode {
  readonly process: LabProcess
  up(login: { readonly loginServer: string; readonly authKey: string }): Promise<void>
  cli(...args: readonly string[]): Promise<RunResult>
}
type Start = (lab: Lab, machine: Machine, hostname: string) => Promise<Subject>
const start: Readonly<Record<Kind, Start>> = {
  ours: (lab, machine, hostname) => startAgent(lab, machine, { hostname }),
  stock: (lab, machine, hostname) => startTailscaled(lab, machine, { version: 'new', hostname }),
}

/** Answers to a ping each 20 ms. */
class Flow {
  readonly #process: LabProcess
  constructor(process: LabProcess) {
    this.#process = process
  }

  /** When each answer came, in seconds of the system's clock, and its number. */
  answers(sinceS: number): { readonly atS: number; readonly number: number }[] {
    return [...this.#process.stdout.matchAll(/^\[(\d+\.\d+)\] .*icmp_seq=(\d+) ttl/gm)]
      .map(([, at, number]) => ({ atS: Number(at), number: Number(number) }))
      .filter(({ atS }) => atS >= sinceS - 0.1)
  }

  /** The longest time without an answer, and how many were never answered. */
  async gap(settleMs: number, action: () => Promise<void>): Promise<{ gapMs: number; lost: number }> {
    const sinceS = Date.now() / 1000
    await action()
    await new Promise((resolve) => setTimeout(resolve, settleMs))
    const answers = this.answers(sinceS)
    let gapMs = 0
    for (const [index, { atS }] of answers.entries()) {
      const before = answers[index - 1]
      if (before) gapMs = Math.max(gapMs, (atS - before.atS) * 1000)
    }
    const numbers = answers.map(({ number }) => number)
    const lost = Math.max(...numbers) - Math.min(...numbers) + 1 - new Set(numbers).size
    return { gapMs: Math.round(gapMs), lost }
  }

  async stop(): Promise<void> {
    await this.#process.stop()
  }
}

const quantile = (values: readonly number[], share: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.ceil(share * values.length) - 1)] ?? Number.NaN
const show = (values: readonly number[]): string =>
  `median ${quantile(values, 0.5)}, p95 ${quantile(values, 0.95)}, all ${values.join(' ')}`

/** Waits for a way of the peer in the answers to our own ping below the system. */
async function untilWay(from: MeshNode, to: MeshNode, via: 'direct' | 'derp' | 'peer-relay'): Promise<number> {
  const began = performance.now()
  await pingUntil(from, to, via, 60_000)
  return Math.round(performance.now() - began)
}

async function measure(kinds: readonly [Kind, Kind], relayKind: Kind): Promise<void> {
  const lab = await createLab({ sites: [{ nat: 'easy' }, { nat: 'easy' }, { nat: 'open' }] })
  try {
    const coord = await startCoord(lab, lab.coord)
    await coord.createUser('anna')
    const login = { loginServer: coord.url, authKey: await coord.createAuthKey('anna', { reusable: true }) }
    const a = await start[kinds[0]](lab, lab.client(0), 'a')
    const b = await start[kinds[1]](lab, lab.client(1), 'b')
    await a.up(login)
    await b.up(login)
    await untilWay(a, b, 'direct')
    const ping = a.machine.ns.start(['ping', '-n', '-D', '-i', String(EVERY_MS / 1000), await addressOf(b)], {
      name: 'flow',
    })
    const flow = new Flow(ping)
    const cut = (): Promise<void> =>
      lab.site(0).router.addRule(`meta l4proto udp ip daddr ${lab.site(1).router.wanAddress} drop`)
    const cutBack = (): Promise<void> =>
      lab.site(0).router.addRule(`meta l4proto udp ip saddr ${lab.site(1).router.wanAddress} drop`)
    const mend = (): Promise<void> => lab.site(0).router.clearRules()
    const both = async (): Promise<void> => {
      await cut()
      await cutBack()
    }
    const row = (what: string, values: readonly number[]): void =>
      console.log(`${kinds.join('–').padEnd(12)} ${what.padEnd(44)} ${show(values)}`)

    const toDerp: number[] = []
    const backLost: number[] = []
    const backMs: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      await new Promise((resolve) => setTimeout(resolve, 3_000 + round * 370))
      toDerp.push((await flow.gap(9_000, both)).gapMs)
      let tookMs = 0
      const back = await flow.gap(1_000, async () => {
        await mend()
        tookMs = await untilWay(a, b, 'direct')
      })
      backLost.push(back.lost)
      backMs.push(tookMs)
    }
    row('direct dies: gap ms until DERP', toDerp)
    row('direct possible again: ms (ping below)', backMs)
    row('… packets lost', backLost)

    const relay = await start[relayKind](lab, lab.client(2), 'relay')
    await relay.up(login)
    await relay.cli('set', '--relay-server-port=40000')
    await new Promise((resolve) => setTimeout(resolve, 5_000))
    const toRelay: number[] = []
    const relayGap: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      await new Promise((resolve) => setTimeout(resolve, 3_000 + round * 370))
      let tookMs = 0
      const gone = await flow.gap(8_000, async () => {
        await both()
        tookMs = await untilWay(a, b, 'peer-relay')
      })
      relayGap.push(gone.gapMs)
      toRelay.push(tookMs)
      await mend()
      await untilWay(a, b, 'direct')
    }
    row('direct dies, relay there: gap ms', relayGap)
    row('… ms until on the relay (ping below)', toRelay)
    await both()
    await untilWay(a, b, 'peer-relay')
    await new Promise((resolve) => setTimeout(resolve, 10_000))
    const killed = await flow.gap(9_000, () => {
      relay.process.signal('SIGKILL')
      return Promise.resolve()
    })
    row('relay killed: gap ms', [killed.gapMs])
    await flow.stop()
  } finally {
    await lab.close()
  }
}

const why = labUnavailable() ?? peerwayUnavailable()
if (why !== undefined) {
  console.log(`skipped: ${why}`)
} else {
  const hasStock = stockUnavailable('tailscale-new') === undefined
  const pairs: (readonly [Kind, Kind])[] = hasStock
    ? [
        ['ours', 'ours'],
        ['ours', 'stock'],
        ['stock', 'stock'],
      ]
    : [['ours', 'ours']]
  const only = process.env['PAIRS']
  for (const pair of pairs)
    if (only === undefined || only === pair.join('-')) await measure(pair, hasStock ? 'stock' : 'ours')
}
