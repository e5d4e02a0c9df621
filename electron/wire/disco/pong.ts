// Pong answers a Ping on the path it came by.
//
//   offset  bytes  field
//        0     12  txId    of the ping
//       12     18  source  ip:port the ping came from, as its receiver saw it; over DERP 127.3.3.40:<region>
//
// Reference: tailscale disco/disco.go, type Pong.

import type { Endpoint } from '../../base/endpoint.ts'
import type { Codec } from '../codec.ts'
import { ADDR_PORT_BYTES, readAddrPort, writeAddrPort } from './addr-port.ts'
import { TX_ID_BYTES } from './ping.ts'

export interface Pong {
  readonly txId: Uint8Array
  readonly source: Endpoint
}

export const pong: Codec<Pong> = {
  tag: 0x02,
  size: () => TX_ID_BYTES + ADDR_PORT_BYTES,
  write(m, to) {
    to.bytes(m.txId)
    writeAddrPort(m.source, to)
  },
  read: (from) => ({ txId: from.bytes(TX_ID_BYTES), source: readAddrPort(from) }),
}
