// A place that a peer relay has set aside for two clients; the block inside CallMeMaybeVia and the allocation response.
//
//   offset  bytes  field
//        0     32  serverDisco          of the relay's server instance, not of the relaying node
//       32     32  clientDisco[0]       the lexicographically smaller
//       64     32  clientDisco[1]
//       96      8  lamportId            newer ones of one server are larger
//      104      4  vni                  1 to 2^24 - 1
//      108      8  bindLifetimeNs
//      116      8  steadyStateLifetimeNs
//      124   18·n  endpoints            of the server, n ≥ 1
//
// Reference: tailscale disco/disco.go, type UDPRelayEndpoint.

import type { Endpoint } from '../../base/endpoint.ts'
import { DiscoPublic, KEY_BYTES } from '../../crypto/keys.ts'
import { MAX_VNI } from '../geneve/header.ts'
import { WireError, type Reader, type Writer } from '../codec.ts'
import { ADDR_PORT_BYTES, readAddrPorts, writeAddrPort } from './addr-port.ts'

const FIXED_BYTES = 3 * KEY_BYTES + 28

export interface RelayEndpoint {
  readonly serverDisco: DiscoPublic
  readonly clientDisco: readonly [DiscoPublic, DiscoPublic]
  readonly lamportId: bigint
  readonly vni: number
  readonly bindLifetimeNs: bigint
  readonly steadyStateLifetimeNs: bigint
  readonly endpoints: readonly Endpoint[]
}

export const relayEndpointSize = (m: RelayEndpoint): number => FIXED_BYTES + m.endpoints.length * ADDR_PORT_BYTES

export function writeRelayEndpoint(m: RelayEndpoint, to: Writer): void {
  to.bytes(m.serverDisco.bytes)
  for (const key of m.clientDisco) to.bytes(key.bytes)
  to.u64(m.lamportId)
  to.u32(m.vni)
  to.u64(m.bindLifetimeNs)
  to.u64(m.steadyStateLifetimeNs)
  for (const endpoint of m.endpoints) writeAddrPort(endpoint, to)
}

export function readRelayEndpoint(from: Reader): RelayEndpoint {
  const key = (): DiscoPublic => new DiscoPublic(from.bytes(KEY_BYTES))
  const head = {
    serverDisco: key(),
    clientDisco: [key(), key()] as const,
    lamportId: from.u64(),
    vni: from.u32(),
    bindLifetimeNs: from.u64(),
    steadyStateLifetimeNs: from.u64(),
  }
  if (head.vni < 1 || head.vni > MAX_VNI) throw new WireError('wire/bad-value', `VNI ${head.vni} does not exist.`)
  if (from.left === 0 || from.left % ADDR_PORT_BYTES !== 0)
    throw new WireError('wire/short', 'The relay endpoint does not end in whole addresses.')
  return { ...head, endpoints: readAddrPorts(from) }
}
