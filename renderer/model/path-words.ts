// How a machine is reached, as drawing, word and sentence.

import type { DerpRegionView, PeerView } from '../../electron/contract/snapshot.ts'
import { words } from '../words.ts'
import { agoSpoken, agoText } from './time.ts'

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
  const spoken = words.path.sentence
  if (peer.expired) return { mark: 'off', word: words.path.signedOut, latency: undefined, sentence: spoken.signedOut }
  // A direct path that works is believed over the server's word.
  const isAway = peer.online === false && !(path.kind === 'direct' && !path.idle)
  if (isAway) {
    return peer.lastSeenAt === undefined
      ? { mark: 'off', word: words.path.offline, latency: undefined, sentence: spoken.offline }
      : {
          mark: 'off',
          word: words.path.lastSeen(agoText(peer.lastSeenAt, nowMs)),
          latency: undefined,
          sentence: spoken.lastSeen(agoSpoken(peer.lastSeenAt, nowMs)),
        }
  }
  if (path.kind === 'none' || path.idle) {
    return path.looking
      ? { mark: 'find', word: words.path.looking, latency: undefined, sentence: spoken.looking }
      : { mark: 'idle', word: words.path.idle, latency: undefined, sentence: spoken.idle }
  }
  const [mark, word, sentence] = working(peer, regions)
  return {
    mark,
    word,
    latency: path.latencyMs === undefined ? undefined : words.path.ms(path.latencyMs),
    sentence: path.latencyMs === undefined ? sentence : `${sentence}, ${spoken.ms(path.latencyMs)}`,
  }
}

function working({ path }: PeerView, regions: Regions): [mark: MarkKind, word: string, sentence: string] {
  const spoken = words.path.sentence
  if (path.kind === 'peer-relay') {
    const name = path.via ?? 'another machine'
    return ['relay', words.path.relay(name), spoken.relay(name)]
  }
  if (path.kind === 'derp') {
    const code = path.via ?? ''
    return ['derp', words.path.derp(code), spoken.derp(regionName(code, regions))]
  }
  return path.lan ? ['lan', words.path.lan, spoken.lan] : ['direct', words.path.direct, spoken.direct]
}

export function regionName(code: string, regions: Regions): string {
  return Object.values(regions).find((region) => region.code === code)?.name ?? code
}

/** "direct · 12 ms", for where the chip stands alone. */
export const chipText = ({ word, latency }: PathWords): string =>
  latency === undefined ? word : `${word} · ${latency}`

export const isAway = (mark: MarkKind): boolean => mark === 'off'
