// An ip:port as disco writes it, 18 bytes: the address in 16 (IPv4 as ::ffff:a.b.c.d), then the port, big endian.

import { bytesToIp, ipTo16, joinEndpoint, splitEndpoint, type Endpoint } from '../../base/endpoint.ts'
import { WireError, type Reader, type Writer } from '../codec.ts'

export const ADDR_PORT_BYTES = 18

export function writeAddrPort(endpoint: Endpoint, to: Writer): void {
  const parts = splitEndpoint(endpoint)
  const address = parts && ipTo16(parts.address)
  if (!parts || !address) throw new WireError('wire/bad-value', `"${endpoint}" is not an ip:port.`)
  to.bytes(address)
  to.u16(parts.port)
}

export function readAddrPort(from: Reader): Endpoint {
  const address = bytesToIp(from.bytes(16)) ?? ''
  return joinEndpoint(address, from.u16())
}

/** All that is left as endpoints; `left` must be a multiple of 18. */
export function readAddrPorts(from: Reader): Endpoint[] {
  const endpoints: Endpoint[] = []
  while (from.left > 0) endpoints.push(readAddrPort(from))
  return endpoints
}
