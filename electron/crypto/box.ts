// NaCl crypto_box (X25519, HSalsa20, XSalsa20-Poly1305) as disco and DERP use it: tag before ciphertext, 24-byte nonce.
// The box key of a pair is symmetric; computing it costs an X25519, so callers keep a SharedBox per counterpart.

import { hsalsa } from '@noble/ciphers/salsa.js'
import nacl from 'tweetnacl'
import { sharedSecret } from './x25519.ts'

export const BOX_NONCE_BYTES = 24
export const BOX_OVERHEAD_BYTES = nacl.box.overheadLength

export class SharedBox {
  readonly #key: Uint8Array

  constructor(ourSecret: Uint8Array, theirPublic: Uint8Array) {
    this.#key = boxKey(ourSecret, theirPublic)
  }

  seal(message: Uint8Array, nonce: Uint8Array): Uint8Array {
    return nacl.box.after(message, nonce, this.#key)
  }

  /** Undefined when the box does not open: another key, or changed on the way. */
  open(box: Uint8Array, nonce: Uint8Array): Uint8Array | undefined {
    return nacl.box.open.after(box, nonce, this.#key) ?? undefined
  }
}

/** "expand 32-byte k" as little-endian words, and the zero block that NaCl's crypto_box_beforenm takes. */
const SIGMA = Uint32Array.of(0x61707865, 0x3320646e, 0x79622d32, 0x6b206574)
const ZERO_BLOCK = new Uint32Array(4)

function boxKey(ourSecret: Uint8Array, theirPublic: Uint8Array): Uint8Array {
  let secret: Uint8Array
  try {
    secret = sharedSecret(ourSecret, theirPublic)
  } catch {
    // Of low order: NaCl takes it, and so do those we talk to.
    return nacl.box.before(theirPublic, ourSecret)
  }
  const key = new Uint32Array(8)
  hsalsa(SIGMA, words(secret), ZERO_BLOCK, key)
  return new Uint8Array(key.buffer)
}

/** A copy, since a view needs alignment. Every platform that Node and Electron run on is little endian. */
const words = (bytes: Uint8Array): Uint32Array => new Uint32Array(Uint8Array.from(bytes).buffer)

export function randomNonce(): Uint8Array {
  return nacl.randomBytes(BOX_NONCE_BYTES)
}
