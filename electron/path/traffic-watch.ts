// What the data plane's counters say of the way to a peer, looked at about once a second. WireGuard answers data within ten
// seconds, if only with an empty packet; so data that nothing comes back for is a sign, whatever it is.

import type { Load } from './size-check.ts'

/** Counters of one peer; monotonic ms, 0 for never. */
export interface Counted {
  readonly rxBytes: number
  readonly txBytes: number
  readonly lastSendMs: number
  /** The last authenticated packet. */
  readonly lastReceiveMs: number
  /** Since when handshakes are asked for in vain; 0 for no need. */
  readonly askingSinceMs: number
}

export interface Traffic extends Counted {
  readonly atMs: number
  /** Looked at without a longer pause. */
  readonly sinceMs: number
  readonly load: Load
  readonly hasSent: boolean
  /** When much came in within one look. */
  readonly bulkInAtMs: number | undefined
  /** Since when data goes out and nothing comes back. */
  readonly unansweredSinceMs: number | undefined
}

/** In one look: a few full packets may be among it. */
const BULK_BYTES = 4_000
/** Three round trips around the world, and what a busy machine adds. */
const SILENT_MS = 1_500
/** What came in ended longer ago than this: it was no more than done. */
const STARVED_MS = 6_000
/** After a longer pause between two looks this process slept, and nothing can be said. */
const LOST_SIGHT_MS = 5_000

/** Times are counted back from two clocks: the same one differs a little from look to look. */
const SAME_MS = 1
const isLater = (a: number, b: number): boolean => a - b > SAME_MS

export function nextTraffic(
  before: Traffic | undefined,
  counted: Counted,
  answersAsks: boolean,
  nowMs: number,
): Traffic {
  const { rxBytes, txBytes, lastSendMs, lastReceiveMs, askingSinceMs } = counted
  const known = before && nowMs - before.atMs <= LOST_SIGHT_MS ? before : undefined
  const isOwed = lastSendMs > lastReceiveMs
  const isSame = known !== undefined && !isLater(lastReceiveMs, known.lastReceiveMs)
  const unansweredSinceMs = isOwed ? ((isSame ? known.unansweredSinceMs : undefined) ?? nowMs) : undefined
  const unansweredMs = unansweredSinceMs === undefined ? 0 : nowMs - unansweredSinceMs
  const isBulkIn = known !== undefined && rxBytes - known.rxBytes >= BULK_BYTES
  const bulkInAtMs = isBulkIn ? nowMs : known?.bulkInAtMs
  const starvedMs = bulkInAtMs === undefined ? 0 : nowMs - bulkInAtMs
  return {
    rxBytes,
    txBytes,
    lastSendMs,
    lastReceiveMs,
    askingSinceMs,
    atMs: nowMs,
    sinceMs: known?.sinceMs ?? nowMs,
    bulkInAtMs,
    hasSent: isLater(lastSendMs, before?.lastSendMs ?? 0),
    unansweredSinceMs,
    load: {
      isBulk: known !== undefined && txBytes - known.txBytes >= BULK_BYTES,
      isSilent: unansweredMs >= SILENT_MS,
      isAlive: lastReceiveMs > 0 && nowMs - lastReceiveMs <= LOST_SIGHT_MS,
      isStarved: starvedMs >= SILENT_MS && starvedMs <= STARVED_MS,
      unansweredMs,
      askingMs: askingSinceMs > 0 && known ? Math.min(nowMs - askingSinceMs, nowMs - known.sinceMs) : 0,
      answersAsks,
    },
  }
}
