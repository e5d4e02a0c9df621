// Which node serves which route now. Of several that could, one is primary: it stays so for as long as it is online, so
// that a router which comes back after an outage does not move everybody's connections a second time.

import { type KeptSetting, recordOf } from '../kept-settings.ts'
import type { NodeId } from '../model.ts'
import { isExitRoute } from '../policy/topology.ts'

/** Networks behind a node that go through it, and whether it leads to the internet. */
export interface ServedRoutes {
  readonly subnets: readonly string[]
  readonly exits: readonly string[]
}

export const SERVES_NOTHING: ServedRoutes = { subnets: [], exits: [] }

/** Who was primary, so that a restart of the server moves nobody. */
export const primaryRoutes: KeptSetting<ReadonlyMap<string, NodeId>> = {
  name: 'primary-routes',
  parse: (text) =>
    new Map(
      Object.entries(recordOf(text)).flatMap(([route, id]) => (typeof id === 'number' ? [[route, id] as const] : [])),
    ),
}

/**
 * The former one while it is online; else the online one with the lowest id; else, with nobody online, the former one
 * again: a tunnel may still carry what the server does not see.
 */
export function electPrimary(
  candidates: ReadonlySet<NodeId>,
  former: NodeId | undefined,
  isOnline: (id: NodeId) => boolean,
): NodeId | undefined {
  const isCandidate = former !== undefined && candidates.has(former)
  if (isCandidate && isOnline(former)) return former
  const inOrder = [...candidates].sort((a, b) => a - b)
  return inOrder.find(isOnline) ?? (isCandidate ? former : inOrder[0])
}

export interface RouteTableOptions {
  /** Announced and approved routes of a node that may serve; none for one that is gone or has expired. */
  readonly routesOf: (id: NodeId) => readonly string[]
  readonly isOnline: (id: NodeId) => boolean
  readonly formerPrimaries: ReadonlyMap<string, NodeId>
}

export class RouteTable {
  readonly #options: RouteTableOptions
  readonly #ofNode = new Map<NodeId, readonly string[]>()
  readonly #candidates = new Map<string, Set<NodeId>>()
  readonly #primaries: Map<string, NodeId>
  readonly #served = new Map<NodeId, ServedRoutes>()

  constructor(options: RouteTableOptions) {
    this.#options = options
    this.#primaries = new Map(options.formerPrimaries)
  }

  /** Looks at a node again: its routes, and whether it is online. Returns the nodes that serve otherwise than before. */
  touch(id: NodeId): readonly NodeId[] {
    const before = this.#ofNode.get(id) ?? []
    const now = this.#options.routesOf(id)
    if (before.length + now.length === 0) return []
    const subnets = new Set([...before, ...now].filter((route) => !isExitRoute(route)))
    const concerned = new Set<NodeId>([id])
    for (const route of subnets) for (const one of this.#candidates.get(route) ?? []) concerned.add(one)
    for (const route of before) this.#leave(route, id)
    for (const route of now) this.#join(route, id)
    if (now.length > 0) this.#ofNode.set(id, now)
    else this.#ofNode.delete(id)
    for (const route of subnets) this.#elect(route)
    return [...concerned].filter((one) => this.#refresh(one))
  }

  served(id: NodeId): ServedRoutes {
    return this.#served.get(id) ?? SERVES_NOTHING
  }

  /** All that could serve this route, primary or not. */
  candidates(route: string): ReadonlySet<NodeId> {
    return this.#candidates.get(route) ?? new Set()
  }

  /** Nodes that stand in for one another: whether they still answer is worth asking often. */
  replaceable(): ReadonlySet<NodeId> {
    const found = new Set<NodeId>()
    for (const [route, nodes] of this.#candidates)
      if (nodes.size > 1 && !isExitRoute(route)) for (const id of nodes) found.add(id)
    return found
  }

  /** Of the routes that several could serve: the rest needs no memory. */
  primaries(): ReadonlyMap<string, NodeId> {
    return new Map([...this.#primaries].filter(([route]) => this.candidates(route).size > 1))
  }

  #join(route: string, id: NodeId): void {
    const nodes = this.#candidates.get(route)
    if (nodes) nodes.add(id)
    else this.#candidates.set(route, new Set([id]))
  }

  #leave(route: string, id: NodeId): void {
    const nodes = this.#candidates.get(route)
    nodes?.delete(id)
    if (nodes?.size === 0) this.#candidates.delete(route)
  }

  #elect(route: string): void {
    const elected = electPrimary(this.candidates(route), this.#primaries.get(route), this.#options.isOnline)
    if (elected === undefined) this.#primaries.delete(route)
    else this.#primaries.set(route, elected)
  }

  #refresh(id: NodeId): boolean {
    const routes = this.#ofNode.get(id) ?? []
    const now: ServedRoutes = {
      subnets: routes.filter((route) => !isExitRoute(route) && this.#primaries.get(route) === id),
      exits: routes.filter(isExitRoute),
    }
    const before = this.served(id)
    if (before.subnets.join() === now.subnets.join() && before.exits.join() === now.exits.join()) return false
    if (routes.length > 0) this.#served.set(id, now)
    else this.#served.delete(id)
    return true
  }
}
