// Who and what a policy is compiled for: people and machines as far as rules can name them.

import type { IpAddress } from '../../base/endpoint.ts'
import { EVERYTHING, INTERNET, IpSet, prefixRange } from './ip-set.ts'

export interface PolicyUser {
  readonly key: string
  readonly name: string
  readonly email?: string | undefined
  /** Of providers that people sign in with: group@provider. */
  readonly groups?: readonly string[] | undefined
  readonly role?: 'owner' | 'admin' | 'member' | 'auditor' | undefined
}

export interface PolicyNode {
  readonly key: string
  /** Whose node it is; counts only without tags. */
  readonly userKey: string | undefined
  readonly tags: readonly string[]
  readonly addresses: readonly IpAddress[]
  /** Announced and approved; the two default routes make an exit node. */
  readonly routes: readonly string[]
}

export interface Topology {
  readonly users: readonly PolicyUser[]
  readonly nodes: readonly PolicyNode[]
}

/** A node with what rules compare: its places as sets. */
export interface Place {
  readonly node: PolicyNode
  /** Undefined for a node with tags, which is nobody's. */
  readonly userKey: string | undefined
  readonly own: IpSet
  /** The subnets behind it. */
  readonly behind: IpSet
  /** Both. */
  readonly reach: IpSet
  readonly isExit: boolean
}

const EXIT_ROUTES = new Set(['0.0.0.0/0', '::/0'])

export const isExitRoute = (route: string): boolean => EXIT_ROUTES.has(route)

const setOf = (texts: readonly string[]): IpSet => IpSet.of(texts.flatMap((text) => prefixRange(text) ?? []))

export function placeOf(node: PolicyNode): Place {
  const own = setOf(node.addresses)
  const behind = setOf(node.routes.filter((route) => !isExitRoute(route)))
  return {
    node,
    userKey: node.tags.length > 0 ? undefined : node.userKey,
    own,
    behind,
    reach: IpSet.union([own, behind]),
    isExit: node.routes.some(isExitRoute),
  }
}

/** Whether rules for this destination let somebody reach the node, or what is behind it. */
export function isReachedBy(place: Place, dst: IpSet): boolean {
  return dst.overlaps(place.reach) || (place.isExit && isInternet(dst))
}

export const isInternet = (dst: IpSet): boolean =>
  dst.covers(INTERNET) || EVERYTHING.ranges.some((family) => dst.covers(IpSet.of([family])))
