// Which DERP region is our home. Sticky on purpose: every move makes all peers learn a new place.
// Reference: tailscale net/netcheck/netcheck.go, addReportHistoryAndSetPreferredDERP.

import type { DerpMap } from './derp-map.ts'
import type { NetcheckReport } from './report.ts'

export const HISTORY_MS = 5 * 60_000 + 5_000
const ABSOLUTE_GAIN_MS = 10
const RELATIVE_GAIN = 2 / 3
/** A frame from the home this recently, or since the check began, shows it alive though its STUN was lost. */
const FRAME_MS = 8_000
const KEEP_WITHOUT_LATENCY_MS = 120_000

export interface HomeInput {
  readonly map: DerpMap
  readonly report: NetcheckReport
  /** Earlier reports, not older than HISTORY_MS. */
  readonly history: readonly NetcheckReport[]
  readonly current: number | undefined
  readonly nowMs: number
  /** When a DERP frame from the region last came. */
  readonly heardAtMs: (region: number) => number | undefined
}

export function chooseHome(input: HomeInput): number | undefined {
  const { map, report, history, current, nowMs } = input
  const inMap = new Map(map.regions.map((region) => [region.id, region]))
  const bestMs = (region: number): number => {
    const score = inMap.get(region)?.score ?? 1
    const seen = [report, ...history].map((one) => one.regionLatencyMs.get(region) ?? Infinity)
    return Math.min(...seen) * (score > 0 ? score : 1)
  }
  let candidate: number | undefined
  for (const region of report.regionLatencyMs.keys()) {
    const known = inMap.get(region)
    if (!known || known.noMeasureNoHome) continue
    if (candidate === undefined || bestMs(region) < bestMs(candidate)) candidate = region
  }
  if (current === undefined || current === candidate || !inMap.has(current)) return candidate
  const heard = input.heardAtMs(current)
  if (candidate === undefined)
    return heard !== undefined && nowMs - heard < KEEP_WITHOUT_LATENCY_MS ? current : undefined
  const measured = report.regionLatencyMs.get(current)
  const alive = heard !== undefined && (heard >= report.startedAtMs || nowMs - heard < FRAME_MS)
  if (measured === undefined && !alive) return candidate
  const currentMs = measured ?? 0
  const gain = currentMs - bestMs(candidate)
  return gain < ABSOLUTE_GAIN_MS || bestMs(candidate) > currentMs * RELATIVE_GAIN ? current : candidate
}
