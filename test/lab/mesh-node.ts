// What tests ask of any node of a tailnet, ours or a stock one: the two are told apart by their launchers only.

import assert from 'node:assert/strict'
import type { Machine } from './lab.ts'
import { until } from './process.ts'

export type PathKind = 'direct' | 'derp' | 'peer-relay'

export interface Pong {
  readonly via: PathKind
  /** As the program printed it. */
  readonly text: string
}

export interface MeshNode {
  readonly hostname: string
  readonly machine: Machine
  /** Its addresses in the tailnet. */
  addresses(): Promise<readonly string[]>
  /** One ping below the systems; undefined when no pong came. */
  ping(target: string, timeoutSeconds?: number): Promise<Pong | undefined>
  /** What it complains of at the moment. */
  health(): Promise<readonly string[]>
  log(): string
}

/** The IPv4 address in the tailnet. */
export async function addressOf(node: MeshNode): Promise<string> {
  const address = (await node.addresses()).find((ip) => !ip.includes(':'))
  if (address === undefined) throw new Error(`${node.hostname} has no IPv4 address in the tailnet`)
  return address
}

/** Pings until a pong took this way. */
export async function pingUntil(from: MeshNode, to: MeshNode, via: PathKind, timeoutMs: number): Promise<Pong> {
  const target = await addressOf(to)
  let last: Pong | undefined
  return until(
    async () => {
      last = await from.ping(target, 2)
      return last?.via === via ? last : undefined
    },
    {
      timeoutMs,
      everyMs: 200,
      what: `${from.hostname} to reach ${to.hostname} by ${via}`,
      explain: () =>
        [
          `last: ${last?.text ?? 'no pong'}`,
          ...[from, to].map((node) => `--- ${node.hostname}\n${tail(node.log())}`),
        ].join('\n'),
    },
  )
}

/** Sends the system's own ping, one echo at a time, until one is answered. Returns how long that took. */
export async function systemPingUntil(from: MeshNode, address: string, timeoutMs: number): Promise<number> {
  const started = performance.now()
  let last = ''
  await until(
    async () => {
      const result = await from.machine.ns.tryRun(['ping', '-n', '-c', '1', '-W', '1', address])
      last = result.stdout + result.stderr
      return result.status === 0
    },
    {
      timeoutMs,
      what: `the system's ping from ${from.hostname} to ${address} to be answered`,
      explain: () => `${last}\n--- ${from.hostname}\n${tail(from.log())}`,
    },
  )
  return performance.now() - started
}

const tail = (log: string) => log.slice(-3_000)

/**
 * Every ordered pair: the systems' own ping over every tailnet address, and a ping below the systems that takes the wanted
 * way. Data comes first: it starts the search for a direct path, which a stock client's own pings put off, as each counts as
 * a try and a new one is due five seconds after the last. All pairs are tried before the first failure is told.
 */
export async function everyPairTalks(nodes: readonly MeshNode[], via: PathKind, timeoutMs: number): Promise<void> {
  const failures: string[] = []
  for (const from of nodes) {
    for (const to of nodes) {
      if (from === to) continue
      try {
        for (const address of await to.addresses()) await systemPingUntil(from, address, timeoutMs)
        await pingUntil(from, to, via, timeoutMs)
      } catch (error) {
        failures.push(error instanceof Error ? error.message : String(error))
      }
    }
  }
  assert.equal(failures.length, 0, `${failures.length} pairs failed:\n${failures.join('\n\n')}`)
}
