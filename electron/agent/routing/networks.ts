// Which networks of the netmap go into the tunnel, and which are served out of it. Pure.

import { TAILNET_RANGES } from '../../base/endpoint.ts'
import { contains, isDefaultRoute, networkOf, OF_THIS_LINK, overlap } from '../../base/prefix.ts'
import type { NetworkInterfaceInfo } from 'node:os'
import type { Node } from '../../wire/tailcfg/node.ts'

/** IPv4 networks behind routers, each in an IPv6 form of its own (control.md §8.5): inside the range of nodes, but routes. */
const FOUR_VIA_SIX = 'fd7a:115c:a1e0:b1a::/64'
const RESERVED = [TAILNET_RANGES.ip, TAILNET_RANGES.ip6, ...OF_THIS_LINK.ip, ...OF_THIS_LINK.ip6]

/** What even a machine that sends everything through another says to its own link: DHCP, neighbours, many at once. */
export const ON_THIS_LINK = ['169.254.0.0/16', '224.0.0.0/4', '255.255.255.255/32', 'fe80::/10', 'ff00::/8']

/** Whether no route may lead there. */
export function isReserved(network: string): boolean {
  if (contains(FOUR_VIA_SIX, network)) return false
  return RESERVED.some((range) => contains(range, network))
}

/**
 * What a peer leads to beyond its own addresses, by node key. The server shows a network at one peer; were it at two, the
 * first would carry it.
 */
export function acceptedRoutes(peers: readonly Node[], locals: readonly string[]): Map<string, readonly string[]> {
  const taken = new Set<string>()
  const accepted = new Map<string, readonly string[]>()
  for (const peer of peers) {
    const routes = beyondAddresses(peer).filter(
      (route) =>
        !isDefaultRoute(route) &&
        !isReserved(route) &&
        !taken.has(route) &&
        // This machine stands in that network itself: the way there is the shorter one.
        !locals.some((local) => contains(local, route)),
    )
    for (const route of routes) taken.add(route)
    if (routes.length > 0) accepted.set(peer.key.text, routes)
  }
  return accepted
}

/** Networks this machine stands in that lie inside accepted ones: their packets stay outside of the tunnel. */
export const excluded = (locals: readonly string[], routes: Iterable<string>): string[] => {
  const all = [...routes]
  return [...new Set(locals)].filter((local) => all.some((route) => overlap(local, route)))
}

/** Networks this machine stands in; a single address is none. */
export function localNetworks(interfaces: NodeJS.Dict<NetworkInterfaceInfo[]>): string[] {
  const networks = Object.values(interfaces).flatMap((addresses) =>
    (addresses ?? []).flatMap(({ internal, cidr }) => (internal || cidr === null ? [] : (networkOf(cidr) ?? []))),
  )
  return [...new Set(networks)].filter((network) => !isReserved(network) && !/\/(32|128)$/.test(network)).sort()
}

function beyondAddresses(node: Node): string[] {
  const own = new Set(node.addresses.flatMap((prefix) => networkOf(prefix) ?? []))
  return [...new Set((node.allowedIps ?? []).flatMap((prefix) => networkOf(prefix) ?? []))].filter(
    (route) => !own.has(route),
  )
}
