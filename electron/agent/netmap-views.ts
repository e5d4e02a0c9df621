// From the netmap to what people and programs see of it.

import { ipToBytes } from '../base/endpoint.ts'
import type { DoctorView } from '../contract/doctor.ts'
import type { DerpRegionView, NodeId, PathView, PeerView, SelfView, TailnetView } from '../contract/snapshot.ts'
import { isExpired, type Netmap } from '../control/netmap.ts'
import type { Node } from '../wire/tailcfg/node.ts'
import { relayServers } from './peer-caps.ts'

export interface NetmapViews {
  readonly self: SelfView
  readonly tailnet: TailnetView
  readonly peers: Readonly<Record<NodeId, PeerView>>
  readonly derpRegions: Readonly<Record<number, DerpRegionView>>
}

export interface ViewFacts {
  readonly serverUrl: string
  readonly tunName: string | undefined
  readonly endpoints: readonly string[]
  readonly homeRegion: number | undefined
  /** By the node key's text. */
  readonly paths: ReadonlyMap<string, PathView>
  /** By the node key's text, for peers without a direct path. */
  readonly doctor: ReadonlyMap<string, DoctorView>
  readonly nowWallMs: number
}

export function netmapViews(netmap: Netmap, facts: ViewFacts): NetmapViews {
  const peers: Record<string, PeerView> = {}
  for (const peer of netmap.peers.values()) peers[nodeIdOf(peer)] = peerView(peer, netmap, facts)
  return {
    self: selfView(netmap, facts),
    tailnet: tailnetView(netmap, facts.serverUrl),
    peers,
    derpRegions: regionViews(netmap),
  }
}

export const nodeIdOf = (node: Node): NodeId => (node.stableId || node.id) as NodeId

function selfView(netmap: Netmap, facts: ViewFacts): SelfView {
  const { self } = netmap
  return {
    id: nodeIdOf(self),
    name: firstLabel(self.name),
    dnsName: withoutDot(self.name),
    hostName: self.hostinfo?.hostname ?? firstLabel(self.name),
    os: self.hostinfo?.os ?? '',
    addresses: addressesOf(self),
    allowedIps: self.allowedIps ?? self.addresses,
    nodeKey: self.key.text,
    endpoints: facts.endpoints,
    homeRegion: facts.homeRegion,
    ownerId: self.user,
    keyExpiresAt: self.keyExpiryMs,
    tunName: facts.tunName,
  }
}

function peerView(peer: Node, netmap: Netmap, facts: ViewFacts): PeerView {
  const owner = netmap.userProfiles.get(peer.user)
  return {
    id: nodeIdOf(peer),
    name: firstLabel(peer.name),
    dnsName: withoutDot(peer.name),
    hostName: peer.hostinfo?.hostname ?? firstLabel(peer.name),
    os: peer.hostinfo?.os ?? '',
    addresses: addressesOf(peer),
    allowedIps: peer.allowedIps ?? peer.addresses,
    nodeKey: peer.key.text,
    ownerId: peer.user,
    ownerLogin: owner?.loginName ?? '',
    ownerName: owner?.displayName || owner?.loginName || '',
    mine: peer.user === netmap.self.user && peer.tags.length === 0,
    tags: peer.tags,
    online: peer.online,
    lastSeenAt: peer.online === true ? undefined : peer.lastSeenMs,
    expired: isExpired(netmap, peer, facts.nowWallMs),
    homeRegion: peer.homeDerp === 0 ? undefined : peer.homeDerp,
    ...(relayKeys(netmap).has(peer.key.text) ? { relays: true } : {}),
    path: facts.paths.get(peer.key.text) ?? unknownPath(facts.nowWallMs),
    doctor: facts.doctor.get(peer.key.text),
  }
}

/** A netmap never changes, and is shown many times. */
const relaysOf = new WeakMap<Netmap, ReadonlySet<string>>()

function relayKeys(netmap: Netmap): ReadonlySet<string> {
  const known = relaysOf.get(netmap)
  if (known) return known
  const keys = new Set(relayServers(netmap, [...netmap.peers.values()]).map(({ key }) => key.text))
  relaysOf.set(netmap, keys)
  return keys
}

/** The path of a peer that the path finder has said nothing of yet. */
export const unknownPath = (nowWallMs: number): PathView => ({
  kind: 'none',
  lan: false,
  via: undefined,
  latencyMs: undefined,
  looking: false,
  idle: true,
  sinceAt: nowWallMs,
  reason: 'start',
  reasonText: 'nothing has been sent yet',
})

function tailnetView(netmap: Netmap, serverUrl: string): TailnetView {
  const account = netmap.userProfiles.get(netmap.self.user)
  return {
    name: netmap.domain || new URL(serverUrl).hostname,
    serverUrl,
    account: account?.loginName ?? '',
    accountName: account?.displayName || account?.loginName || '',
  }
}

function regionViews(netmap: Netmap): Record<number, DerpRegionView> {
  const views: Record<number, DerpRegionView> = {}
  for (const [id, region] of netmap.derpMap?.regions ?? [])
    if (region)
      views[id] = {
        id,
        code: region.regionCode || String(id),
        name: region.regionName || region.regionCode || String(id),
      }
  return views
}

/** The node's own addresses, IPv4 first, without prefix lengths. */
export function addressesOf(node: Node): string[] {
  return node.addresses
    .map((prefix) => prefix.split('/')[0] ?? '')
    .filter((address) => ipToBytes(address) !== undefined)
    .toSorted((a, b) => Number(a.includes(':')) - Number(b.includes(':')))
}

const withoutDot = (name: string): string => name.replace(/\.$/, '')
const firstLabel = (name: string): string => name.split('.')[0] ?? name
