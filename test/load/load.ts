// What a coordination server bears, ours beside a stock one in one run: npm run bench:coord -- --nodes 1000
//
//   --nodes N      machines (300)
//   --segments N   groups whose members see each other only (1: everyone sees everyone)
//   --servers N    of ours, on one PostgreSQL; one of several is killed in the end (1)
//   --only NAME    ours or headscale
//   --within S     all come back within that many seconds of the break (10)
//   --check        fail when ours misses its targets
//
// The crowd is on the same machine as the server and takes its share of it; CPU seconds and memory are the server's own.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { messageOf } from '../../electron/base/errors.ts'
import { createLab } from '../lab/lab.ts'
import { labUnavailable } from '../lab/netns.ts'
import { stockUnavailable } from '../stock/binaries.ts'
import { table, type CrowdPlan, type PhaseReport } from './report.ts'
import { moreHost, startServer, type LoadServer, type ServerName } from './servers.ts'
import { missedTargets } from './targets.ts'

const CROWD = fileURLToPath(new URL('crowd.ts', import.meta.url))
const PHASES = ['register', 'delta', 'repeat', 'return'] as const
const PHASE_MS = 240_000
/** Limits by address are meant for offices, not for a whole crowd on one machine. */
const SOURCES = 20
/** USER_HZ. */
const TICKS_PER_SECOND = 100

export interface LoadOptions {
  readonly nodes: number
  readonly segments: number
  readonly returnWithinMs: number
  /** Of ours, on one PostgreSQL. */
  readonly servers?: number
}

export type LoadResult = ReadonlyMap<string, PhaseReport>

/** Builds the lab, runs all phases against one server, and takes it down again. */
export async function load(name: ServerName, options: LoadOptions): Promise<LoadResult> {
  const servers = name === 'ours' ? (options.servers ?? 1) : 1
  const hosts = Array.from({ length: servers - 1 }, (_, i) => moreHost(i + 1))
  const lab = await createLab({ sites: [], hosts: ['crowd', ...hosts] })
  let server: LoadServer | undefined
  try {
    server = await startServer(name, lab, { ...options, servers }, join(lab.dir, 'policy.hujson'))
    const crowdHost = lab.host('crowd')
    const sources = Array.from({ length: SOURCES }, (_, i) => `10.77.200.${i + 1}`)
    await crowdHost.ns.ip(...sources.map((address) => `addr add ${address}/16 dev eth0`))
    const segments = options.segments === 1 ? [undefined] : Array.from({ length: options.segments }, (_, i) => i)
    const authKeys: string[] = []
    for (const segment of segments) authKeys.push(await server.authKey(segment))
    const plan: CrowdPlan = {
      urls: server.urls,
      authKeys,
      sources,
      nodes: options.nodes,
      returnWithinMs: options.returnWithinMs,
    }
    const crowd = crowdHost.ns.start([process.execPath, '--import', 'tsx', CROWD, JSON.stringify(plan)], {
      name: 'crowd',
    })
    const reports = new Map<string, PhaseReport>()
    let pids = server.pids
    let usedSeconds = cpuSeconds(pids)
    for (const phase of servers > 1 ? [...PHASES, 'move'] : PHASES) {
      if (phase === 'move') {
        server.killLast()
        pids = pids.slice(0, -1)
        usedSeconds = cpuSeconds(pids)
      }
      const [line] = await crowd.waitForOutput(new RegExp(`^\\{"phase":"${phase}".*\\}$`, 'm'), PHASE_MS)
      const report = JSON.parse(line) as PhaseReport
      const nowSeconds = cpuSeconds(pids)
      const values = {
        ...report.values,
        cpuSeconds: nowSeconds - usedSeconds,
        peakMiB: memoryMiB(pids, 'VmHWM'),
        heldMiB: memoryMiB(pids, 'VmRSS'),
        ...(phase === 'move' && { sharedAddresses: await server.sharedAddresses() }),
      }
      reports.set(phase, { ...report, values })
      usedSeconds = nowSeconds
    }
    await crowd.stop()
    return reports
  } finally {
    await lab.close()
    await server?.close()
  }
}

/** Of all servers together. */
function cpuSeconds(pids: readonly number[]): number {
  const ticks = pids.map((pid) => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ')
    return Number(fields[11]) + Number(fields[12])
  })
  return ticks.reduce((sum, one) => sum + one, 0) / TICKS_PER_SECOND
}

/** Of the largest. */
function memoryMiB(pids: readonly number[], which: 'VmHWM' | 'VmRSS'): number {
  const line = new RegExp(`^${which}:\\s+(\\d+) kB$`, 'm')
  return Math.max(...pids.map((pid) => Number(line.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024))
}

function shown(options: LoadOptions, results: ReadonlyMap<ServerName, LoadResult>): string {
  const row = (title: string, phase: string, value: string, digits = 0): string[] => {
    const cells = [...results.values()].map((result) => result.get(phase)?.values[value])
    return [title, ...cells.map((cell) => (cell === undefined || Number.isNaN(cell) ? '–' : cell.toFixed(digits)))]
  }
  const rows = [
    row('all registered, s', 'register', 'registeredSeconds', 1),
    row('all maps complete, s', 'register', 'completeSeconds', 1),
    row('never complete', 'register', 'incomplete'),
    row('CPU s of the server', 'register', 'cpuSeconds', 1),
    row('memory then, MiB', 'register', 'heldMiB'),
    row('endpoint change at the others: p50, ms', 'delta', 'p50Ms'),
    row('p99, ms', 'delta', 'p99Ms'),
    row('not told within 15 s', 'delta', 'missed'),
    row('message, bytes', 'delta', 'bytes'),
    row('CPU s', 'delta', 'cpuSeconds', 1),
    row('messages for ten reports without news', 'repeat', 'messages'),
    row('all drop and return: all back, s', 'return', 'allSeconds', 1),
    row('from the own return to the whole map: p50, ms', 'return', 'p50Ms'),
    row('p95, ms', 'return', 'p95Ms'),
    row('slowest, ms', 'return', 'maxMs'),
    row('not back within 75 s', 'return', 'incomplete'),
    row('shown offline while connected', 'return', 'shownOffline'),
    row('CPU s', 'return', 'cpuSeconds', 1),
    row('memory then, MiB', 'return', 'heldMiB'),
    row('most memory of all time, MiB', 'return', 'peakMiB'),
    ...((options.servers ?? 1) === 1
      ? []
      : [
          row('one server is killed: all at another, s', 'move', 'allSeconds', 1),
          row('not there within 75 s', 'move', 'incomplete'),
          row('shown offline while connected', 'move', 'shownOffline'),
          row('addresses given twice', 'move', 'sharedAddresses'),
        ]),
  ]
  const groups = options.segments === 1 ? 'one mesh' : `${options.segments} segments`
  return table([`${options.nodes} machines, ${groups}`, ...results.keys()], rows)
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      nodes: { type: 'string', default: '300' },
      segments: { type: 'string', default: '1' },
      servers: { type: 'string', default: '1' },
      within: { type: 'string', default: '10' },
      only: { type: 'string' },
      check: { type: 'boolean', default: false },
    },
  })
  const options = {
    nodes: whole(values.nodes, '--nodes'),
    segments: whole(values.segments, '--segments'),
    returnWithinMs: whole(values.within, '--within') * 1_000,
    servers: whole(values.servers, '--servers'),
  }
  if (options.nodes % options.segments !== 0) throw new Error('--nodes must be a multiple of --segments.')
  const unavailable = labUnavailable()
  if (unavailable !== undefined) throw new Error(`This needs network namespaces: ${unavailable}.`)
  const names = (['ours', 'headscale'] as const).filter((name) => values.only === undefined || values.only === name)
  const results = new Map<ServerName, LoadResult>()
  for (const name of names) {
    const missing = name === 'headscale' ? stockUnavailable('headscale') : undefined
    if (missing !== undefined) {
      console.error(`headscale is left out: ${missing}`)
      continue
    }
    console.error(`${name}: ${options.nodes} machines …`)
    const result = await load(name, options).catch((error: unknown) => {
      console.error(`${name}: ${messageOf(error)}`)
      process.exitCode = 1
    })
    if (!result) continue
    results.set(name, result)
    for (const { phase, note } of result.values()) if (note !== undefined) console.error(`${name}: ${phase}: ${note}`)
  }
  console.log(`\n${shown(options, results)}`)
  const ours = results.get('ours')
  const missed = ours ? missedTargets(ours, options) : []
  for (const line of missed) console.error(`missed: ${line}`)
  if (values.check && missed.length > 0) process.exitCode = 1
}

function whole(text: string, name: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new Error(`${name} wants a whole number, not "${text}".`)
  return value
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main()
