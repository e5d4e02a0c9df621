// CallMeMaybeVia says "meet me at this place of a peer relay". Only over DERP. Body: a relay-endpoint.ts block.
// Reference: tailscale disco/disco.go, type CallMeMaybeVia.

import type { Codec } from '../codec.ts'
import { readRelayEndpoint, relayEndpointSize, writeRelayEndpoint, type RelayEndpoint } from './relay-endpoint.ts'

export interface CallMeMaybeVia {
  readonly relay: RelayEndpoint
}

export const callMeMaybeVia: Codec<CallMeMaybeVia> = {
  tag: 0x07,
  size: (m) => relayEndpointSize(m.relay),
  write: (m, to) => writeRelayEndpoint(m.relay, to),
  read: (from) => ({ relay: readRelayEndpoint(from) }),
}
