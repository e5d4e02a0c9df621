import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { concat, fromHex, toHex, utf8 } from '../../base/bytes.ts'
import { WireError } from '../codec.ts'
import { encodeMapFrame, mapFrameChunks, MapFrameDecoder, parseMapPayload } from './map-frame.ts'

const hex = (text: string): Uint8Array => fromHex(text) ?? assert.fail('bad hex in the test')

test('the known keep-alive frames are written and read', () => {
  const plain = '120000007b224b656570416c697665223a747275657d'
  const packed = '1b00000028b52ffd20129100007b224b656570416c697665223a747275657d'
  assert.equal(toHex(encodeMapFrame({ keepAlive: true }, '')), plain)
  for (const [frame, compression] of [
    [plain, ''],
    [packed, 'zstd'],
  ] as const) {
    const [payload] = new MapFrameDecoder().push(hex(frame))
    assert.ok(payload)
    assert.equal(parseMapPayload(payload, compression).keepAlive, true)
  }
})

test('frames come out whole and in order, however the stream is cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ minLength: 1, maxLength: 200 }), { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 100 }), { maxLength: 60 }),
      fc.constantFrom('' as const, 'zstd' as const),
      (domains, sizes, compression) => {
        const stream = concat(...domains.map((domain) => encodeMapFrame({ domain }, compression)))
        const decoder = new MapFrameDecoder()
        const read: string[] = []
        let at = 0
        for (const size of [...sizes, stream.length]) {
          for (const payload of decoder.push(stream.slice(at, at + size)))
            read.push(parseMapPayload(payload, compression).domain)
          at += size
        }
        assert.deepEqual(read, domains)
        assert.ok(decoder.idle)
      },
    ),
  )
})

test('a frame longer than the bound is refused by its length alone', () => {
  const decoder = new MapFrameDecoder(100)
  assert.deepEqual(decoder.push(Uint8Array.of(100, 0, 0)), [])
  assert.throws(
    () => new MapFrameDecoder(100).push(Uint8Array.of(101, 0, 0, 0)),
    (error) => error instanceof WireError && error.code === 'wire/too-long',
  )
})

test('no payload whatever fails other than with a wire code', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.string(), (junk, text) => {
      for (const compression of ['', 'zstd'] as const)
        for (const payload of [junk, utf8(text)]) assert.throws(() => parseMapPayload(payload, compression), WireError)
    }),
  )
})

test('a long message is made in chunks, whatever characters stand where one ends', () => {
  const character = fc.constantFrom('a', 'ä', '中', '𝄞')
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.string({ unit: character, maxLength: 9 }), fc.integer({ min: 1, max: 30_000 })), {
        maxLength: 6,
      }),
      fc.constantFrom('' as const, 'zstd' as const),
      (texts, compression) => {
        const pieces = ['{"Domain":"', ...texts.map(([text, times]) => text.repeat(times)), '"}']
        const chunks = [...mapFrameChunks(pieces, compression)]
        assert.ok(chunks.every(({ length }) => length > 0 && length <= 64 * 1024))
        const [payload, ...more] = new MapFrameDecoder().push(concat(...chunks))
        assert.ok(payload)
        assert.deepEqual(more, [])
        assert.equal(JSON.stringify({ Domain: parseMapPayload(payload, compression).domain }), pieces.join(''))
      },
    ),
    { numRuns: 50 },
  )
})

test('a message that ends where a chunk does, or a byte before or after, is whole', () => {
  for (const compression of ['', 'zstd'] as const)
    for (const chunks of [1, 2])
      for (let bytes = chunks * 65_536 - 24; bytes <= chunks * 65_536 + 4; bytes++) {
        const domain = 'a'.repeat(bytes - '{"Domain":""}'.length - 3) + '中'
        const pieces = [`{"Domain":"${domain}`, '"}']
        const [payload, ...more] = new MapFrameDecoder().push(concat(...mapFrameChunks(pieces, compression)))
        assert.ok(payload)
        assert.deepEqual(more, [])
        assert.ok(parseMapPayload(payload, compression).domain === domain)
      }
})
