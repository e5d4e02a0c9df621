// What a peer may do with this node beyond sending it packets: the application capabilities that our own packet filter grants
// to its addresses (control.md §9.1, paths.md §6.1). Pure.

import { compareBytes, toHex } from '../base/bytes.ts'
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
    if (capGrant.length === 0 || !covers(rangesOf(srcIps), sources, from)) continue
    for (const grant of capGrant) {
      if (!covers(rangesOf(grant.dsts), targets, undefined)) continue
      for (const cap of [...grant.caps, ...grant.capMap.keys()]) caps.add(cap)
    }
  }
  return caps
}

/** Which nodes the filter of this node lets open a connection to one of these addresses, be they here or beyond. */
export function whoReaches(
  netmap: Netmap,
  addresses: readonly string[],
  { protocol, port }: { readonly protocol: number; readonly port: number },
): (from: Node) => boolean {
  const targets = addresses.flatMap((address) => ipToBytes(address) ?? [])
  const rules = netmap.packetFilter.filter(
    ({ dstPorts, ipProto }) =>
      (ipProto.length === 0 || ipProto.includes(protocol)) &&
      dstPorts.some(
        ({ ip, ports }) =>
          ports.first <= port && port <= ports.last && (ip === '*' || covers(rangesOf([ip]), targets, undefined)),
      ),
  )
  return (from) => rules.some(({ srcIps }) => covers(rangesOf(srcIps), bytesOf(from), from))
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

/** What a list of FilterRule.srcIps (IP, CIDR, "a-b", "*" or "cap:") means. */
interface Ranges {
  readonly all: boolean
  /** Single addresses, as hex: a grant to a network of a thousand machines names each of them. */
  readonly single: ReadonlySet<string>
  readonly prefixes: readonly { readonly bytes: Uint8Array; readonly bits: number }[]
  readonly spans: readonly (readonly [first: Uint8Array, last: Uint8Array])[]
  readonly caps: readonly string[]
}

/** Lists of a filter never change, and are asked about once for each peer. */
const known = new WeakMap<readonly string[], Ranges>()

function rangesOf(list: readonly string[]): Ranges {
  const before = known.get(list)
  if (before) return before
  const single = new Set<string>()
  const prefixes: { bytes: Uint8Array; bits: number }[] = []
  const spans: (readonly [Uint8Array, Uint8Array])[] = []
  const caps: string[] = []
  for (const text of list) {
    if (text.startsWith('cap:')) {
      caps.push(text.slice(4))
      continue
    }
    const [first, last] = text.includes('-') ? text.split('-', 2).map((end) => ipToBytes(end.trim())) : []
    if (first && last && first.length === last.length) spans.push([first, last])
    const prefix = parsePrefix(text)
    if (!prefix) continue
    if (prefix.bits === prefix.bytes.length * 8) single.add(toHex(prefix.bytes))
    else prefixes.push(prefix)
  }
  const ranges: Ranges = { all: list.includes('*'), single, prefixes, spans, caps }
  known.set(list, ranges)
  return ranges
}

/** `node` is the one that the addresses are of, where its own capabilities count. */
function covers(ranges: Ranges, addresses: readonly Uint8Array[], node: Node | undefined): boolean {
  if (ranges.all && node) return true
  if (node && ranges.caps.some((cap) => node.capMap.has(cap))) return true
  return addresses.some(
    (address) =>
      ranges.single.has(toHex(address)) ||
      ranges.prefixes.some((prefix) => prefixContains(prefix, address)) ||
      ranges.spans.some(
        ([first, last]) =>
          address.length === first.length && compareBytes(first, address) <= 0 && compareBytes(address, last) <= 0,
      ),
  )
}

const bytesOf = (node: Node): Uint8Array[] => node.addresses.flatMap((prefix) => parsePrefix(prefix)?.bytes ?? [])
