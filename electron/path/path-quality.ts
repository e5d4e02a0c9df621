// Whether a path that works loses too much to be worth using, told by which of its pings were answered. A path that is
// silent for a while and then back is not lossy, nor one that was so twice: only losses that come and go count.

import type { Endpoint } from '../base/endpoint.ts'

/** Pings looked back on; some 14 s while data flows. */
const WINDOW = 20
const WINDOW_MS = 30_000
/** Paths whose pings are remembered; a pair that moves to and fro has two. */
const MOST_PATHS = 4
/**
 * Lost pings, there or back, and how often losing began anew: a path that was gone twice has lost many pings and began
 * twice. A quarter lost means about one packet in eight each way; a half is worth a quicker word.
 */
const BOUNDS = [
  { leastSamples: 15, leastLost: 5, leastRuns: 4, leastShare: 0.25 },
  { leastSamples: 7, leastLost: 4, leastRuns: 3, leastShare: 0.5 },
] as const

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

const lostRuns = (samples: readonly Sample[]): number =>
  samples.filter(({ answered }, index) => !answered && samples[index - 1]?.answered !== false).length

/** Answers in a row that are asked of a path whatever it did before. */
const MOST_IN_A_ROW = 4

/**
 * A path that fell silent lately is back when it answers as often in a row as it fell silent, and once more: one that loses
 * many packets answers now and then as well, and data would go there again.
 */
export function isShaky(quality: Quality, endpoint: Endpoint): boolean {
  const samples = quality.get(endpoint) ?? []
  const inARow = samples.length - 1 - samples.findLastIndex(({ answered }) => !answered)
  return inARow < Math.min(1 + lostRuns(samples), MOST_IN_A_ROW) && lostRuns(samples) > 0
}

export function isLossy(quality: Quality, endpoint: Endpoint): boolean {
  const samples = quality.get(endpoint) ?? []
  const lost = samples.filter(({ answered }) => !answered).length
  const runs = lostRuns(samples)
  return BOUNDS.some(
    ({ leastSamples, leastLost, leastRuns, leastShare }) =>
      samples.length >= leastSamples && lost >= Math.max(leastLost, leastShare * samples.length) && runs >= leastRuns,
  )
}
