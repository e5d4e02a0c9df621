import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fromHex, toHex, utf8 } from '../../base/bytes.ts'
import { WireError } from '../codec.ts'
import { walkFrame } from './frame-walk.ts'
import { compressZstd, decompressPortably, decompressZstd, storeZstd } from './zstd.ts'

const MIB = 1024 * 1024
const base64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'))

/** What the frames below hold. */
const peers = utf8(
  JSON.stringify({
    Peers: Array.from({ length: 59 }, (_, i) => ({
      ID: i + 1,
      StableID: String(i + 1),
      Name: `peer-${i + 1}.tail.example.`,
      Addresses: [`100.64.0.${i + 1}/32`],
    })),
  }),
)
// Made by the zstd command line tool 1.5.4: -19 with checksum and content size; -3 from a pipe, with neither.
const BEST = base64(
  'KLUv/WQvE/0MAIYgSh1gbdIBWEajywecGowjJYOm3VvKlFLKblA5FEVgBVwANgA4ANtWVlZWds45xhhTVUVE9P+23bYkqZhIQNiALcrCtChlSPLwkDwWFgQQBbJIHA4NjYhk4WBoQCwG8EgSB4SBJA2NAkSBDEkcCg2IA0QxBjJAgEggMJCHR5IYIBIBxWKRSCQSz/M8TdM0y7IsSZIkx3EcCwsLC8/Ozs7MzMzMarVajUaj0b7v+zzP87qu6ziO47YtdV3XNE3T8zzPxcXFxaenp6empqam1Wq1SqVSqe/7vq7rum3btizLsuu6rqWlpaWHh4eHhoaGhsUTCefn5+fm5ubm9Xq9TqfT6f///77v+33f9zzP8/u+7+Xl5eXHx8fHxsbGxuVyuUwmk8n3fd+2bdsBgOuoEZDw/WdZA/ClMRJAEEAQ2GAAGP7fH7ND6G1EWIw8EA4nfeaCMIWSF8BhrY49SJRg2gEyeNOyD4gRXDkQDl5q3gElBScNg8FLXjtQ3VK0ZJZgZDG7ZrN7mBnjjjHvrGl3zWu3YYYUqytN/xUJUAUAqQYu9+/o',
)
const PIPED = base64(
  'KLUv/QBYrQsAZpQyHmCH1AEQ6uN8xyhSPRGu8J0QU1ojKaWkDU+mIIiDAzwAKgAfAEuiKKvDU1GKotRIJAQKqSQpGAsIISWKA8iRDKCREqOeSgtooJBaPVUwJIUB5CgoZE8VDPU4PBU1UiKoR9u2bdu2bdu2bdu2bVMURZnjOE7TNA3DMMyyLMv/23bbkiSSgCg2YImSOHbbtm3btm3btm3btm3bti1JkiRJkiRJkiRJkiRJkmQJiP//////////////////f9u2bdu2bdu2bdu2bdu2A4DpqCH49v8zsHNKBxJQIAicwmZsIvw//ldZ226iIQZW2VdPjlXWtpdoiIFb9tWTY5W17SUaYtCWffXMWGVtd4mGmLBlX30yzY3lorgLt99Ct6ttZcu1c7U9LaLds61ZLDvI1lgsdoQtsPR19Np2BdextdaKWQdru4qt7qpNle3U1QFS2wKi0qBu9pX6IN9C+BrugGDDEgeBjYkYDDYsMZC4CebiXQBbBQ==',
)
/** 3 000 000 zero bytes in less than 200, from a pipe, so that their number is not announced. */
const ZEROS = base64(
  'KLUv/QBYVAAAEAAAAQD7/znAAgIAEAACABAAAgAQAAIAEAACABAAAgAQAAIAEAACABAAAgAQAAIAEAACABAAAgAQAAIAEAACABAAAgAQAAIAEAACABAAAgAQAAIAEAACABAAAgAQAAM2DgA=',
)

const isWire =
  (code?: string) =>
  (error: unknown): boolean =>
    error instanceof WireError && (code === undefined || error.code === code)

test('frames of the reference tool decompress, on this platform and without its help', () => {
  for (const frame of [BEST, PIPED]) {
    assert.deepEqual(decompressZstd(frame, MIB), peers)
    assert.deepEqual(decompressPortably(frame, MIB), peers)
  }
  assert.equal(walkFrame(BEST).contentBytes, peers.length)
  assert.equal(walkFrame(PIPED).contentBytes, undefined)
})

test('the known raw-block frame is written and read', () => {
  const keepAlive = utf8('{"KeepAlive":true}')
  const known = '28b52ffd20129100007b224b656570416c697665223a747275657d'
  assert.equal(toHex(storeZstd(keepAlive)), known)
  assert.deepEqual(decompressZstd(fromHex(known) ?? new Uint8Array(0), 100), keepAlive)
})

test('whatever is compressed or stored comes out again, at every size of header and block', () => {
  for (const size of [0, 1, 255, 256, 65_791, 65_792, 131_072, 131_073, 400_000]) {
    const content = new Uint8Array(size).map((_, i) => i * 31)
    assert.deepEqual(decompressZstd(storeZstd(content), MIB), content, `stored ${size}`)
    assert.deepEqual(decompressZstd(compressZstd(content), MIB), content, `compressed ${size}`)
  }
})

test('a small frame that would fill memory is refused', () => {
  assert.equal(decompressZstd(ZEROS, 4 * MIB).length, 3_000_000)
  assert.throws(() => decompressZstd(ZEROS, MIB), isWire('wire/too-long'))
  assert.throws(() => decompressPortably(ZEROS, MIB), isWire('wire/too-long'))
  const claims4GiB = storeZstd(new Uint8Array(70_000))
  claims4GiB.fill(0xff, 5, 9)
  assert.throws(() => decompressZstd(claims4GiB, MIB), isWire())
  // A window of 2^41 bytes, one empty raw block.
  assert.throws(
    () => decompressZstd(Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0, 0xff, 1, 0, 0), MIB),
    isWire('wire/too-long'),
  )
})

test('a frame cut short, with bytes after it, or with a wrong size is refused', () => {
  for (let length = 0; length < BEST.length; length++)
    assert.throws(() => decompressZstd(BEST.subarray(0, length), MIB), isWire())
  const longer = new Uint8Array(BEST.length + 1)
  longer.set(BEST)
  assert.throws(() => decompressZstd(longer, MIB), isWire('wire/bad-value'))
  const wrongSize = storeZstd(utf8('hello'))
  wrongSize[5] = 4
  assert.throws(() => decompressZstd(wrongSize, MIB), isWire('wire/bad-value'))
})

test('no bytes whatever fail other than with a wire code', () => {
  const damaged = fc
    .tuple(
      fc.constantFrom(BEST, PIPED, ZEROS),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
    )
    .map(([frame, changes]) => {
      const changed = frame.slice()
      for (const [at, byte] of changes) changed[at % changed.length] = byte
      return changed
    })
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 60 }), damaged), (input) => {
      for (const decompress of [decompressZstd, decompressPortably]) {
        try {
          decompress(input, 4 * MIB)
        } catch (error) {
          assert.ok(error instanceof WireError, String(error))
        }
      }
    }),
    { numRuns: 500 },
  )
})
