// Which routes of a router a viewer has business with: those it may send to, and those from where it may be reached, since
// answers take the same way. Asked for each viewer, router and route; viewers that are alike to all flows share the answer.

import { beginsAt, endsAt, type Flow } from './flows.ts'
import { IpSet, prefixRange } from './ip-set.ts'
import { isExitRoute, isInternet, type Place } from './topology.ts'

export class Reach {
  readonly #flows: readonly Flow[]
  readonly #known = new Map<string, boolean>()

  constructor(flows: readonly Flow[]) {
    this.#flows = flows
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
