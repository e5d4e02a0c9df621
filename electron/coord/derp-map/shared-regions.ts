// The regions of all servers that share a database. Each has its own, which lives as long as its server says so; a machine is
// told of all of them, since those it talks to may be at home at another server's. Every server would call its region 900,
// so the later ones get other numbers, and keep them for as long as they are heard of.

import { createHash } from 'node:crypto'
import { derpMap, type DerpMapInput, type DerpRegionInput } from '../../wire/tailcfg/derp-map.ts'
import type { SharedTables } from '../store/shared-tables.ts'

/** Of a server that was silent for so long nobody is sent to its relay any more. */
const SILENT_MS = 60_000
/** Numbers for regions whose own is taken, from the last one down; 900 to 999 are for regions of one's own. */
const LAST = 999
const FIRST = 950

/** Of beats after which the silence of others is believed: while the database was out all were silent. */
const PATIENCE = 5

type Regions = ReadonlyMap<number, DerpRegionInput>

export class SharedRegions {
  readonly #server: string
  #own: Regions = new Map()
  #all: Regions = new Map()
  #patience = PATIENCE

  /** `server` names this process. */
  constructor(server: string) {
    this.#server = server
  }

  set own(map: DerpMapInput) {
    this.#own = new Map(map.regions)
  }

  get all(): Regions {
    return this.#all
  }

  /** The database was out. */
  missBeat(): void {
    this.#patience = PATIENCE
  }

  /** Says that this server's regions are there, and forgets those of servers that are silent. True when that changes any. */
  async tell(shared: SharedTables, isTaken: (id: number) => boolean): Promise<boolean> {
    const isSure = this.#patience === 0
    if (!isSure) this.#patience--
    let hasChanged = isSure && (await shared.forgetRegions(SILENT_MS)) > 0
    const rows = await shared.regions()
    const numbers = new Set(rows.map(({ region }) => region))
    const kept = new Set<number>()
    for (const [wanted, region] of this.#own) {
      const place = placeOf(region)
      const known = rows.find((row) => row.place === place)
      const id = known?.region ?? freeId(wanted, (id) => numbers.has(id) || isTaken(id))
      if (id === undefined) continue
      numbers.add(id)
      kept.add(id)
      const text = textOf(renumbered(region, wanted, id))
      await shared.putRegion({ region: id, server: this.#server, place, text })
      hasChanged ||= known?.text !== text
    }
    for (const { region, server } of rows) {
      if (server !== this.#server || kept.has(region)) continue
      await shared.deleteRegion(region)
      hasChanged = true
    }
    return hasChanged
  }

  /** As they are in the database; answers what puts them here. */
  async read(shared: SharedTables): Promise<() => void> {
    const rows = await shared.regions()
    const all = new Map<number, DerpRegionInput>()
    for (const { region, text } of rows) {
      const read = regionsOf(text).get(region)
      if (read) all.set(region, read)
    }
    return () => {
      this.#all = all
    }
  }
}

/** What stays the same when a server starts again: its certificate, or else where it is. */
function placeOf({ nodes = [] }: DerpRegionInput): string {
  const [node] = nodes
  return createHash('sha256')
    .update(node?.certName || `${node?.hostName ?? ''}:${node?.derpPort ?? 0}`)
    .digest('base64url')
}

function freeId(wanted: number, isTaken: (id: number) => boolean): number | undefined {
  if (!isTaken(wanted)) return wanted
  for (let id = LAST; id >= FIRST; id--) if (!isTaken(id)) return id
  return undefined
}

function renumbered(region: DerpRegionInput, from: number, to: number): DerpRegionInput {
  if (from === to) return region
  const { nodes = [], regionCode = '', regionName = '' } = region
  return {
    ...region,
    regionId: to,
    regionCode: `${regionCode}-${to}`,
    regionName: `${regionName} ${to}`,
    nodes: nodes.map((node) => ({
      ...node,
      regionId: to,
      name: (node.name ?? '').replace(new RegExp(`^${from}`), String(to)),
    })),
  }
}

const textOf = (region: DerpRegionInput): string =>
  JSON.stringify(derpMap.write({ regions: new Map([[region.regionId ?? 0, region]]) }))

/** None of what another version wrote in a way of its own. */
function regionsOf(text: string): Regions {
  try {
    return new Map(derpMap.read(JSON.parse(text)).regions)
  } catch {
    return new Map()
  }
}
