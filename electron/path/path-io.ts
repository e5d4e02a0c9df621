// What the path finder needs of the rest, and what it tells it.

import type { Clock } from '../base/clock.ts'
import type { Endpoint } from '../base/endpoint.ts'
import { CodedError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { DiscoPrivate, DiscoPublic, NodePublic } from '../crypto/keys.ts'
import type { AllocateRequest } from '../wire/disco/allocate-request.ts'
import type { RelayEndpoint } from '../wire/disco/relay-endpoint.ts'
import type { PathSpec } from './leg.ts'
import type { OwnNetworkEvents, OwnNetworkIo } from './own-network.ts'
import type { PathView } from './path-view.ts'

export interface PathIo extends OwnNetworkIo {
  /** Sends from the shared UDP socket; the errno name when that failed. */
  sendUdp(endpoint: Endpoint, bytes: Uint8Array, geneve?: { vni: number; control: boolean }): string | undefined
  /** Sends through DERP, dialling when needed; may drop. */
  sendDerp(region: number, to: NodePublic, bytes: Uint8Array): void
  setPath(peer: number, spec: PathSpec): void
  trust(peer: number, untilMs: number): void
  /** Sends a packet in the tunnel that the peer answers at once. */
  askInTunnel?(peer: number): void
  /** A place for two clients at this node's own relay; undefined when it runs none or refuses. */
  allocateOwnRelay?(pair: readonly [DiscoPublic, DiscoPublic]): Promise<RelayEndpoint | undefined>
}

export interface PathEvents extends OwnNetworkEvents {
  onPath(peer: number, view: PathView): void
  /**
   * A peer asks this node's relay for a place for itself and another. Its disco key is proven and is one of the pair;
   * whether it may ask is for the listener to decide. Answered with PathFinder.sendRelayResponse.
   */
  onRelayRequest?(from: NodePublic, fromDisco: DiscoPublic, request: AllocateRequest): void
}

export interface PathPeer {
  /** The data plane's number of the peer. */
  readonly id: number
  readonly nodeKey: NodePublic
  /** Without one, the peer is reached through DERP only. */
  readonly discoKey?: DiscoPublic | undefined
  readonly endpoints: readonly Endpoint[]
  readonly homeRegion?: number | undefined
  /** It knows peer relays: capability version 121 or above. */
  readonly relayCapable?: boolean | undefined
}

export interface PathFinderOptions {
  readonly clock: Clock
  readonly log: Logger
  readonly nodeKey: NodePublic
  readonly discoKey: DiscoPrivate
  readonly io: PathIo
  readonly events: PathEvents
  /** 0 to below 1; for schedules, never for secrets. */
  readonly random?: () => number
  /** Interfaces whose addresses are not ours to offer: the own TUN. */
  readonly ignoreInterfaces?: readonly string[]
}

export type PingVia =
  | { readonly kind: 'direct'; readonly endpoint: Endpoint }
  | { readonly kind: 'peer-relay'; readonly endpoint: Endpoint; readonly vni: number }
  | { readonly kind: 'derp'; readonly region: number }

export interface PingResult {
  readonly latencyMs: number
  readonly via: PingVia
}

export type PathErrorCode =
  /** The peer is not in the netmap (any more). */
  | 'path/no-such-peer'
  /** The peer takes no part in path discovery, so it answers no such ping. */
  | 'path/no-disco'
  /** No pong within the time given. Worth another try. */
  | 'path/no-answer'
  /** Too many pings to this peer wait already. */
  | 'path/busy'
  | 'path/closed'

export class PathError extends CodedError<PathErrorCode> {}
