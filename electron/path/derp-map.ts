// What path discovery needs of the DERP map: where to ask for our public endpoint, and which regions there are.

import { canonicalIp, isV6, type IpAddress } from '../base/endpoint.ts'

export interface DerpMap {
  readonly regions: readonly DerpRegion[]
}

export interface DerpRegion {
  /** 1 to 65 535. */
  readonly id: number
  /** In order of preference. */
  readonly nodes: readonly DerpNode[]
  /** Reachable for peers that live there, but never measured and never our home. */
  readonly noMeasureNoHome?: boolean
  /** The older form: not in incremental reports unless it is our home. */
  readonly avoid?: boolean
  /** Multiplies the region's latency when a home is chosen: smaller is preferred. */
  readonly score?: number
}

export interface DerpNode {
  readonly name: string
  readonly hostName: string
  /** An address, "none" for a family to leave out, empty or absent for DNS. */
  readonly ipv4?: string
  readonly ipv6?: string
  /** 0 or absent: 3478. -1: no STUN here. */
  readonly stunPort?: number
  /** Replaces the address of its family: a server that is elsewhere than its name says (test setups). */
  readonly stunTestIp?: string
}

export type Family = 'v4' | 'v6'

const STUN_PORT = 3478

/** The node's STUN port; undefined when it offers none. */
export function stunPort(node: DerpNode): number | undefined {
  const port = node.stunPort ?? 0
  return port === 0 ? STUN_PORT : port > 0 && port <= 65_535 ? port : undefined
}

/** Where to reach a node: an address, the name to look up, or nothing in this family. */
export function nodeAddress(node: DerpNode, family: Family): { ip: IpAddress } | { host: string } | undefined {
  const fits = (ip: IpAddress): boolean => isV6(ip) === (family === 'v6')
  const forTests = node.stunTestIp ? canonicalIp(node.stunTestIp) : undefined
  if (forTests !== undefined) return fits(forTests) ? { ip: forTests } : undefined
  const listed = family === 'v4' ? node.ipv4 : node.ipv6
  if (!listed) {
    const literal = canonicalIp(node.hostName)
    if (literal === undefined) return { host: node.hostName }
    return fits(literal) ? { ip: literal } : undefined
  }
  const ip = canonicalIp(listed)
  return ip !== undefined && fits(ip) ? { ip } : undefined
}
