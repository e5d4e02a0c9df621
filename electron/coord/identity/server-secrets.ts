// Secrets that follow from the server's key, which lies in a file beside the database: a stolen database holds neither them
// nor what they seal.

import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import type { MachinePrivate } from '../../crypto/keys.ts'
import { CODE_BYTES, codeOf, type Code } from './codes.ts'

const NONCE_BYTES = 12
const TAG_BYTES = 16

export class ServerSecrets {
  readonly #key: MachinePrivate

  constructor(key: MachinePrivate) {
    this.#key = key
  }

  /** With which the first account is made. The same until it was used, so that it can be looked up again. */
  setupCode(round: number): Code {
    return codeOf(this.#derive(`setup code ${round}`, CODE_BYTES))
  }

  /** Readable again only by this server and for the same purpose. */
  seal(purpose: string, secret: Uint8Array): Uint8Array {
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv('aes-256-gcm', this.#sealKey(), nonce).setAAD(Buffer.from(purpose))
    return new Uint8Array(Buffer.concat([nonce, cipher.update(secret), cipher.final(), cipher.getAuthTag()]))
  }

  /** Undefined for what this server did not seal, or for another purpose. */
  open(purpose: string, sealed: Uint8Array): Uint8Array | undefined {
    if (sealed.length < NONCE_BYTES + TAG_BYTES) return undefined
    const decipher = createDecipheriv('aes-256-gcm', this.#sealKey(), sealed.subarray(0, NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    })
    decipher.setAAD(Buffer.from(purpose)).setAuthTag(sealed.subarray(-TAG_BYTES))
    try {
      const body = sealed.subarray(NONCE_BYTES, -TAG_BYTES)
      return new Uint8Array(Buffer.concat([decipher.update(body), decipher.final()]))
    } catch {
      return undefined
    }
  }

  #sealKey(): Uint8Array {
    return this.#derive('seal', 32)
  }

  #derive(purpose: string, bytes: number): Uint8Array {
    return new Uint8Array(hkdfSync('sha256', this.#key.secretBytes(), '', `peerway coord ${purpose}`, bytes))
  }
}
