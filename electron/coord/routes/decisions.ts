// What was decided about the routes of each node. A decision stays when the node no longer announces the route, and a
// refusal stands against the policy: only an administrator takes it back.

import { type KeptSetting, recordOf } from '../kept-settings.ts'
import type { Node, NodeId } from '../model.ts'
import { announcedRoutes, EXIT_ROUTES } from './announced.ts'

export type RouteDecision = 'approved' | 'refused'
export type NodeDecisions = ReadonlyMap<string, RouteDecision>
export type RouteDecisions = ReadonlyMap<NodeId, NodeDecisions>

const NO_DECISIONS: NodeDecisions = new Map()

export const routeDecisions: KeptSetting<RouteDecisions> = {
  name: 'route-decisions',
  parse: (text) =>
    new Map(
      Object.entries(recordOf(text)).map(([id, raw]) => {
        const routes = typeof raw === 'object' && raw !== null ? Object.entries(raw) : []
        return [
          Number(id),
          new Map(
            routes.flatMap(([route, decision]) =>
              decision === 'approved' || decision === 'refused' ? [[route, decision] as const] : [],
            ),
          ),
        ]
      }),
    ),
}

export const decisionsOf = (all: RouteDecisions, id: NodeId): NodeDecisions => all.get(id) ?? NO_DECISIONS

/** As text for the store, with decisions about one node added; nodes that are gone are forgotten. */
export function withDecisions(
  all: RouteDecisions,
  id: NodeId,
  routes: Iterable<string>,
  decision: RouteDecision,
  isThere: (id: NodeId) => boolean,
): string {
  const next = new Map([...all].filter(([node]) => isThere(node)))
  next.set(id, new Map([...decisionsOf(all, id), ...[...routes].map((route) => [route, decision] as const)]))
  return JSON.stringify(Object.fromEntries([...next].map(([node, of]) => [node, Object.fromEntries(of)])))
}

/** The two routes of an exit node are one thing: deciding about one decides about both. */
export function withBothExits(routes: Iterable<string>): string[] {
  const all = new Set(routes)
  if (EXIT_ROUTES.some((route) => all.has(route))) for (const route of EXIT_ROUTES) all.add(route)
  return [...all]
}

export function approvedRoutes(node: Node, all: RouteDecisions): string[] {
  const decisions = all.get(node.id)
  return decisions ? announcedRoutes(node).filter((route) => decisions.get(route) === 'approved') : []
}

/** What is announced and nobody has decided about. */
export function undecidedRoutes(node: Node, all: RouteDecisions): string[] {
  const decisions = decisionsOf(all, node.id)
  return announcedRoutes(node).filter((route) => !decisions.has(route))
}
