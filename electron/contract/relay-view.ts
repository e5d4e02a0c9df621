// What a person or program is told of this machine as a relay for others. Plain JSON.

import type { NodeId, Problem } from './snapshot.ts'

export interface RelayStatusView {
  readonly state: 'off' | 'starting' | 'running' | 'paused' | 'failed'
  /** The setting: undefined is off, 0 lets the system pick. */
  readonly wantedPort: number | undefined
  readonly staticEndpoints: readonly string[]
  /** 0 for no limit. */
  readonly limitBytesPerSecond: number
  readonly problem: Problem | undefined
  /** Why a relay that is wanted serves nobody now. */
  readonly pause: RelayPauseView | undefined
  readonly manners: RelayMannersView
  /** The setting: whether the home router is asked to forward ports to this machine. */
  readonly mapsPorts: boolean
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

export type RelayPauseReason = 'quota' | 'hours' | 'battery' | 'metered'

export interface RelayPauseView {
  readonly reason: RelayPauseReason
  /** Wall-clock ms; undefined when nobody can know. */
  readonly endsAt: number | undefined
  /** Wall-clock ms until which those who are carried go on; undefined when nobody is any more. */
  readonly carriesUntil: number | undefined
}

export interface RelayMannersView {
  /** Most that is carried in a calendar month; 0 for no limit. */
  readonly monthlyBytes: number
  /** Carried this month. */
  readonly usedBytes: number
  /** Wall-clock ms. */
  readonly renewsAt: number
  /** Such as "mon-fri 22:00-07:00; sat,sun"; empty for always. */
  readonly hours: string
  readonly pauseOnBattery: boolean
  readonly pauseOnMetered: boolean
  /** As far as the system tells, and only looked at while a setting asks for it. */
  readonly power: 'mains' | 'battery' | 'unknown'
  readonly metered: 'yes' | 'no' | 'unknown'
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
