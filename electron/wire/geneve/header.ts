// The Geneve header in front of disco and WireGuard packets that go through a peer relay (RFC 8926, without options).
//
//   offset  bytes  field
//        0      1  version (2 bits) and option length (6 bits): both 0
//        1      1  0x80 control (the handshake with the relay), else 0; bit 6 and below must be 0
//        2      2  protocol: 0x7a11 disco, 0x7a12 WireGuard
//        4      3  VNI
//        7      1  reserved, 0
//
// Reference: tailscale net/packet/geneve.go. Stock clients take a packet with any reserved bit set for plain WireGuard.

import { Reader, Writer } from '../codec.ts'

export const GENEVE_BYTES = 8
export const MAX_VNI = 0xff_ff_ff

const CONTROL = 0x80
const RESERVED = 0x3f
const PROTOCOLS = { disco: 0x7a11, wireguard: 0x7a12 } as const

export interface GeneveHeader {
  readonly control: boolean
  readonly protocol: keyof typeof PROTOCOLS
  /** 0 to 2^24 - 1; relays give out 1 and up. */
  readonly vni: number
}

export function geneveHeader(header: GeneveHeader): Uint8Array {
  const to = new Writer(GENEVE_BYTES)
  to.u8(0)
  to.u8(header.control ? CONTROL : 0)
  to.u16(PROTOCOLS[header.protocol])
  to.u32(header.vni * 0x100)
  return to.finish()
}

/** Undefined when `bytes` does not begin with a header of this kind: not an error, the packet is something else. */
export function readGeneve(bytes: Uint8Array): GeneveHeader | undefined {
  if (bytes.length < GENEVE_BYTES) return undefined
  const from = new Reader(bytes)
  const version = from.u8() >> 6
  const flags = from.u8()
  const protocol = from.u16()
  const vniAndReserved = from.u32()
  if (version !== 0 || (flags & RESERVED) !== 0 || (vniAndReserved & 0xff) !== 0) return undefined
  const name = protocol === PROTOCOLS.disco ? 'disco' : protocol === PROTOCOLS.wireguard ? 'wireguard' : undefined
  return name && { control: (flags & CONTROL) !== 0, protocol: name, vni: vniAndReserved >>> 8 }
}
