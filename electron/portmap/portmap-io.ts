// What a port mapper needs of the system, and what it tells.

import type { Endpoint, IpAddress } from '../base/endpoint.ts'

export interface Gateway {
  readonly address: IpAddress
  /** This machine's address in the gateway's network: where the router maps a port to. */
  readonly ownAddress: IpAddress
}

export interface UdpPort {
  send(to: Endpoint, bytes: Uint8Array): void
  close(): void
}

export interface HttpRequest {
  /** Where it is sent from. */
  readonly ownAddress: IpAddress
  readonly address: IpAddress
  readonly port: number
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** With a body it is a POST, else a GET. */
  readonly body: Uint8Array | undefined
}

export interface HttpReply {
  readonly status: number
  readonly body: Uint8Array
}

export interface PortmapIo {
  gateway(): Gateway | undefined
  /** A socket of its own at any port of our address. What cannot be sent is lost, as on a network. */
  openUdp(ownAddress: IpAddress, onPacket: (from: Endpoint, bytes: Uint8Array) => void): UdpPort
  /** Tells when the gateway says that it has restarted, until the returned function is called. */
  onAnnouncement(gateway: Gateway, told: () => void): () => void
  /** Follows no redirect; rejects when the body is over `mostBytes`, and when aborted. */
  http(request: HttpRequest, mostBytes: number, signal: AbortSignal): Promise<HttpReply>
}

export type MappedVia = 'pmp' | 'pcp' | 'upnp'

/** What is known of the router. Undefined: nobody has asked, or there is no router to ask. */
export interface PortmapView {
  readonly upnp: boolean | undefined
  readonly pmp: boolean | undefined
  readonly pcp: boolean | undefined
  /** Where packets reach our port from outside. */
  readonly endpoint: Endpoint | undefined
  readonly via: MappedVia | undefined
  /** Why there is no mapping though the router offers to map, in words. */
  readonly refusal: string | undefined
}

export const NOTHING_KNOWN: PortmapView = {
  upnp: undefined,
  pmp: undefined,
  pcp: undefined,
  endpoint: undefined,
  via: undefined,
  refusal: undefined,
}
