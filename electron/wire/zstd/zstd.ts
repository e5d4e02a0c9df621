// Zstandard for map messages. Node has it from 22.15 and 23.8 on, and some Electron builds; elsewhere fzstd decompresses,
// and compressing falls back to frames of raw blocks (control.md §12.4): valid, merely not smaller.

import * as zlib from 'node:zlib'
import { Decompress } from 'fzstd'
import { concat } from '../../base/bytes.ts'
import { WireError } from '../codec.ts'
import { MAX_BLOCK_BYTES, walkFrame } from './frame-walk.ts'

type Compress = (input: Uint8Array) => Uint8Array
type DecompressBounded = (input: Uint8Array, options: { maxOutputLength: number }) => Uint8Array

const platform = zlib as unknown as {
  readonly zstdCompressSync?: Compress
  readonly zstdDecompressSync?: DecompressBounded
}

/** One whole frame to its content of at most `maxBytes`. Throws WireError, before memory is spent where that can be told. */
export function decompressZstd(frame: Uint8Array, maxBytes: number): Uint8Array {
  const skeleton = walkFrame(frame)
  // A window past the bound would have the decoder allocate it; no message within the bound needs one.
  if ((skeleton.contentBytes ?? 0) > maxBytes || skeleton.windowBytes > Math.max(maxBytes, 8 * 1024 * 1024))
    throw new WireError('wire/too-long', `The message is longer than ${maxBytes} bytes once decompressed.`)
  const content = platform.zstdDecompressSync
    ? decompressWithPlatform(platform.zstdDecompressSync, frame, maxBytes)
    : decompressPortably(frame, maxBytes)
  if (skeleton.contentBytes !== undefined && content.length !== skeleton.contentBytes)
    throw new WireError('wire/bad-value', 'The message does not have the length it claims.')
  return content
}

function decompressWithPlatform(decompress: DecompressBounded, frame: Uint8Array, maxBytes: number): Uint8Array {
  try {
    return plain(decompress(frame, { maxOutputLength: maxBytes }))
  } catch (cause) {
    if (cause instanceof RangeError)
      throw new WireError('wire/too-long', `The message is longer than ${maxBytes} bytes once decompressed.`, { cause })
    throw new WireError('wire/bad-value', 'The message does not decompress.', { cause })
  }
}

/** The way without the platform's help; exported for its test on platforms that have it. */
export function decompressPortably(frame: Uint8Array, maxBytes: number): Uint8Array {
  const parts: Uint8Array[] = []
  let length = 0
  try {
    const decoder = new Decompress((part) => {
      length += part.length
      if (length > maxBytes)
        throw new WireError('wire/too-long', `The message is longer than ${maxBytes} bytes once decompressed.`)
      // fzstd reuses its buffer for the next block.
      parts.push(part.slice())
    })
    decoder.push(frame, true)
  } catch (cause) {
    if (cause instanceof WireError) throw cause
    throw new WireError('wire/bad-value', 'The message does not decompress.', { cause })
  }
  return concat(...parts)
}

/** One whole frame with its content size in the header. */
export function compressZstd(content: Uint8Array): Uint8Array {
  return platform.zstdCompressSync ? plain(platform.zstdCompressSync(content)) : storeZstd(content)
}

/** False where a frame is merely stored. */
export const canCompressZstd = platform.zstdCompressSync !== undefined

export const RAW_BLOCK_HEADER_BYTES = 3

/** A frame of raw blocks: every decoder takes it. */
export function storeZstd(content: Uint8Array): Uint8Array {
  const size = content.length
  const parts: Uint8Array[] = [storedFrameHeader(size)]
  let at = 0
  do {
    const block = content.subarray(at, at + MAX_BLOCK_BYTES)
    at += block.length
    parts.push(rawBlockHeader(block.length, at >= size), block)
  } while (at < size)
  return concat(...parts)
}

/** What a frame with so many bytes of content begins with; blocks follow. */
export function storedFrameHeader(size: number): Uint8Array {
  const header: number[] = [0x28, 0xb5, 0x2f, 0xfd]
  if (size < 256) header.push(0x20, size)
  else if (size < 65_536 + 256) header.push(0x60, (size - 256) & 0xff, (size - 256) >> 8)
  else header.push(0xa0, size & 0xff, (size >> 8) & 0xff, (size >> 16) & 0xff, size >>> 24)
  return Uint8Array.from(header)
}

export function rawBlockHeader(length: number, isLast: boolean): Uint8Array {
  const header = length * 8 + (isLast ? 1 : 0)
  return Uint8Array.of(header & 0xff, (header >> 8) & 0xff, header >> 16)
}

/** Node's zlib gives Buffers, whose slice() does not copy. */
function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
