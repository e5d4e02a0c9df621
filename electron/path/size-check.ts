// Whether a path that answers pings carries full packets too. Some routers drop large packets without a word: pings and
// acknowledgements pass, and every transfer stands still. So now and then a ping is padded to the size of a full packet, with
// a plain one beside it to compare. Pongs are small: each end tests its own direction. Any client that knows pings answers
// padded ones (paths.md §1.3).

import type { Endpoint } from '../base/endpoint.ts'
import type { UdpLeg } from './leg.ts'

/** A WireGuard packet around a full packet of the tunnel, as the payload of its datagram: 1280 + 16 + 16 (paths.md §7.5). */
const FULL_BYTES = 1_312
/** A ping without padding (paths.md §1.3). */
const PING_BYTES = 124
export const FULL_PADDING_BYTES = FULL_BYTES - PING_BYTES

/** An answer later than this, or than three times the last one, is missing. */
const PATIENCE_MS = 350
/** In a row. */
const MOST_MISSED = 7
/** Plain ones that were answered meanwhile. A path that loses half of all pings gets there once in 2000 times. */
const LEAST_SMALL = 6
/** After a round that decided nothing: plain pings were lost too, and that is for others to act on. */
const PAUSE_MS = 2_000
/** How long an answer counts: while much is sent, while nothing comes back, and else. Routes change. */
const PROVEN_BULK_MS = 10_000
const PROVEN_SILENT_MS = 2_000
const PROVEN_MS = 60_000
/** Between tries of a path that loses full packets. */
export const RETRY_MS = 5_000
/** Of one peer. */
const MOST_CHECKS = 8

interface Round {
  /** Numbers of the two pings on their way. */
  readonly full: number
  readonly small: number
  readonly smallAnswered: boolean
  readonly dueAtMs: number
  /** Before these two. */
  readonly missed: number
  readonly smalls: number
}

export interface SizeCheck {
  readonly leg: UdpLeg
  readonly provenAtMs: number | undefined
  readonly askedAtMs: number | undefined
  readonly quietUntilMs: number
  readonly round: Round | undefined
}

export type SizeChecks = ReadonlyMap<Endpoint, SizeCheck>

/** What the data shows that goes out to the peer. */
export interface Load {
  readonly isBulk: boolean
  /** Nothing came back for a while. */
  readonly isSilent: boolean
  /** Something came just now. */
  readonly isAlive: boolean
  /** Much came in, and stopped. */
  readonly isStarved: boolean
  /** For how long data has been going out and nothing came back, and for how long handshakes have been asked for in vain. */
  readonly unansweredMs: number
  readonly askingMs: number
  /** The peer is known to answer questions in the tunnel. */
  readonly answersAsks: boolean
}

export function isSizeDue(check: SizeCheck | undefined, { isBulk, isSilent, isStarved }: Load, nowMs: number): boolean {
  if (!check) return true
  if (check.round || nowMs < check.quietUntilMs) return false
  const lastsMs = isSilent || isStarved ? PROVEN_SILENT_MS : isBulk ? PROVEN_BULK_MS : PROVEN_MS
  return check.provenAtMs === undefined || nowMs - check.provenAtMs >= lastsMs
}

export const isRetryDue = (check: SizeCheck | undefined, nowMs: number): boolean =>
  check?.askedAtMs === undefined || nowMs - check.askedAtMs >= RETRY_MS

/** The two pings of those numbers go out. */
export function withAsked(
  checks: SizeChecks,
  leg: UdpLeg,
  asked: { readonly full: number; readonly small: number; readonly latencyMs: number },
  nowMs: number,
): SizeChecks {
  const before = checks.get(leg.endpoint)
  const { missed = 0, smalls = 0 } = before?.round ?? {}
  const { full, small, latencyMs } = asked
  const dueAtMs = nowMs + Math.max(PATIENCE_MS, 3 * latencyMs)
  const round = { full, small, smallAnswered: false, dueAtMs, missed, smalls }
  return withCheck(checks, leg, { askedAtMs: nowMs, round })
}

/** A single full ping goes out to a path that loses them. */
export const withRetry = (checks: SizeChecks, leg: UdpLeg, nowMs: number): SizeChecks =>
  withCheck(checks, leg, { askedAtMs: nowMs, round: undefined })

export const withFullAnswer = (checks: SizeChecks, leg: UdpLeg, nowMs: number): SizeChecks =>
  withCheck(checks, leg, { provenAtMs: nowMs, round: undefined, quietUntilMs: -Infinity })

export function withSmallAnswer(checks: SizeChecks, leg: UdpLeg, ping: number): SizeChecks {
  const round = checks.get(leg.endpoint)?.round
  return round?.small === ping ? withCheck(checks, leg, { round: { ...round, smallAnswered: true } }) : checks
}

/** What a round says whose answer is overdue. */
export function judged(
  checks: SizeChecks,
  { leg, round }: SizeCheck,
  nowMs: number,
): { readonly verdict: 'again' | 'lost' | 'unclear'; readonly checks: SizeChecks } {
  const missed = (round?.missed ?? 0) + 1
  const smalls = (round?.smalls ?? 0) + (round?.smallAnswered === true ? 1 : 0)
  if (round && missed < MOST_MISSED && missed - smalls <= MOST_MISSED - LEAST_SMALL)
    return { verdict: 'again', checks: withCheck(checks, leg, { round: { ...round, missed, smalls } }) }
  if (missed >= MOST_MISSED && smalls >= LEAST_SMALL)
    return { verdict: 'lost', checks: withCheck(checks, leg, { round: undefined, provenAtMs: undefined }) }
  return { verdict: 'unclear', checks: withCheck(checks, leg, { round: undefined, quietUntilMs: nowMs + PAUSE_MS }) }
}

/** Nobody waits for answers any more. */
export const withoutRounds = (checks: SizeChecks): SizeChecks =>
  new Map([...checks].map(([endpoint, check]) => [endpoint, check.round ? { ...check, round: undefined } : check]))

function withCheck(checks: SizeChecks, leg: UdpLeg, change: Partial<SizeCheck>): SizeChecks {
  const never = { provenAtMs: undefined, askedAtMs: undefined, quietUntilMs: -Infinity, round: undefined }
  const next = new Map(checks)
  next.delete(leg.endpoint)
  next.set(leg.endpoint, { ...never, ...checks.get(leg.endpoint), ...change, leg })
  for (const oldest of next.keys()) {
    if (next.size <= MOST_CHECKS) break
    next.delete(oldest)
  }
  return next
}
