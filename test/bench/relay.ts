// What a peer relay carries and costs: two stock clients behind hard routers, over our relay and over a stock one, in one
// run. The clients are the bottleneck; so the relay's own processor time is the figure to look at.
//
//   node --import tsx test/bench/relay.ts [--seconds 5] [--rounds 3]

import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { createLab, type Lab } from '../lab/lab.ts'
import { addressOf, pingUntil, systemPingUntil } from '../lab/mesh-node.ts'
import { startAgent, startCoord } from '../lab/peerway.ts'
import type { LabProcess } from '../lab/process.ts'
import { turnRelayOn } from '../lab/relay.ts'
import { startTailscaled } from '../stock/tailscaled.ts'
import { measureTcp, median, type Throughput } from './measure.ts'

const PORT = 40_000
const TICKS_PER_SECOND = 100

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '5' }, rounds: { type: 'string', default: '3' } },
})

interface Relay {
  readonly name: string
  /** Starts it as a node of the network; returns its process. */
  start(lab: Lab, loginServer: string, authKey: string): Promise<LabProcess>
}

const RELAYS: readonly Relay[] = [
  {
    name: 'ours',
    async start(lab, loginServer, authKey) {
      const agent = await startAgent(lab, lab.host('relay'), { hostname: 'relay' })
      await agent.up({ loginServer, authKey })
      await turnRelayOn(agent, PORT)
      return agent.process
    },
  },
  {
    name: 'tailscaled 1.104.5',
    async start(lab, loginServer, authKey) {
      const daemon = await startTailscaled(lab, lab.host('relay'), { version: 'new', hostname: 'relay' })
      await daemon.up({ loginServer, authKey })
      const result = await daemon.cli('set', `--relay-server-port=${PORT}`)
      if (result.status !== 0) throw new Error(result.stderr)
      return daemon.process
    },
  },
]

/** User and kernel time of one process so far. */
function processSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

interface Row extends Throughput {
  readonly relaySecondsPerGb: number
}

async function measure(relay: Relay, seconds: number, rounds: number): Promise<Row[]> {
  const lab = await createLab({ sites: [{ nat: 'hard' }, { nat: 'hard' }], hosts: ['relay'] })
  try {
    const coord = await startCoord(lab, lab.coord)
    await coord.createUser('anna')
    const authKey = await coord.createAuthKey('anna', { reusable: true })
    const { pid } = await relay.start(lab, coord.url, authKey)
    const [a, b] = await Promise.all(
      [0, 1].map((site) => startTailscaled(lab, lab.client(site), { version: 'new', hostname: `client-${site}` })),
    )
    if (!a || !b || pid === undefined) throw new Error('a program did not start')
    for (const client of [a, b]) await client.up({ loginServer: coord.url, authKey })
    const address = await addressOf(b)
    await systemPingUntil(a, address, 20_000)
    await pingUntil(a, b, 'peer-relay', 90_000)
    const ends = { client: a.machine.ns, server: b.machine.ns, address }
    await measureTcp(ends, 1)
    const rows: Row[] = []
    for (let round = 0; round < rounds; round += 1) {
      const before = processSeconds(pid)
      const tcp = await measureTcp(ends, seconds)
      const gigabytes = (tcp.gbitPerSecond * seconds) / 8
      rows.push({ ...tcp, relaySecondsPerGb: (processSeconds(pid) - before) / gigabytes })
    }
    return rows
  } finally {
    await lab.close()
  }
}

const [seconds, rounds] = [Number(values.seconds), Number(values.rounds)]
for (const relay of RELAYS) {
  const rows = await measure(relay, seconds, rounds)
  const of = (pick: (row: Row) => number): string => {
    const all = rows.map(pick)
    return `${median(all).toFixed(2)} (${Math.min(...all).toFixed(2)}–${Math.max(...all).toFixed(2)})`
  }
  process.stdout.write(
    `${relay.name}: ${of((row) => row.gbitPerSecond)} Gbit/s, relay ${of((row) => row.relaySecondsPerGb)} CPU s/GB, ` +
      `whole machine ${of((row) => row.cpuSecondsPerGb)} CPU s/GB\n`,
  )
}
