// The shape of every codec: a size, a writer, a reader. Readers throw a CodedError 'wire/…' and nothing else, whatever the
// bytes; they are strict on short input and lax on bytes after the end.

import { CodedError } from '../base/errors.ts'

export type WireErrorCode =
  /** Fewer bytes than the layout needs. */
  | 'wire/short'
  /** A field holds a value the protocol does not allow. */
  | 'wire/bad-value'
  /** A message kind this version does not know; the caller skips it. */
  | 'wire/unknown'
  /** Longer than the protocol's bound. */
  | 'wire/too-long'

export class WireError extends CodedError<WireErrorCode> {}

export interface Codec<M> {
  /** The message's type byte. */
  readonly tag: number
  /** Bytes of the body, without type and version. */
  size(message: M): number
  write(message: M, to: Writer): void
  /** Throws WireError. */
  read(from: Reader): M
}

export class Writer {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor(sizeBytes: number) {
    this.#bytes = new Uint8Array(sizeBytes)
    this.#view = new DataView(this.#bytes.buffer)
  }

  u8(value: number): void {
    this.#view.setUint8(this.#at, value)
    this.#at += 1
  }

  u16(value: number): void {
    this.#view.setUint16(this.#at, value)
    this.#at += 2
  }

  u32(value: number): void {
    this.#view.setUint32(this.#at, value)
    this.#at += 4
  }

  u64(value: bigint): void {
    this.#view.setBigUint64(this.#at, value)
    this.#at += 8
  }

  bytes(value: Uint8Array): void {
    this.#bytes.set(value, this.#at)
    this.#at += value.length
  }

  zeros(count: number): void {
    if (this.#at + count > this.#bytes.length) throw new RangeError('offset is out of bounds')
    this.#at += count
  }

  /** What was written; it is a defect of the codec when that is not the promised size. */
  finish(): Uint8Array {
    if (this.#at !== this.#bytes.length)
      throw new RangeError(`codec promised ${this.#bytes.length} bytes, wrote ${this.#at}`)
    return this.#bytes
  }
}

export class Reader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1))
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2))
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4))
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8))
  }

  /** A copy, so that the message outlives the receive buffer. */
  bytes(count: number): Uint8Array {
    const start = this.#take(count)
    return Uint8Array.from(this.#bytes.subarray(start, start + count)) // not slice: that of a Buffer is a view
  }

  skip(count: number): void {
    this.#take(count)
  }

  rest(): Uint8Array {
    return this.bytes(this.left)
  }

  #take(count: number): number {
    if (this.left < count) throw new WireError('wire/short', `Needed ${count} more bytes, ${this.left} are left.`)
    const start = this.#at
    this.#at += count
    return start
  }
}
