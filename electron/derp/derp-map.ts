// What this folder reads of the DERP map, with the names of its JSON (control.md §7). The wire type has more fields; it
// fits here as it is.

export interface DerpMap {
  /** null or missing: unchanged in a delta; here the same as no region. */
  readonly Regions?: Readonly<Record<string, DerpRegion | null>> | null | undefined
}

export interface DerpRegion {
  /** 1 to 65 535. */
  readonly RegionID: number
  readonly RegionCode?: string | undefined
  readonly RegionName?: string | undefined
  /** Only for peers that live there: never measured, never home. */
  readonly NoMeasureNoHome?: boolean | undefined
  /** In order of preference. */
  readonly Nodes?: readonly DerpNode[] | null | undefined
}

export interface DerpNode {
  readonly Name: string
  readonly RegionID: number
  readonly HostName: string
  /** The name to verify instead of HostName, or `sha256-raw:<hex>` of a self-signed certificate. */
  readonly CertName?: string | undefined
  /** A literal to dial instead of asking DNS; any non-address ("none") turns the family off. */
  readonly IPv4?: string | undefined
  readonly IPv6?: string | undefined
  /** 0 or missing = 3478, -1 = off. */
  readonly STUNPort?: number | undefined
  readonly STUNOnly?: boolean | undefined
  /** 0 or missing = 443. */
  readonly DERPPort?: number | undefined
  readonly InsecureForTests?: boolean | undefined
}

export function regionsOf(map: DerpMap): ReadonlyMap<number, DerpRegion> {
  const regions = new Map<number, DerpRegion>()
  for (const region of Object.values(map.Regions ?? {})) {
    if (region && Number.isInteger(region.RegionID) && region.RegionID >= 1 && region.RegionID <= 65_535)
      regions.set(region.RegionID, region)
  }
  return regions
}

/** The nodes of a region that relay, in order. */
export function relayNodesOf(region: DerpRegion): readonly DerpNode[] {
  return (region.Nodes ?? []).filter((node) => node.STUNOnly !== true && node.HostName !== '')
}

export const derpPortOf = (node: DerpNode): number => node.DERPPort || 443

/** Whether a connection made by `a` may serve `b`: the same nodes, reached and checked in the same way. */
export function sameRegion(a: DerpRegion, b: DerpRegion): boolean {
  const identity = (region: DerpRegion): string =>
    JSON.stringify(
      relayNodesOf(region).map((node) => [
        node.HostName,
        node.CertName ?? '',
        node.IPv4 ?? '',
        node.IPv6 ?? '',
        derpPortOf(node),
        node.InsecureForTests === true,
      ]),
    )
  return identity(a) === identity(b)
}
