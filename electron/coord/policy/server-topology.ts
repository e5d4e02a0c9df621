// The tailnet of a server as a policy sees it.

import type { Node, User } from '../model.ts'
import type { Registry } from '../registry.ts'
import { CompiledPolicy } from './compile.ts'
import type { Policy } from './document.ts'
import { IpSet, prefixRange } from './ip-set.ts'
import type { PolicyNode, PolicyUser, Topology } from './topology.ts'

/** Of announced routes only those that the policy itself approves count. */
export function topologyOf(registry: Pick<Registry, 'users' | 'nodes'>, policy: Policy): Topology {
  const users = [...registry.users()].map(policyUser)
  const nodes = [...registry.nodes()]
  const bare = nodes.map((node) => policyNode(node, []))
  const announced = nodes.map(announcedRoutes)
  if (announced.every((routes) => routes.length === 0)) return { users, nodes: bare }
  const approving = new CompiledPolicy({ ...policy, acls: [], grants: [], ssh: [] }, { users, nodes: bare })
  return {
    users,
    nodes: nodes.map((node, i) =>
      policyNode(
        node,
        (announced[i] ?? []).filter((route) => approving.approves(String(node.id), route)),
      ),
    ),
  }
}

/** Two nodes with the same text are alike to every policy; endpoints and the like are not in it. */
export function factsOf(node: Node): string {
  const { userId, tags, addressV4, addressV6 } = node
  return JSON.stringify([userId, tags, addressV4, addressV6, announcedRoutes(node)])
}

const policyUser = ({ id, name, email, role }: User): PolicyUser => ({ key: String(id), name, email, role })

function policyNode(node: Node, routes: readonly string[]): PolicyNode {
  return {
    key: String(node.id),
    userKey: String(node.userId),
    tags: node.tags,
    addresses: [node.addressV4, node.addressV6],
    routes,
  }
}

function announcedRoutes(node: Node): string[] {
  return node.report.hostinfo.routableIps.flatMap((route) => {
    const range = prefixRange(route)
    return range ? IpSet.of([range]).toPrefixes() : []
  })
}
