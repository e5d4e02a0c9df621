// Where a request really comes from. Behind a proxy every connection is the proxy's, and limits would count all people as
// one; so a proxy that the operator names is believed about who came to it (the X-Forwarded-For of most proxies). Whatever
// anybody else writes there counts for nothing.

import type { IncomingMessage } from 'node:http'
import { canonicalIp, splitEndpoint } from '../../base/endpoint.ts'
import { contains, networkOf } from '../../base/prefix.ts'

/** Proxies one behind the other, and what a client made up before the first. */
const MOST_HOPS = 16

const known = new WeakMap<IncomingMessage, string>()

/** To be called once for each request, before anybody asks. `proxies` are networks; empty for none. */
export function noteClient(request: IncomingMessage, proxies: readonly string[]): void {
  const peer = canonicalIp(request.socket.remoteAddress ?? '')
  if (peer === undefined || proxies.length === 0) return
  known.set(request, clientOf(peer, request.headers['x-forwarded-for'], proxies))
}

/** Undefined when the connection is gone. */
export const clientAddressOf = (request: IncomingMessage): string | undefined =>
  known.get(request) ?? request.socket.remoteAddress

/** The nearest hop that no named proxy stands for. */
export function clientOf(
  peer: string,
  forwarded: string | readonly string[] | undefined,
  proxies: readonly string[],
): string {
  const isProxy = (address: string): boolean => proxies.some((network) => contains(network, address))
  const header = typeof forwarded === 'string' ? forwarded : (forwarded ?? []).join(',')
  const hops = header.split(',').slice(-MOST_HOPS)
  let client = peer
  while (isProxy(client)) {
    const hop = hops.pop()?.trim() ?? ''
    // Some write the port too.
    const address = canonicalIp(hop) ?? splitEndpoint(hop)?.address
    if (address === undefined) break
    client = address
  }
  return client
}

/** The networks of a list such as "127.0.0.1,10.0.0.0/8"; undefined when a part is none. */
export function parseProxies(text: string): readonly string[] | undefined {
  const networks = text.split(',').map((part) => networkOf(part.trim()))
  return networks.every((network) => network !== undefined) ? networks : undefined
}
