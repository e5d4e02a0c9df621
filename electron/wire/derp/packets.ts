// The frames that carry packets. The hot path reads them in place (see FrameDecoder) and does not come through here.
//
//   SendPacket     client → server   32 destination · data
//   RecvPacket     server → client   32 source · data
//   ForwardPacket  server → server   32 source · 32 destination · data
//
// Data is at most 65 536 bytes: a naked disco packet or a WireGuard packet. Reference: tailscale derp/derp.go.

import { NodePublic } from '../../crypto/keys.ts'
import { WireError, type Codec, type Reader } from '../codec.ts'
import { FrameType, MAX_PACKET_BYTES, NODE_KEY_BYTES } from './frame.ts'

export interface SendPacket {
  readonly to: NodePublic
  readonly data: Uint8Array
}

export const sendPacket: Codec<SendPacket> = {
  tag: FrameType.sendPacket,
  size: (m) => NODE_KEY_BYTES + m.data.length,
  write(m, to) {
    to.bytes(m.to.bytes)
    to.bytes(m.data)
  },
  read: (from) => ({ to: new NodePublic(from.bytes(NODE_KEY_BYTES)), data: readData(from) }),
}

export interface RecvPacket {
  readonly from: NodePublic
  readonly data: Uint8Array
}

export const recvPacket: Codec<RecvPacket> = {
  tag: FrameType.recvPacket,
  size: (m) => NODE_KEY_BYTES + m.data.length,
  write(m, to) {
    to.bytes(m.from.bytes)
    to.bytes(m.data)
  },
  read: (from) => ({ from: new NodePublic(from.bytes(NODE_KEY_BYTES)), data: readData(from) }),
}

export interface ForwardPacket {
  readonly from: NodePublic
  readonly to: NodePublic
  readonly data: Uint8Array
}

export const forwardPacket: Codec<ForwardPacket> = {
  tag: FrameType.forwardPacket,
  size: (m) => 2 * NODE_KEY_BYTES + m.data.length,
  write(m, to) {
    to.bytes(m.from.bytes)
    to.bytes(m.to.bytes)
    to.bytes(m.data)
  },
  read: (from) => ({
    from: new NodePublic(from.bytes(NODE_KEY_BYTES)),
    to: new NodePublic(from.bytes(NODE_KEY_BYTES)),
    data: readData(from),
  }),
}

function readData(from: Reader): Uint8Array {
  if (from.left > MAX_PACKET_BYTES) throw new WireError('wire/too-long', `A packet of ${from.left} bytes.`)
  return from.rest()
}
