// The skeleton of a Zstandard frame (RFC 8878 §3.1.1), read without decompressing anything, so that a bound can be held
// before memory is spent:
//
//   4  magic 28 b5 2f fd
//   1  descriptor: bits 7-6 size of the content size field, 5 single segment, 4 unused, 3 reserved, 2 checksum,
//      1-0 size of the dictionary ID
//   0-1 window descriptor (absent when single segment), 0-4 dictionary ID, 0-8 content size
//   blocks: 3 bytes little endian (bit 0 last, bits 2-1 type, rest size), then the block
//   0 or 4  checksum

import { Reader, WireError } from '../codec.ts'

export const MAX_BLOCK_BYTES = 128 * 1024
const MAGIC = [0x28, 0xb5, 0x2f, 0xfd]
const BLOCK_RAW = 0
const BLOCK_RLE = 1
const BLOCK_RESERVED = 3

export interface FrameSkeleton {
  /** What the frame claims to hold; undefined when the encoder did not know. */
  readonly contentBytes: number | undefined
  /** What its blocks can hold at most, whatever it claims. */
  readonly mostBytes: number
  /** How far back the decoder must remember. */
  readonly windowBytes: number
}

/** Throws WireError unless `frame` is exactly one whole frame without a dictionary. */
export function walkFrame(frame: Uint8Array): FrameSkeleton {
  const from = new Reader(frame)
  for (const byte of MAGIC)
    if (from.u8() !== byte) throw new WireError('wire/bad-value', 'The message is not compressed as announced.')
  const descriptor = from.u8()
  const singleSegment = (descriptor & 0x20) !== 0
  if ((descriptor & 0x08) !== 0) throw new WireError('wire/bad-value', 'A reserved bit of the zstd frame is set.')
  const windowFromHeader = singleSegment ? undefined : windowOf(from.u8())
  if ((descriptor & 0x03) !== 0) throw new WireError('wire/bad-value', 'A zstd dictionary is asked for; there is none.')
  const contentBytes = contentSize(from, descriptor >> 6, singleSegment)
  let mostBytes = 0
  for (let last = false; !last;) {
    const header = from.u8() | (from.u8() << 8) | (from.u8() << 16)
    last = (header & 1) === 1
    const type = (header >> 1) & 3
    const size = header >> 3
    if (type === BLOCK_RESERVED) throw new WireError('wire/bad-value', 'A zstd block has a reserved type.')
    if (size > MAX_BLOCK_BYTES) throw new WireError('wire/too-long', 'A zstd block is too long.')
    from.skip(type === BLOCK_RLE ? 1 : size)
    mostBytes += type === BLOCK_RAW || type === BLOCK_RLE ? size : MAX_BLOCK_BYTES
  }
  if ((descriptor & 0x04) !== 0) from.skip(4)
  if (from.left > 0) throw new WireError('wire/bad-value', 'Bytes follow the zstd frame.')
  if (contentBytes !== undefined && contentBytes > mostBytes)
    throw new WireError('wire/bad-value', 'A zstd frame claims more than its blocks can hold.')
  return { contentBytes, mostBytes, windowBytes: windowFromHeader ?? contentBytes ?? 0 }
}

function windowOf(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3))
  return base + (base / 8) * (descriptor & 7)
}

function contentSize(from: Reader, flag: number, singleSegment: boolean): number | undefined {
  const little = (bytes: number): number => {
    let value = 0
    for (let i = 0; i < bytes; i++) value += from.u8() * 2 ** (8 * i)
    return value
  }
  switch (flag) {
    case 0:
      return singleSegment ? little(1) : undefined
    case 1:
      return little(2) + 256
    case 2:
      return little(4)
    default:
      return little(8)
  }
}
