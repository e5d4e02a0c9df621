// The packet around every disco message, the same on UDP, behind a Geneve header and inside DERP.
//
//   offset  bytes  field
//        0      6  magic: "TS" and U+1F4AC
//        6     32  sender's disco key, clear
//       38     24  nonce
//       62     16  Poly1305 tag
//       78    2..  message, encrypted
//
// Magic and key are not part of the box; another key only makes opening fail. There is no replay counter: txIds and
// generations inside do that. Reference: tailscale disco/disco.go.

import { concat } from '../../base/bytes.ts'
import { BOX_NONCE_BYTES, randomNonce, type SharedBox } from '../../crypto/box.ts'
import { DiscoPublic, KEY_BYTES } from '../../crypto/keys.ts'
import { WireError } from '../codec.ts'
import { readDiscoMessage, writeDiscoMessage, type DiscoMessage } from './message.ts'

const MAGIC = Uint8Array.of(0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac)
const NONCE_AT = MAGIC.length + KEY_BYTES
const BOX_AT = NONCE_AT + BOX_NONCE_BYTES

/** What a client takes for disco on a shared socket. */
export const looksLikeDisco = (bytes: Uint8Array): boolean => bytes.length >= NONCE_AT && hasMagic(bytes)
/** The stricter test of DERP and relay servers. */
export const isDiscoEnvelope = (bytes: Uint8Array): boolean => bytes.length >= BOX_AT && hasMagic(bytes)

function hasMagic(bytes: Uint8Array): boolean {
  return MAGIC.every((byte, index) => bytes[index] === byte)
}

/** The claimed sender, to choose the box by; undefined when this is not a whole envelope. */
export function discoSender(packet: Uint8Array): DiscoPublic | undefined {
  return isDiscoEnvelope(packet) ? new DiscoPublic(packet.subarray(MAGIC.length, NONCE_AT)) : undefined
}

export function sealDisco(
  sender: DiscoPublic,
  box: SharedBox,
  message: DiscoMessage,
  nonce: Uint8Array = randomNonce(),
): Uint8Array {
  return concat(MAGIC, sender.bytes, nonce, box.seal(writeDiscoMessage(message), nonce))
}

/** Undefined when the box does not open (normal after a peer's restart); throws WireError when what is in it is malformed. */
export function openDisco(packet: Uint8Array, box: SharedBox): DiscoMessage | undefined {
  if (!isDiscoEnvelope(packet)) throw new WireError('wire/short', 'This is not a whole disco envelope.')
  const plain = box.open(packet.subarray(BOX_AT), packet.subarray(NONCE_AT, BOX_AT))
  return plain && readDiscoMessage(plain)
}
