// The Binding request as stock clients send it; their servers answer no other.
//
//   offset  bytes  field
//        0     20  header, type 0x0001, length 20
//       20      4  SOFTWARE (0x8022), length 8
//       24      8  "tailnode"
//       32      4  FINGERPRINT (0x8028), length 4
//       36      4  CRC-32 of bytes 0 to 31, xor 0x5354554e
//
// Reference: tailscale net/stun/stun.go, Request and ParseBindingRequest.

import { equalBytes, fromUtf8, utf8 } from '../../base/bytes.ts'
import { Reader, WireError, Writer } from '../codec.ts'
import {
  ATTRIBUTE,
  BINDING_REQUEST,
  fingerprint,
  HEADER_BYTES,
  MAGIC_COOKIE,
  readMessage,
  STUN_TX_ID_BYTES,
} from './attributes.ts'

const SOFTWARE = utf8('tailnode')
const FINGERPRINT_ATTRIBUTE_BYTES = 8

export function stunRequest(txId: Uint8Array): Uint8Array {
  const attributesBytes = 4 + SOFTWARE.length + FINGERPRINT_ATTRIBUTE_BYTES
  const to = new Writer(HEADER_BYTES + attributesBytes - FINGERPRINT_ATTRIBUTE_BYTES)
  to.u16(BINDING_REQUEST)
  to.u16(attributesBytes)
  to.u32(MAGIC_COOKIE)
  to.bytes(txId.subarray(0, STUN_TX_ID_BYTES))
  to.u16(ATTRIBUTE.software)
  to.u16(SOFTWARE.length)
  to.bytes(SOFTWARE)
  const covered = to.finish()
  const whole = new Writer(covered.length + FINGERPRINT_ATTRIBUTE_BYTES)
  whole.bytes(covered)
  whole.u16(ATTRIBUTE.fingerprint)
  whole.u16(4)
  whole.u32(fingerprint(covered))
  return whole.finish()
}

/**
 * The server's side: the txId of a request that carries our SOFTWARE and ends in a right FINGERPRINT. Anything else throws,
 * so that a server is of no use to whoever forges source addresses with stock STUN traffic.
 */
export function readStunRequest(bytes: Uint8Array): { readonly txId: Uint8Array } {
  const { txId, attributes } = readMessage(bytes, BINDING_REQUEST)
  const software = attributes.find((attribute) => attribute.type === ATTRIBUTE.software)
  if (!software || !equalBytes(software.value, SOFTWARE))
    throw new WireError(
      'wire/bad-value',
      `Unknown STUN client ${JSON.stringify(fromUtf8(software?.value ?? new Uint8Array()))}.`,
    )
  const last = attributes.at(-1)
  if (last?.type !== ATTRIBUTE.fingerprint || last.value.length !== 4)
    throw new WireError('wire/bad-value', 'The STUN request does not end in a fingerprint.')
  if (new Reader(last.value).u32() !== fingerprint(bytes.subarray(0, bytes.length - FINGERPRINT_ATTRIBUTE_BYTES)))
    throw new WireError('wire/bad-value', 'The fingerprint of the STUN request is wrong.')
  return { txId }
}
