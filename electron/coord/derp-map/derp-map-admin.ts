// The DERP map as administrators handle it. A change is checked as a whole, and machines are told within a second.

import { derpMap, type DerpMapInput, type DerpRegionInput } from '../../wire/tailcfg/derp-map.ts'
import { CoordError } from '../errors.ts'
import type { Registry } from '../registry.ts'
import { mergedDerpMap, ownDerpMap, ownDerpMapText } from './own-derp-map.ts'
import { type OwnDerpMap, readDerpMap } from './read-derp-map.ts'

const MOST_CHARS = 512 * 1024
/** 900 to 999 are for regions of one's own; the embedded one is the first of them. */
const FIRST_FREE = 901
const LAST_FREE = 999

/** Printed by --json, so the names are public interface. */
export interface DerpMapInfo {
  /** Whether machines are told of the server's own region. */
  readonly embedded: 'told' | 'omitted' | 'none'
  readonly regions: readonly DerpRegionView[]
  /** The regions that were added, as `set` takes them. */
  readonly map: unknown
}

export interface DerpRegionView {
  readonly id: number
  readonly code: string
  readonly name: string
  readonly embedded: boolean
  readonly nodes: readonly DerpNodeView[]
}

export interface DerpNodeView {
  readonly name: string
  readonly host: string
  readonly derpPort: number
  /** Undefined for none. */
  readonly stunPort: number | undefined
  readonly stunOnly: boolean
  /** "sha256-raw:…", or the name that its certificate has; undefined for its host's. */
  readonly certificate: string | undefined
}

export interface NewRegionWish {
  /** The next of 901 to 999 when left out. */
  readonly id?: number | undefined
  readonly code: string
  readonly name?: string | undefined
  readonly host: string
  readonly certificate?: string | undefined
  readonly ipv4?: string | undefined
  readonly ipv6?: string | undefined
  readonly derpPort?: number | undefined
  readonly stunPort?: number | undefined
}

export interface DerpMapAdminOptions {
  readonly registry: Registry
  readonly embedded: () => DerpMapInput
  readonly actor: string
}

export class DerpMapAdmin {
  readonly #options: DerpMapAdminOptions

  constructor(options: DerpMapAdminOptions) {
    this.#options = options
  }

  async get(): Promise<DerpMapInfo> {
    return this.#info(this.#options.registry.kept(ownDerpMap))
  }

  /** In place of all regions that were added before. */
  async set(text: string): Promise<DerpMapInfo> {
    if (text.length > MOST_CHARS) throw new CoordError('coord/bad-argument', 'A DERP map has at most 512 KiB.')
    const own = readDerpMap(text)
    return this.#change(() => own, `${own.map.regions?.size ?? 0} regions`)
  }

  async addRegion(wish: NewRegionWish): Promise<DerpMapInfo> {
    return this.#change((now) => {
      const here = new Set([
        ...(now.map.regions ?? new Map()).keys(),
        ...(this.#options.embedded().regions ?? new Map()).keys(),
      ])
      const id = wish.id ?? freeId(here)
      if (here.has(id)) throw new CoordError('coord/conflict', `There is a region ${id} already.`)
      const [region] = checkedAgain(new Map([[id, regionOf(wish, id)]]))
      const regions = new Map([...(now.map.regions ?? []), ...(region ? [region] : [])])
      return { ...now, map: { ...now.map, regions } }
    }, `+ ${wish.code}`)
  }

  /** The embedded region too: then it is omitted. */
  async removeRegion(id: number): Promise<DerpMapInfo> {
    return this.#change((now) => {
      const regions = new Map(now.map.regions)
      if (regions.delete(id)) return { ...now, map: { regions, ...keptScores(now, id) } }
      if (!now.omitsEmbedded && this.#options.embedded().regions?.has(id) === true)
        return { ...now, omitsEmbedded: true }
      throw new CoordError('coord/not-found', `There is no region ${id}; see: peerway coord derp-map show.`)
    }, `- ${id}`)
  }

  async #change(next: (now: OwnDerpMap) => OwnDerpMap, detail: string): Promise<DerpMapInfo> {
    const { registry, actor, embedded } = this.#options
    const changed = await registry.transaction(async (tx) => {
      const own = next(ownDerpMap.parse(await tx.store.tailnetSetting(ownDerpMap.name)))
      if ((embedded().regions?.size ?? 0) > 0 && (mergedDerpMap(embedded(), own).regions?.size ?? 0) === 0)
        throw new CoordError(
          'coord/conflict',
          'No region would be left, and machines could not reach each other. Keep one.',
        )
      await tx.setKept(ownDerpMap.name, ownDerpMapText(own))
      await tx.audit(actor, 'derp-map.set', 'derp-map', detail)
      return own
    })
    return this.#info(changed)
  }

  #info(own: OwnDerpMap): DerpMapInfo {
    const embedded = this.#options.embedded()
    const regions = [...(mergedDerpMap(embedded, own).regions ?? [])].toSorted(([a], [b]) => a - b)
    const written = derpMap.write(own.map) as Record<string, unknown>
    return {
      embedded: (embedded.regions?.size ?? 0) === 0 ? 'none' : own.omitsEmbedded ? 'omitted' : 'told',
      regions: regions.map(([id, region]) => viewOf(id, region, own.map.regions?.has(id) !== true)),
      map: { ...written, ...(own.omitsEmbedded && { omitDefaultRegions: true }) },
    }
  }
}

function freeId(taken: ReadonlySet<number>): number {
  for (let id = FIRST_FREE; id <= LAST_FREE; id++) if (!taken.has(id)) return id
  throw new CoordError('coord/conflict', `All numbers from ${FIRST_FREE} to ${LAST_FREE} are taken; name another.`)
}

const regionOf = (wish: NewRegionWish, id: number): DerpRegionInput => ({
  regionId: id,
  regionCode: wish.code,
  regionName: wish.name ?? wish.code,
  nodes: [
    {
      name: `${id}a`,
      regionId: id,
      hostName: wish.host,
      certName: wish.certificate,
      ipv4: wish.ipv4,
      ipv6: wish.ipv6,
      stunPort: wish.stunPort,
      derpPort: wish.derpPort,
    },
  ],
})

/** By the rules for files: what comes in parts is no better. */
const checkedAgain = (
  regions: ReadonlyMap<number, DerpRegionInput>,
): readonly (readonly [number, DerpRegionInput])[] => [
  ...(readDerpMap(JSON.stringify(derpMap.write({ regions }), null, 2)).map.regions ?? []),
]

function keptScores({ map }: OwnDerpMap, without: number): Pick<DerpMapInput, 'homeParams'> {
  const scores = map.homeParams?.regionScore
  if (!scores) return {}
  return { homeParams: { regionScore: new Map([...scores].filter(([id]) => id !== without)) } }
}

function viewOf(id: number, region: DerpRegionInput, embedded: boolean): DerpRegionView {
  return {
    id,
    code: region.regionCode ?? '',
    name: region.regionName ?? '',
    embedded,
    nodes: (region.nodes ?? []).map((node) => ({
      name: node.name ?? '',
      host: node.hostName ?? '',
      derpPort: node.derpPort || 443,
      stunPort: node.stunPort === -1 ? undefined : node.stunPort || 3_478,
      stunOnly: node.stunOnly === true,
      certificate: node.certName || undefined,
    })),
  }
}
