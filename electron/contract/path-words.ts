// How a machine is reached, as drawing, word and sentence: the same in the window, in the tray and wherever people read it.

import type { DerpRegionView, PeerView } from './snapshot.ts'
import { agoSpoken, agoText } from './time-words.ts'

export const pathTexts = {
  direct: 'direct',
  lan: 'direct (LAN)',
  relay: (name: string) => `via ${name}`,
  derp: (code: string) => `DERP ${code}`,
  looking: 'looking…',
  idle: 'idle',
  offline: 'offline',
  lastSeen: (when: string) => `last seen ${when}`,
  signedOut: 'signed out',
  ms: (ms: number) => (ms < 1 ? '<1 ms' : `${Math.round(ms)} ms`),
  sentence: {
    direct: 'direct',
    lan: 'direct, on the same network',
    relay: (name: string) => `through ${name}`,
    derp: (name: string) => `through DERP ${name}`,
    looking: 'looking for a path',
    idle: 'idle, a path opens when needed',
    offline: 'offline',
    lastSeen: (when: string) => `offline, last seen ${when}`,
    signedOut: 'signed out, its key ran out',
    ms: (ms: number) => (ms < 1 ? 'less than a millisecond' : `${Math.round(ms)} milliseconds`),
  },
}

export type MarkKind = 'lan' | 'direct' | 'relay' | 'derp' | 'find' | 'idle' | 'off'

export interface PathWords {
  readonly mark: MarkKind
  /** In a row. */
  readonly word: string
  readonly latency: string | undefined
  /** For a sentence or a screen reader, with the latency. */
  readonly sentence: string
}

type Regions = Readonly<Record<number, DerpRegionView>>

export function pathWords(peer: PeerView, regions: Regions, nowMs: number): PathWords {
  const { path } = peer
  const spoken = pathTexts.sentence
  if (peer.expired) return { mark: 'off', word: pathTexts.signedOut, latency: undefined, sentence: spoken.signedOut }
  // A direct path that works is believed over the server's word.
  const isAway = peer.online === false && !(path.kind === 'direct' && !path.idle)
  if (isAway) {
    return peer.lastSeenAt === undefined
      ? { mark: 'off', word: pathTexts.offline, latency: undefined, sentence: spoken.offline }
      : {
          mark: 'off',
          word: pathTexts.lastSeen(agoText(peer.lastSeenAt, nowMs)),
          latency: undefined,
          sentence: spoken.lastSeen(agoSpoken(peer.lastSeenAt, nowMs)),
        }
  }
  if (path.kind === 'none' || path.idle) {
    return path.looking
      ? { mark: 'find', word: pathTexts.looking, latency: undefined, sentence: spoken.looking }
      : { mark: 'idle', word: pathTexts.idle, latency: undefined, sentence: spoken.idle }
  }
  const [mark, word, sentence] = working(peer, regions)
  return {
    mark,
    word,
    latency: path.latencyMs === undefined ? undefined : pathTexts.ms(path.latencyMs),
    sentence: path.latencyMs === undefined ? sentence : `${sentence}, ${spoken.ms(path.latencyMs)}`,
  }
}

function working({ path }: PeerView, regions: Regions): [mark: MarkKind, word: string, sentence: string] {
  const spoken = pathTexts.sentence
  if (path.kind === 'peer-relay') {
    const name = path.via ?? 'another machine'
    return ['relay', pathTexts.relay(name), spoken.relay(name)]
  }
  if (path.kind === 'derp') {
    const code = path.via ?? ''
    return ['derp', pathTexts.derp(code), spoken.derp(regionName(code, regions))]
  }
  return path.lan ? ['lan', pathTexts.lan, spoken.lan] : ['direct', pathTexts.direct, spoken.direct]
}

export function regionName(code: string, regions: Regions): string {
  return Object.values(regions).find((region) => region.code === code)?.name ?? code
}

/** "direct · 12 ms", for where the chip stands alone. */
export const chipText = ({ word, latency }: PathWords): string =>
  latency === undefined ? word : `${word} · ${latency}`
