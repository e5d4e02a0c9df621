// Our own endpoints: what peers and control are told. A port that the router maps to us, what STUN servers saw, and the
// addresses of this machine with our UDP port. Reference: tailscale wgengine/magicsock/magicsock.go, determineEndpoints; net/netmon/state.go, LocalAddresses.

import type { NetworkInterfaceInfo } from 'node:os'
import {
  canonicalIp,
  ipToBytes,
  isLinkLocal,
  isTailnetAddress,
  isV6,
  joinEndpoint,
  parsePrefix,
  prefixContains,
  splitEndpoint,
  type Endpoint,
  type IpAddress,
} from '../base/endpoint.ts'

/** As on the wire, in MapRequest.EndpointTypes; configured endpoints have their number kept free. */
export const ENDPOINT_TYPE = { local: 1, stun: 2, portmap: 3, stunWithLocalPort: 4, configured: 5 } as const
export type EndpointType = (typeof ENDPOINT_TYPE)[keyof typeof ENDPOINT_TYPE]

export interface OwnEndpoint {
  readonly endpoint: Endpoint
  readonly type: EndpointType
}

export type Interfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>
export interface Ports {
  readonly v4: number
  readonly v6: number | undefined
  /** Chosen by a person, who may have forwarded it in a router. */
  readonly isFixed?: boolean
}

/** What is offered besides what STUN and the system tell. */
export interface MoreEndpoints {
  /** By a mapping that the router gave. */
  readonly portMapped?: Endpoint | undefined
  /** Our own port at the address that STUN saw: worth a try where a router maps anew for each destination. */
  readonly guessed?: Endpoint | undefined
}

/** Other overlays: two that use each other as transport multiply every packet. */
const isOtherOverlay = (name: string): boolean => name.startsWith('zt') || name === 'wt0' || name.includes('ZeroTier')
const MOST_V6_PER_SUBNET = 2
/** Enough for any real machine; a container host may have hundreds of bridges. */
const MOST_LOCAL = 40

/**
 * Addresses of interfaces that are up (Node lists no others). IPv4 169.254/16 and IPv6 unique local ones only where there
 * is nothing else, loopback only where there is nothing at all.
 */
export function localAddresses(interfaces: Interfaces, ignored: readonly string[]): readonly IpAddress[] {
  const regular: IpAddress[] = []
  const lesser: IpAddress[] = []
  const loopback: IpAddress[] = []
  const v6PerSubnet = new Map<string, number>()
  for (const [name, addresses] of Object.entries(interfaces)) {
    if (ignored.includes(name) || isOtherOverlay(name)) continue
    for (const { address, internal, cidr } of addresses ?? []) {
      const ip = canonicalIp(address)
      if (ip === undefined || isTailnetAddress(ip)) continue
      if (internal) loopback.push(ip)
      else if (!isV6(ip)) (isLinkLocal(ip) ? lesser : regular).push(ip)
      else if (!isLinkLocal(ip)) {
        const subnet = `${name} ${subnetOf(ip, cidr)}`
        const count = (v6PerSubnet.get(subnet) ?? 0) + 1
        v6PerSubnet.set(subnet, count)
        if (count <= MOST_V6_PER_SUBNET) (isUniqueLocal(ip) ? lesser : regular).push(ip)
      }
    }
  }
  const chosen = regular.length > 0 ? regular : lesser.length > 0 ? lesser : loopback
  return [...new Set(chosen)].slice(0, MOST_LOCAL)
}

/** Whether this machine has an address beyond itself, by family. */
export function familiesOf(addresses: readonly IpAddress[]): { readonly v4: boolean; readonly v6: boolean } {
  return { v4: addresses.some((address) => !isV6(address)), v6: addresses.some(isV6) }
}

const UNIQUE_LOCAL = parsePrefix('fc00::/7')
function isUniqueLocal(ip: IpAddress): boolean {
  const bytes = ipToBytes(ip)
  return bytes !== undefined && UNIQUE_LOCAL !== undefined && prefixContains(UNIQUE_LOCAL, bytes)
}

function subnetOf(ip: IpAddress, cidr: string | null): string {
  const prefix = parsePrefix(cidr ?? ip)
  if (!prefix) return ip
  return prefix.bytes.slice(0, Math.ceil(prefix.bits / 8)).join('.')
}

/** What STUN showed stays offered this long: a check that lost its packets is no reason to take an endpoint back. */
const STUN_LIFETIME_MS = 5 * 60_000 + 10_000
const MOST_PER_ADDRESS = 6
const MOST_STUN = 24

/** The list that is offered, with a memory of what STUN showed. */
export class OwnEndpoints {
  /** By endpoint, oldest first; the value is when it was last seen. */
  readonly #stun = new Map<Endpoint, number>()
  #current: readonly Endpoint[] = []
  #freshAtMs: number | undefined

  /** Endpoints of one STUN round. They come before older ones. */
  noteStun(endpoints: readonly Endpoint[], nowMs: number): void {
    if (endpoints.length === 0) return
    this.#current = endpoints
    this.#freshAtMs = nowMs
    for (const endpoint of endpoints) {
      this.#stun.delete(endpoint)
      this.#stun.set(endpoint, nowMs)
    }
    this.#forget(nowMs)
  }

  /** When STUN last showed where we are. */
  get freshAtMs(): number | undefined {
    return this.#freshAtMs
  }

  /** Another network: what was seen from the old one misleads. */
  clear(): void {
    this.#stun.clear()
    this.#current = []
    this.#freshAtMs = undefined
  }

  list(
    nowMs: number,
    local: readonly IpAddress[],
    ports: Ports,
    { portMapped, guessed }: MoreEndpoints = {},
  ): readonly OwnEndpoint[] {
    this.#forget(nowMs)
    const list = new Map<Endpoint, EndpointType>()
    if (portMapped !== undefined) list.set(portMapped, ENDPOINT_TYPE.portmap)
    for (const endpoint of [...this.#current.filter((one) => this.#stun.has(one)), ...[...this.#stun.keys()].reverse()])
      if (!list.has(endpoint)) list.set(endpoint, ENDPOINT_TYPE.stun)
    if (guessed !== undefined && !list.has(guessed)) list.set(guessed, ENDPOINT_TYPE.stunWithLocalPort)
    for (const address of local) {
      const port = isV6(address) ? ports.v6 : ports.v4
      if (port === undefined || port === 0) continue
      const endpoint = joinEndpoint(address, port)
      if (!list.has(endpoint)) list.set(endpoint, ENDPOINT_TYPE.local)
    }
    return [...list].map(([endpoint, type]) => ({ endpoint, type }))
  }

  #forget(nowMs: number): void {
    const perAddress = new Map<IpAddress, number>()
    for (const [endpoint, seenAtMs] of [...this.#stun].reverse()) {
      const address = splitEndpoint(endpoint)?.address ?? ''
      const count = (perAddress.get(address) ?? 0) + 1
      perAddress.set(address, count)
      if (nowMs - seenAtMs > STUN_LIFETIME_MS || count > MOST_PER_ADDRESS) this.#stun.delete(endpoint)
    }
    for (const endpoint of this.#stun.keys()) {
      if (this.#stun.size <= MOST_STUN) break
      this.#stun.delete(endpoint)
    }
  }
}

/** Equal as sets of endpoints: their order and types are no reason to publish. */
export function sameEndpoints(a: readonly OwnEndpoint[], b: readonly OwnEndpoint[]): boolean {
  const names = new Set(a.map(({ endpoint }) => endpoint))
  return a.length === b.length && b.every(({ endpoint }) => names.has(endpoint))
}
