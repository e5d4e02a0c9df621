// What a peer may do with this node beyond sending it packets: the application capabilities that our own packet filter grants
// to its addresses (control.md §9.1, paths.md §6.1). Pure.

import { ipToBytes, parsePrefix, prefixContains } from '../base/endpoint.ts'
import type { Netmap } from '../control/netmap.ts'
import type { Node } from '../wire/tailcfg/node.ts'

/** The peer may ask this node's relay for places. */
export const CAP_RELAY = 'tailscale.com/cap/relay'
/** The peer may be asked by this node to relay for it. */
export const CAP_RELAY_TARGET = 'tailscale.com/cap/relay-target'
/** Peer relays came with this capability version. */
export const RELAY_CAPABILITY_VERSION = 121

/** The capabilities that `from` holds on `on`, by the filter of this node. */
export function capsFrom(netmap: Netmap, from: Node, on: Node = netmap.self): ReadonlySet<string> {
  const sources = bytesOf(from)
  const targets = bytesOf(on)
  const caps = new Set<string>()
  for (const { srcIps, capGrant } of netmap.packetFilter) {
    if (capGrant.length === 0 || !srcIps.some((source) => covers(source, sources, from))) continue
    for (const grant of capGrant) {
      if (!grant.dsts.some((prefix) => prefixCovers(prefix, targets))) continue
      for (const cap of [...grant.caps, ...grant.capMap.keys()]) caps.add(cap)
    }
  }
  return caps
}

/** The peers that this node may ask to relay for it. */
export function relayServers(netmap: Netmap, peers: readonly Node[]): Node[] {
  return peers.filter(
    (peer) =>
      peer.cap >= RELAY_CAPABILITY_VERSION &&
      peer.discoKey !== undefined &&
      capsFrom(netmap, peer).has(CAP_RELAY_TARGET),
  )
}

const bytesOf = (node: Node): Uint8Array[] => node.addresses.flatMap((prefix) => parsePrefix(prefix)?.bytes ?? [])

/** `source` as in FilterRule.srcIps: IP, CIDR, "a-b", "*" or "cap:". */
function covers(source: string, addresses: readonly Uint8Array[], node: Node): boolean {
  if (source === '*') return true
  if (source.startsWith('cap:')) return node.capMap.has(source.slice(4))
  const dash = source.indexOf('-')
  if (dash === -1) return prefixCovers(source, addresses)
  const [first, last] = [source.slice(0, dash), source.slice(dash + 1)].map((text) => ipToBytes(text.trim()))
  if (!first || !last) return false
  return addresses.some(
    (address) =>
      address.length === first.length &&
      address.length === last.length &&
      Buffer.compare(first, address) <= 0 &&
      Buffer.compare(address, last) <= 0,
  )
}

function prefixCovers(text: string, addresses: readonly Uint8Array[]): boolean {
  const prefix = parsePrefix(text)
  return prefix !== undefined && addresses.some((address) => prefixContains(prefix, address))
}
