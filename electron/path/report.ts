// What a network check found, and the part of it that control is told.

import { isV6, type Endpoint } from '../base/endpoint.ts'

export interface NetcheckReport {
  readonly startedAtMs: number
  readonly full: boolean
  /** Some STUN server answered. */
  readonly udp: boolean
  readonly ipv4: boolean
  readonly ipv6: boolean
  readonly ipv4CanSend: boolean
  readonly ipv6CanSend: boolean
  readonly osHasIpv6: boolean
  /** Undefined until two servers at different addresses have answered over IPv4. True is what people call a hard NAT. */
  readonly mappingVariesByDestIp: boolean | undefined
  /** Shortest round trip of each region that answered, over either family or HTTPS. */
  readonly regionLatencyMs: ReadonlyMap<number, number>
  readonly regionV4LatencyMs: ReadonlyMap<number, number>
  readonly regionV6LatencyMs: ReadonlyMap<number, number>
  /** Our endpoints as STUN servers saw them, with how many saw each; in order of arrival. */
  readonly observed: ReadonlyMap<Endpoint, number>
  readonly preferredDerp: number | undefined
  readonly portMapping: PortMapping
  /** A web page wants a sign-in before anything gets through. Looked for only where UDP and HTTPS get no answer. */
  readonly captivePortal?: boolean | undefined
}

/** What the router offers in the way of port mapping, and what it gave us. Undefined members: nobody has asked. */
export interface PortMapping {
  /** Where the mapping leads to us from. */
  readonly endpoint: Endpoint | undefined
  readonly upnp: boolean | undefined
  readonly pmp: boolean | undefined
  readonly pcp: boolean | undefined
}

export const NO_PORT_MAPPING: PortMapping = { endpoint: undefined, upnp: undefined, pmp: undefined, pcp: undefined }

/** The public endpoints worth offering: the first of each family, and others that more than one answer named. */
export function publicEndpoints(observed: ReadonlyMap<Endpoint, number>): readonly Endpoint[] {
  const chosen: Endpoint[] = []
  for (const wantV6 of [false, true]) {
    const ofFamily = [...observed].filter(([endpoint]) => isV6(endpoint.slice(0, endpoint.lastIndexOf(':'))) === wantV6)
    for (const [index, [endpoint, count]] of ofFamily.entries()) if (index === 0 || count > 1) chosen.push(endpoint)
  }
  return chosen
}

/** NetInfo as control reads it; the names are the wire's (tailscale tailcfg, type NetInfo). */
export interface NetInfo {
  readonly PreferredDERP: number
  readonly WorkingUDP: boolean
  readonly WorkingIPv6: boolean
  readonly OSHasIPv6: boolean
  readonly MappingVariesByDestIP?: boolean
  readonly HavePortMap: boolean
  readonly UPnP?: boolean
  readonly PMP?: boolean
  readonly PCP?: boolean
  /** Seconds by "<region>-v4" and "<region>-v6". */
  readonly DERPLatency: Readonly<Record<string, number>>
}

export function netInfo(report: NetcheckReport): NetInfo {
  const latency: Record<string, number> = {}
  const add = (family: string, measured: ReadonlyMap<number, number>): void => {
    for (const [region, ms] of measured) latency[`${region}-${family}`] = ms / 1000
  }
  add('v4', report.regionV4LatencyMs)
  add('v6', report.regionV6LatencyMs)
  const { endpoint, upnp, pmp, pcp } = report.portMapping
  return {
    PreferredDERP: report.preferredDerp ?? 0,
    WorkingUDP: report.udp,
    WorkingIPv6: report.ipv6,
    OSHasIPv6: report.osHasIpv6,
    ...(report.mappingVariesByDestIp === undefined ? {} : { MappingVariesByDestIP: report.mappingVariesByDestIp }),
    HavePortMap: endpoint !== undefined,
    ...(upnp === undefined ? {} : { UPnP: upnp }),
    ...(pmp === undefined ? {} : { PMP: pmp }),
    ...(pcp === undefined ? {} : { PCP: pcp }),
    DERPLatency: latency,
  }
}

/** Equal but for the latencies, which alone are no reason to trouble control. */
export function basicallyEqual(a: NetInfo, b: NetInfo): boolean {
  return JSON.stringify({ ...a, DERPLatency: {} }) === JSON.stringify({ ...b, DERPLatency: {} })
}
