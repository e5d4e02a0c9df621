// The body of a streaming map answer (control.md §5.3): frames of a 4-byte LITTLE-endian length and that many bytes, each
// one JSON MapResponse, each by itself a zstd frame when the request asked for that.

import { concat } from '../../base/bytes.ts'
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

export type MapCompression = 'zstd' | ''

export function encodeMapFrame(response: MapResponseInput, compression: MapCompression): Uint8Array {
  const json = encodeMessage(mapResponse, response)
  const payload = compression === 'zstd' ? compressZstd(json) : json
  const length = new Uint8Array(LENGTH_BYTES)
  new DataView(length.buffer).setUint32(0, payload.length, true)
  return concat(length, payload)
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
