// The network check as programs and people are told of it.

import type { Clock } from '../base/clock.ts'
import type { NetcheckView } from '../contract/netcheck-view.ts'
import type { DerpRegionView } from '../contract/snapshot.ts'
import type { OwnEndpoint } from '../path/endpoints.ts'
import type { NetcheckReport } from '../path/report.ts'
import type { PortmapView } from '../portmap/portmap-io.ts'

export interface NetcheckFacts {
  readonly report: NetcheckReport
  readonly portMapping: PortmapView
  readonly endpoints: readonly OwnEndpoint[]
  readonly regions: Readonly<Record<number, DerpRegionView>>
  readonly clock: Clock
}

export function netcheckView({ report, portMapping, endpoints, regions, clock }: NetcheckFacts): NetcheckView {
  const { upnp, pmp, pcp, endpoint, via, refusal } = portMapping
  return {
    at: Math.round(clock.wallNow() - (clock.now() - report.startedAtMs)),
    udp: report.udp,
    ipv4: report.ipv4,
    ipv6: report.ipv6,
    ipv4CanSend: report.ipv4CanSend,
    ipv6CanSend: report.ipv6CanSend,
    osHasIpv6: report.osHasIpv6,
    mappingVariesByDestIp: report.mappingVariesByDestIp,
    captivePortal: report.captivePortal,
    publicEndpoints: [...report.observed].map(([seenAt, seen]) => ({ endpoint: seenAt, seen })),
    portMapping: { upnp, pmp, pcp, endpoint, via, refusal },
    regions: Object.values(regions).map(({ id, code, name }) => ({
      id,
      code,
      name,
      latencyMs: report.regionLatencyMs.get(id),
      v4Ms: report.regionV4LatencyMs.get(id),
      v6Ms: report.regionV6LatencyMs.get(id),
    })),
    home: report.preferredDerp,
    endpoints: endpoints.map((own) => own.endpoint),
  }
}
