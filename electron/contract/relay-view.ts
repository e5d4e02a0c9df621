// What a person or program is told of this machine as a relay for others. Plain JSON.

import type { NodeId, Problem } from './snapshot.ts'

export interface RelayStatusView {
  readonly state: 'off' | 'starting' | 'running' | 'failed'
  /** The setting: undefined is off, 0 lets the system pick. */
  readonly wantedPort: number | undefined
  readonly staticEndpoints: readonly string[]
  /** 0 for no limit. */
  readonly limitBytesPerSecond: number
  readonly problem: Problem | undefined
  readonly port: number | undefined
  /** Where clients are told to come, in order. */
  readonly endpoints: readonly string[]
  /** Whether the router keeps one public port for the relay's socket, whoever it talks to. */
  readonly mapping: 'unknown' | 'independent' | 'varies'
  /** The public address that the router forwards to the relay's port, and by which protocol. */
  readonly portMapped?: string | undefined
  readonly portMappedVia?: 'pmp' | 'pcp' | 'upnp' | undefined
  /** Why the router forwards nothing though it can, in words. */
  readonly portMapRefusal?: string | undefined
  readonly sessions: readonly RelaySessionView[]
  /** Named counts: "forwarded.bytes", "refused.too-many-sessions", … */
  readonly totals: Readonly<Record<string, number>>
}

export interface RelaySessionView {
  readonly vni: number
  /** Open once both clients are bound. */
  readonly state: 'connecting' | 'open'
  /** Wall-clock ms. */
  readonly sinceAt: number
  readonly clients: readonly RelayClientView[]
}

export interface RelayClientView {
  /** Undefined when no node has this disco key any more. */
  readonly id: NodeId | undefined
  readonly name: string | undefined
  /** The first eight bytes of the disco key, hex. */
  readonly disco: string
  readonly endpoint: string | undefined
  /** From this client. */
  readonly packets: number
  readonly bytes: number
  readonly bytesPerSecond: number
  /** Wall-clock ms; undefined = never. */
  readonly lastSeenAt: number | undefined
}
