// The body of a streaming map answer (control.md §5.3): frames of a 4-byte LITTLE-endian length and that many bytes, each
// one JSON MapResponse, each by itself a zstd frame when the request asked for that.

import { concat, fromUtf8, utf8 } from '../../base/bytes.ts'
import { WireError } from '../codec.ts'
import { compressZstd, decompressZstd } from '../zstd/zstd.ts'
import { type MapResponse, mapResponse, type MapResponseInput } from './map-response.ts'
import { encodeMessage, parseMessage } from './schema.ts'

/**
 * A full map takes about 1 KiB a peer, so this is far past the largest tailnet while a hostile server cannot make us
 * allocate without end.
 */
export const MAX_MAP_BYTES = 64 * 1024 * 1024
const LENGTH_BYTES = 4
const CHUNK_BYTES = 64 * 1024

const encoder = new TextEncoder()

export type MapCompression = 'zstd' | ''

export function encodeMapFrame(response: MapResponseInput, compression: MapCompression): Uint8Array {
  return concat(...mapFrameChunks([fromUtf8(encodeMessage(mapResponse, response))], compression))
}

/**
 * The frame of one message in chunks of at most CHUNK_BYTES, each made when it is asked for: a thousand whole maps that leave
 * at a time then need the memory of a thousand chunks. Compressed, it is made in one. `pieces` are the message's JSON.
 */
export function* mapFrameChunks(pieces: readonly string[], compression: MapCompression): Iterable<Uint8Array> {
  const bytes = pieces.reduce((sum, piece) => sum + Buffer.byteLength(piece), 0)
  if (compression === 'zstd') {
    const payload = compressZstd(utf8(pieces.join('')))
    const frame = concat(lengthBefore(payload.length), payload)
    for (let at = 0; at < frame.length; at += CHUNK_BYTES) yield frame.subarray(at, at + CHUNK_BYTES)
    return
  }
  let left = LENGTH_BYTES + bytes
  // Not of the pool: a small chunk would keep a large block of it alive as long as it waits.
  let chunk = Buffer.allocUnsafeSlow(Math.min(left, CHUNK_BYTES))
  let at = chunk.writeUInt32LE(bytes)
  for (const piece of pieces)
    for (let rest = piece; rest.length > 0;) {
      const { read, written } = encoder.encodeInto(rest, chunk.subarray(at))
      rest = rest.slice(read)
      at += written
      if (rest.length === 0) break
      // Full, but for the bytes of a character that did not fit.
      yield chunk.subarray(0, at)
      left -= at
      chunk = Buffer.allocUnsafeSlow(Math.min(left, CHUNK_BYTES))
      at = 0
    }
  if (at > 0) yield chunk.subarray(0, at)
}

function lengthBefore(bytes: number): Uint8Array {
  const length = new Uint8Array(LENGTH_BYTES)
  new DataView(length.buffer).setUint32(0, bytes, true)
  return length
}

/** Throws WireError. `payload` is a frame without its length. */
export function parseMapPayload(payload: Uint8Array, compression: MapCompression): MapResponse {
  return parseMessage(mapResponse, compression === 'zstd' ? decompressZstd(payload, MAX_MAP_BYTES) : payload)
}

/** Cuts frames out of chunks cut anywhere. After an error it must not be used again. */
export class MapFrameDecoder {
  readonly #maxBytes: number
  /** Of the unfinished frame, its length first; together at most LENGTH_BYTES + maxBytes and one chunk. */
  #held: Uint8Array[] = []
  #heldBytes = 0

  constructor(maxBytes = MAX_MAP_BYTES) {
    this.#maxBytes = maxBytes
  }

  /** True between frames, where a stream may end. */
  get idle(): boolean {
    return this.#heldBytes === 0
  }

  /** The payloads finished by `chunk`. Throws WireError. */
  push(chunk: Uint8Array): Uint8Array[] {
    const payloads: Uint8Array[] = []
    this.#held.push(chunk)
    this.#heldBytes += chunk.length
    for (;;) {
      if (this.#heldBytes < LENGTH_BYTES) break
      const head = this.#joined(LENGTH_BYTES)
      const length = new DataView(head.buffer, head.byteOffset, head.byteLength).getUint32(0, true)
      if (length > this.#maxBytes) throw new WireError('wire/too-long', `A map message of ${length} bytes is too long.`)
      if (this.#heldBytes < LENGTH_BYTES + length) break
      const all = this.#joined(LENGTH_BYTES + length)
      payloads.push(all.slice(LENGTH_BYTES, LENGTH_BYTES + length))
      const rest = all.subarray(LENGTH_BYTES + length)
      this.#held = rest.length > 0 ? [rest] : []
      this.#heldBytes = rest.length
    }
    return payloads
  }

  /** The held bytes with at least the first `count` in one piece; joins only when they are not. */
  #joined(count: number): Uint8Array {
    const [first = new Uint8Array(0)] = this.#held
    if (first.length >= count) return first
    const all = concat(...this.#held)
    this.#held = [all]
    return all
  }
}
