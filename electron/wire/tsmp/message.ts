// TSMP: messages of the data plane inside the tunnel, IP protocol 99, the payload right after the IP header.
// Reference: paths.md §7.6; tailscale net/packet/tsmp.go.
//
//   first byte  layout after it
//   'p' 0x70    8 opaque bytes                                    ping
//   'o' 0x6f    the 8 bytes, PeerAPI port (2 BE, may be missing)  pong
//   'a' 0x61    32-byte disco key                                 disco key advertisement
//   '!' 0x21    IP protocol, reason, source and destination port  the flow from the message's destination to its source was
//               (2 BE each), flags (may be missing)               turned away
//
// Longer payloads than known are accepted.

import { Reader, WireError, Writer } from '../codec.ts'

export const TSMP_PROTOCOL = 99
const TCP_PROTOCOL = 6

export type Tsmp =
  | { readonly kind: 'ping'; readonly data: Uint8Array }
  | { readonly kind: 'pong'; readonly data: Uint8Array; readonly peerApiPort: number }
  | { readonly kind: 'disco-key'; readonly key: Uint8Array }
  | { readonly kind: 'rejected'; readonly protocol: number; readonly reason: RejectReason; readonly ports: Ports }

/** 'other' stands for what is of no concern here: forwarding that is off, a firewall, or reasons yet to come. */
export type RejectReason = 'policy' | 'shields-up' | 'other'

export interface Ports {
  readonly source: number
  readonly destination: number
}

const DATA_BYTES = 8
const KEY_BYTES = 32
const PING = 0x70
const PONG = 0x6f
const DISCO_KEY = 0x61
const REJECTED = 0x21
const REASON_BYTES: Readonly<Record<RejectReason, number>> = { policy: 0x41, 'shields-up': 0x53, other: 0 }

/** A TSMP message and the addresses (4 or 16 bytes) of the IP packet it came in. */
export interface TsmpPacket {
  readonly source: Uint8Array
  readonly destination: Uint8Array
  readonly message: Tsmp
}

/** Throws WireError; 'wire/unknown' for message kinds and IP forms that nobody here acts on. */
export function readTsmp(ipPacket: Uint8Array): TsmpPacket {
  const version = (ipPacket[0] ?? 0) >> 4
  const header = new Reader(ipPacket)
  if (version === 4) {
    const headerBytes = ((ipPacket[0] ?? 0) & 0x0f) * 4
    header.skip(9)
    const protocol = header.u8()
    header.skip(2)
    const source = header.bytes(4)
    const destination = header.bytes(4)
    if (headerBytes < 20 || protocol !== TSMP_PROTOCOL) throw new WireError('wire/unknown', 'Not a TSMP packet.')
    header.skip(headerBytes - 20)
    return { source, destination, message: readMessage(header) }
  }
  if (version === 6) {
    header.skip(6)
    const next = header.u8()
    header.skip(1)
    const source = header.bytes(16)
    const destination = header.bytes(16)
    if (next !== TSMP_PROTOCOL) throw new WireError('wire/unknown', 'Not a TSMP packet.')
    return { source, destination, message: readMessage(header) }
  }
  throw new WireError('wire/unknown', 'Neither IPv4 nor IPv6.')
}

/**
 * What to tell the sender of a packet that policy turned away; undefined for one that is no whole header. Ports are of TCP alone.
 * The message goes back the way the packet came.
 */
export function rejection(ipPacket: Uint8Array): TsmpPacket | undefined {
  const isV6 = (ipPacket[0] ?? 0) >> 4 === 6
  const headerBytes = isV6 ? 40 : ((ipPacket[0] ?? 0) & 0x0f) * 4
  const addressBytes = isV6 ? 16 : 4
  const from = new Reader(ipPacket)
  const protocol = ipPacket[isV6 ? 6 : 9]
  if (protocol === undefined || headerBytes < 20 || ipPacket.length < headerBytes + 4) return undefined
  from.skip(isV6 ? 8 : 12)
  const destination = from.bytes(addressBytes)
  const source = from.bytes(addressBytes)
  from.skip(headerBytes - (isV6 ? 8 : 12) - 2 * addressBytes)
  const isTcp = protocol === TCP_PROTOCOL
  const ports = isTcp ? { source: from.u16(), destination: from.u16() } : { source: 0, destination: 0 }
  return { source, destination, message: { kind: 'rejected', protocol, reason: 'policy', ports } }
}

function readMessage(from: Reader): Tsmp {
  switch (from.u8()) {
    case PING:
      return { kind: 'ping', data: from.bytes(DATA_BYTES) }
    case PONG: {
      const data = from.bytes(DATA_BYTES)
      return { kind: 'pong', data, peerApiPort: from.left >= 2 ? from.u16() : 0 }
    }
    case DISCO_KEY:
      return { kind: 'disco-key', key: from.bytes(KEY_BYTES) }
    case REJECTED: {
      const protocol = from.u8()
      const byte = from.u8()
      const ports = { source: from.u16(), destination: from.u16() }
      const reason =
        byte === REASON_BYTES.policy ? 'policy' : byte === REASON_BYTES['shields-up'] ? 'shields-up' : 'other'
      return { kind: 'rejected', protocol, reason, ports }
    }
    default:
      throw new WireError('wire/unknown', 'An unknown TSMP message.')
  }
}

/** A whole IP packet. Source and destination must be of one family. */
export function writeTsmp(packet: TsmpPacket): Uint8Array {
  const body = writeMessage(packet.message)
  const v4 = packet.source.length === 4
  const to = new Writer((v4 ? 20 : 40) + body.length)
  if (v4) {
    const header = ipv4Header(packet, 20 + body.length)
    to.bytes(header)
  } else {
    to.u32(0x60000000)
    to.u16(body.length)
    to.u8(TSMP_PROTOCOL)
    to.u8(64)
    to.bytes(packet.source)
    to.bytes(packet.destination)
  }
  to.bytes(body)
  return to.finish()
}

function writeMessage(message: Tsmp): Uint8Array {
  switch (message.kind) {
    case 'ping':
      return Uint8Array.of(PING, ...message.data)
    case 'pong':
      return Uint8Array.of(PONG, ...message.data, message.peerApiPort >> 8, message.peerApiPort & 0xff)
    case 'disco-key':
      return Uint8Array.of(DISCO_KEY, ...message.key)
    case 'rejected': {
      const { source, destination } = message.ports
      const to = new Writer(8)
      for (const byte of [REJECTED, message.protocol, REASON_BYTES[message.reason]]) to.u8(byte)
      to.u16(source)
      to.u16(destination)
      to.u8(0)
      return to.finish()
    }
  }
}

function ipv4Header(packet: TsmpPacket, totalBytes: number): Uint8Array {
  const to = new Writer(20)
  to.u16(0x4500)
  to.u16(totalBytes)
  to.u32(0)
  to.u8(64)
  to.u8(TSMP_PROTOCOL)
  to.u16(0)
  to.bytes(packet.source)
  to.bytes(packet.destination)
  const header = to.finish()
  const sum = checksum(header)
  header[10] = sum >> 8
  header[11] = sum & 0xff
  return header
}

/** RFC 1071 over an even number of bytes. */
function checksum(bytes: Uint8Array): number {
  let sum = 0
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}
