// What the coordination server knows: values, immutable, replaced whole. The store keeps them, the registry holds them.

import type { Endpoint, IpAddress } from '../base/endpoint.ts'
import type { DiscoPublic, MachinePublic, NodePublic } from '../crypto/keys.ts'

/** Positive, never reused; numbers on the wire (control.md §0.3). */
export type UserId = number
export type NodeId = number
export type TailnetId = number

export const ROLES = ['owner', 'admin', 'member', 'auditor'] as const
export type Role = (typeof ROLES)[number]

/** One private network. A server may have several; they know nothing of each other. */
export interface Tailnet {
  readonly id: TailnetId
  /** Unique on the server; what administrators type. */
  readonly name: string
  /** What its node names hang under; unique too. */
  readonly domain: string
  readonly createdAtMs: number
}

/** A person, as one tailnet sees them. */
export interface User {
  readonly id: UserId
  /** Where the person was made: owners there, and nobody in another tailnet, may give a new way to sign in. */
  readonly homeId: TailnetId
  /** Unique on the server; what people type. */
  readonly name: string
  readonly displayName: string
  readonly email: string | undefined
  /** In this tailnet; in the person's home where all of the server are looked at. */
  readonly role: Role
  readonly createdAtMs: number
}

/** One login of one machine. What registration and the administrator decide; see NodeReport for the rest. */
export interface Node {
  readonly id: NodeId
  readonly tailnetId: TailnetId
  /** Identity as a string, for clients that keep one. */
  readonly stableId: string
  readonly userId: UserId
  readonly machineKey: MachinePublic
  readonly nodeKey: NodePublic
  /** The first label of its MagicDNS name, unique in the tailnet. */
  readonly name: string
  /** An administrator chose the name: a new host name does not change it. */
  readonly nameIsFixed: boolean
  readonly addressV4: IpAddress
  readonly addressV6: IpAddress
  readonly tags: readonly string[]
  /** When the node key stops counting; undefined is never, which is not the same as the year 1. */
  readonly expiresAtMs: number | undefined
  readonly createdAtMs: number
  /** Deleted some time after it goes offline. */
  readonly ephemeral: boolean
  readonly authKeyId: string | undefined
  readonly report: NodeReport
}

/** What the node itself tells, in lite updates. Written late and in batches: a lost report is told again. */
export interface NodeReport {
  readonly discoKey: DiscoPublic | undefined
  readonly endpoints: readonly Endpoint[]
  /** Without NetInfo and tags; bounded and cut to the members we know. */
  readonly hostinfo: HostFacts
  /** 0 is unknown. Kept when a later report has no NetInfo: clients do not repeat it (control.md §11.4, 18). */
  readonly homeDerp: number
  readonly capVersion: number
  /** When its last map stream ended or its last report came. */
  readonly lastSeenAtMs: number | undefined
}

/** The members of Hostinfo that the server or peers use (control.md §5.8). */
export interface HostFacts {
  readonly hostname: string
  readonly os: string
  readonly osVersion: string
  readonly clientVersion: string
  readonly services: readonly HostService[]
  readonly sshHostKeys: readonly string[]
  readonly routableIps: readonly string[]
  readonly peerRelay: boolean
  readonly shieldsUp: boolean
  /** Undefined until the node has told. */
  readonly network: NetworkFacts | undefined
}

/** What its network does to UDP: peers need it to say why a pair has no direct path. */
export interface NetworkFacts {
  readonly mappingVariesByDestIp: boolean | undefined
  readonly workingUdp: boolean | undefined
  readonly workingIpv6: boolean | undefined
  readonly havePortMap: boolean
}

export interface HostService {
  readonly proto: string
  readonly port: number
  readonly description: string
}

export const NO_HOST_FACTS: HostFacts = {
  hostname: '',
  os: '',
  osVersion: '',
  clientVersion: '',
  services: [],
  sshHostKeys: [],
  routableIps: [],
  peerRelay: false,
  shieldsUp: false,
  network: undefined,
}

export const NO_REPORT: NodeReport = {
  discoKey: undefined,
  endpoints: [],
  hostinfo: NO_HOST_FACTS,
  homeDerp: 0,
  capVersion: 0,
  lastSeenAtMs: undefined,
}

export interface AuthKey {
  /** Public part of the key; also how people name it. */
  readonly id: string
  /** Where it lets machines in. */
  readonly tailnetId: TailnetId
  readonly userId: UserId
  readonly reusable: boolean
  readonly ephemeral: boolean
  readonly tags: readonly string[]
  readonly createdAtMs: number
  readonly expiresAtMs: number | undefined
  /** First use; ends the life of a key that is not reusable. */
  readonly usedAtMs: number | undefined
  readonly revokedAtMs: number | undefined
}

export function isExpired(node: Pick<Node, 'expiresAtMs'>, nowMs: number): boolean {
  return node.expiresAtMs !== undefined && node.expiresAtMs <= nowMs
}
