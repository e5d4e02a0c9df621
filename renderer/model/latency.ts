// The latency of each machine over the last minutes, as it was told: a step line, since a value holds until another comes.

import type { AgentSnapshot, NodeId, PeerView } from '../../electron/contract/snapshot.ts'

export const LATENCY_KEPT_MS = 15 * 60_000
/** Per machine; a latency that changes more often than every five seconds loses its oldest minutes. */
const MOST_SAMPLES = 180
const MOST_MACHINES = 2_000

export interface LatencySample {
  readonly atMs: number
  /** Undefined while no path answers or nothing is sent. */
  readonly latencyMs: number | undefined
}

export class LatencyLog {
  readonly #machines = new Map<NodeId, LatencySample[]>()

  note({ state, peers }: AgentSnapshot, nowMs: number): void {
    for (const id of this.#machines.keys()) if (!peers[id]) this.#machines.delete(id)
    for (const peer of Object.values(peers))
      this.add(peer.id, { atMs: nowMs, latencyMs: state === 'running' ? measured(peer) : undefined })
  }

  add(id: NodeId, sample: LatencySample): void {
    const samples = this.#machines.get(id) ?? []
    if (samples.length === 0 && (sample.latencyMs === undefined || this.#machines.size >= MOST_MACHINES)) return
    if (samples.at(-1)?.latencyMs === sample.latencyMs) return
    samples.push(sample)
    // The one before the window says how it begins.
    while (samples.length > MOST_SAMPLES || (samples[1]?.atMs ?? Infinity) < sample.atMs - LATENCY_KEPT_MS)
      samples.shift()
    this.#machines.set(id, samples)
  }

  of(id: NodeId): readonly LatencySample[] {
    return this.#machines.get(id) ?? []
  }
}

const measured = ({ path, online, expired }: PeerView): number | undefined =>
  path.kind === 'none' || path.idle || expired || online === false ? undefined : path.latencyMs

export interface LatencyLine {
  readonly minutes: number
  readonly leastMs: number
  readonly mostMs: number
  /** Labels of the three lines, from the top. */
  readonly labels: readonly [number, number, number]
  /** An SVG path in a box of 100 × 100; gaps where nothing was measured. */
  readonly path: string
  /** Where the line stands now, from the top of the box; undefined when it has ended. */
  readonly nowAt: number | undefined
}

/** A shorter line is a dot. */
const LEAST_MS = 10_000
const WINDOWS_MINUTES = [1, 2, 5, 10, 15]

/** Undefined when nothing was measured within the window. */
export function latencyLine(samples: readonly LatencySample[], nowMs: number): LatencyLine | undefined {
  const first = samples[0]
  if (!first || nowMs - first.atMs < LEAST_MS) return undefined
  const ageMinutes = (nowMs - first.atMs) / 60_000
  const minutes = WINDOWS_MINUTES.find((one) => ageMinutes <= one) ?? 15
  const fromMs = nowMs - minutes * 60_000
  const spans = samples.flatMap(({ atMs, latencyMs }, index) => {
    const untilMs = samples[index + 1]?.atMs ?? nowMs
    return latencyMs === undefined || untilMs < fromMs ? [] : [{ fromMs: Math.max(atMs, fromMs), untilMs, latencyMs }]
  })
  if (spans.length === 0) return undefined
  const all = spans.map(({ latencyMs }) => latencyMs)
  const [leastMs, mostMs] = [Math.min(...all), Math.max(...all)]
  const labels = scale(leastMs, mostMs)
  const x = (ms: number): string => (((ms - fromMs) / (nowMs - fromMs)) * 100).toFixed(2)
  const y = (ms: number): number => ((labels[0] - ms) / (labels[0] - labels[2])) * 100
  let endedMs = -1
  let path = ''
  for (const span of spans) {
    const isOn = span.fromMs === endedMs
    path += `${isOn ? 'L' : 'M'}${x(span.fromMs)} ${y(span.latencyMs).toFixed(1)}L${x(span.untilMs)} ${y(span.latencyMs).toFixed(1)}`
    endedMs = span.untilMs
  }
  const last = samples.at(-1)?.latencyMs
  return { minutes, leastMs, mostMs, labels, path, nowAt: last === undefined ? undefined : y(last) }
}

const NICE_STEPS = [1, 2, 5, 10, 15, 20, 30, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000]

/** Three round numbers with all values between the outer two. */
function scale(leastMs: number, mostMs: number): readonly [number, number, number] {
  for (const step of NICE_STEPS) {
    const bottom = Math.max(Math.round((leastMs + mostMs) / 2 / step) - 1, 0) * step
    if (bottom <= leastMs && bottom + 2 * step >= mostMs) return [bottom + 2 * step, bottom + step, bottom]
  }
  return [Math.ceil(mostMs), Math.ceil(mostMs / 2), 0]
}
