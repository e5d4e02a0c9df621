// Who sees whom: two nodes are peers when some flow leads from one to the other, in either direction. Nodes that are alike
// to all flows form one class; a tailnet of thousands of nodes has few, and only classes are compared.

import { beginsAt, endsAt, type Flow } from './flows.ts'
import type { Place } from './topology.ts'

interface NodeClass {
  readonly signature: string
  readonly userKey: string | undefined
  readonly begins: readonly number[]
  readonly ends: readonly number[]
  readonly members: string[]
}

export class Visibility {
  readonly #classOf = new Map<string, NodeClass>()
  /** By flow, for those to one's own machines by person too. */
  readonly #beginsOf = new Map<string, NodeClass[]>()
  readonly #endsOf = new Map<string, NodeClass[]>()
  readonly #visible = new Map<NodeClass, ReadonlySet<NodeClass>>()
  readonly #flows: readonly Flow[]

  constructor(places: readonly Place[], flows: readonly Flow[]) {
    this.#flows = flows
    const classes = new Map<string, NodeClass>()
    const hasSelf = flows.some(({ isSelf }) => isSelf)
    for (const place of places) {
      const begins = indexes(flows, (flow) => beginsAt(flow, place))
      const ends = indexes(flows, (flow) => endsAt(flow, place))
      const userKey = hasSelf ? place.userKey : undefined
      const signature = `${begins.join()}|${ends.join()}|${userKey ?? ''}`
      let one = classes.get(signature)
      if (!one) {
        one = { signature, userKey, begins, ends, members: [] }
        classes.set(signature, one)
        for (const index of begins) this.#note(this.#beginsOf, index, one)
        for (const index of ends) this.#note(this.#endsOf, index, one)
      }
      one.members.push(place.node.key)
      this.#classOf.set(place.node.key, one)
    }
  }

  sees(viewer: string, other: string): boolean {
    if (viewer === other) return false
    const [a, b] = [this.#classOf.get(viewer), this.#classOf.get(other)]
    return a !== undefined && b !== undefined && this.#visibleTo(a).has(b)
  }

  peersOf(viewer: string): string[] {
    const own = this.#classOf.get(viewer)
    if (!own) return []
    return [...this.#visibleTo(own)].flatMap(({ members }) => members.filter((key) => key !== viewer))
  }

  /** Equal texts mean that a node sees and is seen like before, as long as the policy is the same. */
  signature(key: string): string | undefined {
    return this.#classOf.get(key)?.signature
  }

  #visibleTo(viewer: NodeClass): ReadonlySet<NodeClass> {
    const known = this.#visible.get(viewer)
    if (known) return known
    const found = new Set<NodeClass>()
    for (const index of viewer.begins) this.#add(found, viewer, index, this.#endsOf)
    for (const index of viewer.ends) this.#add(found, viewer, index, this.#beginsOf)
    this.#visible.set(viewer, found)
    return found
  }

  /** The classes at the other end of a flow; when it leads to one's own machines, those of the same person. */
  #add(
    found: Set<NodeClass>,
    viewer: NodeClass,
    index: number,
    others: ReadonlyMap<string, readonly NodeClass[]>,
  ): void {
    for (const other of others.get(this.#endKey(index, viewer)) ?? []) found.add(other)
  }

  #endKey(index: number, { userKey }: NodeClass): string {
    return this.#flows[index]?.isSelf === true ? `${index} ${userKey ?? ''}` : String(index)
  }

  #note(map: Map<string, NodeClass[]>, index: number, one: NodeClass): void {
    const key = this.#endKey(index, one)
    const list = map.get(key)
    if (list) list.push(one)
    else map.set(key, [one])
  }
}

function indexes(flows: readonly Flow[], accept: (flow: Flow) => boolean): number[] {
  return flows.flatMap((flow, index) => (accept(flow) ? index : []))
}
