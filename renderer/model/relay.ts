// This computer as a relay for others: what its page shows, made from what the agent says and nothing more.

import type {
  RelayClientView,
  RelayPauseReason,
  RelayPauseView,
  RelayStatusView,
} from '../../electron/contract/relay-view.ts'
import { splitMessage, words } from '../words.ts'
import { bytesText, rateText } from './amounts.ts'
import type { Plate } from './plate.ts'
import { clockText, untilText } from './time.ts'

export interface Verdict {
  /** Failed is told on a plain card: the plate is tinted then. */
  readonly kind: 'info' | 'warn' | 'bad' | 'plain' | 'failed'
  readonly title: string
  readonly text: string
  readonly code: string | undefined
  /** Pauses have signs of their own. */
  readonly pause?: RelayPauseReason
}

export interface CarriedPair {
  readonly vni: number
  readonly names: readonly string[]
  readonly bytes: number
  readonly bytesPerSecond: number
  readonly sinceAt: number
}

export interface RelayWish {
  /** Just clicked, and not yet answered. */
  readonly wish: 'on' | 'off' | undefined
  readonly isConnected: boolean
}

/** Wanted here, and yet off although connected: only the server's word does that. */
const isForbidden = ({ state, wantedPort }: RelayStatusView, isConnected: boolean): boolean =>
  state === 'off' && wantedPort !== undefined && isConnected

export function relayPlate(view: RelayStatusView, { wish, isConnected }: RelayWish): Plate {
  const text = words.relay
  const base = { badge: false, drawing: 'apart', look: 'off' } as const
  if (wish === 'off') return { ...base, word: text.offWord, line: text.off, at: 'off' }
  if (view.state === 'running') {
    const pairs = carriedPairs(view)
    const rate = pairs.reduce((sum, { bytesPerSecond }) => sum + bytesPerSecond, 0)
    const facts = [text.carrying(pairs.length), ...(rate > 0 ? [rateText(rate)] : [])]
    const line = pairs.length === 0 ? text.idle : facts.join(' · ')
    return { badge: false, drawing: 'serving', look: 'on', word: text.onWord, line, at: 'on' }
  }
  if (view.pause) return { ...base, word: text.pausedWord, line: text.paused[view.pause.reason].line, at: 'on' }
  if (isForbidden(view, isConnected) || view.state === 'failed') {
    const line = view.state === 'failed' ? text.failedLine : text.forbiddenLine
    return { badge: true, drawing: 'apart', look: 'warn', word: text.failedWord, line, at: 'on' }
  }
  if (wish === 'on' || view.state === 'starting')
    return { badge: false, drawing: 'growing', look: 'busy', word: text.busyWord, line: text.busy, at: 'half' }
  if (view.wantedPort !== undefined) return { ...base, word: text.waitWord, line: text.wait, at: 'on' }
  return { ...base, word: text.offWord, line: text.off, at: 'off' }
}

/** Who can come in, in one sentence; undefined while there is nothing to say. */
export function verdictOf(view: RelayStatusView, isConnected: boolean, nowMs = Date.now()): Verdict | undefined {
  const text = words.relay.verdict
  const say = (kind: Verdict['kind'], [title, next]: readonly [string, string], code?: string): Verdict => ({
    kind,
    title,
    text: next,
    code,
  })
  if (view.problem) {
    const { title, text: next } = splitMessage(view.problem.message)
    return say('bad', [title, next || text.retried], view.problem.code)
  }
  if (view.pause) return pauseVerdict(view, view.pause, nowMs)
  if (isForbidden(view, isConnected)) return say('warn', text.forbidden)
  if (view.state !== 'running') return undefined
  const [fixed] = view.staticEndpoints
  if (fixed !== undefined) return say('info', text.fixed(fixed))
  const { portMapped } = view
  const port = view.port ?? 0
  const isNested = portMapped !== undefined && isLocal(portMapped)
  if (portMapped !== undefined && !isNested)
    return say('info', text.forwarded(portMapped, words.relay.protocols[view.portMappedVia ?? 'upnp']))
  if (!view.mapsPorts && view.mapping === 'varies') return say('warn', text.unasked(port))
  const outside = view.endpoints.find((endpoint) => !isLocal(endpoint))
  if (outside === undefined)
    return view.endpoints.length === 0 ? say('plain', text.searching) : say('plain', text.local)
  if (view.mapping === 'varies') return say('warn', isNested ? text.nested(portMapped, port) : text.varies(port))
  return say('info', view.mapping === 'independent' ? text.kept(outside, port) : text.untried(outside))
}

function pauseVerdict(
  { manners }: RelayStatusView,
  { reason, endsAt, carriesUntil }: RelayPauseView,
  nowMs: number,
): Verdict {
  const text = words.relay.paused
  const title = endsAt === undefined ? text[reason].ends : text.until(untilText(endsAt, nowMs))
  const why = {
    quota: text.quota.why(bytesText(manners.monthlyBytes)),
    hours: text.hours.why,
    battery: text.battery.why,
    metered: text.metered.why,
  }[reason]
  const more = carriesUntil === undefined ? '' : ` ${text.winding(clockText(carriesUntil))}`
  return { kind: 'plain', title, text: `${why}${more}`, code: undefined, pause: reason }
}

/** Bound at both ends: those who still try are not carried yet. */
export function carriedPairs({ sessions }: RelayStatusView): readonly CarriedPair[] {
  return sessions
    .filter(({ state }) => state === 'open')
    .map(({ vni, sinceAt, clients }) => ({
      vni,
      sinceAt,
      names: clients.map(nameOf),
      bytes: clients.reduce((sum, { bytes }) => sum + bytes, 0),
      bytesPerSecond: clients.reduce((sum, { bytesPerSecond }) => sum + bytesPerSecond, 0),
    }))
    .toSorted((a, b) => a.sinceAt - b.sinceAt || a.vni - b.vni)
}

const nameOf = ({ name }: RelayClientView): string => name ?? words.relay.unknownMachine

/** In an address of a home network, a carrier's or this machine's own: nobody outside can send there. */
export function isLocal(endpoint: string): boolean {
  const v6 = /^\[([0-9a-f:.]+)(?:%[^\]]*)?\]/i.exec(endpoint)?.[1]?.toLowerCase()
  if (v6 !== undefined) return v6 === '::1' || /^f[cd]|^fe[89ab]/.test(v6)
  const [a = 0, b = 0] = endpoint.split('.', 2).map(Number)
  return (
    a === 10 ||
    a === 127 ||
    (a === 172 && b >= 16 && b < 32) ||
    (a === 192 && b === 168) ||
    (a === 169 && b === 254) ||
    (a === 100 && b >= 64 && b < 128)
  )
}

const MBIT = 125_000
/** Bytes per second; 0 is no limit. */
const RATES = [0, 1 * MBIT, 2 * MBIT, 5 * MBIT, 10 * MBIT, 20 * MBIT, 50 * MBIT, 100 * MBIT, 200 * MBIT]

/** The offered limits, with the one in force among them. */
export const rateChoices = (now: number): readonly number[] =>
  [...new Set([...RATES, now])].toSorted((a, b) => (a || Infinity) - (b || Infinity))
