// What can happen to the path to a peer, and what its state machine can ask for.

import type { Endpoint } from '../base/endpoint.ts'
import type { PathSpec } from './leg.ts'
import type { PathPolicy, RelayName } from './path-policy.ts'
import type { Load } from './size-check.ts'

export type PeerInput =
  | {
      readonly type: 'netmap'
      readonly endpoints: readonly string[]
      readonly home: number | undefined
      readonly relayCapable?: boolean
    }
  /** Data was sent to the peer, or wants to be. */
  | { readonly type: 'active' }
  | { readonly type: 'tick' }
  /** What the data shows that goes out to the peer; told about once a second while there is any. */
  | { readonly type: 'load'; readonly load: Load }
  /** An authenticated packet of the peer came from there. */
  | { readonly type: 'heard'; readonly endpoint: Endpoint }
  | { readonly type: 'heard-derp'; readonly region: number }
  | { readonly type: 'pong'; readonly ping: number; readonly latencyMs: number }
  | { readonly type: 'derp-pong'; readonly latencyMs: number }
  | { readonly type: 'call-me-maybe'; readonly endpoints: readonly string[] }
  | { readonly type: 'policy'; readonly policy: PathPolicy }
  /** A handshake with a peer relay ended with an answer of the peer through it. */
  | {
      readonly type: 'relay-ready'
      readonly endpoint: Endpoint
      readonly vni: number
      readonly relay: RelayName
      readonly latencyMs: number
    }
  /** A send failed in a way that no retry mends. */
  | { readonly type: 'send-error'; readonly endpoint: Endpoint }
  /** Our sockets or our network are new: what is known is worth a try, but nothing is certain. */
  | { readonly type: 'network-changed' }
  /** We know better where we are: what the peer was told is not all. */
  | { readonly type: 'found-ourselves' }
  /** The peer has a new disco key: it restarted, or lives elsewhere. */
  | { readonly type: 'disco-changed' }
  /** Someone asks for a ping over whatever path there is. */
  | { readonly type: 'probe' }

export type PeerEffect =
  | {
      readonly type: 'ping'
      readonly ping: number
      readonly endpoint: Endpoint
      readonly vni: number | undefined
      /** Padded to the size of a full packet. */
      readonly full: boolean
    }
  | { readonly type: 'derp-ping'; readonly region: number }
  /** A question inside the tunnel, which the peer answers at once. */
  | { readonly type: 'ask-in-tunnel' }
  | { readonly type: 'call-me-maybe'; readonly region: number }
  /**
   * The direct path is dead: the peer is to leave it now, not when its own trust runs out. For a peer that finds out by
   * itself it is one more call.
   */
  | { readonly type: 'withdraw' }
  /** Ask the relays we may use for a place. */
  | { readonly type: 'find-relay' }
  | { readonly type: 'path'; readonly spec: PathSpec }
  /** Only ever later than before. */
  | { readonly type: 'trust'; readonly untilMs: number }
  /** The path as shown is another one; the state's reason says why. */
  | { readonly type: 'changed' }
