// What administrative calls answer: printed by --json, so the names are public interface. Times are RFC 3339.

import type { AuthKeyState } from '../auth-key.ts'
import type { Role } from '../model.ts'
import type { ApprovalMode } from '../nodes/device-approval.ts'

export interface TailnetInfo {
  readonly id: number
  readonly name: string
  /** What its node names hang under. */
  readonly domain: string
  readonly users: number
  readonly nodes: number
  readonly createdAt: string
}

export interface UserInfo {
  readonly id: number
  readonly name: string
  readonly displayName: string
  readonly email?: string
  readonly role: Role
  readonly nodes: number
  readonly createdAt: string
}

/** Whoever has the URL is that user: shown once, to be handed on by a safe way. */
export interface EnrolLinkInfo {
  readonly user: string
  readonly url: string
  readonly expiresAt: string
}

/** Whoever has the code can make the first account, which owns the server. */
export interface SetupCodeInfo {
  readonly code: string
  /** The page with the code filled in; left out while no server ever ran on this state. */
  readonly url?: string
}

export interface AuthKeyInfo {
  readonly id: string
  readonly user: string
  readonly reusable: boolean
  readonly ephemeral: boolean
  readonly tags: readonly string[]
  readonly preApproved: boolean
  readonly state: AuthKeyState
  readonly createdAt: string
  readonly expiresAt?: string
  readonly usedAt?: string
}

export interface NodeInfo {
  readonly id: number
  readonly stableId: string
  readonly name: string
  readonly dnsName: string
  readonly hostname: string
  readonly user: string
  readonly tags: readonly string[]
  readonly addresses: readonly string[]
  readonly online: boolean
  readonly lastSeen?: string
  /** False while it waits for somebody who runs the network. */
  readonly approved: boolean
  readonly expired: boolean
  readonly expiresAt?: string
  readonly ephemeral: boolean
  readonly os: string
  readonly clientVersion: string
  readonly capVersion: number
  /** 0 is unknown. */
  readonly homeDerp: number
  readonly endpoints: readonly string[]
  readonly nodeKey: string
  readonly machineKey: string
  readonly createdAt: string
}

/** How a machine reaches others, counted by pairs of which one of the two told in the last quarter of an hour. */
export interface NodePathsInfo {
  readonly nodeId: number
  readonly direct: number
  readonly peerRelay: number
  readonly derp: number
}

/** What holds for all machines of a tailnet. */
export interface SettingsInfo {
  readonly tailnet: string
  readonly domain: string
  readonly deviceApproval: ApprovalMode
  /** Left out: for ever. */
  readonly keyLifetimeMs?: number
  readonly keyRenewal: boolean
}

export interface SettingsWish {
  readonly deviceApproval?: string | undefined
  readonly keyLifetimeMs?: number | null | undefined
  readonly keyRenewal?: boolean | undefined
}

/** A machine that waits for somebody to let it in. */
export interface LoginInfo {
  readonly id: string
  readonly hostname: string
  readonly os: string
  readonly source: string
  readonly createdAt: string
}

export interface AuditInfo {
  readonly at: string
  /** "cli", "node:3", "user:1", with where they asked from. */
  readonly actor: string
  /** Of a person or machine: the name of today, or the last that the log knows. */
  readonly actorName?: string
  readonly action: string
  readonly subject: string
  readonly subjectName?: string
  readonly detail: string
}
