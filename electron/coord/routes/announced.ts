// Which networks a node offers to reach for others: what it announces, as far as anybody could let it.

import type { Node } from '../model.ts'
import { IpSet, prefixRange, TAILNET } from '../policy/ip-set.ts'
import { isExitRoute } from '../policy/topology.ts'

/** Networks of IPv4 behind a router, each in an IPv6 form of its own (control.md §8.5): ours, but routable. */
const FOUR_VIA_SIX = IpSet.of([prefixRange('fd7a:115c:a1e0:b1a::/64')].flatMap((range) => range ?? []))

export const EXIT_ROUTES = ['0.0.0.0/0', '::/0'] as const

/** A prefix in canonical form; undefined when it is none. Host bits count as zero. */
export function canonicalRoute(text: string): string | undefined {
  const range = prefixRange(text)
  return range && IpSet.of([range]).toPrefixes()[0]
}

/** Whether a route would take the addresses of nodes. */
export function isForbiddenRoute(route: string): boolean {
  const range = prefixRange(route)
  if (!range || isExitRoute(route)) return false
  const set = IpSet.of([range])
  return set.overlaps(TAILNET) && !FOUR_VIA_SIX.covers(set)
}

const known = new WeakMap<readonly string[], readonly string[]>()
const NONE: readonly string[] = []

/** Canonical and in order; whatever lies over the addresses of nodes is left out. */
export function announcedRoutes(node: Pick<Node, 'report'>): readonly string[] {
  const raw = node.report.hostinfo.routableIps
  if (raw.length === 0) return NONE
  const before = known.get(raw)
  if (before) return before
  const routes = new Set(raw.flatMap((text) => canonicalRoute(text) ?? []).filter((route) => !isForbiddenRoute(route)))
  const sorted = [...routes].sort()
  known.set(raw, sorted)
  return sorted
}
