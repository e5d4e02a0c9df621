// What STUN messages (RFC 8489) share: the header and the TLV attributes behind it.
//
//   offset  bytes  field
//        0      2  type; the two top bits are zero
//        2      2  length of the attributes
//        4      4  magic cookie 21 12 a4 42
//        8     12  txId
//       20    0..  attributes: type (2), length (2), value, zeros up to a multiple of 4

import { Reader, WireError } from '../codec.ts'

export const HEADER_BYTES = 20
export const STUN_TX_ID_BYTES = 12
export const MAGIC_COOKIE = 0x2112a442
export const BINDING_REQUEST = 0x0001
export const BINDING_SUCCESS = 0x0101

export const ATTRIBUTE = {
  mappedAddress: 0x0001,
  xorMappedAddress: 0x0020,
  /** The number of XOR-MAPPED-ADDRESS in old drafts; some servers still use it. */
  xorMappedAddressDraft: 0x8020,
  software: 0x8022,
  fingerprint: 0x8028,
} as const

export interface Attribute {
  readonly type: number
  readonly value: Uint8Array
}

/** The test by which a shared socket tells STUN from disco, Geneve and WireGuard. */
export function looksLikeStun(bytes: Uint8Array): boolean {
  return (
    bytes.length >= HEADER_BYTES &&
    ((bytes[0] ?? 0xff) & 0xc0) === 0 &&
    bytes[4] === 0x21 &&
    bytes[5] === 0x12 &&
    bytes[6] === 0xa4 &&
    bytes[7] === 0x42
  )
}

/** Header and attributes of a message of `type`. Bytes past the declared length are cut; the rest must parse. */
export function readMessage(bytes: Uint8Array, type: number): { txId: Uint8Array; attributes: readonly Attribute[] } {
  if (!looksLikeStun(bytes)) throw new WireError('wire/bad-value', 'This is not a STUN message.')
  const head = new Reader(bytes)
  if (head.u16() !== type) throw new WireError('wire/unknown', 'This is another kind of STUN message.')
  const length = head.u16()
  head.skip(4)
  const txId = head.bytes(STUN_TX_ID_BYTES)
  const from = new Reader(head.bytes(length))
  const attributes: Attribute[] = []
  while (from.left > 0) {
    const attribute = { type: from.u16(), length: from.u16() }
    attributes.push({ type: attribute.type, value: from.bytes(attribute.length) })
    from.skip((4 - (attribute.length % 4)) % 4)
  }
  return { txId, attributes }
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1
  return value
})

/** The value of FINGERPRINT over all that precedes it: CRC-32 (IEEE) xor "STUN" (RFC 8489 §14.7). */
export function fingerprint(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) crc = (crc >>> 8) ^ (CRC_TABLE[(crc ^ byte) & 0xff] ?? 0)
  return (~crc ^ 0x5354554e) >>> 0
}
