// Compares tunnels between two network namespaces on this machine, all in one run: what matters are the ratios, since
// absolute figures are the machine's.
//
//   npm run bench:tunnel -- [--seconds 5] [--rounds 3] [--only ours,tailscaled] [--json]

import { cpus, release } from 'node:os'
import { parseArgs } from 'node:util'
import { labUnavailable, Namespaces } from '../lab/netns.ts'
import {
  backgroundLoad,
  measureLatency,
  measureTcp,
  median,
  type Ends,
  type Latency,
  type Throughput,
} from './measure.ts'
import { SUBJECTS } from './subjects.ts'

const PINGPONG_COUNT = 3_000

interface Row {
  readonly name: string
  readonly skipped: string | undefined
  readonly tcp: Throughput[]
  readonly latency: Latency[]
}

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
})

async function main(): Promise<void> {
  const seconds = Number(values.seconds)
  const rounds = Number(values.rounds)
  if (!(seconds > 0) || !(rounds > 0)) throw new Error('--seconds and --rounds want numbers above 0')
  const unavailable = labUnavailable()
  if (unavailable !== undefined) throw new Error(unavailable)
  const wanted = values.only?.split(',')
  const subjects = SUBJECTS.filter((subject) => wanted?.some((word) => subject.name.includes(word)) ?? true)

  const nets = new Namespaces()
  try {
    const rows: { row: Row; ends: Ends }[] = []
    const skipped: Row[] = []
    for (const subject of subjects) {
      const skip = (reason: string) => skipped.push({ name: subject.name, skipped: reason, tcp: [], latency: [] })
      if (subject.unavailable !== undefined) {
        skip(subject.unavailable)
        continue
      }
      try {
        say(`setting up ${subject.name}`)
        const ends = await subject.setUp(nets)
        await measureTcp(ends, 1) // the handshake and the first growth of windows are not what is measured
        rows.push({ row: { name: subject.name, skipped: undefined, tcp: [], latency: [] }, ends })
      } catch (error) {
        skip(`failed: ${error instanceof Error ? error.message : String(error)}`)
      }
    }
    const load = await backgroundLoad()
    // Round by round, not subject by subject: what else happens on the machine then meets all of them.
    for (let round = 1; round <= rounds; round += 1) {
      for (const { row, ends } of rows) {
        say(`round ${round} of ${rounds}: ${row.name}`)
        row.tcp.push(await measureTcp(ends, seconds))
        row.latency.push(await measureLatency(ends, PINGPONG_COUNT))
      }
    }
    print([...rows.map(({ row }) => row), ...skipped], load, seconds, rounds)
  } finally {
    await nets.close()
  }
}

function print(rows: readonly Row[], load: number, seconds: number, rounds: number): void {
  if (values.json) {
    process.stdout.write(`${JSON.stringify({ cpus: cpus().length, load, seconds, rounds, rows }, undefined, 2)}\n`)
    return
  }
  const speed = (row: Row | undefined) => median((row?.tcp ?? []).map((tcp) => tcp.gbitPerSecond))
  const measured = rows.filter((row) => row.tcp.length > 0)
  const base = speed(measured.find((row) => row.name === 'bare veth'))
  const rival = speed(measured.find((row) => row.name.startsWith('tailscaled')))
  const ratio = (value: number, to: number) => (Number.isNaN(to) ? '–' : `×${(value / to).toFixed(2)}`)
  const table = [
    ['', 'Gbit/s', '(from – to)', 'CPU s/GB', 'p50 µs', 'p99 µs', 'to tailscaled', 'to veth'],
    ...measured.map((row) => {
      const speeds = row.tcp.map((tcp) => tcp.gbitPerSecond)
      return [
        row.name,
        speed(row).toFixed(2),
        `${Math.min(...speeds).toFixed(2)} – ${Math.max(...speeds).toFixed(2)}`,
        median(row.tcp.map((tcp) => tcp.cpuSecondsPerGb)).toFixed(2),
        median(row.latency.map((latency) => latency.p50Us)).toFixed(0),
        median(row.latency.map((latency) => latency.p99Us)).toFixed(0),
        ratio(speed(row), rival),
        ratio(speed(row), base),
      ]
    }),
  ]
  const widths = table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? []
  const lines = table.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  '),
  )
  const [cpu] = cpus()
  process.stdout.write(
    [
      `${cpus().length} × ${cpu?.model.trim() ?? 'unknown processor'}, Linux ${release()}; one TCP stream of ${seconds} s, ` +
        `${PINGPONG_COUNT} UDP round trips, medians of ${rounds} rounds; busy before: ${load.toFixed(2)} processors`,
      '',
      ...lines,
      '',
      ...rows.filter((row) => row.skipped !== undefined).map((row) => `skipped ${row.name}: ${row.skipped}`),
      ...(load > 0.1 ? ['The machine was busy with other work: these figures are not to be quoted.'] : []),
      '',
    ].join('\n'),
  )
}

/** Progress is for people: stderr, and only a terminal. */
function say(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`${text}\n`)
}

await main()
