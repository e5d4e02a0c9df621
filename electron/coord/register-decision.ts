// What a register request means, as a pure step: facts in, decision out. The order of the questions is the contract with
// clients (control.md §4.5, §4.6); carrying the decision out is registrar.ts.

import type { MachinePublic, NodePublic } from '../crypto/keys.ts'
import { authKeyState } from './auth-key.ts'
import { isExpired, type AuthKey, type HostFacts, type Node } from './model.ts'

/** Lite updates, which carry all state since then (control.md §6); also about three years of releases. */
export const MIN_CAP_VERSION = 68

export interface Registration {
  readonly capVersion: number
  readonly nodeKey: NodePublic
  readonly authKey: string | undefined
  /** Undefined is "no wish". */
  readonly expiryMs: number | undefined
  readonly followup: string
  readonly ephemeral: boolean
  readonly hostinfo: HostFacts
  readonly requestTags: readonly string[]
}

export interface Facts {
  readonly nowMs: number
  /** Proven by the connection. */
  readonly machineKey: MachinePublic
  /** Whoever holds the node key of the request, whatever its machine. */
  readonly holder: Node | undefined
  readonly ofMachine: readonly Node[]
  /** The auth key the request names, if its secret is right. */
  readonly authKey: AuthKey | undefined
  /** Carried over from another server: the place that is kept for who brings the auth key. */
  readonly reserved?: Node | undefined
  /** Of these tags those that the owner of the auth key may not give by the policy. */
  readonly tagsBeyond: (tags: readonly string[]) => readonly string[]
}

export type Decision =
  | { readonly kind: 'reject'; readonly status: 400 | 401; readonly text: string }
  /** Shown to the person verbatim. */
  | { readonly kind: 'refuse'; readonly text: string }
  | { readonly kind: 'log-out'; readonly node: Node }
  | { readonly kind: 'delete'; readonly node: Node }
  | { readonly kind: 'renew-key' }
  /** Nothing changes: a restart. */
  | { readonly kind: 'keep'; readonly node: Node }
  | { readonly kind: 'shorten'; readonly node: Node; readonly expiresAtMs: number }
  | { readonly kind: 'follow'; readonly loginId: string }
  | { readonly kind: 'ask' }
  | { readonly kind: 'admit'; readonly key: AuthKey; readonly node: Node | undefined; readonly tags: readonly string[] }

export function decideRegistration(request: Registration, facts: Facts): Decision {
  const { nowMs, machineKey, holder } = facts
  if (request.capVersion < MIN_CAP_VERSION)
    return { kind: 'reject', status: 400, text: `unsupported client version (capability ${request.capVersion})` }
  if (request.nodeKey.isZero) return { kind: 'reject', status: 400, text: 'node key missing' }
  if (holder && !holder.machineKey.equals(machineKey))
    return { kind: 'reject', status: 401, text: 'this node key belongs to another machine' }

  if (request.expiryMs !== undefined && request.expiryMs <= nowMs) {
    if (!holder) return { kind: 'renew-key' }
    return { kind: holder.ephemeral ? 'delete' : 'log-out', node: holder }
  }
  if (request.authKey === undefined && holder) return withoutAuthKey(request, holder, nowMs)
  if (request.authKey !== undefined) return withAuthKey(request, facts)
  const loginId = loginIdOf(request.followup)
  return loginId === undefined ? { kind: 'ask' } : { kind: 'follow', loginId }
}

function withoutAuthKey(request: Registration, holder: Node, nowMs: number): Decision {
  if (isExpired(holder, nowMs)) return { kind: 'renew-key' }
  if (request.expiryMs === undefined) return { kind: 'keep', node: holder }
  if (holder.expiresAtMs !== undefined && request.expiryMs > holder.expiresAtMs)
    return { kind: 'reject', status: 400, text: 'extending a key is not allowed' }
  return { kind: 'shorten', node: holder, expiresAtMs: request.expiryMs }
}

function withAuthKey(request: Registration, facts: Facts): Decision {
  const { holder, authKey: key, nowMs } = facts
  // A key with tags gives those; one without lets its owner give tags as the policy allows.
  const tags = key && key.tags.length === 0 ? [...new Set(request.requestTags)] : (key?.tags ?? [])
  const isLoggedIn = holder !== undefined && !isExpired(holder, nowMs)
  // A container hands its key again at every start; spent, expired or deleted since, it must not cost the login it once
  // brought. Both keys of the node are proven, so nothing is given away.
  if (isLoggedIn && (!key || (isOf(key, holder) && (tags.length === 0 || sameTags(tags, holder.tags)))))
    return { kind: 'keep', node: holder }
  if (!key) return { kind: 'refuse', text: 'invalid auth key' }
  const state = authKeyState(key, nowMs)
  if (state !== 'valid') return { kind: 'refuse', text: authKeyProblem[state] }
  const alien =
    key.tags.length > 0 ? request.requestTags.filter((tag) => !key.tags.includes(tag)) : facts.tagsBeyond(tags)
  if (alien.length > 0)
    return {
      kind: 'refuse',
      text: `requested tags [${alien.join(' ')}] are invalid or not permitted with this auth key`,
    }
  if (holder && holder.tailnetId !== key.tailnetId)
    return { kind: 'refuse', text: 'this device is logged in to another tailnet; log it out there first' }
  const former = facts.ofMachine.find((node) => isOf(key, node) && sameTags(tags, node.tags))
  return { kind: 'admit', key, node: holder ?? facts.reserved ?? former, tags }
}

const authKeyProblem = {
  used: 'this auth key was already used; create another, or a reusable one',
  expired: 'this auth key has expired; create another',
  revoked: 'this auth key was revoked; create another',
} as const

/** The same person in the same tailnet. */
const isOf = (key: AuthKey, node: Node): boolean => key.tailnetId === node.tailnetId && key.userId === node.userId

function sameTags(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((tag) => b.includes(tag))
}

/** The last part of an AuthURL's path; undefined when there is no such thing. */
export function loginIdOf(followup: string): string | undefined {
  return /\/login\/([A-Za-z0-9_-]{8,64})$/.exec(followup)?.[1]
}

/** The node a person's login renews: the same machine's former login of the same user. */
export function formerNode(ofMachine: readonly Node[], userId: number, tags: readonly string[] = []): Node | undefined {
  return ofMachine.find((node) => node.userId === userId && sameTags(node.tags, tags))
}
