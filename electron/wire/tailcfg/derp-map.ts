// Where the DERP servers are. Reference: tailscale tailcfg/derpmap.go; control.md §7.

import { always, dictionary, type In, intKeys, list, omit, optional, type Out, struct } from './schema.ts'
import { bool, float, int, text } from './scalars.ts'

export const derpNode = struct({
  /** Unique, as in "900a". */
  name: always('Name', text),
  regionId: always('RegionID', int),
  /** TLS server name, and what is dialled unless an address is given. */
  hostName: always('HostName', text),
  /** The name in the certificate when it is another, or "sha256-raw:<hex>" to pin a self-signed one. */
  certName: omit('CertName', text),
  /** An address to dial instead of asking DNS; any non-address ("none") turns the family off. */
  ipv4: omit('IPv4', text),
  ipv6: omit('IPv6', text),
  /** 0 = 3478, -1 = no STUN. */
  stunPort: omit('STUNPort', int),
  stunOnly: omit('STUNOnly', bool),
  /** 0 = 443. */
  derpPort: omit('DERPPort', int),
  insecureForTests: omit('InsecureForTests', bool),
  stunTestIp: omit('STUNTestIP', text),
  canPort80: omit('CanPort80', bool),
})
export interface DerpNode extends Out<typeof derpNode> {}
export type DerpNodeInput = In<typeof derpNode>

export const derpRegion = struct({
  regionId: always('RegionID', int),
  regionCode: always('RegionCode', text),
  regionName: always('RegionName', text),
  latitude: omit('Latitude', float),
  longitude: omit('Longitude', float),
  avoid: omit('Avoid', bool),
  noMeasureNoHome: omit('NoMeasureNoHome', bool),
  /** In order of preference. */
  nodes: always('Nodes', list(derpNode)),
})
export interface DerpRegion extends Out<typeof derpRegion> {}
export type DerpRegionInput = In<typeof derpRegion>

export const derpHomeParams = struct({
  /** Factor on a region's latency when a home is chosen. Undefined = unchanged, empty = all 1.0. */
  regionScore: optional('RegionScore', dictionary(intKeys, float)),
})

export const derpMap = struct({
  homeParams: optional('HomeParams', derpHomeParams),
  /** Undefined = unchanged. A null region, which servers have sent, is dropped. */
  regions: optional('Regions', dictionary(intKeys, derpRegion)),
  omitDefaultRegions: omit('omitDefaultRegions', bool),
})
export interface DerpMap extends Out<typeof derpMap> {}
export type DerpMapInput = In<typeof derpMap>
