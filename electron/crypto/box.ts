// NaCl crypto_box (X25519, HSalsa20, XSalsa20-Poly1305) as disco and DERP use it: tag before ciphertext, 24-byte nonce.
// The box key of a pair is symmetric; computing it costs an X25519, so callers keep a SharedBox per counterpart.

import nacl from 'tweetnacl'

export const BOX_NONCE_BYTES = 24
export const BOX_OVERHEAD_BYTES = nacl.box.overheadLength

export class SharedBox {
  readonly #key: Uint8Array

  constructor(ourSecret: Uint8Array, theirPublic: Uint8Array) {
    this.#key = nacl.box.before(theirPublic, ourSecret)
  }

  seal(message: Uint8Array, nonce: Uint8Array): Uint8Array {
    return nacl.box.after(message, nonce, this.#key)
  }

  /** Undefined when the box does not open: another key, or changed on the way. */
  open(box: Uint8Array, nonce: Uint8Array): Uint8Array | undefined {
    return nacl.box.open.after(box, nonce, this.#key) ?? undefined
  }
}

export function randomNonce(): Uint8Array {
  return nacl.randomBytes(BOX_NONCE_BYTES)
}
