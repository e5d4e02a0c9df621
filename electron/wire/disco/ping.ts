// Ping asks "does this path carry packets both ways?"; a Pong with the same txId answers it.
//
//   offset  bytes  field
//        0     12  txId      random, new for each ping
//       12     32  nodeKey   the sender's claim; clients of version 1.16 and before leave it out
//       44    0..  padding   zeros, only when the path MTU is probed
//
// Inside the box, after type and version. Reference: tailscale disco/disco.go, type Ping.

import { KEY_BYTES, NodePublic } from '../../crypto/keys.ts'
import type { Codec } from '../codec.ts'

export const TX_ID_BYTES = 12

export interface Ping {
  readonly txId: Uint8Array
  /** Unproven until matched with the netmap: the box proves the disco key only. */
  readonly nodeKey: NodePublic | undefined
  /** With 32 or more and no node key, a reader takes the padding for one. */
  readonly paddingBytes: number
}

export const ping: Codec<Ping> = {
  tag: 0x01,
  size: (m) => TX_ID_BYTES + (m.nodeKey ? KEY_BYTES : 0) + m.paddingBytes,
  write(m, to) {
    to.bytes(m.txId)
    if (m.nodeKey) to.bytes(m.nodeKey.bytes)
    to.zeros(m.paddingBytes)
  },
  read(from) {
    const txId = from.bytes(TX_ID_BYTES)
    const nodeKey = from.left >= KEY_BYTES ? new NodePublic(from.bytes(KEY_BYTES)) : undefined
    return { txId, nodeKey, paddingBytes: from.left }
  },
}
