// Whether data passes on a path that answers pings. Some middleboxes know WireGuard by its first byte and drop it; nothing
// tells of that but the silence. A peer that merely has nothing to say is not silent: WireGuard answers data within ten
// seconds with an empty packet, and a peer that is asked inside the tunnel answers at once (paths.md §7.2, §7.6).

import type { Endpoint } from '../base/endpoint.ts'
import type { Avoidances } from './avoidance.ts'
import type { Load } from './size-check.ts'

/** Two initiations went unanswered: WireGuard repeats them after 5 to 5.3 s. */
const HANDSHAKE_MS = 6_000
/** A peer that answers questions in the tunnel was asked four times. */
const ASKED_MS = 6_000
/** Another was sent data, and what it owes for that after ten seconds may have been lost once. */
const UNASKED_MS = 15_000
/** On a path that dropped data before. */
const PROBATION_MS = 3_500
/** Nothing came by the other way either: the path was not to blame. */
const TRIAL_MS = 20_000
/** Questions in the tunnel to a peer that was silent from the start, and without an answer in a row. They are data themselves,
 * and must not keep a pair talking that has nothing to say. */
const MOST_FIRST_ASKS = 3
const MOST_ASKS = 15

export interface DataCheck {
  /** Questions in the tunnel since something last came. */
  readonly asks: number
  /** Of a peer that has not answered one yet. */
  readonly firstAsks: number
  /** The path that was left, and since when another has to show that it does better. */
  readonly trial: { readonly endpoint: Endpoint; readonly sinceMs: number } | undefined
  /** No path carries anything: none is judged until something comes. */
  readonly isAcquitted: boolean
}

export const NO_DATA_CHECK: DataCheck = { asks: 0, firstAsks: 0, trial: undefined, isAcquitted: false }

/** The longest that data or handshakes have been going unanswered. */
const silentMs = ({ unansweredMs, askingMs }: Load): number => Math.max(unansweredMs, askingMs)

/** What is to be asked now, and what became of the trial. */
export function nextDataCheck(
  before: DataCheck,
  load: Load,
  isInDoubt: boolean,
  nowMs: number,
): { readonly check: DataCheck; readonly ask: boolean; readonly acquitted: Endpoint | undefined } {
  const { trial } = before
  const hasCome = silentMs(load) === 0 || (trial !== undefined && silentMs(load) < nowMs - trial.sinceMs)
  const acquitted = trial && !hasCome && nowMs - trial.sinceMs >= TRIAL_MS ? trial.endpoint : undefined
  const asks = load.isSilent ? before.asks : 0
  const askNow = load.isSilent && isInDoubt && load.askingMs === 0 && asks < MOST_ASKS
  const askFirst = !askNow && load.isAlive && !load.isSilent && !load.answersAsks && before.firstAsks < MOST_FIRST_ASKS
  return {
    check: {
      asks: askNow ? asks + 1 : asks,
      firstAsks: askFirst ? before.firstAsks + 1 : before.firstAsks,
      trial: hasCome || acquitted !== undefined ? undefined : trial,
      isAcquitted: acquitted !== undefined || (before.isAcquitted && silentMs(load) > 0),
    },
    ask: askNow || askFirst,
    acquitted,
  }
}

/** Whether the path in use drops data, by what was sent since it is in use. */
export function dropsData(
  { isAcquitted, asks }: DataCheck,
  { unansweredMs, askingMs, answersAsks }: Load,
  use: { readonly endpoint: Endpoint; readonly forMs: number; readonly avoided: Avoidances },
): boolean {
  if (isAcquitted) return false
  if (Math.min(askingMs, use.forMs) >= HANDSHAKE_MS) return true
  const wasMute = use.avoided.get(use.endpoint)?.why === 'data-dropped'
  const [boundMs, leastAsks] = !answersAsks ? [UNASKED_MS, 4] : wasMute ? [PROBATION_MS, 2] : [ASKED_MS, 4]
  return Math.min(unansweredMs, use.forMs) >= boundMs && asks >= leastAsks
}
