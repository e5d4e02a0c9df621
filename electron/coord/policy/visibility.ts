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
  readonly #classes = new Map<string, NodeClass>()
  readonly #visible = new Map<NodeClass, ReadonlySet<NodeClass>>()
  readonly #flows: readonly Flow[]

  constructor(places: readonly Place[], flows: readonly Flow[]) {
    this.#flows = flows
    const hasSelf = flows.some(({ isSelf }) => isSelf)
    for (const place of places) {
      const begins = indexes(flows, (flow) => beginsAt(flow, place))
      const ends = indexes(flows, (flow) => endsAt(flow, place))
      const userKey = hasSelf ? place.userKey : undefined
      const signature = `${begins.join()}|${ends.join()}|${userKey ?? ''}`
      const known = this.#classes.get(signature) ?? { signature, userKey, begins, ends, members: [] }
      this.#classes.set(signature, known)
      known.members.push(place.node.key)
      this.#classOf.set(place.node.key, known)
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
    const found = new Set(
      [...this.#classes.values()].filter((other) => this.#leads(viewer, other) || this.#leads(other, viewer)),
    )
    this.#visible.set(viewer, found)
    return found
  }

  #leads(from: NodeClass, to: NodeClass): boolean {
    return common(from.begins, to.ends).some(
      (index) => this.#flows[index]?.isSelf !== true || from.userKey === to.userKey,
    )
  }
}

function indexes(flows: readonly Flow[], accept: (flow: Flow) => boolean): number[] {
  return flows.flatMap((flow, index) => (accept(flow) ? index : []))
}

/** Of two ascending lists. */
function common(a: readonly number[], b: readonly number[]): number[] {
  const found: number[] = []
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    const [x, y] = [a[i] ?? 0, b[j] ?? 0]
    if (x === y) found.push(x)
    if (x <= y) i++
    if (y <= x) j++
  }
  return found
}
