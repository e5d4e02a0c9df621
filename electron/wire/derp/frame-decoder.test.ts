import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { concat, toHex } from '../../base/bytes.ts'
import { WireError } from '../codec.ts'
import { MAX_FRAME_PAYLOAD_BYTES, writeFrameHeader } from './frame.ts'
import { FrameDecoder } from './frame-decoder.ts'

function frame(type: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(5 + payload.length)
  writeFrameHeader(bytes, 0, type, payload.length)
  bytes.set(payload, 5)
  return bytes
}

function collect(decoder: FrameDecoder, chunks: readonly Uint8Array[]): string[] {
  const seen: string[] = []
  for (const chunk of chunks)
    decoder.push(chunk, (type, bytes, start, end) => seen.push(`${type}:${toHex(bytes.subarray(start, end))}`))
  return seen
}

test('reports the same frames however the stream is cut', () => {
  const frames = fc.array(fc.tuple(fc.nat(20), fc.uint8Array({ maxLength: 6000 })), { maxLength: 12 })
  fc.assert(
    fc.property(frames, fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1 }), (list, cuts) => {
      const stream = concat(...list.map(([type, payload]) => frame(type, payload)))
      const chunks: Uint8Array[] = []
      for (let at = 0, i = 0; at < stream.length; i++) {
        const size = cuts[i % cuts.length] ?? 1
        chunks.push(stream.subarray(at, at + size))
        at += size
      }
      const seen = collect(new FrameDecoder((type) => (type === 20 ? undefined : 6000)), chunks)
      assert.deepEqual(
        seen,
        list.filter(([type]) => type !== 20).map(([type, payload]) => `${type}:${toHex(payload)}`),
      )
    }),
  )
})

test('reports a frame that lies whole in a chunk as a span of that chunk', () => {
  const chunk = concat(frame(5, Uint8Array.of(1, 2, 3)), frame(6, new Uint8Array(0)))
  const spans: unknown[] = []
  new FrameDecoder(() => 100).push(chunk, (type, bytes, start, end) => spans.push([type, bytes === chunk, start, end]))
  assert.deepEqual(spans, [
    [5, true, 5, 8],
    [6, true, 13, 13],
  ])
})

test('refuses a length over the limit before anything of the payload came', () => {
  for (const length of [101, 0xffffffff]) {
    const header = new Uint8Array(5)
    writeFrameHeader(header, 0, 4, length)
    assert.throws(() => collect(new FrameDecoder(() => 100), [header]), { code: 'wire/too-long' })
  }
  const skipped = new Uint8Array(5)
  writeFrameHeader(skipped, 0, 99, MAX_FRAME_PAYLOAD_BYTES + 1)
  assert.throws(() => collect(new FrameDecoder(() => undefined), [skipped]), { code: 'wire/too-long' })
})

test('no stream whatever fails except with a wire code', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }), (chunks) => {
      try {
        collect(new FrameDecoder((type) => (type < 0x16 ? 65_600 : undefined)), chunks)
      } catch (error) {
        assert.ok(error instanceof WireError, String(error))
      }
    }),
  )
})
