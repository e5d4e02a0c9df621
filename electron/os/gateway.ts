// The router that this machine sends through, and the address that it has there: where a port mapping is asked for.

import { readFileSync } from 'node:fs'
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os'
import { bytesToIp, type IpAddress, ipToBytes, parsePrefix, prefixContains } from '../base/endpoint.ts'

export interface Gateway {
  readonly address: IpAddress
  /** This machine's address in the gateway's network. */
  readonly ownAddress: IpAddress
}

/** RTF_UP and RTF_GATEWAY, linux/route.h. */
const WANTED_FLAGS = 0x0003

export interface DefaultRoute {
  readonly interfaceName: string
  readonly gateway: IpAddress
}

/**
 * The IPv4 default routes by way of a gateway, the preferred one first, from the text of /proc/net/route: a line per route of
 * the main table, numbers in hex, addresses in the byte order of the machine.
 */
export function readDefaultRoutes(text: string): readonly DefaultRoute[] {
  const found: (DefaultRoute & { readonly metric: number })[] = []
  for (const line of text.split('\n').slice(1)) {
    const [interfaceName = '', destination, gatewayHex = '', flags = '', , , metric, mask] = line.trim().split(/\s+/)
    if (destination !== '00000000' || mask !== '00000000' || !/^[0-9A-Fa-f]{8}$/.test(gatewayHex)) continue
    if ((Number.parseInt(flags, 16) & WANTED_FLAGS) !== WANTED_FLAGS) continue
    const raw = Number.parseInt(gatewayHex, 16)
    const gateway = bytesToIp(Uint8Array.of(raw & 0xff, (raw >> 8) & 0xff, (raw >> 16) & 0xff, raw >>> 24))
    if (gateway !== undefined) found.push({ interfaceName, gateway, metric: Number(metric) })
  }
  return found.toSorted((a, b) => a.metric - b.metric).map(({ interfaceName, gateway }) => ({ interfaceName, gateway }))
}

/** The first route whose gateway is in a network that the interface has an address of. */
export function gatewayOf(
  routes: readonly DefaultRoute[],
  interfaces: NodeJS.Dict<NetworkInterfaceInfo[]>,
): Gateway | undefined {
  for (const { interfaceName, gateway } of routes) {
    const bytes = ipToBytes(gateway)
    for (const { family, address, cidr } of interfaces[interfaceName] ?? []) {
      const prefix = family === 'IPv4' && cidr !== null ? parsePrefix(cidr) : undefined
      if (bytes && prefix && prefixContains(prefix, bytes)) return { address: gateway, ownAddress: address }
    }
  }
  return undefined
}

/** Of the system's main table. None on systems where they are not looked for yet: all but Linux. */
export function defaultRoutes(): readonly DefaultRoute[] {
  if (process.platform !== 'linux') return []
  try {
    return readDefaultRoutes(readFileSync('/proc/net/route', 'utf8'))
  } catch {
    // Without /proc, in some containers.
    return []
  }
}

export function defaultGateway(): Gateway | undefined {
  return gatewayOf(defaultRoutes(), networkInterfaces())
}
