import assert from 'node:assert/strict'
import { test } from 'node:test'
import { drawTray, type TrayDrawing } from './tray-drawing.ts'

const INK = { r: 200, g: 100, b: 50 }
const off: TrayDrawing = { ends: 'off', way: 'none', attention: false }
const on: TrayDrawing = { ends: 'on', way: 'joined', attention: false }

/** Alpha at a place on the 16 grid. */
function alphaAt(pixels: Uint8Array, size: number, x: number, y: number): number {
  const pixel = Math.floor((y * size) / 16) * size + Math.floor((x * size) / 16)
  return pixels[pixel * 4 + 3] ?? -1
}

const covered = (pixels: Uint8Array): number =>
  pixels.filter((_, index) => index % 4 === 3).reduce((sum, alpha) => sum + alpha, 0)

test('the state is in the shape: hollow and apart when off, solid and joined when on', () => {
  for (const size of [16, 22, 24, 32, 44, 64]) {
    const [hollow, solid] = [drawTray(off, size, INK), drawTray(on, size, INK)]
    assert.equal(hollow.length, size * size * 4)
    assert.ok(alphaAt(hollow, size, 3, 13) < 64, `open in the middle of an end at ${size}`)
    assert.equal(alphaAt(solid, size, 3, 13), 255)
    assert.equal(alphaAt(hollow, size, 8, 8), 0)
    assert.ok(alphaAt(solid, size, 8, 8) > 200)
  }
})

test('the way grows from frame to frame, and each state looks different', () => {
  const frames = (['growing-1', 'growing-2', 'growing-3'] as const).map((way) =>
    covered(drawTray({ ends: 'half', way, attention: false }, 32, INK)),
  )
  assert.deepEqual(
    frames,
    frames.toSorted((a, b) => a - b),
  )
  assert.equal(new Set(frames).size, 3)
  const serving: TrayDrawing = { ...on, way: 'serving' }
  const all = [off, on, serving, ...[off, on, serving].map((one) => ({ ...one, attention: true }))].map((state) =>
    Buffer.from(drawTray(state, 22, INK)).toString('base64'),
  )
  assert.equal(new Set(all).size, 6)
})

test('pixels are BGRA, premultiplied', () => {
  const pixels = drawTray(on, 32, INK)
  for (let at = 0; at < pixels.length; at += 4) {
    const [b = 0, g = 0, r = 0, alpha = 0] = pixels.subarray(at, at + 4)
    for (const [channel, full] of [
      [b, 50],
      [g, 100],
      [r, 200],
    ] as const)
      assert.ok(Math.abs(channel - (full * alpha) / 255) <= 1)
  }
})
