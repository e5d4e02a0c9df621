// What the agent tells everyone: one immutable, numbered picture of the state, replaced whole. Plain JSON throughout, so that
// it crosses process borders as it is. Words here are the program's; what a person reads is made from them by the window.

import type { DoctorView } from './doctor.ts'
import type { ProfileView } from './profile-view.ts'
import type { RoutingView } from './routing-view.ts'

/** The stable id of a node in its tailnet. */
export type NodeId = string & { readonly __brand: 'NodeId' }

export type AgentState =
  /** Off by wish; nothing goes in or out. */
  | 'stopped'
  /** No login, or one that ran out: a person or a key is needed. */
  | 'needs-login'
  /** On its way: `waitingFor` says what for. */
  | 'starting'
  | 'running'

export interface AgentSnapshot {
  /** One more at every change; a reader keeps the newer of two. */
  readonly revision: number
  readonly version: string
  readonly state: AgentState
  /** What a start waits for: "the coordination server", "a DERP server"; undefined unless starting. */
  readonly waitingFor: string | undefined
  /** Where a person logs in, while a login is pending. */
  readonly loginUrl: string | undefined
  /** Why the state is not what was asked for; cleared by success. */
  readonly problem: Problem | undefined
  /** Things that work but need someone: lines from the coordination server and our own. */
  readonly warnings: readonly Problem[]
  readonly tailnet: TailnetView | undefined
  readonly self: SelfView | undefined
  readonly peers: Readonly<Record<NodeId, PeerView>>
  readonly derpRegions: Readonly<Record<number, DerpRegionView>>
  /** Wall-clock ms of the last word from the coordination server; undefined before the first. */
  readonly controlHeardAt: number | undefined
  readonly controlConnected: boolean
  /** This machine as a relay for others, in short; "agent.relayStatus" has the rest. Undefined before it is in a network. */
  readonly relay?: RelayBriefView | undefined
  /** Which networks this machine uses and offers. Undefined before it is in one. */
  readonly routing?: RoutingView | undefined
  /** Networks that this machine has joined. */
  readonly profiles?: readonly ProfileView[] | undefined
}

export interface RelayBriefView {
  readonly state: 'off' | 'starting' | 'running' | 'paused' | 'failed'
  /** Only while paused. */
  readonly pause?: 'quota' | 'hours' | 'battery' | 'metered' | undefined
  /** The setting; it stays while this machine is off. */
  readonly isWanted: boolean
  /** Pairs that are bound at both ends now. */
  readonly pairs: number
}

/** A failure or worry, with its code for programs and words for people: what is so, why, what to do. */
export interface Problem {
  readonly code: string
  readonly message: string
}

export interface TailnetView {
  readonly name: string
  readonly serverUrl: string
  /** The login name of the account this node belongs to. */
  readonly account: string
  readonly accountName: string
}

export interface SelfView {
  readonly id: NodeId
  /** First label of the MagicDNS name. */
  readonly name: string
  /** Full MagicDNS name without the trailing dot. */
  readonly dnsName: string
  readonly hostName: string
  readonly os: string
  readonly addresses: readonly string[]
  /** CIDRs that lead here: its addresses, and what it offers once that is approved. */
  readonly allowedIps?: readonly string[] | undefined
  readonly nodeKey: string
  readonly endpoints: readonly string[]
  readonly homeRegion: number | undefined
  readonly ownerId: string
  /** Wall-clock ms; undefined = never. */
  readonly keyExpiresAt: number | undefined
  readonly tunName: string | undefined
}

export type PathKind = 'direct' | 'peer-relay' | 'derp' | 'none'

export interface PathView {
  readonly kind: PathKind
  /** Both ends in one local network. Only for direct. */
  readonly lan: boolean
  /** The endpoint (direct), the relay's name (peer-relay) or the DERP region's code (derp). */
  readonly via: string | undefined
  /** Round trip of the last answered ping; undefined while unknown. */
  readonly latencyMs: number | undefined
  /** True while candidates are being tried. */
  readonly looking: boolean
  /** No traffic within the session window (45 s): `kind` then says what the next packet would take. */
  readonly idle: boolean
  /** Wall-clock ms since this path is used. */
  readonly sinceAt: number
  readonly reason: string
  readonly reasonText: string
}

export interface PeerView {
  readonly id: NodeId
  readonly name: string
  readonly dnsName: string
  readonly hostName: string
  readonly os: string
  readonly addresses: readonly string[]
  /** CIDRs that lead to this peer: its addresses and the routes it serves. */
  readonly allowedIps: readonly string[]
  readonly nodeKey: string
  /** The server's number for the owner, as text: it may be past 2^53. */
  readonly ownerId: string
  readonly ownerLogin: string
  readonly ownerName: string
  /** Belongs to the same person as this node, and is not tagged. */
  readonly mine: boolean
  readonly tags: readonly string[]
  /** Undefined when the server does not say. */
  readonly online: boolean | undefined
  readonly lastSeenAt: number | undefined
  readonly expired: boolean
  readonly homeRegion: number | undefined
  /** This machine may ask it to relay. Left out is no. */
  readonly relays?: boolean | undefined
  readonly path: PathView
  /** Why it is not reached directly; undefined when it is. */
  readonly doctor?: DoctorView | undefined
}

export interface DerpRegionView {
  readonly id: number
  readonly code: string
  readonly name: string
}

/** Counters that tick: apart from the snapshot, and slowly, so that a quiet tailnet repaints nothing. */
export interface TrafficView {
  readonly peers: Readonly<Record<NodeId, PeerTraffic>>
}

export interface PeerTraffic {
  readonly rxBytes: number
  readonly txBytes: number
  /** Wall-clock ms; 0 = never. */
  readonly lastHandshakeAt: number
  /** Sent or received within the session window (45 s). */
  readonly active: boolean
}

/** What happened, as against what is. Losing one must never leave a listener wrong. */
export type AgentEvent =
  | {
      readonly type: 'path-changed'
      readonly peer: NodeId
      readonly from: PathKind
      readonly to: PathKind
      readonly reasonText: string
    }
  | { readonly type: 'notice'; readonly code: string; readonly text: string }

/** The snapshot before anything is known. */
export const emptySnapshot: AgentSnapshot = {
  revision: 0,
  version: '',
  state: 'stopped',
  waitingFor: undefined,
  loginUrl: undefined,
  problem: undefined,
  warnings: [],
  tailnet: undefined,
  self: undefined,
  peers: {},
  derpRegions: {},
  controlHeardAt: undefined,
  controlConnected: false,
}
