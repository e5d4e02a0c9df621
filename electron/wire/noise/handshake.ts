// The two messages that open a control connection, each with its header around a Noise IK message (control.md §2.4).
//
// Initiation, client to server, 101 bytes; HTTP clients send it base64-coded in a header:
//
//   offset  bytes  field
//        0      2  version    the client's capability version, big endian; also part of the prologue
//        2      1  type       0x01
//        3      2  length     96
//        5     96  Noise message 1 with an empty payload
//
// Response, server to client, 51 bytes: type 0x02, length 48, Noise message 2 with an empty payload.
// Error, instead of a response: type 0x03, length, text; neither encrypted nor authenticated.
// Reference: tailscale control/controlbase/messages.go, handshake.go.

import { concat, fromUtf8, utf8 } from '../../base/bytes.ts'
import { CodedError } from '../../base/errors.ts'
import { type MachinePrivate, MachinePublic } from '../../crypto/keys.ts'
import {
  initiateNoise,
  NOISE_MESSAGE_1_OVERHEAD_BYTES,
  NOISE_MESSAGE_2_OVERHEAD_BYTES,
  respondNoise,
} from '../../crypto/noise-ik.ts'
import { Reader, WireError, Writer } from '../codec.ts'

const TYPE_INITIATION = 0x01
const TYPE_RESPONSE = 0x02
const TYPE_ERROR = 0x03

const INITIATION_HEADER_BYTES = 5
export const INITIATION_BYTES = INITIATION_HEADER_BYTES + NOISE_MESSAGE_1_OVERHEAD_BYTES
export const REPLY_HEADER_BYTES = 3
export const RESPONSE_BYTES = REPLY_HEADER_BYTES + NOISE_MESSAGE_2_OVERHEAD_BYTES
/** The text is meant for a log line; a server that sends more is not one. */
const MAX_ERROR_TEXT_BYTES = 1024

/** The keys of a finished handshake, seen from this side. */
export interface NoiseKeys {
  readonly sendKey: Uint8Array
  readonly receiveKey: Uint8Array
  /** Equal on both sides and unique to the connection: a channel binding. */
  readonly handshakeHash: Uint8Array
}

export interface ClientHandshake {
  readonly initiation: Uint8Array
  /**
   * `reply` is a whole message as `replyBytes` measured it. Throws WireError, CodedError 'wire/handshake-refused' with the
   * server's (unauthenticated) text, or 'crypto/noise-failed'.
   */
  finish(reply: Uint8Array): NoiseKeys
}

export function clientHandshake(
  version: number,
  machineKey: MachinePrivate,
  serverKey: MachinePublic,
  ephemeralSecret?: Uint8Array,
): ClientHandshake {
  const noise = initiateNoise({
    prologue: prologue(version),
    staticSecret: machineKey.secretBytes(),
    remoteStatic: serverKey.bytes,
    ...(ephemeralSecret && { ephemeralSecret }),
  })
  const to = new Writer(INITIATION_BYTES)
  to.u16(version)
  to.u8(TYPE_INITIATION)
  to.u16(noise.message.length)
  to.bytes(noise.message)
  return {
    initiation: to.finish(),
    finish(reply) {
      if (reply.length < REPLY_HEADER_BYTES || reply.length !== replyBytes(reply))
        throw new WireError('wire/short', 'The handshake reply does not have the length it announces.')
      const body = reply.subarray(REPLY_HEADER_BYTES)
      if (reply[0] === TYPE_ERROR)
        throw new CodedError(
          'wire/handshake-refused',
          `The server refused the encrypted handshake: ${printable(fromUtf8(body))}`,
        )
      const { sendKey, receiveKey, handshakeHash } = noise.finish(body)
      return { sendKey, receiveKey, handshakeHash }
    },
  }
}

/** The length of the whole reply, told by its first REPLY_HEADER_BYTES bytes. Throws WireError. */
export function replyBytes(header: Uint8Array): number {
  const from = new Reader(header)
  const type = from.u8()
  const length = from.u16()
  if (type === TYPE_RESPONSE && length === NOISE_MESSAGE_2_OVERHEAD_BYTES) return RESPONSE_BYTES
  if (type === TYPE_ERROR && length <= MAX_ERROR_TEXT_BYTES) return REPLY_HEADER_BYTES + length
  throw new WireError('wire/bad-value', 'The answer to the handshake is neither a response nor an error.')
}

export interface ServerHandshake {
  readonly response: Uint8Array
  /** Proven: the client holds this machine key. */
  readonly peer: MachinePublic
  /** What the client says it understands; bound into the handshake, so not changed on the way. */
  readonly version: number
  readonly keys: NoiseKeys
}

/**
 * Throws WireError for a malformed initiation (its message is fit for `encodeHandshakeError`) and CodedError
 * 'crypto/noise-failed' when it does not open; then the connection is closed without a word.
 */
export function serverHandshake(
  initiation: Uint8Array,
  serverKey: MachinePrivate,
  ephemeralSecret?: Uint8Array,
): ServerHandshake {
  if (initiation.length !== INITIATION_BYTES) throw new WireError('wire/short', 'wrong handshake initiation size')
  const from = new Reader(initiation)
  const version = from.u16()
  if (from.u8() !== TYPE_INITIATION) throw new WireError('wire/bad-value', 'unexpected handshake message type')
  if (from.u16() !== NOISE_MESSAGE_1_OVERHEAD_BYTES)
    throw new WireError('wire/bad-value', 'wrong handshake initiation length')
  const noise = respondNoise(
    {
      prologue: prologue(version),
      staticSecret: serverKey.secretBytes(),
      ...(ephemeralSecret && { ephemeralSecret }),
    },
    from.rest(),
  )
  const { sendKey, receiveKey, handshakeHash } = noise.session
  return {
    response: concat(replyHeader(TYPE_RESPONSE, noise.message.length), noise.message),
    peer: new MachinePublic(noise.remoteStatic),
    version,
    keys: { sendKey, receiveKey, handshakeHash },
  }
}

export function encodeHandshakeError(text: string): Uint8Array {
  const bytes = utf8(text).subarray(0, MAX_ERROR_TEXT_BYTES)
  return concat(replyHeader(TYPE_ERROR, bytes.length), bytes)
}

function replyHeader(type: number, length: number): Uint8Array {
  const to = new Writer(REPLY_HEADER_BYTES)
  to.u8(type)
  to.u16(length)
  return to.finish()
}

function prologue(version: number): Uint8Array {
  return utf8(`Tailscale Control Protocol v${version}`)
}

/** Anyone on the way can write this text: no control characters reach a terminal or a log. */
function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}]/gu, ' ').slice(0, 200)
}
