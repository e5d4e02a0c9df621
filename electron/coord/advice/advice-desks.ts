import type { Clock } from '../../base/clock.ts'
import type { TailnetId } from '../model.ts'
import type { Registry } from '../registry.ts'
import type { ServerRegistry } from '../server-registry.ts'
import type { TailnetHubs } from '../tailnet-hubs.ts'
import { AdviceDesk, type Sights } from './advice-desk.ts'

const NOBODY: Sights = { isOnline: () => false, sees: () => false, mayAskRelay: () => false }

/** One desk for each tailnet: what is told in one is of no use, and no business, in another. */
export class AdviceDesks {
  readonly #registry: ServerRegistry
  readonly #hubs: Pick<TailnetHubs, 'of'>
  readonly #clock: Clock
  readonly #desks = new Map<TailnetId, { readonly registry: Registry; readonly desk: AdviceDesk }>()

  constructor(registry: ServerRegistry, hubs: Pick<TailnetHubs, 'of'>, clock: Clock) {
    this.#registry = registry
    this.#hubs = hubs
    this.#clock = clock
  }

  of(id: TailnetId): AdviceDesk | undefined {
    const registry = this.#registry.tailnet(id)
    const known = this.#desks.get(id)
    if (!registry) return undefined
    if (known?.registry === registry) return known.desk
    for (const former of this.#desks.keys()) if (!this.#registry.tailnet(former)) this.#desks.delete(former)
    // A hub is another after its tailnet changed: it is looked up each time.
    const hub = (): Sights => this.#hubs.of(id) ?? NOBODY
    const sights: Sights = {
      isOnline: (node) => hub().isOnline(node),
      sees: (viewer, other) => hub().sees(viewer, other),
      mayAskRelay: (client, relay) => hub().mayAskRelay(client, relay),
    }
    const desk = new AdviceDesk({ registry, sights, clock: this.#clock })
    this.#desks.set(id, { registry, desk })
    return desk
  }
}
