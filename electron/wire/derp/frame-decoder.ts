import { WireError } from '../codec.ts'
import { FRAME_HEADER_BYTES, MAX_FRAME_PAYLOAD_BYTES, readPayloadLength } from './frame.ts'

/** Called once per frame; the payload is `bytes[start..end)`, a view that later pushes never overwrite. */
export type FrameSink = (type: number, bytes: Uint8Array, start: number, end: number) => void

/** The most payload bytes to take of a type; undefined skips such frames without keeping them. */
export type FrameLimits = (type: number) => number | undefined

/** First room for a frame that spans chunks; it doubles as bytes really arrive, so a claimed length costs nothing. */
const FIRST_CARRY_BYTES = 2048

/**
 * Cuts a byte stream into frames. A frame that lies whole in the pushed chunk is reported as a span of that chunk; only one
 * that spans chunks is copied. Throws 'wire/too-long' for a length over the limit, and is unusable afterwards.
 */
export class FrameDecoder {
  readonly #limits: FrameLimits
  readonly #header = new Uint8Array(FRAME_HEADER_BYTES)
  #headerBytes = 0
  #skipBytes = 0
  #carry: Uint8Array | undefined
  #carryBytes = 0
  #carryWanted = 0

  constructor(limits: FrameLimits) {
    this.#limits = limits
  }

  push(chunk: Uint8Array, onFrame: FrameSink): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#skipBytes > 0) {
        const skipped = Math.min(this.#skipBytes, chunk.length - at)
        this.#skipBytes -= skipped
        at += skipped
      } else if (this.#carry) {
        at = this.#continueCarry(chunk, at, onFrame)
      } else if (this.#headerBytes === 0 && chunk.length - at >= FRAME_HEADER_BYTES) {
        at = this.#begin(chunk, at, chunk, at + FRAME_HEADER_BYTES, onFrame)
      } else {
        const taken = Math.min(FRAME_HEADER_BYTES - this.#headerBytes, chunk.length - at)
        this.#header.set(chunk.subarray(at, at + taken), this.#headerBytes)
        this.#headerBytes += taken
        at += taken
        if (this.#headerBytes < FRAME_HEADER_BYTES) return
        this.#headerBytes = 0
        at = this.#begin(this.#header, 0, chunk, at, onFrame)
      }
    }
  }

  #begin(header: Uint8Array, headerAt: number, chunk: Uint8Array, at: number, onFrame: FrameSink): number {
    const type = header[headerAt] ?? 0
    const length = readPayloadLength(header, headerAt)
    const limit = this.#limits(type)
    if (length > (limit ?? MAX_FRAME_PAYLOAD_BYTES))
      throw new WireError('wire/too-long', `A DERP frame of type ${type} claims ${length} bytes.`)
    if (limit === undefined) {
      this.#skipBytes = length
      return at
    }
    if (chunk.length - at >= length) {
      onFrame(type, chunk, at, at + length)
      return at + length
    }
    this.#header[0] = type
    this.#carry = new Uint8Array(Math.min(Math.max(FIRST_CARRY_BYTES, 2 * (chunk.length - at)), length))
    this.#carryBytes = 0
    this.#carryWanted = length
    return this.#continueCarry(chunk, at, onFrame)
  }

  #continueCarry(chunk: Uint8Array, at: number, onFrame: FrameSink): number {
    let carry = this.#carry
    if (!carry) return at
    const taken = Math.min(this.#carryWanted - this.#carryBytes, chunk.length - at)
    if (this.#carryBytes + taken > carry.length) {
      const larger = new Uint8Array(Math.min(Math.max(2 * carry.length, this.#carryBytes + taken), this.#carryWanted))
      larger.set(carry.subarray(0, this.#carryBytes))
      carry = larger
      this.#carry = larger
    }
    carry.set(chunk.subarray(at, at + taken), this.#carryBytes)
    this.#carryBytes += taken
    if (this.#carryBytes === this.#carryWanted) {
      this.#carry = undefined
      onFrame(this.#header[0] ?? 0, carry, 0, this.#carryWanted)
    }
    return at + taken
  }
}
