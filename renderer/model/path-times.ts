// Which path a machine had when, and why it changed: bar, shares and sentences made from the agent's list of changes.

import type { PathChangeView, PathPlaceView } from '../../electron/contract/path-history-view.ts'
import { regionName } from '../../electron/contract/path-words.ts'
import type { AgentSnapshot, PathKind } from '../../electron/contract/snapshot.ts'
import { words } from '../words.ts'

const MINUTE_MS = 60_000
const DAY_MINUTES = 1_440
const SPANS_MINUTES = [10, 30, 60, 180, 360, 720, DAY_MINUTES]

export interface PathTimes {
  readonly minutes: number
  /** From the left; undefined where nothing is known yet. Parts add up to one. */
  readonly segments: readonly { readonly kind: PathKind | undefined; readonly part: number }[]
  /** Of the known time, most first. */
  readonly shares: readonly { readonly kind: PathKind; readonly percent: number }[]
  readonly ticks: readonly number[]
}

/** Undefined before the first change. */
export function pathTimes(changes: readonly PathChangeView[], nowMs: number): PathTimes | undefined {
  const first = changes[0]
  if (!first) return undefined
  const minutes = SPANS_MINUTES.find((one) => nowMs - first.at <= one * MINUTE_MS) ?? DAY_MINUTES
  const spanMs = minutes * MINUTE_MS
  const fromMs = nowMs - spanMs
  const known: { kind: PathKind; ms: number }[] = []
  for (const [index, { at, to }] of changes.entries()) {
    const ms = Math.max(changes[index + 1]?.at ?? nowMs, fromMs) - Math.max(at, fromMs)
    const last = known.at(-1)
    if (last?.kind === to.kind) last.ms += ms
    else if (ms > 0) known.push({ kind: to.kind, ms })
  }
  const knownMs = known.reduce((sum, { ms }) => sum + ms, 0)
  const before = 1 - knownMs / spanMs
  const sums = new Map<PathKind, number>()
  for (const { kind, ms } of known) sums.set(kind, (sums.get(kind) ?? 0) + ms)
  return {
    minutes,
    segments: [
      ...(before > 0.001 ? [{ kind: undefined, part: before }] : []),
      ...known.map(({ kind, ms }) => ({ kind, part: ms / spanMs })),
    ],
    shares: [...sums]
      .map(([kind, ms]) => ({ kind, percent: Math.round((ms / Math.max(knownMs, 1)) * 100) }))
      .toSorted((a, b) => b.percent - a.percent),
    ticks: [0, 1, 2, 3].map((quarter) => fromMs + (quarter / 4) * spanMs),
  }
}

/** "Through DERP Frankfurt: the path in use stopped answering". */
export function changeText({ to, reason, reasonText }: PathChangeView, regions: AgentSnapshot['derpRegions']): string {
  const why = reasonText.replace(/\.$/, '')
  const how = placeText(to, regions)
  return why === '' || reason === 'start' ? how : `${how}: ${why.charAt(0).toLowerCase()}${why.slice(1)}`
}

function placeText({ kind, via = '' }: PathPlaceView, regions: AgentSnapshot['derpRegions']): string {
  const text = words.peer.changed
  switch (kind) {
    case 'direct':
      return text.direct
    case 'peer-relay':
      return text.relay(via || words.peer.anotherMachine)
    case 'derp':
      return text.derp(regionName(via, regions))
    case 'none':
    default:
      return text.none
  }
}
