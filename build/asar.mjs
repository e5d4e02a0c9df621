// Writes the archive format that Electron reads its app from. Reference: the asar project's README, "Format": four 32-bit
// numbers of Chromium's Pickle around a JSON header, then the files' bytes one after the other.

/**
 * @param {Record<string, Buffer>} files by name, all at the top
 * @returns {Buffer}
 */
export function asar(files) {
  let offset = 0
  /** @type {Record<string, { size: number, offset: string }>} */
  const entries = {}
  for (const [name, content] of Object.entries(files)) {
    entries[name] = { size: content.length, offset: String(offset) }
    offset += content.length
  }
  const json = Buffer.from(JSON.stringify({ files: entries }))
  const padded = Buffer.concat([json, Buffer.alloc((4 - (json.length % 4)) % 4)])
  const sizes = Buffer.alloc(16)
  sizes.writeUInt32LE(4, 0)
  sizes.writeUInt32LE(padded.length + 8, 4)
  sizes.writeUInt32LE(padded.length + 4, 8)
  sizes.writeUInt32LE(json.length, 12)
  return Buffer.concat([sizes, padded, ...Object.values(files)])
}
