// What can be read off the facts about the way between two machines: families, routers, a common network.

import {
  ipToBytes,
  isLinkLocal,
  isPrivate,
  isTailnetAddress,
  isV6,
  parsePrefix,
  prefixContains,
  splitEndpoint,
  type Endpoint,
  type IpAddress,
} from '../../base/endpoint.ts'
import type { OwnFacts, PeerFacts } from './facts.ts'

export type Answer = 'yes' | 'no' | 'unknown'

/**
 * A router in the words of RFC 4787: `easy` maps independently of the destination, `hard` does not, `open` is none. A mapped
 * one says that it lets packets to us in at a port of its own.
 */
export interface Router {
  readonly kind: 'open' | 'easy' | 'hard' | 'unknown'
  readonly isMapped: boolean
}

const OPEN: Router = { kind: 'open', isMapped: false }
const UNKNOWN: Router = { kind: 'unknown', isMapped: false }

export const addressOf = (endpoint: Endpoint): IpAddress => splitEndpoint(endpoint)?.address ?? ''

/** Whether both ends can send in this family, as far as the facts say. */
export function shareFamily(family: 'v4' | 'v6', own: OwnFacts, peer: PeerFacts): Answer {
  const [here, there] = [ownHas(family, own), peerHas(family, peer)]
  if (here === 'no' || there === 'no') return 'no'
  return here === 'yes' && there === 'yes' ? 'yes' : 'unknown'
}

function ownHas(family: 'v4' | 'v6', { network, addresses }: OwnFacts): Answer {
  if (!network) return 'unknown'
  if (family === 'v4' ? network.ipv4 : network.ipv6) return 'yes'
  const hasAddress = addresses.some((address) => isV6(address) === (family === 'v6') && !isOnlyHere(address))
  // Asked in this family, while the other was answered: it leads nowhere.
  const asked = family === 'v4' ? network.ipv4CanSend : network.ipv6CanSend
  return !hasAddress || (asked && network.udp) ? 'no' : 'unknown'
}

function peerHas(family: 'v4' | 'v6', { endpoints, network }: PeerFacts): Answer {
  if (endpoints.length === 0) return 'unknown'
  const has = endpoints.some((endpoint) => {
    const address = addressOf(endpoint)
    return isV6(address) === (family === 'v6') && !isOnlyHere(address)
  })
  if (!has) return 'no'
  return family === 'v6' && network?.workingIpv6 !== true ? 'unknown' : 'yes'
}

/** Of IPv6; they end at the link or at the site's border. */
const isOnlyHere = (address: IpAddress): boolean => isV6(address) && (isPrivate(address) || isLinkLocal(address))

export function ownRouter({ network, addresses }: OwnFacts): Router {
  if (!network?.ipv4) return UNKNOWN
  const seen = ownPublicAddresses(network.observed)
  if (seen.some((address) => addresses.includes(address))) return OPEN
  const isMapped = network.portMapping !== undefined && !isBehindTwo(network)
  return { kind: byMapping(network.mappingVariesByDestIp), isMapped }
}

export function peerRouter({ network, endpoints }: PeerFacts): Router {
  if (!network || network.workingUdp !== true) return UNKNOWN
  // Behind a router a machine has at least two IPv4 addresses: its own, and the one that STUN servers see.
  const addresses = new Set(endpoints.map(addressOf).filter((address) => !isV6(address)))
  if (addresses.size === 1 && network.mappingVariesByDestIp === false) return OPEN
  // A port that is mapped at another address than the world sees leads to nowhere: that is a router behind a router.
  const isBehindTwo = [...addresses].filter((address) => !isPrivate(address)).length > 1
  return { kind: byMapping(network.mappingVariesByDestIp), isMapped: network.havePortMap && !isBehindTwo }
}

const byMapping = (varies: boolean | undefined): Router['kind'] =>
  varies === undefined ? 'unknown' : varies ? 'hard' : 'easy'

/** The near router's own address is not the one that the world sees. */
export function isBehindTwo({ observed, portMapping, routerIsBehindNat }: NonNullable<OwnFacts['network']>): boolean {
  if (routerIsBehindNat === true) return true
  if (portMapping === undefined) return false
  const seen = ownPublicAddresses(observed)
  const mapped = addressOf(portMapping)
  return isTailnetAddress(mapped) || (seen.length > 0 && !seen.includes(mapped))
}

const ownPublicAddresses = (observed: readonly Endpoint[]): IpAddress[] =>
  observed.map(addressOf).filter((address) => !isV6(address))

/** Both are behind one router, as the world sees it. */
export function sharePublicAddress({ network, addresses }: OwnFacts, { endpoints }: PeerFacts): boolean {
  const theirs = new Set(endpoints.map(addressOf))
  return ownPublicAddresses(network?.observed ?? []).some(
    (address) => theirs.has(address) && !addresses.includes(address),
  )
}

/** The peer offers an address in a network that this machine is in; at home many networks have the same numbers. */
export function mayShareLan({ networks }: OwnFacts, { endpoints }: PeerFacts): boolean {
  return endpoints.some((endpoint) => {
    const bytes = ipToBytes(addressOf(endpoint))
    return networks.some((network) => {
      const prefix = parsePrefix(network)
      const isNetwork = prefix !== undefined && prefix.bits < prefix.bytes.length * 8
      return bytes !== undefined && isNetwork && prefix.bytes.length === bytes.length && prefixContains(prefix, bytes)
    })
  })
}
