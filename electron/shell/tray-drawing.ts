// The tray icon, drawn here pixel by pixel: two machines and the way between them on a 16 grid (the same drawing as the
// window's plate). Shape alone tells the state. Drawing it at run time gives every size and colour that a panel may ask for.

export interface TrayDrawing {
  readonly ends: 'off' | 'half' | 'on'
  readonly way: 'none' | 'growing-1' | 'growing-2' | 'growing-3' | 'joined' | 'serving'
  readonly attention: boolean
}

export interface Rgb {
  readonly r: number
  readonly g: number
  readonly b: number
}

type Point = readonly [x: number, y: number]
/** Distance to the edge of a shape in grid units; negative inside. */
type Shape = (x: number, y: number) => number

const LOWER: Point = [3, 13]
const UPPER: Point = [13, 3]
const FULL_RADIUS = 2.75
const RING = { radius: 2.1, width: 1.6 }
const WAY_WIDTH = 2
/** How much of the way is there in each frame. */
const GROWN = { 'growing-1': 0.32, 'growing-2': 0.52, 'growing-3': 0.74, joined: 1 }
/** Cubic from the lower to the upper end. */
const CURVE: readonly [Point, Point, Point, Point] = [LOWER, [3, 4], [13, 12], UPPER]
const CURVE_POINTS = 48
/** Samples per pixel and axis: 16 greys are enough at these sizes. */
const SAMPLES = 4

/** BGRA with premultiplied alpha, as a native bitmap has it: `size` × `size` pixels. */
export function drawTray(drawing: TrayDrawing, size: number, { r, g, b }: Rgb): Uint8Array {
  const shapes = shapesOf(drawing)
  const pixels = new Uint8Array(size * size * 4)
  const unit = 16 / size
  for (let row = 0; row < size; row++)
    for (let column = 0; column < size; column++) {
      let hits = 0
      for (let sample = 0; sample < SAMPLES * SAMPLES; sample++) {
        const x = (column + ((sample % SAMPLES) + 0.5) / SAMPLES) * unit
        const y = (row + (Math.floor(sample / SAMPLES) + 0.5) / SAMPLES) * unit
        if (shapes.some((shape) => shape(x, y) <= 0)) hits++
      }
      const alpha = hits / (SAMPLES * SAMPLES)
      pixels.set(
        [b, g, r, 255].map((channel) => Math.round(channel * alpha)),
        (row * size + column) * 4,
      )
    }
  return pixels
}

function shapesOf({ ends, way, attention }: TrayDrawing): readonly Shape[] {
  const shapes: Shape[] = [ends === 'off' ? ring(LOWER) : disc(LOWER), ends === 'on' ? disc(UPPER) : ring(UPPER)]
  if (way === 'serving') shapes.push(diamond([8, 8], 3.7))
  else if (way !== 'none') shapes.push(stroke(curveUpTo(GROWN[way]), WAY_WIDTH))
  if (attention) shapes.push(box(12.2, 8.8, 14.2, 12.2), disc([13.2, 14.5], 1.2))
  return shapes
}

const disc =
  ([cx, cy]: Point, radius = FULL_RADIUS): Shape =>
  (x, y) =>
    Math.hypot(x - cx, y - cy) - radius

const ring =
  ([cx, cy]: Point): Shape =>
  (x, y) =>
    Math.abs(Math.hypot(x - cx, y - cy) - RING.radius) - RING.width / 2

const diamond =
  ([cx, cy]: Point, radius: number): Shape =>
  (x, y) =>
    Math.abs(x - cx) + Math.abs(y - cy) - radius

const box =
  (left: number, top: number, right: number, bottom: number): Shape =>
  (x, y) =>
    Math.max(left - x, x - right, top - y, y - bottom)

function stroke(points: readonly Point[], width: number): Shape {
  return (x, y) => {
    let nearest = Infinity
    for (let i = 1; i < points.length; i++) {
      const [from, to] = [points[i - 1], points[i]]
      if (from && to) nearest = Math.min(nearest, toSegment(x, y, from, to))
    }
    return nearest - width / 2
  }
}

function toSegment(x: number, y: number, [ax, ay]: Point, [bx, by]: Point): number {
  const [dx, dy] = [bx - ax, by - ay]
  const length = dx * dx + dy * dy
  const along = length === 0 ? 0 : Math.min(Math.max(((x - ax) * dx + (y - ay) * dy) / length, 0), 1)
  return Math.hypot(x - ax - along * dx, y - ay - along * dy)
}

/** The first part of the way, by length. */
function curveUpTo(part: number): readonly Point[] {
  const all = Array.from({ length: CURVE_POINTS + 1 }, (_, index) => onCurve(index / CURVE_POINTS))
  const steps = all.map((point, index) => (index === 0 ? 0 : distance(all[index - 1] ?? point, point)))
  const wanted = steps.reduce((sum, step) => sum + step, 0) * part
  let walked = 0
  return all.filter((_, index) => {
    walked += steps[index] ?? 0
    return walked <= wanted + 1e-9
  })
}

const distance = ([ax, ay]: Point, [bx, by]: Point): number => Math.hypot(bx - ax, by - ay)

function onCurve(t: number): Point {
  const [a, b, c, d] = CURVE
  const at = (axis: 0 | 1): number =>
    (1 - t) ** 3 * a[axis] + 3 * (1 - t) ** 2 * t * b[axis] + 3 * (1 - t) * t ** 2 * c[axis] + t ** 3 * d[axis]
  return [at(0), at(1)]
}
