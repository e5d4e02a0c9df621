// Enough of the zip format to unpack one big archive without a program or package that might not be there:
// central directory, "stored" and "deflated" entries, no zip64. Reference: PKWARE APPNOTE 6.3, sections 4.3.7, 4.3.12, 4.3.16.

import { chmodSync, closeSync, fstatSync, mkdirSync, openSync, readSync, writeFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { inflateRawSync } from 'node:zlib'

const END = 0x06054b50
const ENTRY = 0x02014b50
const LOCAL = 0x04034b50
/** The end record is 22 bytes and may carry a comment of up to 65535. */
const END_SEARCH_BYTES = 22 + 0xffff

/**
 * Unpacks the entries that `place` gives a path (relative to `folder`); undefined leaves one out.
 * @param {string} archive
 * @param {string} folder
 * @param {(name: string) => string | undefined} place
 * @returns {number} how many files were written
 */
export function unzip(archive, folder, place) {
  const fd = openSync(archive, 'r')
  /** @param {number} offset @param {number} bytes */
  const at = (offset, bytes) => {
    const buffer = Buffer.alloc(bytes)
    if (readSync(fd, buffer, 0, bytes, offset) !== bytes) throw new Error(`${archive}: the zip file is cut short`)
    return buffer
  }
  try {
    const size = fstatSync(fd).size
    const tail = at(Math.max(0, size - END_SEARCH_BYTES), Math.min(size, END_SEARCH_BYTES))
    let end = tail.length - 22
    while (end >= 0 && tail.readUInt32LE(end) !== END) end -= 1
    if (end < 0) throw new Error(`${archive}: not a zip file`)
    const directory = at(tail.readUInt32LE(end + 16), tail.readUInt32LE(end + 12))

    let files = 0
    for (let offset = 0; offset + 46 <= directory.length && directory.readUInt32LE(offset) === ENTRY;) {
      const method = directory.readUInt16LE(offset + 10)
      const packedBytes = directory.readUInt32LE(offset + 20)
      const nameBytes = directory.readUInt16LE(offset + 28)
      const extraBytes = directory.readUInt16LE(offset + 30) + directory.readUInt16LE(offset + 32)
      const mode = (directory.readUInt32LE(offset + 38) >>> 16) & 0o777
      const localOffset = directory.readUInt32LE(offset + 42)
      const name = directory.toString('utf8', offset + 46, offset + 46 + nameBytes)
      offset += 46 + nameBytes + extraBytes

      const target = name.endsWith('/') ? undefined : place(name)
      if (target === undefined) continue
      const path = join(folder, target)
      if (normalize(target).startsWith('..')) throw new Error(`${archive}: ${name} points outside`)
      const local = at(localOffset, 30)
      if (local.readUInt32LE(0) !== LOCAL) throw new Error(`${archive}: ${name} is damaged`)
      const packed = at(localOffset + 30 + local.readUInt16LE(26) + local.readUInt16LE(28), packedBytes)
      if (method !== 0 && method !== 8) throw new Error(`${archive}: ${name} is packed in an unknown way (${method})`)
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, method === 8 ? inflateRawSync(packed) : packed)
      chmodSync(path, mode || 0o644)
      files += 1
    }
    return files
  } finally {
    closeSync(fd)
  }
}
