import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { concat, toHex } from '../base/bytes.ts'
import { FrameDecoder } from '../wire/derp/frame-decoder.ts'
import { FrameFifo } from './frame-fifo.ts'

const key = new Uint8Array(32).fill(9)

function framesIn(bytes: Uint8Array): string[] {
  const found: string[] = []
  new FrameDecoder(() => 1 << 20).push(bytes, (type, all, start, end) =>
    found.push(`${type}:${toHex(all.subarray(start, end))}`),
  )
  return found
}

test('gives back what was put in, whole and in order, less what was dropped at the old end', () => {
  const action = fc.oneof(
    fc.record({ put: fc.uint8Array({ maxLength: 3_000 }) }),
    fc.record({ take: fc.integer({ min: 1, max: 20_000 }) }),
    fc.constant('drop' as const),
  )
  fc.assert(
    fc.property(fc.array(action, { maxLength: 100 }), (actions) => {
      const fifo = new FrameFifo()
      const model: string[] = []
      const taken: { run: Uint8Array; expected: string[] }[] = []
      for (const step of actions) {
        if (step === 'drop') {
          fifo.dropOldest()
          model.shift()
        } else if ('put' in step) {
          fifo.packet(5, key, step.put, 0, step.put.length)
          model.push(`5:${toHex(concat(key, step.put))}`)
        } else {
          const run = fifo.take(step.take)
          assert.equal(run === undefined, model.length === 0)
          if (!run) continue
          const frames = framesIn(run)
          assert.ok(frames.length === 1 || run.length <= step.take)
          taken.push({ run, expected: model.splice(0, frames.length) })
        }
        assert.equal(fifo.frames, model.length)
        assert.equal(
          fifo.bytes,
          model.reduce((sum, frame) => sum + 5 + (frame.length - 2) / 2, 0),
        )
      }
      // Looked at only now: later frames must not have been written over earlier runs.
      for (const { run, expected } of taken) assert.deepEqual(framesIn(run), expected)
    }),
  )
})
