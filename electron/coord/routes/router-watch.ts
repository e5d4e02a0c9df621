// Asks routers that stand in for one another whether they are still there. The end of a connection tells of a process that
// ended; a machine that lost its power or its network says nothing, and TCP takes a quarter of an hour to notice.

import type { Clock } from '../../base/clock.ts'
import type { NodeId } from '../model.ts'

const ASK_EVERY_MS = 2_500
/** A link may lose a packet or two, and still answer within this. */
const ANSWER_MS = 3_000

export interface RouterWatchOptions {
  readonly clock: Clock
  readonly routers: () => ReadonlySet<NodeId>
  readonly onSilent: (id: NodeId) => void
}

type Probe = () => Promise<boolean>

export class RouterWatch {
  readonly #options: RouterWatchOptions
  readonly #probes = new Map<NodeId, Probe>()
  readonly #asked = new Set<NodeId>()
  #cancel: () => void = () => {}
  #isOver = false

  constructor(options: RouterWatchOptions) {
    this.#options = options
    this.#schedule()
  }

  /** A newer connection of the node takes the place of an older one; the function returned ends the watch over this one. */
  watch(id: NodeId, probe: Probe): () => void {
    this.#probes.set(id, probe)
    return () => {
      if (this.#probes.get(id) === probe) this.#probes.delete(id)
    }
  }

  close(): void {
    this.#isOver = true
    this.#cancel()
  }

  #schedule(): void {
    this.#cancel = this.#options.clock.after(ASK_EVERY_MS, () => {
      this.#schedule()
      for (const id of this.#options.routers()) this.#ask(id)
    })
  }

  #ask(id: NodeId): void {
    const probe = this.#probes.get(id)
    if (!probe || this.#asked.has(id)) return
    this.#asked.add(id)
    const cancel = this.#options.clock.after(ANSWER_MS, () => finish(false))
    let isDone = false
    const finish = (isThere: boolean): void => {
      if (isDone) return
      isDone = true
      cancel()
      this.#asked.delete(id)
      if (!isThere && !this.#isOver && this.#probes.get(id) === probe) this.#options.onSilent(id)
    }
    // One that cannot be asked is silent too, but only after the wait: its connection may just be closing in order.
    probe().then(
      (isThere) => isThere && finish(true),
      () => {},
    )
  }
}
