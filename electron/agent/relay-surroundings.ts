// Where a relay asks for its own public address, and where its router should expect a client.

import type { NetworkInterfaceInfo } from 'node:os'
import {
  type Endpoint,
  ipToBytes,
  isLinkLocal,
  isLoopback,
  isTailnetAddress,
  isV6,
  joinEndpoint,
  parsePrefix,
  prefixContains,
  splitEndpoint,
} from '../base/endpoint.ts'
import { nodeAddress, stunPort } from '../path/derp-map.ts'
import type { DerpMap } from '../wire/tailcfg/derp-map.ts'
import { pathDerpMap } from './netmap-config.ts'

/** Two addresses are enough to see whether the mapping varies; more only make the answer surer. */
const MOST_STUN_SERVERS = 6

/**
 * Of a client's endpoints. Addresses of our own networks need no opening, and a peer must not have us write to whatever it
 * claims to be there.
 */
export function outsideEndpoints(
  endpoints: readonly Endpoint[],
  interfaces: NodeJS.Dict<NetworkInterfaceInfo[]>,
): readonly Endpoint[] {
  const attached = Object.values(interfaces).flatMap((addresses) =>
    (addresses ?? []).flatMap(({ cidr }) => (cidr === null ? [] : (parsePrefix(cidr) ?? []))),
  )
  return endpoints.filter((endpoint) => {
    const parts = splitEndpoint(endpoint)
    const bytes = parts && ipToBytes(parts.address)
    if (!parts || !bytes || parts.port === 0) return false
    const { address } = parts
    if (isLoopback(address) || isLinkLocal(address) || isTailnetAddress(address)) return false
    return !attached.some((prefix) => prefixContains(prefix, bytes))
  })
}

export async function relayStunServers(
  derpMap: DerpMap | undefined,
  resolve: (host: string) => Promise<readonly string[]>,
): Promise<readonly Endpoint[]> {
  if (!derpMap) return []
  const servers: Endpoint[] = []
  for (const family of ['v4', 'v6'] as const) {
    let count = 0
    for (const region of pathDerpMap(derpMap).regions) {
      if (count >= MOST_STUN_SERVERS / 2) break
      for (const node of region.nodes.slice(0, 2)) {
        const port = stunPort(node)
        const where = port === undefined ? undefined : nodeAddress(node, family)
        if (port === undefined || where === undefined) continue
        const found = 'ip' in where ? where.ip : await lookUp(where.host, family === 'v6', resolve)
        if (found === undefined) continue
        servers.push(joinEndpoint(found, port))
        count += 1
      }
    }
  }
  return [...new Set(servers)].slice(0, MOST_STUN_SERVERS)
}

async function lookUp(
  host: string,
  wantsV6: boolean,
  resolve: (host: string) => Promise<readonly string[]>,
): Promise<string | undefined> {
  try {
    return (await resolve(host)).find((address) => isV6(address) === wantsV6)
  } catch {
    return undefined
  }
}
