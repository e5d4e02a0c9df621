// Records carry the byte stream after the handshake (control.md §2.5):
//
//   offset  bytes  field
//        0      1  type        0x04
//        1      2  length      of the ciphertext, big endian, at most 4093
//        3      n  ciphertext  ChaCha20-Poly1305 of up to 4077 bytes, no additional data
//
// The nonce is 4 zero bytes and the record's number as 64 bits BIG endian, where the Noise specification says little
// endian. Reference: tailscale control/controlbase/conn.go.

import { aead } from '../../crypto/aead.ts'
import { NOISE_TAG_BYTES } from '../../crypto/noise-ik.ts'
import { WireError } from '../codec.ts'

const TYPE_RECORD = 0x04
const HEADER_BYTES = 3
export const MAX_RECORD_BYTES = 4096
export const MAX_PLAINTEXT_BYTES = MAX_RECORD_BYTES - HEADER_BYTES - NOISE_TAG_BYTES
/** The specification keeps the last value for rekeying, which this protocol does not have. */
const LAST_COUNTER = 2n ** 64n - 1n

class Counter {
  #next: bigint

  constructor(first: bigint) {
    this.#next = first
  }

  nonce(): Uint8Array {
    if (this.#next >= LAST_COUNTER) throw new WireError('wire/too-long', 'This connection has used up its nonces.')
    const nonce = new Uint8Array(12)
    new DataView(nonce.buffer).setBigUint64(4, this.#next)
    this.#next++
    return nonce
  }
}

export class RecordSealer {
  readonly #key: Uint8Array
  readonly #counter: Counter

  constructor(key: Uint8Array, firstCounter = 0n) {
    this.#key = key
    this.#counter = new Counter(firstCounter)
  }

  /** The records that carry `plaintext`, one after the other; one empty record when it is empty. */
  seal(plaintext: Uint8Array): Uint8Array {
    const count = Math.max(1, Math.ceil(plaintext.length / MAX_PLAINTEXT_BYTES))
    const records = new Uint8Array(plaintext.length + count * (HEADER_BYTES + NOISE_TAG_BYTES))
    let at = 0
    for (let i = 0; i < count; i++) {
      const part = plaintext.subarray(i * MAX_PLAINTEXT_BYTES, (i + 1) * MAX_PLAINTEXT_BYTES)
      const bytes = part.length + NOISE_TAG_BYTES
      records[at] = TYPE_RECORD
      records[at + 1] = bytes >> 8
      records[at + 2] = bytes & 0xff
      aead.sealInto(records, at + HEADER_BYTES, this.#key, this.#counter.nonce(), part)
      at += HEADER_BYTES + bytes
    }
    return records
  }
}

/** Opens records out of chunks cut anywhere. After the first error it must not be used again: nothing restarts a stream. */
export class RecordOpener {
  readonly #key: Uint8Array
  readonly #counter: Counter
  /** The bytes of an unfinished record; less than MAX_RECORD_BYTES between calls. */
  readonly #held = new Uint8Array(MAX_RECORD_BYTES)
  #heldBytes = 0

  constructor(key: Uint8Array, firstCounter = 0n) {
    this.#key = key
    this.#counter = new Counter(firstCounter)
  }

  /** True between records, where a stream may end. */
  get idle(): boolean {
    return this.#heldBytes === 0
  }

  /** The plaintexts finished by `chunk`, empty ones left out. Throws WireError. */
  push(chunk: Uint8Array): Uint8Array[] {
    const plaintexts: Uint8Array[] = []
    let at = 0
    while (at < chunk.length) {
      const wanted = this.#wantedBytes()
      const part = chunk.subarray(at, at + wanted - this.#heldBytes)
      this.#held.set(part, this.#heldBytes)
      this.#heldBytes += part.length
      at += part.length
      if (this.#heldBytes >= HEADER_BYTES && this.#heldBytes === this.#wantedBytes()) {
        const plaintext = this.#open(this.#held.subarray(HEADER_BYTES, this.#heldBytes))
        this.#heldBytes = 0
        if (plaintext.length > 0) plaintexts.push(plaintext)
      }
    }
    return plaintexts
  }

  /** The header first, then the whole record; the header is judged as soon as it is whole. */
  #wantedBytes(): number {
    if (this.#heldBytes < HEADER_BYTES) return HEADER_BYTES
    const [type = 0, high = 0, low = 0] = this.#held
    if (type !== TYPE_RECORD) throw new WireError('wire/bad-value', 'This is no record of an encrypted stream.')
    const length = (high << 8) | low
    if (length > MAX_RECORD_BYTES - HEADER_BYTES) throw new WireError('wire/too-long', 'A record is too long.')
    if (length < NOISE_TAG_BYTES) throw new WireError('wire/short', 'A record is shorter than its tag.')
    return HEADER_BYTES + length
  }

  #open(ciphertext: Uint8Array): Uint8Array {
    const nonce = this.#counter.nonce()
    try {
      return aead.open(this.#key, nonce, ciphertext)
    } catch (cause) {
      throw new WireError('wire/bad-value', 'A record does not open: it was changed on the way, or is out of turn.', {
        cause,
      })
    }
  }
}
