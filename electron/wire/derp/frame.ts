// A DERP connection is a sequence of frames, each a header and a payload.
//
//   offset  bytes  field
//        0      1  type
//        1      4  length   of the payload, big-endian
//        5      …  payload
//
// Types that a side does not know are read and discarded. Reference: tailscale derp/derp.go; protocol notes paths.md §3.2.

export const FRAME_HEADER_BYTES = 5
export const NODE_KEY_BYTES = 32

/** The most data one packet may carry, without keys (derp.MaxPacketSize). */
export const MAX_PACKET_BYTES = 65_536

/** A client refuses any longer frame. */
export const MAX_FRAME_PAYLOAD_BYTES = 1 << 20

export const DERP_PROTOCOL_VERSION = 2

export const FrameType = {
  serverKey: 0x01,
  clientInfo: 0x02,
  serverInfo: 0x03,
  sendPacket: 0x04,
  recvPacket: 0x05,
  keepAlive: 0x06,
  notePreferred: 0x07,
  peerGone: 0x08,
  peerPresent: 0x09,
  forwardPacket: 0x0a,
  watchConns: 0x10,
  closePeer: 0x11,
  ping: 0x12,
  pong: 0x13,
  health: 0x14,
  restarting: 0x15,
} as const

/** Writes a header into `to` at `offset`; the payload follows at `offset + FRAME_HEADER_BYTES`. */
export function writeFrameHeader(to: Uint8Array, offset: number, type: number, payloadBytes: number): void {
  to[offset] = type
  to[offset + 1] = payloadBytes >>> 24
  to[offset + 2] = payloadBytes >>> 16
  to[offset + 3] = payloadBytes >>> 8
  to[offset + 4] = payloadBytes
}

/** The payload length in the header at `offset`; the caller knows that five bytes are there. */
export function readPayloadLength(from: Uint8Array, offset: number): number {
  return (
    (((from[offset + 1] ?? 0) << 24) |
      ((from[offset + 2] ?? 0) << 16) |
      ((from[offset + 3] ?? 0) << 8) |
      (from[offset + 4] ?? 0)) >>>
    0
  )
}
