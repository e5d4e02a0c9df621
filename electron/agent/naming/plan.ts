// From the netmap to who answers for which name. Pure. Reference: control.md §8.

import { canonicalIp, type IpAddress } from '../../base/endpoint.ts'
import { isExpired, type Netmap } from '../../control/netmap.ts'
import type { DnsPlan } from '../../dns/dns-plan.ts'
import { serverAddress } from '../../dns/upstream.ts'
import { isBuiltInServer } from '../../wire/dns/built-in.ts'
import type { Node } from '../../wire/tailcfg/node.ts'
import type { ExitNames } from './exit-names.ts'

const MOST_ROUTES = 1_000
const MOST_SERVERS = 16
const MOST_SEARCH_DOMAINS = 32
const MOST_RECORDS = 10_000

/** Names of addresses of nodes: 100.64.0.0/10 octet by octet, and fd7a:115c:a1e0::/48. */
const REVERSE_DOMAINS = [
  ...Array.from({ length: 64 }, (_, i) => `${64 + i}.100.in-addr.arpa`),
  '0.e.1.a.c.5.1.1.a.7.d.f.ip6.arpa',
]

/** Undefined when the network says nothing of names, or this machine's key has run out. */
export function planOf(netmap: Netmap, nowWallMs: number, exit?: ExitNames): DnsPlan | undefined {
  const { dns, self } = netmap
  if (!dns || isExpired(netmap, self, nowWallMs)) return undefined
  const hosts = new Map<string, readonly IpAddress[]>()
  const namesOf = new Map<IpAddress, string>()
  const routes = new Map<string, readonly string[]>()
  for (const [domain, servers] of [...dns.routes].slice(0, MOST_ROUTES)) {
    const usable = serversOf(servers)
    // Servers that cannot be asked are not the same as none: then the domain would not exist.
    if (servers.length === 0 || usable.length > 0) routes.set(nameOf(domain), usable)
  }
  if (dns.proxied) {
    const domain = nameOf(self.name.slice(self.name.indexOf('.') + 1))
    if (self.name.includes('.') && domain !== '') routes.set(domain, routes.get(domain) ?? [])
    for (const reverse of REVERSE_DOMAINS) routes.set(reverse, routes.get(reverse) ?? [])
    for (const node of [self, ...netmap.peers.values()]) noteNode(node, hosts, namesOf)
  }
  const records = new Map<string, IpAddress[]>()
  for (const { name, type, value } of dns.extraRecords.slice(0, MOST_RECORDS)) {
    const address = canonicalIp(value)
    if (address === undefined || !['', 'A', 'AAAA'].includes(type)) continue
    const known = records.get(nameOf(name))
    if (known) known.push(address)
    else records.set(nameOf(name), [address])
  }
  for (const [name, addresses] of records) if (!hosts.has(name)) hosts.set(name, addresses)
  // Some servers are there for those behind an exit node too.
  const kept = dns.resolvers.filter(({ useWithExitNode }) => !exit || useWithExitNode)
  const servers = kept.length > 0 || !exit ? serversOf(kept) : exit.servers
  if (hosts.size === 0 && routes.size === 0 && servers.length === 0 && !exit) return undefined
  return {
    hosts,
    namesOf,
    routes,
    servers,
    searchDomains: dns.domains
      .map(nameOf)
      .filter((domain) => domain !== '')
      .slice(0, MOST_SEARCH_DOMAINS),
    beside: exit?.beside,
  }
}

/** Of the node itself, without prefix lengths and in the form that can be compared. */
export const ownAddresses = ({ addresses }: Node): IpAddress[] =>
  addresses.flatMap((prefix) => canonicalIp(prefix.split('/')[0] ?? '') ?? [])

function noteNode(node: Node, hosts: Map<string, readonly IpAddress[]>, namesOf: Map<IpAddress, string>): void {
  const name = nameOf(node.name)
  const addresses = ownAddresses(node)
  if (name === '' || addresses.length === 0) return
  hosts.set(name, addresses)
  for (const address of addresses) namesOf.set(address, name)
}

/** One that is ourselves would ask itself for ever. */
const serversOf = (servers: readonly { readonly addr: string }[]): string[] =>
  servers
    .map(({ addr }) => addr)
    .filter((addr) => {
      const place = serverAddress(addr)
      return place !== undefined && !isBuiltInServer(place.address)
    })
    .slice(0, MOST_SERVERS)

const nameOf = (text: string): string => text.toLowerCase().replace(/\.+$/, '')
