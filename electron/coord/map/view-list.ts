// The nodes that one stream was told of. There are as many of these as machines are connected, each with as many entries as
// the machine has peers: a thousand machines that see each other make a million, so an entry is one pointer.

import type { NodeId } from '../model.ts'
import type { NodeView } from './node-view.ts'

export class ViewList {
  /** By id, ascending. */
  #views: NodeView[] = []

  get size(): number {
    return this.#views.length
  }

  /** Takes the place of all that were here. */
  replaceAll(views: Iterable<NodeView>): void {
    const all = [...views]
    if (all.some(({ id }, at) => id <= (all[at - 1]?.id ?? -Infinity))) all.sort((a, b) => a.id - b.id)
    this.#views = all
  }

  get(id: NodeId): NodeView | undefined {
    const view = this.#views[this.#place(id)]
    return view?.id === id ? view : undefined
  }

  set(view: NodeView): void {
    const at = this.#place(view.id)
    if (this.#views[at]?.id === view.id) this.#views[at] = view
    else this.#views.splice(at, 0, view)
  }

  /** True when it was here. */
  delete(id: NodeId): boolean {
    const at = this.#place(id)
    if (this.#views[at]?.id !== id) return false
    this.#views.splice(at, 1)
    return true
  }

  *ids(): Iterable<NodeId> {
    for (const { id } of this.#views) yield id
  }

  /** Of the first with this id or a higher one. */
  #place(id: NodeId): number {
    let [low, high] = [0, this.#views.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#views[middle]?.id ?? Infinity) < id) low = middle + 1
      else high = middle
    }
    return low
  }
}
