// What is measured of one tunnel: throughput of one TCP stream, the processor time it cost, UDP round trips.

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Namespace } from '../lab/netns.ts'

const PINGPONG = fileURLToPath(new URL('pingpong.mjs', import.meta.url))
const IPERF_PORT = 5_201
const PINGPONG_PORT = 5_300

/** The first round trips pay for warming up: caches, the interpreter's compiler. */
const PINGPONG_WARMUP = 500

/** USER_HZ: what /proc/stat counts in. It is 100 on every Linux that is met. */
const TICKS_PER_SECOND = 100

export interface Ends {
  readonly client: Namespace
  readonly server: Namespace
  /** The server's address inside the tunnel. */
  readonly address: string
}

export interface Throughput {
  readonly gbitPerSecond: number
  /** Of the whole machine, all programs and the kernel, for each 10^9 bytes received. */
  readonly cpuSecondsPerGb: number
  readonly retransmits: number
}

export interface Latency {
  readonly p50Us: number
  readonly p99Us: number
}

/** Seconds that the machine's processors were busy since it started. */
export function busySeconds(stat = readFileSync('/proc/stat', 'utf8')): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = (/^cpu +(.*)$/m.exec(stat)?.[1] ?? '')
    .split(' ')
    .map(Number)
  return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND
}

/** How busy the machine is without us, in processors: above about 0.1 the figures are not worth much. */
export async function backgroundLoad(seconds = 1): Promise<number> {
  const before = busySeconds()
  await sleep(seconds * 1000)
  return (busySeconds() - before) / seconds
}

interface IperfResult {
  readonly error?: string
  readonly end: {
    readonly sum_received: { readonly bits_per_second: number; readonly bytes: number }
    readonly sum_sent: { readonly retransmits?: number }
  }
}

export async function measureTcp(ends: Ends, seconds: number): Promise<Throughput> {
  const port = String(IPERF_PORT)
  const server = ends.server.start(['iperf3', '-s', '-1', '-B', ends.address, '-p', port, '--forceflush'])
  await server.waitForOutput(/Server listening/)
  const before = busySeconds()
  const text = await ends.client.run(['iperf3', '-c', ends.address, '-p', port, '-t', String(seconds), '-J'], {
    timeoutMs: (seconds + 20) * 1000,
  })
  const busy = busySeconds() - before
  await server.stop()
  const result = JSON.parse(text) as IperfResult
  if (result.error !== undefined) throw new Error(`iperf3: ${result.error}`)
  return {
    gbitPerSecond: result.end.sum_received.bits_per_second / 1e9,
    cpuSecondsPerGb: busy / (result.end.sum_received.bytes / 1e9),
    retransmits: result.end.sum_sent.retransmits ?? 0,
  }
}

export async function measureLatency(ends: Ends, count: number): Promise<Latency> {
  const port = String(PINGPONG_PORT)
  const server = ends.server.start([process.execPath, PINGPONG, 'serve', ends.address, port], { name: 'pingpong' })
  await server.waitForOutput(/serving/)
  const asked = PINGPONG_WARMUP + count
  const text = await ends.client.run([process.execPath, PINGPONG, 'ask', ends.address, port, String(asked)], {
    timeoutMs: 60_000,
  })
  await server.stop()
  const times = (JSON.parse(text) as number[]).slice(PINGPONG_WARMUP).sort((a, b) => a - b)
  return { p50Us: percentile(times, 0.5), p99Us: percentile(times, 0.99) }
}

/** Of sorted values; the nearest rank. */
export function percentile(sorted: readonly number[], part: number): number {
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? Number.NaN
}

export function median(values: readonly number[]): number {
  return percentile(
    values.toSorted((a, b) => a - b),
    0.5,
  )
}
