// A policy as it is written, read and checked: nothing in it is looked up yet. control.md §9.3, §9.8–9.10.

import type { Offset } from './hujson.ts'
import type { IpSet } from './ip-set.ts'

export const AUTOGROUPS = [
  'internet',
  'member',
  'tagged',
  'self',
  'danger-all',
  'nonroot',
  'owner',
  'admin',
  'auditor',
] as const
export type Autogroup = (typeof AUTOGROUPS)[number]

/** Whom or what a rule names. */
export type Alias = { readonly at: Offset; readonly text: string } & (
  | { readonly kind: 'all' }
  /** One address or a CIDR block. */
  | { readonly kind: 'prefix'; readonly set: IpSet }
  | { readonly kind: 'user'; readonly name: string }
  /** With its "group:". */
  | { readonly kind: 'group'; readonly name: string }
  | { readonly kind: 'tag'; readonly name: string }
  | { readonly kind: 'host'; readonly name: string }
  | { readonly kind: 'autogroup'; readonly name: Autogroup }
)

export interface PortRange {
  readonly first: number
  readonly last: number
}

export const ALL_PORTS: PortRange = { first: 0, last: 65_535 }

/** Which packets: protocol numbers (none = TCP, UDP and ICMP) and ports. */
export interface IpSpec {
  readonly protocols: readonly number[]
  readonly ports: readonly PortRange[]
}

export interface AclRule {
  readonly protocols: readonly number[]
  readonly src: readonly Alias[]
  readonly dst: readonly { readonly alias: Alias; readonly ports: readonly PortRange[] }[]
}

export interface Grant {
  readonly src: readonly Alias[]
  readonly dst: readonly Alias[]
  readonly ip: readonly IpSpec[]
  /** Capability to its values. */
  readonly app: ReadonlyMap<string, readonly unknown[]>
  readonly via: readonly string[]
}

export interface NodeAttribute {
  readonly target: readonly Alias[]
  readonly attr: readonly string[]
  /** Where the addresses of these nodes lie. */
  readonly ipPool: IpSet
}

export type SshLogin =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'root' }
  | { readonly kind: 'nonroot' }
  /** Whoever has an address there may log in as the part before its @. */
  | { readonly kind: 'localpart'; readonly domain: string }

export interface SshRule {
  readonly action: 'accept' | 'check'
  readonly src: readonly Alias[]
  readonly dst: readonly Alias[]
  readonly users: readonly SshLogin[]
  /** For 'check': how long a sign-in counts; 0 is not at all. */
  readonly checkPeriodMs: number
  readonly acceptEnv: readonly string[]
}

export interface Destination {
  readonly at: Offset
  readonly text: string
  readonly alias: Alias
  readonly port: number
}

export interface PolicyTest {
  readonly at: Offset
  readonly src: Alias
  readonly protocols: readonly number[]
  readonly accept: readonly Destination[]
  readonly deny: readonly Destination[]
}

export interface SshTest {
  readonly at: Offset
  readonly src: Alias
  readonly dst: readonly Alias[]
  readonly accept: readonly string[]
  readonly deny: readonly string[]
  readonly check: readonly string[]
}

export interface Policy {
  /** "group:x" to user names. */
  readonly groups: ReadonlyMap<string, readonly string[]>
  readonly hosts: ReadonlyMap<string, IpSet>
  /** "tag:x" to users, groups and tags. */
  readonly tagOwners: ReadonlyMap<string, readonly Alias[]>
  /** Undefined when there is no such member, which is not the same as an empty list. */
  readonly acls: readonly AclRule[] | undefined
  readonly grants: readonly Grant[] | undefined
  readonly routeApprovers: readonly { readonly prefix: IpSet; readonly approvers: readonly Alias[] }[]
  readonly exitNodeApprovers: readonly Alias[]
  readonly nodeAttrs: readonly NodeAttribute[]
  readonly ssh: readonly SshRule[]
  readonly tests: readonly PolicyTest[]
  readonly sshTests: readonly SshTest[]
  readonly randomizeClientPort: boolean
}
