// A hub of map streams for each tailnet, and what all of them have in common.

import type { Clock } from '../base/clock.ts'
import { Listeners } from '../base/lifetime.ts'
import type { Logger } from '../base/log.ts'
import type { NodePublic } from '../crypto/keys.ts'
import type { DerpMapInput } from '../wire/tailcfg/derp-map.ts'
import { MapHub } from './map/map-hub.ts'
import type { TailnetId } from './model.ts'
import type { Registry } from './registry.ts'
import type { ServerRegistry } from './server-registry.ts'

export interface TailnetHubsOptions {
  readonly registry: ServerRegistry
  readonly derpMap: DerpMapInput
  readonly clock: Clock
  readonly log: Logger
}

export class TailnetHubs {
  /** Node keys of any tailnet that count no more. */
  readonly keysGone = new Listeners<NodePublic>()
  readonly #options: TailnetHubsOptions
  #derpMap: DerpMapInput
  /** Of which was warned. */
  #sharedPlace: string | undefined
  readonly #hubs = new Map<TailnetId, { readonly hub: MapHub; readonly domain: string }>()
  readonly #stopListening: (() => void)[]

  constructor(options: TailnetHubsOptions) {
    this.#options = options
    options.registry.shareRegions(options.derpMap)
    this.#derpMap = this.#withOthers(options.derpMap)
    for (const registry of options.registry.tailnets()) this.#start(registry)
    this.#stopListening = [
      options.registry.tailnetChanges.add((id) => this.#follow(id)),
      options.registry.regionsChanged.add(() => this.#spread(this.#withOthers(this.#derpMap))),
    ]
  }

  /** Where servers share a database all their regions stand in it, this one's too. */
  #withOthers(map: DerpMapInput): DerpMapInput {
    const { sharedRegions } = this.#options.registry
    return sharedRegions ? { ...map, regions: sharedRegions } : map
  }

  #follow(id: TailnetId): void {
    const registry = this.#options.registry.tailnet(id)
    const running = this.#hubs.get(id)
    if (registry && running?.domain === registry.tailnet.domain) return
    running?.hub.close()
    this.#hubs.delete(id)
    // With another domain every name is another; clients come back for a whole map.
    if (registry) this.#start(registry)
  }

  #start(registry: Registry): void {
    const { id, name, domain } = registry.tailnet
    const { clock, log } = this.#options
    const hub = new MapHub({ registry, domain, derpMap: this.#derpMap, clock, log: log.scoped(`map ${name}`) })
    hub.keysGone.add((key) => this.keysGone.emit(key))
    this.#hubs.set(id, { hub, domain })
  }

  /** Undefined for a tailnet that is not there. */
  of(id: TailnetId): MapHub | undefined {
    return this.#hubs.get(id)?.hub
  }

  /** What the server itself relays by, and servers on the same database. */
  get derpMap(): DerpMapInput {
    return this.#derpMap
  }

  setDerpMap(map: DerpMapInput): void {
    this.#options.registry.shareRegions(map)
    this.#spread(this.#withOthers(map))
  }

  #spread(map: DerpMapInput): void {
    this.#derpMap = map
    const places = [...(map.regions?.values() ?? [])].flatMap(({ nodes = [] }) =>
      nodes.slice(0, 1).map(({ hostName, derpPort }) => `${hostName}:${derpPort}`),
    )
    const twice = places.find((place, at) => places.indexOf(place) !== at)
    if (twice !== undefined && twice !== this.#sharedPlace)
      this.#options.log.warn('two servers have one address for DERP; name each with --derp-host', { place: twice })
    this.#sharedPlace = twice
    for (const { hub } of this.#hubs.values()) hub.setDerpMap(map)
  }

  close(): void {
    for (const stop of this.#stopListening) stop()
    for (const { hub } of this.#hubs.values()) hub.close()
  }
}
