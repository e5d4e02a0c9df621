// A datagram each 20 ms from one node to another and back, and what can be read off its answers: gaps and losses.

import { fileURLToPath } from 'node:url'
import { addressOf, type MeshNode } from '../lab/mesh-node.ts'
import { until, type LabProcess } from '../lab/process.ts'

const PROGRAM = fileURLToPath(new URL('udp-flow.mjs', import.meta.url))
const PORT = 7_777
const EVERY_MS = 20
/** Larger than any packet of discovery, so that a capture can tell them apart. */
export const DATAGRAM_BYTES = 500

export const wallMs = (): number => performance.timeOrigin + performance.now()
export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

interface Answer {
  readonly number: number
  readonly sentMs: number
  readonly answeredMs: number
}

/** The far end, once for each node; it outlives restarts of the node. */
export async function startEcho(node: MeshNode): Promise<void> {
  const echo = node.machine.ns.start([process.execPath, PROGRAM, 'echo', String(PORT)], {
    name: `echo-${node.hostname}`,
  })
  await echo.waitForOutput(/^listening$/m)
}

export class UdpFlow {
  readonly #process: LabProcess

  constructor(process: LabProcess) {
    this.#process = process
  }

  static async start(from: MeshNode, to: MeshNode): Promise<UdpFlow> {
    const args = ['send', await addressOf(to), String(PORT), String(EVERY_MS), String(DATAGRAM_BYTES)]
    const flow = new UdpFlow(from.machine.ns.start([process.execPath, PROGRAM, ...args], { name: 'flow' }))
    await flow.#process.waitForOutput(/^first /m)
    return flow
  }

  async stop(): Promise<void> {
    await this.#process.stop()
  }

  get firstSentMs(): number {
    return Number(/^first (\S+)$/m.exec(this.#process.stdout)?.[1])
  }

  get answers(): readonly Answer[] {
    return [...this.#process.stdout.matchAll(/^(\d+) (\S+) (\S+)$/gm)].map(([, number, sent, answered]) => ({
      number: Number(number),
      sentMs: Number(sent),
      answeredMs: Number(answered),
    }))
  }

  firstAnsweredMs(sinceMs = 0): number | undefined {
    return this.answers.find(({ answeredMs }) => answeredMs > sinceMs)?.answeredMs
  }

  /** The first answer after the longest silence since then; for a fresh flow, its first answer. */
  backMs(sinceMs: number): number {
    return this.#longest(sinceMs).untilMs
  }

  /** The longest time without an answer since shortly before then; Infinity while there is none yet. */
  gapMs(sinceMs: number): number {
    const { fromMs, untilMs } = this.#longest(sinceMs)
    return untilMs - fromMs
  }

  #longest(sinceMs: number): { readonly fromMs: number; readonly untilMs: number } {
    const times = this.answers.map(({ answeredMs }) => answeredMs)
    const before = times.filter((ms) => ms <= sinceMs).at(-1) ?? this.firstSentMs
    const inside = [before, ...times.filter((ms) => ms > sinceMs)]
    let longest = { fromMs: before, untilMs: before }
    for (const [index, untilMs] of inside.entries()) {
      const fromMs = inside[index - 1] ?? untilMs
      if (untilMs - fromMs > longest.untilMs - longest.fromMs) longest = { fromMs, untilMs }
    }
    return inside.length > 1 ? longest : { fromMs: before, untilMs: Infinity }
  }

  /** Datagrams sent in that time that never came back. To be asked when the last of them had time to. */
  lost(fromMs: number, untilMs: number): number {
    const numbers = this.answers
      .filter(({ sentMs }) => sentMs >= fromMs && sentMs <= untilMs)
      .map(({ number }) => number)
    if (numbers.length === 0) return Math.round((untilMs - fromMs) / EVERY_MS)
    return Math.max(...numbers) - Math.min(...numbers) + 1 - numbers.length
  }

  /** Waits until answers come again after what happened at `sinceMs`; false when they do not. */
  async isBack(sinceMs: number, timeoutMs: number): Promise<boolean> {
    const isFlowing = (): boolean => {
      const last = this.answers.at(-1)
      // Sent after the event: what was under way when it happened proves nothing.
      return last !== undefined && last.sentMs > sinceMs + 200 && wallMs() - last.answeredMs < 200
    }
    return until(() => Promise.resolve(isFlowing()), { timeoutMs, everyMs: 100, what: 'answers' }).then(
      () => true,
      () => false,
    )
  }
}
