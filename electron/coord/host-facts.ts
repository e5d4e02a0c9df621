// What is kept of a node's account of itself: bounded, because anyone with a node can send it, and every peer gets it.

import { canonicalEndpoint, isLinkLocal, splitEndpoint, type Endpoint } from '../base/endpoint.ts'
import type { Hostinfo, NetInfo } from '../wire/tailcfg/hostinfo.ts'
import type { MapRequest } from '../wire/tailcfg/map-request.ts'
import { NO_HOST_FACTS, type HostFacts, type NetworkFacts, type NodeReport } from './model.ts'

const MOST_ENDPOINTS = 64
const MOST_SERVICES = 64
const MOST_ROUTES = 1_024
const MOST_SSH_KEYS = 16
const TEXT_CHARS = 256
const SSH_KEY_CHARS = 2_048

export function hostFacts(hostinfo: Hostinfo | undefined): HostFacts {
  if (!hostinfo) return NO_HOST_FACTS
  return {
    hostname: plain(hostinfo.hostname),
    os: plain(hostinfo.os),
    osVersion: plain(hostinfo.osVersion),
    clientVersion: plain(hostinfo.ipnVersion),
    services: hostinfo.services
      .filter(({ port }) => port >= 0 && port <= 65_535)
      .slice(0, MOST_SERVICES)
      .map(({ proto, port, description }) => ({ proto: plain(proto), port, description: plain(description) })),
    sshHostKeys: hostinfo.sshHostKeys.filter((key) => key.length <= SSH_KEY_CHARS).slice(0, MOST_SSH_KEYS),
    routableIps: hostinfo.routableIps.slice(0, MOST_ROUTES),
    peerRelay: hostinfo.peerRelay,
    shieldsUp: hostinfo.shieldsUp,
    network: networkFacts(hostinfo.netInfo),
  }
}

/** Without the latencies: they change with each look, and would make each peer hear of it. */
function networkFacts(info: NetInfo | undefined): NetworkFacts | undefined {
  if (!info) return undefined
  const { mappingVariesByDestIp, workingUdp, workingIpv6, havePortMap } = info
  if (!havePortMap && [mappingVariesByDestIp, workingUdp, workingIpv6].every((one) => one === undefined))
    return undefined
  return { mappingVariesByDestIp, workingUdp, workingIpv6, havePortMap }
}

/** Names and versions are shown in windows and terminals: no control or direction-changing characters, and not long. */
function plain(text: string): string {
  return text
    .slice(0, TEXT_CHARS)
    .replaceAll(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}]/gu, '')
    .trim()
}

/** Only what a peer can dial: no zones, no IPv6 link-local, no port 0. */
export function usableEndpoints(texts: readonly string[]): Endpoint[] {
  const usable = new Set<Endpoint>()
  for (const text of texts) {
    if (usable.size === MOST_ENDPOINTS) break
    const endpoint = canonicalEndpoint(text)
    const parts = endpoint === undefined ? undefined : splitEndpoint(endpoint)
    if (endpoint !== undefined && parts && parts.port > 0 && !isLinkLocal(parts.address)) usable.add(endpoint)
  }
  return [...usable]
}

/** The report after a lite update; the same value when it says nothing new. */
export function updatedReport(before: NodeReport, request: MapRequest): NodeReport {
  const { hostinfo } = request
  const after: NodeReport = {
    ...before,
    discoKey: request.discoKey ?? before.discoKey,
    endpoints: usableEndpoints(request.endpoints),
    hostinfo: hostinfo ? keepingNetwork(hostFacts(hostinfo), before.hostinfo) : before.hostinfo,
    homeDerp: homeDerpOf(hostinfo?.netInfo?.preferredDerp) ?? before.homeDerp,
    capVersion: request.version,
  }
  return JSON.stringify(after) === JSON.stringify(before) ? before : after
}

/** Clients do not repeat what they told of their network (control.md §11.4, 18). */
const keepingNetwork = (now: HostFacts, before: HostFacts): HostFacts =>
  now.network ? now : { ...now, network: before.network }

function homeDerpOf(region: number | undefined): number | undefined {
  return region !== undefined && region > 0 && Number.isSafeInteger(region) ? region : undefined
}
