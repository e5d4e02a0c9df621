// Noise_IK_25519_ChaChaPoly_BLAKE2s, both sides, as pure steps (Noise Protocol Framework, revision 34, pattern IK):
//
//   pre-message  <- s
//   message 1    -> e, es, s, ss      32 ephemeral, 48 static (encrypted), payload + 16
//   message 2    <- e, ee, se         32 ephemeral, payload + 16
//
// BLAKE2s comes from JavaScript: Electron's BoringSSL has none.

import { blake2s } from '@noble/hashes/blake2.js'
import { expand, extract } from '@noble/hashes/hkdf.js'
import { concat, utf8 } from '../base/bytes.ts'
import { CodedError } from '../base/errors.ts'
import { aead, TAG_BYTES } from './aead.ts'
import { KEY_BYTES, randomScalar } from './keys.ts'
import { publicOf, sharedSecret as agree } from './x25519.ts'

const PROTOCOL_NAME = utf8('Noise_IK_25519_ChaChaPoly_BLAKE2s')
const EMPTY = new Uint8Array(0)
/** Every handshake key seals one message only, so its counter is always 0. */
const ZERO_NONCE = new Uint8Array(12)

export const NOISE_TAG_BYTES = TAG_BYTES
export const NOISE_MESSAGE_1_OVERHEAD_BYTES = 2 * KEY_BYTES + 2 * NOISE_TAG_BYTES
export const NOISE_MESSAGE_2_OVERHEAD_BYTES = KEY_BYTES + NOISE_TAG_BYTES

/** What a finished handshake leaves: one cipher key for each direction, and the hash of all that was said. */
export interface NoiseSession {
  readonly sendKey: Uint8Array
  readonly receiveKey: Uint8Array
  readonly handshakeHash: Uint8Array
  /** What the other side put inside its handshake message; empty in the control protocol. */
  readonly payload: Uint8Array
}

export interface NoiseInitiator {
  readonly message: Uint8Array
  /** Throws CodedError 'crypto/noise-failed' unless `reply` was made by the holder of the responder's static key. */
  finish(reply: Uint8Array): NoiseSession
}

export interface NoiseResponder {
  readonly message: Uint8Array
  /** Proven to be held by the initiator. */
  readonly remoteStatic: Uint8Array
  readonly session: NoiseSession
}

export interface InitiatorInput {
  readonly prologue: Uint8Array
  readonly staticSecret: Uint8Array
  readonly remoteStatic: Uint8Array
  readonly payload?: Uint8Array
  /** Only for test vectors; fresh for each handshake otherwise. */
  readonly ephemeralSecret?: Uint8Array
}

export interface ResponderInput {
  readonly prologue: Uint8Array
  readonly staticSecret: Uint8Array
  readonly payload?: Uint8Array
  /** Only for test vectors; fresh for each handshake otherwise. */
  readonly ephemeralSecret?: Uint8Array
}

export function initiateNoise(input: InitiatorInput): NoiseInitiator {
  const { staticSecret, remoteStatic } = input
  const ephemeralSecret = input.ephemeralSecret ?? randomScalar()
  const state = new SymmetricState(input.prologue, remoteStatic)
  const ephemeral = publicOf(ephemeralSecret)
  state.mixHash(ephemeral)
  state.mixKey(sharedSecret(ephemeralSecret, remoteStatic))
  const sealedStatic = state.seal(publicOf(staticSecret))
  state.mixKey(sharedSecret(staticSecret, remoteStatic))
  const sealedPayload = state.seal(input.payload ?? EMPTY)
  return {
    message: concat(ephemeral, sealedStatic, sealedPayload),
    finish(reply) {
      if (reply.length < NOISE_MESSAGE_2_OVERHEAD_BYTES) throw failed('The reply is too short.')
      // A copy: a forged reply must not spoil the state for the genuine one.
      const after = state.copy()
      const remoteEphemeral = reply.subarray(0, KEY_BYTES)
      after.mixHash(remoteEphemeral)
      after.mixKey(sharedSecret(ephemeralSecret, remoteEphemeral))
      after.mixKey(sharedSecret(staticSecret, remoteEphemeral))
      const payload = after.open(reply.subarray(KEY_BYTES))
      const [sendKey, receiveKey] = after.split()
      return { sendKey, receiveKey, handshakeHash: after.hash, payload }
    },
  }
}

/** Throws CodedError 'crypto/noise-failed' when the message was not made for this static key and prologue. */
export function respondNoise(input: ResponderInput, message: Uint8Array): NoiseResponder {
  if (message.length < NOISE_MESSAGE_1_OVERHEAD_BYTES) throw failed('The initiation is too short.')
  const { staticSecret } = input
  const ephemeralSecret = input.ephemeralSecret ?? randomScalar()
  const state = new SymmetricState(input.prologue, publicOf(staticSecret))
  const remoteEphemeral = message.subarray(0, KEY_BYTES)
  state.mixHash(remoteEphemeral)
  state.mixKey(sharedSecret(staticSecret, remoteEphemeral))
  const remoteStatic = state.open(message.subarray(KEY_BYTES, 2 * KEY_BYTES + NOISE_TAG_BYTES))
  state.mixKey(sharedSecret(staticSecret, remoteStatic))
  const payload = state.open(message.subarray(2 * KEY_BYTES + NOISE_TAG_BYTES))

  const ephemeral = publicOf(ephemeralSecret)
  state.mixHash(ephemeral)
  state.mixKey(sharedSecret(ephemeralSecret, remoteEphemeral))
  state.mixKey(sharedSecret(ephemeralSecret, remoteStatic))
  const sealedPayload = state.seal(input.payload ?? EMPTY)
  const [receiveKey, sendKey] = state.split()
  return {
    message: concat(ephemeral, sealedPayload),
    remoteStatic,
    session: { sendKey, receiveKey, handshakeHash: state.hash, payload },
  }
}

/** Noise's SymmetricState and CipherState in one; h, ck and k in the specification's letters. */
class SymmetricState {
  #h: Uint8Array
  #ck: Uint8Array
  #k: Uint8Array = EMPTY

  constructor(prologue: Uint8Array, responderStatic: Uint8Array) {
    // The name is longer than a hash, so it is hashed rather than padded.
    this.#h = blake2s(PROTOCOL_NAME)
    this.#ck = this.#h
    this.mixHash(prologue)
    this.mixHash(responderStatic)
  }

  get hash(): Uint8Array {
    return this.#h
  }

  copy(): SymmetricState {
    const twin = new SymmetricState(EMPTY, EMPTY)
    twin.#h = this.#h
    twin.#ck = this.#ck
    twin.#k = this.#k
    return twin
  }

  mixHash(data: Uint8Array): void {
    this.#h = blake2s(concat(this.#h, data))
  }

  mixKey(secret: Uint8Array): void {
    const [ck, k] = hkdfPair(this.#ck, secret)
    this.#ck = ck
    this.#k = k
  }

  seal(plaintext: Uint8Array): Uint8Array {
    const sealed = aead.seal(this.#k, ZERO_NONCE, plaintext, this.#h)
    this.mixHash(sealed)
    return sealed
  }

  open(sealed: Uint8Array): Uint8Array {
    let plaintext: Uint8Array
    try {
      plaintext = aead.open(this.#k, ZERO_NONCE, sealed, this.#h)
    } catch (cause) {
      throw failed('A message does not open with the keys agreed on.', cause)
    }
    this.mixHash(sealed)
    return plaintext
  }

  /** The initiator's sending key first. */
  split(): [Uint8Array, Uint8Array] {
    return hkdfPair(this.#ck, EMPTY)
  }
}

function hkdfPair(salt: Uint8Array, secret: Uint8Array): [Uint8Array, Uint8Array] {
  const both = expand(blake2s, extract(blake2s, secret, salt), EMPTY, 2 * KEY_BYTES)
  return [both.slice(0, KEY_BYTES), both.slice(KEY_BYTES)]
}

/** Refuses the all-zero result of a low-order point (RFC 7748 §6.1). */
function sharedSecret(secret: Uint8Array, remote: Uint8Array): Uint8Array {
  try {
    return agree(secret, remote)
  } catch (cause) {
    throw failed('The other side sent a public key of low order.', cause)
  }
}

function failed(message: string, cause?: unknown): CodedError<'crypto/noise-failed'> {
  return new CodedError('crypto/noise-failed', `The encrypted handshake failed. ${message}`, { cause })
}
