// The tailnet of a server as a policy sees it.

import type { Node, User } from '../model.ts'
import type { Registry } from '../registry.ts'
import { announcedRoutes } from '../routes/announced.ts'
import { approvedRoutes, routeDecisions, type RouteDecisions, undecidedRoutes } from '../routes/decisions.ts'
import { CompiledPolicy } from './compile.ts'
import type { Policy } from './document.ts'
import type { PolicyNode, PolicyUser, Topology } from './topology.ts'

/** Of announced routes those count that somebody approved, and those that the policy approves by itself. */
export function topologyOf(
  registry: Pick<Registry, 'users' | 'nodes' | 'kept' | 'groupsOf'>,
  policy: Policy,
): Topology {
  const users = [...registry.users()].map((user) => policyUser(user, registry.groupsOf(user)))
  const nodes = [...registry.nodes()]
  const decisions = registry.kept(routeDecisions)
  const known = nodes.map((node) => policyNode(node, approvedRoutes(node, decisions)))
  const undecided = nodes.map((node) => undecidedRoutes(node, decisions))
  if (undecided.every((routes) => routes.length === 0)) return { users, nodes: known }
  const approving = new CompiledPolicy({ ...policy, acls: [], grants: [], ssh: [] }, { users, nodes: known })
  return {
    users,
    nodes: known.map((node, i) => {
      const more = (undecided[i] ?? []).filter((route) => approving.approves(node.key, route))
      return more.length === 0 ? node : { ...node, routes: [...node.routes, ...more] }
    }),
  }
}

/** Two nodes with the same text are alike to every policy; endpoints and the like are not in it. */
export function factsOf(node: Node, decisions: RouteDecisions): string {
  const { userId, tags, addressV4, addressV6 } = node
  const routes = announcedRoutes(node).map((route) => [route, decisions.get(node.id)?.get(route)])
  return JSON.stringify([userId, tags, addressV4, addressV6, routes])
}

const policyUser = ({ id, name, email, role }: User, groups: readonly string[]): PolicyUser => ({
  key: String(id),
  name,
  email,
  role,
  groups,
})

function policyNode(node: Node, routes: readonly string[]): PolicyNode {
  return {
    key: String(node.id),
    userKey: String(node.userId),
    tags: node.tags,
    addresses: [node.addressV4, node.addressV6],
    routes,
  }
}
