// Who finds names while everything goes through an exit node: that node, so that nobody near this machine learns of them. Pure.
// Reference: control.md §8.2.

import { joinEndpoint } from '../../base/endpoint.ts'
import { isDefaultRoute } from '../../base/prefix.ts'
import type { NodeId } from '../../contract/snapshot.ts'
import { isExpired, type Netmap } from '../../control/netmap.ts'
import type { Node } from '../../wire/tailcfg/node.ts'
import { nodeIdOf } from '../netmap-views.ts'

/** Nodes that are exit nodes look up names since this capability version. */
const LOOKS_UP_SINCE = 26

export interface ExitNames {
  /** Who is asked; none while the exit node is gone: nothing leaves this machine then. */
  readonly servers: readonly string[]
  /** Names that the tunnel itself needs. */
  readonly beside: ReadonlySet<string>
}

/** Undefined without an exit node, and with one that looks up no names for others. */
export function exitNames(
  netmap: Netmap,
  exitNode: NodeId | undefined,
  serverUrl: string,
  nowWallMs: number,
): ExitNames | undefined {
  if (exitNode === undefined) return undefined
  const exit = [...netmap.peers.values()].find((peer) => nodeIdOf(peer) === exitNode)
  const beside = new Set([new URL(serverUrl).hostname, ...derpHosts(netmap)].map((name) => name.toLowerCase()))
  if (!exit || isExpired(netmap, exit, nowWallMs) || !exit.allowedIps?.some(isDefaultRoute))
    return { servers: [], beside }
  const url = proxyOf(exit)
  return url === undefined ? undefined : { servers: [url], beside }
}

function proxyOf({ cap, addresses, hostinfo }: Node): string | undefined {
  const services = hostinfo?.services ?? []
  if (cap < LOOKS_UP_SINCE && !services.some(({ proto }) => proto === 'peerapi-dns-proxy')) return undefined
  for (const [proto, isOfFamily] of [
    ['peerapi4', (address: string) => !address.includes(':')],
    ['peerapi6', (address: string) => address.includes(':')],
  ] as const) {
    const port = services.find((service) => service.proto === proto)?.port ?? 0
    const address = addresses.map((prefix) => prefix.split('/')[0] ?? '').find(isOfFamily)
    if (port > 0 && port <= 65_535 && address !== undefined) return `http://${joinEndpoint(address, port)}/dns-query`
  }
  return undefined
}

const derpHosts = ({ derpMap }: Netmap): string[] =>
  [...(derpMap.regions?.values() ?? [])].flatMap(({ nodes }) => nodes.map(({ hostName }) => hostName))
