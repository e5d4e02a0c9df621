// Whether a path that works loses too much to be worth using, told by which of its pings were answered. A path that is
// silent for a while and then back is not lossy: only losses that come and go count.

import type { Endpoint } from '../base/endpoint.ts'

/** Pings looked back on; some 14 s while data flows. */
const WINDOW = 20
const WINDOW_MS = 30_000
const LEAST_SAMPLES = 15
/** Paths whose pings are remembered; a pair that moves to and fro has two. */
const MOST_PATHS = 4
/** Lost pings, there or back: a quarter means about one packet in eight each way. */
const MOST_LOST = 4
const LEAST_RUNS = 3
const LONGEST_RUN = 4

interface Sample {
  readonly atMs: number
  readonly answered: boolean
}

/** By endpoint, newest sample last: kept also while another path is used, as a bad one keeps coming back. */
export type Quality = ReadonlyMap<Endpoint, readonly Sample[]>

export function withSample(quality: Quality, endpoint: Endpoint, answered: boolean, nowMs: number): Quality {
  const next = new Map(quality)
  next.delete(endpoint)
  const samples = [...(quality.get(endpoint) ?? []), { atMs: nowMs, answered }]
  next.set(endpoint, samples.filter(({ atMs }) => nowMs - atMs <= WINDOW_MS).slice(-WINDOW))
  for (const oldest of next.keys()) {
    if (next.size <= MOST_PATHS) break
    next.delete(oldest)
  }
  return next
}

export function isLossy(quality: Quality, endpoint: Endpoint): boolean {
  const samples = quality.get(endpoint) ?? []
  const runs: number[] = []
  for (const [index, { answered }] of samples.entries()) {
    if (answered) continue
    if (samples[index - 1]?.answered === false) runs.push((runs.pop() ?? 0) + 1)
    else runs.push(1)
  }
  // More in a row is a path that was gone for a while, not one that loses packets.
  const short = runs.filter((length) => length <= LONGEST_RUN)
  const lost = short.reduce((sum, length) => sum + length, 0)
  return samples.length >= LEAST_SAMPLES && lost > MOST_LOST && short.length >= LEAST_RUNS
}
