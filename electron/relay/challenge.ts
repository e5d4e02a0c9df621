// The proof that whoever binds receives at the address it binds from: a MAC over the handshake and that address, which the
// client must send back. Only the relay that made it checks it; nothing is kept per attempt. paths.md §6.7.

import { blake2s } from '@noble/hashes/blake2.js'
import { concat, equalBytes } from '../base/bytes.ts'
import { type Endpoint, ipToBytes, splitEndpoint } from '../base/endpoint.ts'
import { CHALLENGE_BYTES } from '../wire/disco/bind-fields.ts'
import type { DiscoPublic } from '../crypto/keys.ts'

const SECRET_BYTES = 32
/** A secret older than this makes no new challenges; the one before it still counts. */
const ROTATE_MS = 2 * 60_000

export interface Challenged {
  readonly vni: number
  readonly generation: number
  readonly remoteKey: DiscoPublic
}

/** BLAKE2s-256 of VNI, generation (both big endian), remote key, address and port (little endian). */
export function challengeMac(secret: Uint8Array, of: Challenged, from: Endpoint): Uint8Array | undefined {
  const parts = splitEndpoint(from)
  const address = parts && ipToBytes(parts.address)
  if (!parts || !address) return undefined
  const head = new Uint8Array(8)
  const view = new DataView(head.buffer)
  view.setUint32(0, of.vni)
  view.setUint32(4, of.generation)
  const port = Uint8Array.of(parts.port & 0xff, parts.port >> 8)
  return blake2s(concat(head, of.remoteKey.bytes, address, port), { key: secret, dkLen: CHALLENGE_BYTES })
}

export class Challenges {
  #current = newSecret()
  #previous: Uint8Array | undefined
  #madeAtMs: number

  constructor(nowMs: number) {
    this.#madeAtMs = nowMs
  }

  make(of: Challenged, from: Endpoint, nowMs: number): Uint8Array | undefined {
    this.#rotate(nowMs)
    return challengeMac(this.#current, of, from)
  }

  accepts(of: Challenged & { readonly challenge: Uint8Array }, from: Endpoint, nowMs: number): boolean {
    this.#rotate(nowMs)
    return [this.#current, this.#previous].some((secret) => {
      const mac = secret && challengeMac(secret, of, from)
      return mac !== undefined && equalBytes(mac, of.challenge)
    })
  }

  #rotate(nowMs: number): void {
    const ageMs = nowMs - this.#madeAtMs
    if (ageMs < ROTATE_MS) return
    // After a long pause the one before is too old as well.
    this.#previous = ageMs < 2 * ROTATE_MS ? this.#current : undefined
    this.#current = newSecret()
    this.#madeAtMs = nowMs
  }
}

function newSecret(): Uint8Array {
  return globalThis.crypto.getRandomValues(new Uint8Array(SECRET_BYTES))
}
