// The Binding success response: the source address the server saw.
//
//   offset  bytes  field
//        0     20  header, type 0x0101
//       20      4  XOR-MAPPED-ADDRESS (0x0020), length 8 or 20
//       24      1  0
//       25      1  family: 1 IPv4, 2 IPv6
//       26      2  port xor 0x2112
//       28   4/16  address xor (magic cookie, txId)
//
// Reference: RFC 8489 §14.2; tailscale net/stun/stun.go, ParseResponse and Response. Its FINGERPRINT is not checked.

import { bytesToIp, ipToBytes, joinEndpoint, splitEndpoint, type Endpoint } from '../../base/endpoint.ts'
import { Reader, WireError, Writer } from '../codec.ts'
import { ATTRIBUTE, BINDING_SUCCESS, HEADER_BYTES, MAGIC_COOKIE, readMessage, STUN_TX_ID_BYTES } from './attributes.ts'

const FAMILY_V4 = 1
const FAMILY_V6 = 2

export interface StunResponse {
  readonly txId: Uint8Array
  readonly endpoint: Endpoint
}

export function stunResponse(response: StunResponse): Uint8Array {
  const parts = splitEndpoint(response.endpoint)
  const address = parts && ipToBytes(parts.address)
  if (!parts || !address) throw new WireError('wire/bad-value', 'A STUN response needs an ip:port.')
  const to = new Writer(HEADER_BYTES + 8 + address.length)
  to.u16(BINDING_SUCCESS)
  to.u16(8 + address.length)
  to.u32(MAGIC_COOKIE)
  to.bytes(response.txId.subarray(0, STUN_TX_ID_BYTES))
  to.u16(ATTRIBUTE.xorMappedAddress)
  to.u16(4 + address.length)
  to.u8(0)
  to.u8(address.length === 4 ? FAMILY_V4 : FAMILY_V6)
  to.u16(parts.port ^ (MAGIC_COOKIE >>> 16))
  to.bytes(xorAddress(address, response.txId))
  return to.finish()
}

export function readStunResponse(bytes: Uint8Array): StunResponse {
  const { txId, attributes } = readMessage(bytes, BINDING_SUCCESS)
  const xored = attributes.find(
    ({ type }) => type === ATTRIBUTE.xorMappedAddress || type === ATTRIBUTE.xorMappedAddressDraft,
  )
  // MAPPED-ADDRESS comes second: some routers rewrite addresses that they find in packets.
  const plain = attributes.find(({ type }) => type === ATTRIBUTE.mappedAddress)
  const chosen = xored ?? plain
  if (!chosen) throw new WireError('wire/short', 'The STUN response names no address.')
  return { txId, endpoint: readAddress(chosen.value, xored ? txId : undefined) }
}

function readAddress(value: Uint8Array, txId: Uint8Array | undefined): Endpoint {
  const from = new Reader(value)
  from.skip(1)
  const family = from.u8()
  if (family !== FAMILY_V4 && family !== FAMILY_V6)
    throw new WireError('wire/bad-value', `Unknown address family ${family}.`)
  const port = from.u16()
  const address = from.bytes(family === FAMILY_V4 ? 4 : 16)
  const ip = bytesToIp(txId ? xorAddress(address, txId) : address)
  if (ip === undefined) throw new WireError('wire/bad-value', 'The STUN response holds no IP address.')
  return joinEndpoint(ip, txId ? port ^ (MAGIC_COOKIE >>> 16) : port)
}

function xorAddress(address: Uint8Array, txId: Uint8Array): Uint8Array {
  const mask = new Writer(4 + STUN_TX_ID_BYTES)
  mask.u32(MAGIC_COOKIE)
  mask.bytes(txId.subarray(0, STUN_TX_ID_BYTES))
  const key = mask.finish()
  return address.map((byte, index) => byte ^ (key[index] ?? 0))
}
