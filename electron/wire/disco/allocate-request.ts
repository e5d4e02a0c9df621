// AllocateRequest asks a relaying node for a place for two clients. Only over DERP.
//
//   offset  bytes  field
//        0     32  clientDisco[0]  the lexicographically smaller
//       32     32  clientDisco[1]
//       64      4  generation      echoed in the response
//
// Reference: tailscale disco/disco.go, type AllocateUDPRelayEndpointRequest.

import { DiscoPublic, KEY_BYTES } from '../../crypto/keys.ts'
import type { Codec } from '../codec.ts'

export interface AllocateRequest {
  readonly clientDisco: readonly [DiscoPublic, DiscoPublic]
  readonly generation: number
}

export const allocateRequest: Codec<AllocateRequest> = {
  tag: 0x08,
  size: () => 2 * KEY_BYTES + 4,
  write(m, to) {
    for (const key of m.clientDisco) to.bytes(key.bytes)
    to.u32(m.generation)
  },
  read(from) {
    const key = (): DiscoPublic => new DiscoPublic(from.bytes(KEY_BYTES))
    return { clientDisco: [key(), key()], generation: from.u32() }
  },
}
