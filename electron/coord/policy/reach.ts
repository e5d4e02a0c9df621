// Which routes of a router a viewer has business with: those it may send to, and those from where it may be reached, since
// answers take the same way. Asked for each viewer, router and route; viewers that are alike to all flows share the answer.

import { beginsAt, endsAt, type Flow } from './flows.ts'
import { IpSet, prefixRange } from './ip-set.ts'
import { isExitRoute, isInternet, type Place } from './topology.ts'

export class Reach {
  readonly #flows: readonly Flow[]
  readonly #known = new Map<string, boolean>()
  readonly #steering: readonly Flow[]
  readonly #vias = new Map<string, readonly string[] | undefined>()

  constructor(flows: readonly Flow[]) {
    this.#flows = flows
    this.#steering = flows.filter(({ kind, via, isSelf }) => kind === 'packets' && via !== undefined && !isSelf)
  }

  /** A rule with `via` wins over another that lets the viewer take any router. */
  steering(viewer: Place, viewerClass: string, route: string): readonly string[] | undefined {
    if (this.#steering.length === 0) return undefined
    const key = `${viewerClass} ${route}`
    if (this.#vias.has(key)) return this.#vias.get(key)
    const range = prefixRange(route)
    const set = range && IpSet.of([range])
    const tags = this.#steering
      .filter((flow) => set && flow.dst.overlaps(set) && beginsAt(flow, viewer))
      .flatMap(({ via }) => via ?? [])
    const via = tags.length > 0 ? [...new Set(tags)].sort() : undefined
    this.#vias.set(key, via)
    return via
  }

  /** `viewerClass`: equal for viewers at which the same flows begin and end. */
  reaches(viewer: Place, viewerClass: string, router: Place, route: string): boolean {
    const key = `${viewerClass} ${router.node.key} ${route}`
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const range = prefixRange(route)
    const answer =
      range !== undefined && this.#flows.some((flow) => leads(flow, viewer, router, route, IpSet.of([range])))
    this.#known.set(key, answer)
    return answer
  }
}

function leads(flow: Flow, viewer: Place, router: Place, route: string, set: IpSet): boolean {
  if (flow.isSelf || flow.kind !== 'packets') return false
  if (flow.via && !flow.via.some((tag) => router.node.tags.includes(tag))) return false
  if (isExitRoute(route)) return beginsAt(flow, viewer) && isInternet(flow.dst)
  return (flow.dst.overlaps(set) && beginsAt(flow, viewer)) || (flow.src.overlaps(set) && endsAt(flow, viewer))
}
