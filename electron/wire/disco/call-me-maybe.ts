// CallMeMaybe says "ping me at these endpoints now, I have just pinged yours". Only over DERP.
//
//   offset  bytes  field
//        0   18·n  endpoints, without a count
//
// A body of another length counts as an empty list, as in the reference: tailscale disco/disco.go, type CallMeMaybe.

import type { Endpoint } from '../../base/endpoint.ts'
import type { Codec } from '../codec.ts'
import { ADDR_PORT_BYTES, readAddrPorts, writeAddrPort } from './addr-port.ts'

export interface CallMeMaybe {
  readonly endpoints: readonly Endpoint[]
}

export const callMeMaybe: Codec<CallMeMaybe> = {
  tag: 0x03,
  size: (m) => m.endpoints.length * ADDR_PORT_BYTES,
  write(m, to) {
    for (const endpoint of m.endpoints) writeAddrPort(endpoint, to)
  },
  read: (from) => ({ endpoints: from.left % ADDR_PORT_BYTES === 0 ? readAddrPorts(from) : [] }),
}
