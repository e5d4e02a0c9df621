// Which node serves which route now. Of several that could, one is primary: it stays so for as long as it is online, so
// that a router which comes back after an outage does not move everybody's connections a second time.

import { type KeptSetting, recordOf } from '../kept-settings.ts'
import type { NodeId } from '../model.ts'
import { isExitRoute } from '../policy/topology.ts'

/** Networks behind a node that go through it, and whether it leads to the internet. A new value for every difference. */
export interface ServedRoutes {
  readonly subnets: readonly string[]
  readonly exits: readonly string[]
  /** Networks that another serves, except for those whom a rule steers to this one. */
  readonly standby: readonly string[]
}

export const SERVES_NOTHING: ServedRoutes = { subnets: [], exits: [], standby: [] }

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
  readonly tagsOf: (id: NodeId) => readonly string[]
  readonly isOnline: (id: NodeId) => boolean
  readonly formerPrimaries: ReadonlyMap<string, NodeId>
}

export class RouteTable {
  readonly #options: RouteTableOptions
  readonly #ofNode = new Map<NodeId, readonly string[]>()
  readonly #candidates = new Map<string, Set<NodeId>>()
  readonly #primaries: Map<string, NodeId>
  /** By route and the tags that a rule asks of routers: who serves those whom it steers. Learnt when asked for. */
  readonly #steered = new Map<string, Map<string, NodeId | undefined>>()
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
    const moved = new Set([...subnets].flatMap((route) => this.#electSteered(route)))
    return [...concerned].filter((one) => this.#refresh(one, moved.has(one)))
  }

  /** Who serves the route for those whom a rule lets go through routers with one of these tags alone. */
  steered(route: string, via: readonly string[]): NodeId | undefined {
    let ofRoute = this.#steered.get(route)
    if (!ofRoute) {
      ofRoute = new Map()
      this.#steered.set(route, ofRoute)
    }
    const key = via.join(' ')
    if (!ofRoute.has(key)) ofRoute.set(key, this.#electAmong(route, via, this.#primaries.get(route)))
    return ofRoute.get(key)
  }

  /** Rules have changed: what they asked for before need not be kept up. */
  forgetSteering(): void {
    this.#steered.clear()
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

  /** Returns those that serve somebody otherwise than before. */
  #electSteered(route: string): NodeId[] {
    const moved: NodeId[] = []
    const ofRoute = this.#steered.get(route) ?? new Map<string, NodeId | undefined>()
    for (const [key, former] of ofRoute) {
      const elected = this.#electAmong(route, key.split(' '), former)
      if (elected === former) continue
      ofRoute.set(key, elected)
      // With no such router the primary one serves those whom another rule lets go there.
      const primary = this.#primaries.get(route)
      moved.push(...[former ?? primary, elected ?? primary].filter((one) => one !== undefined))
    }
    return moved
  }

  #electAmong(route: string, via: readonly string[], former: NodeId | undefined): NodeId | undefined {
    const isOne = (id: NodeId): boolean => this.#options.tagsOf(id).some((tag) => via.includes(tag))
    return electPrimary(new Set([...this.candidates(route)].filter(isOne)), former, this.#options.isOnline)
  }

  #refresh(id: NodeId, hasMoved: boolean): boolean {
    const routes = this.#ofNode.get(id) ?? []
    const now: ServedRoutes = {
      subnets: routes.filter((route) => !isExitRoute(route) && this.#primaries.get(route) === id),
      exits: routes.filter(isExitRoute),
      standby: routes.filter((route) => !isExitRoute(route) && this.#primaries.get(route) !== id),
    }
    const before = this.served(id)
    if (
      !hasMoved &&
      (['subnets', 'exits', 'standby'] as const).every((kind) => before[kind].join() === now[kind].join())
    )
      return false
    if (routes.length > 0) this.#served.set(id, now)
    else this.#served.delete(id)
    return true
  }
}
