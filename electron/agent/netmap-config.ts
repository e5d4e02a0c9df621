// From the netmap to what each part below has to be told. Pure.

import { isTailnetAddress } from '../base/endpoint.ts'
import { isExpired, type Netmap } from '../control/netmap.ts'
import type { DataplanePeer, FilterRule } from '../dataplane/dataplane.ts'
import type { DerpMap as PoolDerpMap } from '../derp/derp-map.ts'
import type { Served } from '../os/forwarding.ts'
import type { HostConfig } from '../os/host-network.ts'
import type { DerpMap as PathDerpMap } from '../path/derp-map.ts'
import type { PathPeer } from '../path/path-io.ts'
import { type DerpMap, derpMap as derpMapShape } from '../wire/tailcfg/derp-map.ts'
import type { FilterRule as WireFilterRule } from '../wire/tailcfg/filter-rule.ts'
import type { Node } from '../wire/tailcfg/node.ts'
import { RELAY_CAPABILITY_VERSION } from './peer-caps.ts'
import type { PeerIds } from './peer-ids.ts'
import type { Networks } from './routing/network-use.ts'

/**
 * Peers that may be talked to. A key that has run out is cut off by every node's own clock (control.md §4.8). A jailed peer
 * may not open connections to us; as the filter does not tell peers apart, it is left out both ways.
 */
export function livePeers(netmap: Netmap, nowWallMs: number): Node[] {
  return [...netmap.peers.values()].filter(
    (peer) => !isExpired(netmap, peer, nowWallMs) && !peer.isJailed && !peer.key.isZero,
  )
}

/** Single tailnet addresses: a peer cannot claim traffic for, or send from, others, unless they are routes that were accepted. */
function ownPrefixes(node: Node): string[] {
  return node.addresses.filter((prefix) => {
    const [address = '', bits] = prefix.split('/')
    return isTailnetAddress(address) && (bits === undefined || bits === (address.includes(':') ? '128' : '32'))
  })
}

/** `routes`: what a peer leads to beyond itself, by node key. */
export function dataplanePeers(
  peers: readonly Node[],
  ids: PeerIds,
  routes: ReadonlyMap<string, readonly string[]>,
): DataplanePeer[] {
  return peers.map((peer) => ({
    id: ids.of(peer.key.text),
    publicKey: peer.key.bytes,
    allowedIps: [...ownPrefixes(peer), ...(routes.get(peer.key.text) ?? [])],
    // NATs are kept open by disco heartbeats and STUN, never by WireGuard (paths.md §7.2).
    persistentKeepaliveSeconds: 0,
  }))
}

/**
 * Node keys of the peers with another disco key than before. A disco key lives as long as the process that made it, so
 * these have started anew: what is known of their sessions and paths is void, and packets sealed for the old session would be lost until
 * WireGuard's own 15 s without an answer are over.
 */
export function restartedPeers(peers: readonly Node[], before: readonly Node[]): string[] {
  const discoKeys = new Map(before.map((peer) => [peer.key.text, peer.discoKey]))
  return peers.flatMap(({ key, discoKey }) => {
    const old = discoKeys.get(key.text)
    return old && discoKey && !discoKey.equals(old) ? [key.text] : []
  })
}

export function pathPeers(peers: readonly Node[], ids: PeerIds): PathPeer[] {
  return peers.map((peer) => ({
    id: ids.of(peer.key.text),
    nodeKey: peer.key,
    discoKey: peer.discoKey,
    endpoints: peer.endpoints,
    homeRegion: peer.homeDerp === 0 ? undefined : peer.homeDerp,
    relayCapable: peer.cap >= RELAY_CAPABILITY_VERSION,
  }))
}

/** The inbound rules as the data plane takes them. One rule of the obsolete form denies everything, as in the reference. */
export function filterRules(netmap: Netmap): FilterRule[] {
  const rules: FilterRule[] = []
  for (const rule of netmap.packetFilter) {
    if (isObsolete(rule)) return []
    if (rule.dstPorts.length === 0) continue
    rules.push({
      sources: rule.srcIps.flatMap((source) =>
        source.startsWith('cap:') ? holdersOf(source.slice(4), netmap) : [source],
      ),
      destinations: rule.dstPorts.map(({ ip, ports }) => ({ ip, firstPort: ports.first, lastPort: ports.last })),
      protocols: rule.ipProto.filter((protocol) => protocol >= 0 && protocol <= 255),
    })
  }
  return rules
}

const isObsolete = (rule: WireFilterRule): boolean =>
  rule.srcBits.length > 0 || rule.dstPorts.some(({ bits }) => bits !== undefined && bits !== null)

/** Addresses of the peers that have a node capability. */
function holdersOf(capability: string, netmap: Netmap): string[] {
  return [...netmap.peers.values()].filter((peer) => peer.capMap.has(capability)).flatMap(ownPrefixes)
}

/** What inbound packets may be for: our own addresses, and the networks that this machine serves. */
export function localPrefixes(netmap: Netmap, { routes, isExit }: Served): string[] {
  return [...ownPrefixes(netmap.self), ...routes, ...(isExit ? ['0.0.0.0/0', '::/0'] : [])]
}

export function hostConfig(
  netmap: Netmap,
  peers: readonly Node[],
  tun: { name: string; mtuBytes: number },
  firewallMark: number,
  networks: Networks,
): HostConfig {
  return {
    tunName: tun.name,
    mtuBytes: tun.mtuBytes,
    addresses: ownPrefixes(netmap.self),
    routes: [...new Set([...peers.flatMap(ownPrefixes), ...[...networks.accepted.values()].flat()])],
    serviceAddresses: networks.serviceAddresses,
    excluded: networks.excluded,
    served: networks.served,
    firewallMark,
  }
}

/** The map under its JSON names, as the DERP pool reads it. */
export const poolDerpMap = (map: DerpMap): PoolDerpMap => derpMapShape.write(map) as PoolDerpMap

export function pathDerpMap(map: DerpMap): PathDerpMap {
  return {
    regions: [...(map.regions ?? [])].map(([id, region]) => ({
      id,
      nodes: region.nodes.map((node) => ({
        name: node.name,
        hostName: node.hostName,
        ipv4: node.ipv4,
        ipv6: node.ipv6,
        stunPort: node.stunPort,
        stunTestIp: node.stunTestIp,
      })),
      noMeasureNoHome: region.noMeasureNoHome,
      avoid: region.avoid,
      ...scoreOf(map, id),
    })),
  }
}

function scoreOf(map: DerpMap, region: number): { score?: number } {
  const score = map.homeParams?.regionScore?.get(region)
  return score !== undefined && score > 0 ? { score } : {}
}
