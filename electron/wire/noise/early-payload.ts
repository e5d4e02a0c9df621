// What a server may say inside Noise before the first HTTP/2 byte (control.md §2.6):
//
//   offset  bytes  field
//        0      5  magic   ff ff ff 54 53; an HTTP/2 frame header cannot begin so (its length would exceed every limit)
//        5      4  length  of the JSON, big endian
//        9      n  {"nodeKeyChallenge":"chalpub:<64 hex digits>"}
//
// Reference: tailscale control/ts2021/conn.go, tailcfg EarlyNoise.

import { concat, fromUtf8, utf8 } from '../../base/bytes.ts'
import { ChallengePublic } from '../../crypto/keys.ts'
import { WireError } from '../codec.ts'

const MAGIC = Uint8Array.of(0xff, 0xff, 0xff, 0x54, 0x53)
/** As long as the header of an HTTP/2 frame, so that reading it never waits for bytes a server has no reason to send. */
const HEADER_BYTES = 9
/** Known payloads have about 100 bytes. */
const MAX_JSON_BYTES = 64 * 1024

export interface EarlyPayload {
  /** Undefined when the server sent an object without one. */
  readonly challenge: ChallengePublic | undefined
}

export function encodeEarlyPayload(payload: EarlyPayload): Uint8Array {
  const json = utf8(JSON.stringify(payload.challenge ? { nodeKeyChallenge: payload.challenge.text } : {}))
  const header = new Uint8Array(HEADER_BYTES)
  header.set(MAGIC)
  new DataView(header.buffer).setUint32(MAGIC.length, json.length)
  return concat(header, json)
}

/** Takes the payload off the start of a stream that may or may not begin with one. */
export class EarlyPayloadFilter {
  #held: Uint8Array = new Uint8Array(0)
  #done = false
  #payload: EarlyPayload | undefined

  /** Known once `settled`; undefined when the server sent none. */
  get payload(): EarlyPayload | undefined {
    return this.#payload
  }

  get settled(): boolean {
    return this.#done
  }

  /** What of the stream is not payload; empty while that is unknown. Throws WireError. */
  push(chunk: Uint8Array): Uint8Array {
    if (this.#done) return chunk
    this.#held = this.#held.length === 0 ? chunk : concat(this.#held, chunk)
    const held = this.#held
    const shared = Math.min(held.length, MAGIC.length)
    for (let i = 0; i < shared; i++) if (held[i] !== MAGIC[i]) return this.#settle(0)
    if (held.length < HEADER_BYTES) return new Uint8Array(0)
    const length = new DataView(held.buffer, held.byteOffset, held.byteLength).getUint32(MAGIC.length)
    if (length > MAX_JSON_BYTES) throw new WireError('wire/too-long', 'The early payload is too long.')
    if (held.length < HEADER_BYTES + length) return new Uint8Array(0)
    this.#payload = parsePayload(held.subarray(HEADER_BYTES, HEADER_BYTES + length))
    return this.#settle(HEADER_BYTES + length)
  }

  #settle(payloadBytes: number): Uint8Array {
    const rest = this.#held.subarray(payloadBytes)
    this.#held = new Uint8Array(0)
    this.#done = true
    return rest
  }
}

function parsePayload(json: Uint8Array): EarlyPayload {
  let value: unknown
  try {
    value = JSON.parse(fromUtf8(json))
  } catch (cause) {
    throw new WireError('wire/bad-value', 'The early payload is no JSON.', { cause })
  }
  if (typeof value !== 'object' || value === null || !('nodeKeyChallenge' in value)) return { challenge: undefined }
  const text = value.nodeKeyChallenge
  if (typeof text !== 'string') throw new WireError('wire/bad-value', 'The challenge is no text.')
  try {
    return { challenge: ChallengePublic.parse(text) }
  } catch (cause) {
    throw new WireError('wire/bad-value', 'The challenge is no key.', { cause })
  }
}
