// Routes as administrators handle them: what each node announces, and whether it may.

import { CoordError } from '../errors.ts'
import type { Node, NodeId } from '../model.ts'
import { isExitRoute } from '../policy/topology.ts'
import type { Registry } from '../registry.ts'
import { announcedRoutes, canonicalRoute, EXIT_ROUTES, isForbiddenRoute } from './announced.ts'
import { decisionsOf, routeDecisions, withBothExits } from './decisions.ts'
import type { ServedRoutes } from './route-table.ts'

/** Printed by --json, so the names are public interface. */
export interface RouteInfo {
  readonly node: string
  readonly nodeId: NodeId
  readonly route: string
  readonly kind: 'subnet' | 'exit'
  /** Whether the node offers it now. */
  readonly announced: boolean
  readonly state: 'approved' | 'waiting' | 'refused'
  /** Whether traffic goes through this node: of several routers of a network, through one. */
  readonly serving: boolean
}

export interface RoutesAdminOptions {
  readonly registry: Registry
  readonly findNode: (which: string) => Node
  readonly servedBy: (id: NodeId) => ServedRoutes
  readonly actor: string
}

const MOST_ROUTES = 1_024

export class RoutesAdmin {
  readonly #options: RoutesAdminOptions

  constructor(options: RoutesAdminOptions) {
    this.#options = options
  }

  /** Of one node or of all. */
  async list(which?: string): Promise<RouteInfo[]> {
    const { registry, findNode } = this.#options
    const nodes = which === undefined ? [...registry.nodes()] : [findNode(which)]
    return nodes.flatMap((node) => this.#infos(node))
  }

  /** The routes named, or all that the node announces. A route may be approved before it is announced. */
  async approve(which: string, routes: readonly string[], actor = this.#options.actor): Promise<RouteInfo[]> {
    const node = this.#options.findNode(which)
    const wanted = routes.length > 0 ? checkedRoutes(routes) : announcedRoutes(node)
    if (wanted.length === 0)
      throw new CoordError(
        'coord/not-found',
        `${node.name} announces no routes yet. Let it (peerway up --advertise-routes 192.168.1.0/24), or name the routes to approve.`,
      )
    await this.#decide(node, wanted, 'approved', actor)
    return this.list(String(node.id))
  }

  /** The routes named, or all. They stay refused, whatever the policy approves, until they are approved again. */
  async revoke(which: string, routes: readonly string[], actor = this.#options.actor): Promise<RouteInfo[]> {
    const node = this.#options.findNode(which)
    const all = this.#infos(node).map(({ route }) => route)
    const wanted = routes.length > 0 ? checkedRoutes(routes) : all
    const unknown = wanted.find((route) => !all.includes(route))
    if (unknown !== undefined)
      throw new CoordError('coord/not-found', `${node.name} has no route ${unknown}; see: peerway coord routes list.`)
    await this.#decide(node, wanted, 'refused', actor)
    return this.list(String(node.id))
  }

  async #decide(node: Node, routes: readonly string[], decision: 'approved' | 'refused', actor: string): Promise<void> {
    const all = withBothExits(routes)
    await this.#options.registry.transaction(async (tx) => {
      await tx.decideRoutes(node.id, all, decision)
      const action = decision === 'approved' ? 'route.approve' : 'route.revoke'
      await tx.audit(actor, action, `node:${node.id}`, all.join(' ').slice(0, 1_000))
    })
  }

  #infos(node: Node): RouteInfo[] {
    const decisions = decisionsOf(this.#options.registry.kept(routeDecisions), node.id)
    const announced = announcedRoutes(node)
    const served = this.#options.servedBy(node.id)
    // Both routes of an exit node are decided about together; one that is not announced either way is no news.
    const decided = [...decisions.keys()].filter((route) => !isExitRoute(route) || announced.some(isExitRoute))
    return [...new Set([...announced, ...decided])].sort(inOrder).map((route) => ({
      node: node.name,
      nodeId: node.id,
      route,
      kind: isExitRoute(route) ? 'exit' : 'subnet',
      announced: announced.includes(route),
      state: decisions.get(route) ?? 'waiting',
      serving: served.subnets.includes(route) || served.exits.includes(route),
    }))
  }
}

const inOrder = (a: string, b: string): number => Number(isExitRoute(a)) - Number(isExitRoute(b)) || (a < b ? -1 : 1)

/** Throws CoordError 'coord/bad-argument'. "exit" stands for the routes of an exit node. */
function checkedRoutes(texts: readonly string[]): string[] {
  if (texts.length > MOST_ROUTES) throw bad(`At most ${MOST_ROUTES} routes at once.`)
  return texts.flatMap((text) => {
    if (text === 'exit') return [...EXIT_ROUTES]
    const route = canonicalRoute(text)
    if (route === undefined) throw bad(`"${text}" is no route; routes look like 192.168.1.0/24, or exit.`)
    if (isForbiddenRoute(route)) throw bad(`${route} lies over the addresses of the tailnet itself.`)
    const bare = text.includes('/') ? text : `${text}/${route.split('/')[1] ?? ''}`
    if (!sameNetwork(bare, route)) throw bad(`"${text}" has bits set beyond its length; write ${route}.`)
    return [route]
  })
}

const sameNetwork = (text: string, route: string): boolean => {
  const address = text.split('/')[0] ?? ''
  return canonicalRoute(address)?.split('/')[0] === route.split('/')[0]
}

const bad = (text: string): CoordError => new CoordError('coord/bad-argument', text)
