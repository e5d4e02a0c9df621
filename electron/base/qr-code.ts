// A QR code (ISO/IEC 18004) of a short text: bytes, error correction M, the smallest of versions 1 to 10 that holds it.
// Rows of dark modules, without the quiet zone of four around them.

/** Per version: error correction bytes of a block, and the data bytes of each of its blocks (table 9, level M). */
const BLOCKS: readonly (readonly [number, readonly number[]])[] = [
  [10, [16]],
  [16, [28]],
  [26, [44]],
  [18, [32, 32]],
  [24, [43, 43]],
  [16, [27, 27, 27, 27]],
  [18, [31, 31, 31, 31]],
  [22, [38, 38, 39, 39]],
  [22, [36, 36, 36, 37, 37]],
  [26, [43, 43, 43, 43, 44]],
]
/** Centres of the alignment patterns (annex E). */
const ALIGNMENT: readonly (readonly number[])[] = [
  [],
  [6, 18],
  [6, 22],
  [6, 26],
  [6, 30],
  [6, 34],
  [6, 22, 38],
  [6, 24, 42],
  [6, 26, 46],
  [6, 28, 50],
]
const MASKS: readonly ((y: number, x: number) => boolean)[] = [
  (y, x) => (y + x) % 2 === 0,
  (y) => y % 2 === 0,
  (_y, x) => x % 3 === 0,
  (y, x) => (y + x) % 3 === 0,
  (y, x) => (Math.floor(y / 2) + Math.floor(x / 3)) % 2 === 0,
  (y, x) => ((y * x) % 2) + ((y * x) % 3) === 0,
  (y, x) => (((y * x) % 2) + ((y * x) % 3)) % 2 === 0,
  (y, x) => (((y + x) % 2) + ((y * x) % 3)) % 2 === 0,
]

export type Modules = readonly (readonly boolean[])[]

/** Undefined when the text is too long: about 210 bytes. `mask` is chosen as the standard asks when left out. */
export function qrCode(text: string, mask?: number): Modules | undefined {
  const bytes = new TextEncoder().encode(text)
  const version = BLOCKS.findIndex(([, blocks], i) => bytes.length + headBytes(i + 1) <= sum(blocks)) + 1
  if (version === 0) return undefined
  const words = codewords(version, bytes)
  const masks = mask === undefined ? MASKS.map((_, i) => i) : [mask]
  return masks
    .map((mask) => drawn(version, words, mask))
    .reduce((best, next) => (penalty(next) < penalty(best) ? next : best))
}

/** Mode, length and terminator. */
const headBytes = (version: number): number => (version < 10 ? 2 : 3)
const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)

/** Data and error correction, interleaved (7.4 to 7.6). */
function codewords(version: number, bytes: Uint8Array): number[] {
  const [correction, blocks] = BLOCKS[version - 1] ?? [0, []]
  const bits: number[] = []
  const push = (value: number, length: number): void => {
    for (let bit = length - 1; bit >= 0; bit--) bits.push((value >> bit) & 1)
  }
  push(0b0100, 4)
  push(bytes.length, version < 10 ? 8 : 16)
  for (const byte of bytes) push(byte, 8)
  push(0, 4)
  const data: number[] = []
  for (let at = 0; at < bits.length; at += 8)
    data.push(bits.slice(at, at + 8).reduce((byte, bit) => (byte << 1) | bit, 0))
  for (let pad = 0xec; data.length < sum(blocks); pad ^= 0xec ^ 0x11) data.push(pad)

  let from = 0
  const parts = blocks.map((length) => data.slice(from, (from += length)))
  return [...interleaved(parts), ...interleaved(parts.map((part) => remainder(part, correction)))]
}

function interleaved(parts: readonly (readonly number[])[]): number[] {
  const longest = Math.max(...parts.map((part) => part.length))
  return Array.from({ length: longest }, (_, i) => parts.flatMap((part) => part.slice(i, i + 1))).flat()
}

// Reed-Solomon over GF(256), x^8 + x^4 + x^3 + x^2 + 1

const POWERS: number[] = []
const LOGS: number[] = []
for (let power = 1, i = 0; i < 255; i++) {
  POWERS.push(power)
  LOGS[power] = i
  power = power < 128 ? power << 1 : (power << 1) ^ 0x11d
}

const times = (a: number, b: number): number =>
  a === 0 || b === 0 ? 0 : (POWERS[((LOGS[a] ?? 0) + (LOGS[b] ?? 0)) % 255] ?? 0)

function remainder(data: readonly number[], length: number): number[] {
  let generator = [1]
  for (let i = 0; i < length; i++) {
    const root = POWERS[i] ?? 0
    generator = [...generator, 0].map((value, at) => value ^ (at > 0 ? times(generator[at - 1] ?? 0, root) : 0))
  }
  const rest = [...data, ...Array.from({ length }, () => 0)]
  for (let at = 0; at < data.length; at++) {
    const factor = rest[at] ?? 0
    for (const [i, value] of generator.entries()) rest[at + i] = (rest[at + i] ?? 0) ^ times(value, factor)
  }
  return rest.slice(data.length)
}

// Drawing

function drawn(version: number, words: readonly number[], mask: number): boolean[][] {
  const size = 17 + 4 * version
  const dark = Array.from({ length: size }, () => Array.from({ length: size }, () => false))
  const taken = Array.from({ length: size }, () => Array.from({ length: size }, () => false))
  const set = (y: number, x: number, isDark: boolean): void => {
    const [row, reserved] = [dark[y], taken[y]]
    if (!row || !reserved || x < 0 || x >= size) return
    row[x] = isDark
    reserved[x] = true
  }
  drawPatterns(version, size, set)
  drawFormat(size, mask, set)
  if (version >= 7) drawVersion(version, size, set)

  const isMasked = MASKS[mask] ?? MASKS[0]
  let bit = 0
  for (const [y, x] of dataPlaces(size)) {
    if (taken[y]?.[x] !== false) continue
    const isSet = (((words[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1) === 1
    bit++
    set(y, x, isSet !== isMasked?.(y, x))
  }
  return dark
}

type SetModule = (y: number, x: number, isDark: boolean) => void

function drawPatterns(version: number, size: number, set: SetModule): void {
  for (let i = 0; i < size; i++) {
    set(6, i, i % 2 === 0)
    set(i, 6, i % 2 === 0)
  }
  const centres = ALIGNMENT[version - 1] ?? []
  const last = centres.at(-1)
  for (const y of centres)
    for (const x of centres)
      if (!(y === 6 && (x === 6 || x === last)) && !(x === 6 && y === last))
        square(2, (dy, dx, ring) => set(y + dy, x + dx, ring !== 1))
  for (const [y, x] of [
    [3, 3],
    [3, size - 4],
    [size - 4, 3],
  ] as const)
    square(4, (dy, dx, ring) => set(y + dy, x + dx, ring !== 2 && ring !== 4))
}

/** All places up to `reach` from the middle, with the ring each is on. */
function square(reach: number, at: (dy: number, dx: number, ring: number) => void): void {
  for (let dy = -reach; dy <= reach; dy++)
    for (let dx = -reach; dx <= reach; dx++) at(dy, dx, Math.max(Math.abs(dy), Math.abs(dx)))
}

/** Level M is 00 (7.9): five bits, ten of BCH, masked. */
function drawFormat(size: number, mask: number, set: SetModule): void {
  const format = ((mask << 10) | bch(mask << 10, 0x537, 10)) ^ 0x5412
  const bitAt = (i: number): boolean => ((format >> i) & 1) === 1
  for (let i = 0; i < 15; i++) {
    set(i < 6 ? i : i < 8 ? i + 1 : size - 15 + i, 8, bitAt(i))
    set(8, i < 8 ? size - 1 - i : i < 9 ? 15 - i : 14 - i, bitAt(i))
  }
  set(size - 8, 8, true)
}

function drawVersion(version: number, size: number, set: SetModule): void {
  const bits = (version << 12) | bch(version << 12, 0x1f25, 12)
  for (let i = 0; i < 18; i++) {
    const [far, near] = [size - 11 + (i % 3), Math.floor(i / 3)]
    set(far, near, ((bits >> i) & 1) === 1)
    set(near, far, ((bits >> i) & 1) === 1)
  }
}

function bch(value: number, generator: number, degree: number): number {
  let rest = value
  for (let bit = 20; bit >= degree; bit--) if (((rest >> bit) & 1) === 1) rest ^= generator << (bit - degree)
  return rest
}

/** Two columns at a time from the right, up and down in turn, around the vertical timing pattern (7.7.3). */
function* dataPlaces(size: number): Generator<readonly [number, number]> {
  let isUp = true
  for (let right = size - 1; right > 0; right -= right === 8 ? 3 : 2) {
    for (let i = 0; i < size; i++) {
      const y = isUp ? size - 1 - i : i
      yield [y, right]
      yield [y, right - 1]
    }
    isUp = !isUp
  }
}

/** How badly a reader would be misled (7.8.3); the mask with the least is taken. */
function penalty(dark: Modules): number {
  const size = dark.length
  const at = (y: number, x: number): boolean => dark[y]?.[x] === true
  let [points, count] = [0, 0]
  for (const line of [...dark, ...dark.map((_, x) => dark.map((row) => row[x] === true))]) {
    const text = line.map((isDark) => (isDark ? '1' : '0')).join('')
    for (const [run] of text.matchAll(/0{5,}|1{5,}/g)) points += run.length - 2
    // Overlaps count, so each place is looked at.
    for (let i = 0; i + 11 <= size; i++) if (/^(10111010000|00001011101)/.test(text.slice(i, i + 11))) points += 40
  }
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++) {
      if (at(y, x)) count++
      const isBlock = y > 0 && x > 0 && at(y, x) === at(y - 1, x) && at(y, x) === at(y, x - 1)
      if (isBlock && at(y, x) === at(y - 1, x - 1)) points += 3
    }
  return points + 10 * Math.floor(Math.abs((count * 100) / size ** 2 - 50) / 5)
}
