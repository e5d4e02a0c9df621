// The body of a streaming map answer (control.md §5.3): frames of a 4-byte LITTLE-endian length and that many bytes, each
// one JSON MapResponse, each by itself a zstd frame when the request asked for that.

import { concat, fromUtf8, utf8 } from '../../base/bytes.ts'
import { WireError } from '../codec.ts'
import {
  canCompressZstd,
  compressZstd,
  decompressZstd,
  RAW_BLOCK_HEADER_BYTES,
  rawBlockHeader,
  storedFrameHeader,
} from '../zstd/zstd.ts'
import { type MapResponse, mapResponse, type MapResponseInput } from './map-response.ts'
import { encodeMessage, parseMessage } from './schema.ts'

/**
 * A full map takes about 1 KiB a peer, so this is far past the largest tailnet while a hostile server cannot make us
 * allocate without end.
 */
export const MAX_MAP_BYTES = 64 * 1024 * 1024
const LENGTH_BYTES = 4
export const MAP_CHUNK_BYTES = 64 * 1024

const encoder = new TextEncoder()

export type MapCompression = 'zstd' | ''

export function encodeMapFrame(response: MapResponseInput, compression: MapCompression): Uint8Array {
  return concat(...mapFrameChunks([fromUtf8(encodeMessage(mapResponse, response))], compression))
}

/**
 * The frame of one message in chunks of at most MAP_CHUNK_BYTES, each made when it is asked for: a thousand whole maps that leave
 * at a time then need the memory of a thousand chunks. Where it can be compressed, it is made in one. `pieces` are the
 * message's JSON.
 */
export function mapFrameChunks(pieces: readonly string[], compression: MapCompression): Iterable<Uint8Array> {
  if (compression !== 'zstd') return plainChunks(pieces)
  return canCompressZstd ? compressedChunks(pieces) : storedChunks(pieces)
}

function* plainChunks(pieces: readonly string[]): Iterable<Uint8Array> {
  const bytes = bytesOf(pieces)
  const head = lengthBefore(bytes)
  for (const { chunk, at } of encodedChunks(pieces, bytes, [head.length, 0])) {
    if (at === 0) chunk.set(head)
    yield chunk
  }
}

function* compressedChunks(pieces: readonly string[]): Iterable<Uint8Array> {
  const payload = compressZstd(utf8(pieces.join('')))
  const frame = concat(lengthBefore(payload.length), payload)
  for (let at = 0; at < frame.length; at += MAP_CHUNK_BYTES) yield frame.subarray(at, at + MAP_CHUNK_BYTES)
}

/** One raw block a chunk. */
function* storedChunks(pieces: readonly string[]): Iterable<Uint8Array> {
  const bytes = bytesOf(pieces)
  const header = storedFrameHeader(bytes)
  const first = LENGTH_BYTES + header.length + RAW_BLOCK_HEADER_BYTES
  const behindFirst = Math.max(bytes - (MAP_CHUNK_BYTES - first), 0)
  const blocks = 1 + Math.ceil(behindFirst / (MAP_CHUNK_BYTES - RAW_BLOCK_HEADER_BYTES))
  const head = concat(lengthBefore(header.length + blocks * RAW_BLOCK_HEADER_BYTES + bytes), header)
  for (const { chunk, at, length } of encodedChunks(pieces, bytes, [first, RAW_BLOCK_HEADER_BYTES])) {
    if (at === 0) chunk.set(head)
    chunk.set(rawBlockHeader(length, at + length === bytes), chunk.length - length - RAW_BLOCK_HEADER_BYTES)
    yield chunk
  }
}

interface EncodedChunk {
  readonly chunk: Uint8Array
  /** Where in all the text its part of it begins, and how long that is. */
  readonly at: number
  readonly length: number
}

/** The text in chunks that are full but for the last, behind `ahead` bytes of room in the first and in each other. */
function* encodedChunks(
  pieces: readonly string[],
  bytes: number,
  [aheadOfFirst, aheadOfOthers]: readonly [number, number],
): Iterable<EncodedChunk> {
  // Not of the pool: a small chunk would keep a large block of it alive as long as it waits.
  const begin = (ahead: number, at: number): Uint8Array =>
    Buffer.allocUnsafeSlow(Math.min(ahead + bytes - at, MAP_CHUNK_BYTES))
  let start = 0
  let ahead = aheadOfFirst
  let chunk = begin(ahead, start)
  let filled = ahead
  for (const piece of pieces)
    for (let rest = piece; rest.length > 0;) {
      const { read, written } = encoder.encodeInto(rest, chunk.subarray(filled))
      rest = rest.slice(read)
      filled += written
      if (rest.length === 0) break
      // Room for a part of the next character at most, which the next chunk has the rest of.
      const split = filled < chunk.length ? firstCharacter(rest) : ''
      const character = utf8(split)
      const room = chunk.length - filled
      chunk.set(character.subarray(0, room), filled)
      const length = chunk.length - ahead
      yield { chunk, at: start, length }
      start += length
      ahead = aheadOfOthers
      chunk = begin(ahead, start)
      chunk.set(character.subarray(room), ahead)
      filled = ahead + Math.max(character.length - room, 0)
      rest = rest.slice(split.length)
    }
  yield { chunk, at: start, length: filled - ahead }
}

const bytesOf = (pieces: readonly string[]): number => pieces.reduce((sum, piece) => sum + Buffer.byteLength(piece), 0)

const firstCharacter = (text: string): string => String.fromCodePoint(text.codePointAt(0) ?? 0)

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
