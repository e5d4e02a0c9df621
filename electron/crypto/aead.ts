// ChaCha20-Poly1305 (RFC 8439) by the platform where it has it (Electron's does not), else in JavaScript. Sealed text is the
// ciphertext and its tag of 16 bytes.

import { chacha20poly1305 } from '@noble/ciphers/chacha.js'
import { createCipheriv, createDecipheriv, getCiphers } from 'node:crypto'

const NAME = 'chacha20-poly1305'
export const TAG_BYTES = 16

export interface Aead {
  /** `key` has 32 bytes, `nonce` 12. */
  seal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array, additional?: Uint8Array): Uint8Array
  /** The same into `out` from `at` on, for where much is sealed. */
  sealInto(out: Uint8Array, at: number, key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array): void
  /** Throws when the text was changed, or sealed with other things. */
  open(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array, additional?: Uint8Array): Uint8Array
}

export const portableAead: Aead = {
  seal: (key, nonce, plaintext, additional) => chacha20poly1305(key, nonce, additional).encrypt(plaintext),
  sealInto: (out, at, key, nonce, plaintext) => out.set(portableAead.seal(key, nonce, plaintext), at),
  open: (key, nonce, sealed, additional) => chacha20poly1305(key, nonce, additional).decrypt(sealed),
}

export const platformAead: Aead | undefined = getCiphers().includes(NAME)
  ? {
      seal(key, nonce, plaintext, additional) {
        const cipher = createCipheriv(NAME, key, nonce, { authTagLength: TAG_BYTES })
        if (additional) cipher.setAAD(additional, { plaintextLength: plaintext.length })
        const sealed = new Uint8Array(plaintext.length + TAG_BYTES)
        sealed.set(cipher.update(plaintext))
        cipher.final()
        sealed.set(cipher.getAuthTag(), plaintext.length)
        return sealed
      },
      sealInto(out, at, key, nonce, plaintext) {
        const cipher = createCipheriv(NAME, key, nonce, { authTagLength: TAG_BYTES })
        out.set(cipher.update(plaintext), at)
        cipher.final()
        out.set(cipher.getAuthTag(), at + plaintext.length)
      },
      open(key, nonce, sealed, additional) {
        if (sealed.length < TAG_BYTES) throw new Error('shorter than a tag')
        const end = sealed.length - TAG_BYTES
        const decipher = createDecipheriv(NAME, key, nonce, { authTagLength: TAG_BYTES })
        if (additional) decipher.setAAD(additional, { plaintextLength: end })
        decipher.setAuthTag(sealed.subarray(end))
        const plaintext = decipher.update(sealed.subarray(0, end))
        decipher.final()
        return new Uint8Array(plaintext.buffer, plaintext.byteOffset, plaintext.length)
      },
    }
  : undefined

export const aead: Aead = platformAead ?? portableAead
