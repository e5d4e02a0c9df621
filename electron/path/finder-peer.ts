// What the path finder keeps of one peer beside the state of its path, and what can be read off both.

import type { Endpoint } from '../base/endpoint.ts'
import type { NodePublic } from '../crypto/keys.ts'
import type { PathHistory } from './path-history.ts'
import type { PathView } from './path-view.ts'
import type { PeerPath } from './peer-state.ts'
import type { DiscoName } from './peer-table.ts'
import type { PingWaiters } from './ping-waiters.ts'
import type { Traffic } from './traffic-watch.ts'

export interface FinderPeer {
  readonly id: number
  readonly nodeKey: NodePublic
  disco: DiscoName<FinderPeer> | undefined
  endpoints: readonly Endpoint[]
  homeRegion: number | undefined
  path: PeerPath
  view: PathView
  wake: { readonly atMs: number; readonly cancel: () => void } | undefined
  relayCapable: boolean
  traffic: Traffic | undefined
  /** A padded ping of the peer came. */
  padsPings: boolean
  readonly waiters: PingWaiters
  readonly history: PathHistory
}

/** What is known of a peer's being there; monotonic ms. */
export interface Contact {
  /** The last sign of life by any way. */
  readonly heardAtMs: number | undefined
  /** The last question over DERP. */
  readonly askedAtMs: number | undefined
  /** The last answer of a direct endpoint, in use or not. */
  readonly directAnsweredAtMs: number | undefined
}

export function contactOf({ candidates, heardAtMs, derpPingedAtMs }: PeerPath): Contact {
  const answered = [...candidates.values()].flatMap(({ answeredAtMs }) => answeredAtMs ?? [])
  const directAnsweredAtMs = answered.length === 0 ? undefined : Math.max(...answered)
  return { heardAtMs, askedAtMs: derpPingedAtMs, directAnsweredAtMs }
}
