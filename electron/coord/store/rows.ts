// Rows to values and back. A row that cannot be one of ours means a damaged database, never a default.

import { codeOf, messageOf } from '../../base/errors.ts'
import { DiscoPublic, MachinePublic, NodePublic } from '../../crypto/keys.ts'
import { CoordError } from '../errors.ts'
import {
  NO_HOST_FACTS,
  ROLES,
  type AuthKey,
  type HostFacts,
  type HostService,
  type NetworkFacts,
  type Node,
  type Tailnet,
  type User,
} from '../model.ts'
import type { AuditEntry } from './store.ts'

export type SqlRow = Readonly<Record<string, unknown>>

export const tailnetOf = (row: SqlRow): Tailnet =>
  reading('tailnets', () => ({
    id: int(row, 'id'),
    name: text(row, 'name'),
    domain: text(row, 'domain'),
    createdAtMs: int(row, 'created_at'),
  }))

/** A row of users joined with its memberships: home, and here. */
export const userOf = (row: SqlRow): User =>
  reading('users', () => ({
    id: int(row, 'id'),
    homeId: int(row, 'home_id'),
    name: text(row, 'name'),
    displayName: text(row, 'display_name'),
    email: maybe(row, 'email', text),
    role: ROLES.find((role) => role === row['role']) ?? bad('role'),
    createdAtMs: int(row, 'created_at'),
  }))

export const authKeyOf = (row: SqlRow): AuthKey =>
  reading('auth_keys', () => ({
    id: text(row, 'id'),
    tailnetId: int(row, 'tailnet_id'),
    userId: int(row, 'user_id'),
    reusable: int(row, 'reusable') !== 0,
    ephemeral: int(row, 'ephemeral') !== 0,
    tags: strings(json(row, 'tags')),
    createdAtMs: int(row, 'created_at'),
    expiresAtMs: maybe(row, 'expires_at', int),
    usedAtMs: maybe(row, 'used_at', int),
    revokedAtMs: maybe(row, 'revoked_at', int),
  }))

/** A row of nodes joined with its report. */
export const nodeOf = (row: SqlRow): Node =>
  reading('nodes', () => ({
    id: int(row, 'id'),
    tailnetId: int(row, 'tailnet_id'),
    stableId: text(row, 'stable_id'),
    userId: int(row, 'user_id'),
    machineKey: MachinePublic.parse(text(row, 'machine_key')),
    nodeKey: NodePublic.parse(text(row, 'node_key')),
    name: text(row, 'name'),
    nameIsFixed: int(row, 'name_is_fixed') !== 0,
    addressV4: text(row, 'address_v4'),
    addressV6: text(row, 'address_v6'),
    tags: strings(json(row, 'tags')),
    expiresAtMs: maybe(row, 'expires_at', int),
    createdAtMs: int(row, 'created_at'),
    ephemeral: int(row, 'ephemeral') !== 0,
    authKeyId: maybe(row, 'auth_key_id', text),
    report: {
      discoKey: maybe(row, 'disco_key', (from, name) => DiscoPublic.parse(text(from, name))),
      endpoints: strings(json(row, 'endpoints')),
      hostinfo: hostFactsOf(json(row, 'hostinfo')),
      homeDerp: int(row, 'home_derp'),
      capVersion: int(row, 'cap_version'),
      lastSeenAtMs: maybe(row, 'last_seen', int),
    },
  }))

export const auditOf = (row: SqlRow): AuditEntry =>
  reading('audit', () => ({
    atMs: int(row, 'at'),
    actor: text(row, 'actor'),
    action: text(row, 'action'),
    subject: text(row, 'subject'),
    detail: text(row, 'detail'),
  }))

export function blob(row: SqlRow, name: string): Uint8Array {
  const value = row[name]
  if (value instanceof ArrayBuffer) return new Uint8Array(value)
  return value instanceof Uint8Array ? new Uint8Array(value) : bad(name)
}

export function reading<T>(table: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (codeOf(error)?.startsWith('coord/') === true) throw error
    throw new CoordError('coord/state-damaged', `A row of ${table} is damaged: ${messageOf(error)}`, { cause: error })
  }
}

function bad(name: string): never {
  throw new TypeError(`${name} does not hold what it should`)
}

export function int(row: SqlRow, name: string): number {
  const value = row[name]
  return typeof value === 'number' && Number.isSafeInteger(value) ? value : bad(name)
}

export function text(row: SqlRow, name: string): string {
  const value = row[name]
  return typeof value === 'string' ? value : bad(name)
}

export function maybe<T>(row: SqlRow, name: string, read: (row: SqlRow, name: string) => T): T | undefined {
  return row[name] === null ? undefined : read(row, name)
}

export function json(row: SqlRow, name: string): unknown {
  return JSON.parse(text(row, name))
}

export function strings(value: unknown): string[] {
  return Array.isArray(value)
    ? value.map((item: unknown) => (typeof item === 'string' ? item : bad('list')))
    : bad('list')
}

/** Written by us, yet read leniently: a member that an older version did not keep has its default. */
export function hostFactsOf(value: unknown): HostFacts {
  if (typeof value !== 'object' || value === null) return bad('hostinfo')
  const from: Partial<Record<keyof HostFacts, unknown>> = value
  const textOf = (name: keyof HostFacts): string => (typeof from[name] === 'string' ? from[name] : '')
  const listOf = (name: keyof HostFacts): string[] => (from[name] === undefined ? [] : strings(from[name]))
  return {
    ...NO_HOST_FACTS,
    hostname: textOf('hostname'),
    os: textOf('os'),
    osVersion: textOf('osVersion'),
    clientVersion: textOf('clientVersion'),
    services: servicesOf(from.services),
    sshHostKeys: listOf('sshHostKeys'),
    routableIps: listOf('routableIps'),
    peerRelay: from.peerRelay === true,
    shieldsUp: from.shieldsUp === true,
    network: networkFactsOf(from.network),
  }
}

function networkFactsOf(value: unknown): NetworkFacts | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const from: Partial<Record<keyof NetworkFacts, unknown>> = value
  const bool = (name: keyof NetworkFacts): boolean | undefined =>
    typeof from[name] === 'boolean' ? from[name] : undefined
  return {
    mappingVariesByDestIp: bool('mappingVariesByDestIp'),
    workingUdp: bool('workingUdp'),
    workingIpv6: bool('workingIpv6'),
    havePortMap: from.havePortMap === true,
  }
}

function servicesOf(value: unknown): HostService[] {
  if (!Array.isArray(value)) return []
  return value.map((item: Partial<Record<keyof HostService, unknown>>) => {
    const { proto, port, description } = item
    if (typeof proto !== 'string' || typeof port !== 'number' || typeof description !== 'string') return bad('services')
    return { proto, port, description }
  })
}
