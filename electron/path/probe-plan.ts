// Which STUN probes a network check sends, and when. Reference: tailscale net/netcheck/netcheck.go, makeProbePlan.

import { nodeAddress, stunPort, type DerpMap, type DerpNode, type DerpRegion, type Family } from './derp-map.ts'
import type { NetcheckReport } from './report.ts'

/** Between two tries in a full check, and in an incremental one to a region without a known latency. */
const FULL_SPACING_MS = 100
const DEFAULT_SPACING_MS = 200
const QUICK_SPACING_MS = 150
const FULL_TRIES = 3
/** Besides the home region. */
const INCREMENTAL_REGIONS = 3
const MOST_OTHER_SERVERS = 2

/** Tries of one region in one family; the first answer ends the set. */
export interface ProbeSet {
  readonly region: number
  readonly family: Family
  readonly tries: readonly { readonly node: DerpNode; readonly delayMs: number }[]
}

export interface PlanInput {
  readonly map: DerpMap
  /** The last report; undefined makes the plan a full one. */
  readonly last: NetcheckReport | undefined
  readonly home: number | undefined
  /** Families in which this machine has an address. */
  readonly has: { readonly v4: boolean; readonly v6: boolean }
}

export const measurable = (map: DerpMap): readonly DerpRegion[] =>
  map.regions.filter((region) => !region.noMeasureNoHome && region.nodes.length > 0)

export function probePlan({ map, last, home, has }: PlanInput): readonly ProbeSet[] {
  const families = (['v4', 'v6'] as const).filter((family) => has[family])
  const full = measurable(map).flatMap((region) =>
    families.map((family) => probeSet(region, family, FULL_TRIES, FULL_SPACING_MS)),
  )
  const others = otherServers(map, families)
  if (!last || last.regionLatencyMs.size === 0) return [...full.filter(isUseful), ...others]
  const latency = (region: DerpRegion): number => last.regionLatencyMs.get(region.id) ?? Infinity
  const regions = measurable(map)
    .filter((region) => !region.avoid || region.id === home)
    .sort((a, b) => compare(latency(a), latency(b)))
  const chosen = regions.slice(0, INCREMENTAL_REGIONS)
  const homeRegion = map.regions.find((region) => region.id === home && region.nodes.length > 0)
  if (homeRegion && !chosen.includes(homeRegion)) chosen.push(homeRegion)
  const sets: ProbeSet[] = []
  for (const [rank, region] of chosen.entries()) {
    const lastMs = last.regionLatencyMs.get(region.id)
    const spacingMs = lastMs === undefined ? DEFAULT_SPACING_MS : Math.max(lastMs * 1.2, 1)
    const isTop = rank < 2 || region.id === home
    const tries = region.id === home ? 4 : rank < 2 ? 2 : 1
    for (const family of families) {
      // The third region alternates: one packet a check suffices to notice a family that came back.
      if (!isTop && families.length === 2 && (rank % 2 === 0) !== (family === 'v4')) continue
      const v6Tries = last.ipv6 ? tries : isTop ? 1 : 0
      sets.push(probeSet(region, family, family === 'v4' ? tries : v6Tries, spacingMs))
    }
  }
  return [...sets.filter(isUseful), ...others]
}

/**
 * How the router maps shows only where two servers answer. With a single region, its other servers are asked too, each by
 * itself.
 */
function otherServers(map: DerpMap, families: readonly Family[]): readonly ProbeSet[] {
  const [region, ...more] = measurable(map)
  if (!region || more.length > 0) return []
  return families.flatMap((family) =>
    stunNodes(region, family)
      .slice(1, 1 + MOST_OTHER_SERVERS)
      .map((node) => ({
        region: region.id,
        family,
        tries: [0, 1].map((n) => ({ node, delayMs: n * FULL_SPACING_MS })),
      })),
  )
}

/** Two tries to the home region, or to the first two while there is no home. */
export function quickPlan({ map, home, has }: PlanInput): readonly ProbeSet[] {
  const families = (['v4', 'v6'] as const).filter((family) => has[family])
  const regions = map.regions.some((region) => region.id === home)
    ? map.regions.filter((region) => region.id === home)
    : measurable(map).slice(0, 2)
  return regions
    .flatMap((region) => families.map((family) => probeSet(region, family, 2, QUICK_SPACING_MS)))
    .filter(isUseful)
}

const compare = (a: number, b: number): number => (a === b ? 0 : a < b ? -1 : 1)
const isUseful = (set: ProbeSet): boolean => set.tries.length > 0

const stunNodes = (region: DerpRegion, family: Family): readonly DerpNode[] =>
  region.nodes.filter((node) => stunPort(node) !== undefined && nodeAddress(node, family) !== undefined)

function probeSet(region: DerpRegion, family: Family, tries: number, spacingMs: number): ProbeSet {
  const nodes = stunNodes(region, family)
  const list: { node: DerpNode; delayMs: number }[] = []
  for (let index = 0; index < tries; index++) {
    const node = nodes[index % Math.max(nodes.length, 1)]
    if (node) list.push({ node, delayMs: index * spacingMs + (index > 1 ? index * 50 : 0) })
  }
  return { region: region.id, family, tries: list }
}
