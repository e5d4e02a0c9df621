import { FRAME_HEADER_BYTES, readPayloadLength, writeFrameHeader } from '../wire/derp/frame.ts'

/** Encoded frames, back to back. Written at `end`, taken from `start`; what was taken is never written again. */
interface Slab {
  readonly bytes: Uint8Array
  start: number
  end: number
  frames: number
}

const MIN_SLAB_BYTES = 4 * 1024
const MAX_SLAB_BYTES = 64 * 1024

/**
 * Frames waiting to be written, encoded once into shared memory, so that a burst leaves as one write without another copy.
 * Knows no bound of its own: the owner drops from the old end.
 */
export class FrameFifo {
  readonly #slabs: Slab[] = []
  #frames = 0
  #bytes = 0
  #slabBytes = MIN_SLAB_BYTES

  get frames(): number {
    return this.#frames
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Appends a frame whose payload is `key` and then `bytes[start..end)`; both are copied. */
  packet(type: number, key: Uint8Array, bytes: Uint8Array, start: number, end: number): void {
    const payloadBytes = key.length + end - start
    const slab = this.#room(FRAME_HEADER_BYTES + payloadBytes)
    const to = slab.bytes
    let at = slab.end
    writeFrameHeader(to, at, type, payloadBytes)
    at += FRAME_HEADER_BYTES
    to.set(key, at)
    at += key.length
    to.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), at)
    slab.end = at + end - start
  }

  /** Appends a frame that is already encoded. */
  frame(frame: Uint8Array): void {
    const slab = this.#room(frame.length)
    slab.bytes.set(frame, slab.end)
    slab.end += frame.length
  }

  dropOldest(): void {
    const slab = this.#oldest()
    if (!slab) return
    this.#consume(slab, 1, FRAME_HEADER_BYTES + readPayloadLength(slab.bytes, slab.start))
  }

  /** Whole frames from the old end as one view: at most `maxBytes`, but at least one frame. Undefined when empty. */
  take(maxBytes: number): Uint8Array | undefined {
    const slab = this.#oldest()
    if (!slab) return undefined
    let bytes = slab.end - slab.start
    let frames = slab.frames
    if (bytes > maxBytes) {
      bytes = 0
      frames = 0
      do {
        const next = bytes + FRAME_HEADER_BYTES + readPayloadLength(slab.bytes, slab.start + bytes)
        if (frames > 0 && next > maxBytes) break
        bytes = next
        frames++
      } while (frames < slab.frames)
    }
    const taken = slab.bytes.subarray(slab.start, slab.start + bytes)
    this.#consume(slab, frames, bytes)
    this.#slabBytes = Math.min(Math.max(MIN_SLAB_BYTES, 2 * bytes), MAX_SLAB_BYTES)
    return taken
  }

  clear(): void {
    this.#slabs.length = 0
    this.#frames = 0
    this.#bytes = 0
  }

  #oldest(): Slab | undefined {
    return this.#frames > 0 ? this.#slabs[0] : undefined
  }

  #consume(slab: Slab, frames: number, bytes: number): void {
    slab.start += bytes
    slab.frames -= frames
    this.#frames -= frames
    this.#bytes -= bytes
    // The last slab stays while it has room, so that single small frames do not cost one each.
    if (slab.frames === 0 && (this.#slabs.length > 1 || slab.end === slab.bytes.length)) this.#slabs.shift()
  }

  #room(frameBytes: number): Slab {
    this.#frames++
    this.#bytes += frameBytes
    const last = this.#slabs.at(-1)
    if (last && last.bytes.length - last.end >= frameBytes) {
      last.frames++
      return last
    }
    if (last?.frames === 0) this.#slabs.pop()
    else if (last) this.#slabBytes = Math.min(2 * this.#slabBytes, MAX_SLAB_BYTES)
    const slab = {
      bytes: Buffer.allocUnsafeSlow(Math.max(this.#slabBytes, frameBytes)),
      start: 0,
      end: 0,
      frames: 1,
    }
    this.#slabs.push(slab)
    return slab
  }
}
