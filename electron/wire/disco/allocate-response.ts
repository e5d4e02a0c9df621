// AllocateResponse hands over the place asked for. Only over DERP. Body: generation (4 bytes, from the request), then a
// relay-endpoint.ts block. Reference: tailscale disco/disco.go, type AllocateUDPRelayEndpointResponse.

import type { Codec } from '../codec.ts'
import { readRelayEndpoint, relayEndpointSize, writeRelayEndpoint, type RelayEndpoint } from './relay-endpoint.ts'

export interface AllocateResponse {
  readonly generation: number
  readonly relay: RelayEndpoint
}

export const allocateResponse: Codec<AllocateResponse> = {
  tag: 0x09,
  size: (m) => 4 + relayEndpointSize(m.relay),
  write(m, to) {
    to.u32(m.generation)
    writeRelayEndpoint(m.relay, to)
  },
  read: (from) => ({ generation: from.u32(), relay: readRelayEndpoint(from) }),
}
