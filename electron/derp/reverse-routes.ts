import { KEY_BYTES } from '../crypto/keys.ts'

/** Peers remembered at most; the one not heard for the longest is forgotten first. */
const MAX_ROUTES = 4096

/**
 * Through which region a peer was last heard. Used to answer where the peer is, when its home is unknown or not connected
 * (paths.md §3.5).
 */
export class ReverseRoutes {
  readonly #regions = new Map<string, number>()
  /** The newest entry: a stream of packets from one peer is then not looked up again and again. */
  #lastId = ''
  #lastRegion = 0

  /** The key is the 32 bytes at `at`. */
  heard(keys: Uint8Array, at: number, region: number): void {
    const id = idOf(keys, at)
    if (id === this.#lastId && region === this.#lastRegion) return
    this.#lastId = id
    this.#lastRegion = region
    this.#regions.delete(id)
    this.#regions.set(id, region)
    if (this.#regions.size <= MAX_ROUTES) return
    for (const oldest of this.#regions.keys()) {
      this.#regions.delete(oldest)
      break
    }
  }

  regionOf(key: Uint8Array): number | undefined {
    return this.#regions.get(idOf(key, 0))
  }

  /** The peer is not at `region` any more. */
  forget(key: Uint8Array, region: number): void {
    const id = idOf(key, 0)
    if (this.#regions.get(id) === region) this.#regions.delete(id)
    this.#lastId = ''
  }

  forgetRegion(region: number): void {
    for (const [id, at] of this.#regions) if (at === region) this.#regions.delete(id)
    this.#lastId = ''
  }
}

function idOf(keys: Uint8Array, at: number): string {
  return Buffer.from(keys.buffer, keys.byteOffset + at, KEY_BYTES).toString('latin1')
}
