// Keys as types: a node key cannot be handed where a disco key belongs, and a private key never prints.
// Text forms are `<prefix><64 lower-case hex digits>` (protocol note control.md §1.1).

import { inspect } from 'node:util'
import { compareBytes, equalBytes, fromHex, toHex } from '../base/bytes.ts'
import { CodedError } from '../base/errors.ts'
import { publicOf } from './x25519.ts'

export const KEY_BYTES = 32

abstract class PublicKey {
  readonly bytes: Uint8Array
  /** The text form; also the key to use in a Map. */
  readonly text: string

  protected constructor(prefix: string, bytes: Uint8Array) {
    if (bytes.length !== KEY_BYTES)
      throw new CodedError('crypto/bad-key', `A key has ${KEY_BYTES} bytes, not ${bytes.length}.`)
    this.bytes = Uint8Array.from(bytes) // not slice: that of a Buffer is a view
    this.text = prefix + toHex(bytes)
  }

  get isZero(): boolean {
    return this.bytes.every((byte) => byte === 0)
  }

  equals(other: this): boolean {
    return equalBytes(this.bytes, other.bytes)
  }

  compare(other: this): number {
    return compareBytes(this.bytes, other.bytes)
  }

  toString(): string {
    return this.text
  }

  toJSON(): string {
    return this.text
  }

  [inspect.custom](): string {
    return this.text
  }
}

function parseBytes(prefix: string, text: string): Uint8Array {
  const bytes = text.startsWith(prefix) ? fromHex(text.slice(prefix.length)) : undefined
  if (!bytes || bytes.length !== KEY_BYTES)
    throw new CodedError('crypto/bad-key', `Expected "${prefix}" and ${2 * KEY_BYTES} hex digits.`)
  return bytes
}

export class MachinePublic extends PublicKey {
  readonly kind = 'machine'
  constructor(bytes: Uint8Array) {
    super('mkey:', bytes)
  }
  static parse(text: string): MachinePublic {
    return new MachinePublic(parseBytes('mkey:', text))
  }
  static readonly zero = new MachinePublic(new Uint8Array(KEY_BYTES))
}

export class NodePublic extends PublicKey {
  readonly kind = 'node'
  constructor(bytes: Uint8Array) {
    super('nodekey:', bytes)
  }
  static parse(text: string): NodePublic {
    return new NodePublic(parseBytes('nodekey:', text))
  }
  static readonly zero = new NodePublic(new Uint8Array(KEY_BYTES))
}

export class DiscoPublic extends PublicKey {
  readonly kind = 'disco'
  constructor(bytes: Uint8Array) {
    super('discokey:', bytes)
  }
  static parse(text: string): DiscoPublic {
    return new DiscoPublic(parseBytes('discokey:', text))
  }
  static readonly zero = new DiscoPublic(new Uint8Array(KEY_BYTES))
}

/** Made by the server, one per connection, in the early payload. */
export class ChallengePublic extends PublicKey {
  readonly kind = 'challenge'
  constructor(bytes: Uint8Array) {
    super('chalpub:', bytes)
  }
  static parse(text: string): ChallengePublic {
    return new ChallengePublic(parseBytes('chalpub:', text))
  }
}

const PRIVATE_PREFIX = 'privkey:'

abstract class PrivateKey {
  readonly #bytes: Uint8Array

  protected constructor(bytes: Uint8Array) {
    if (bytes.length !== KEY_BYTES)
      throw new CodedError('crypto/bad-key', `A key has ${KEY_BYTES} bytes, not ${bytes.length}.`)
    this.#bytes = Uint8Array.from(bytes)
  }

  /** The secret itself: only for a cipher or the data plane. */
  secretBytes(): Uint8Array {
    return this.#bytes
  }

  /** The secret as text: only for the state file. */
  secretText(): string {
    return PRIVATE_PREFIX + toHex(this.#bytes)
  }

  protected publicBytes(): Uint8Array {
    return publicOf(this.#bytes)
  }

  toString(): string {
    return '[redacted]'
  }

  toJSON(): string {
    return '[redacted]'
  }

  [inspect.custom](): string {
    return '[redacted]'
  }
}

/** 32 random bytes, clamped at creation as every key of this protocol is (control.md §1.2). */
export function randomScalar(): Uint8Array {
  const bytes = new Uint8Array(KEY_BYTES)
  globalThis.crypto.getRandomValues(bytes)
  bytes[0] = (bytes[0] ?? 0) & 248
  bytes[31] = ((bytes[31] ?? 0) & 127) | 64
  return bytes
}

export class MachinePrivate extends PrivateKey {
  readonly public: MachinePublic
  constructor(bytes: Uint8Array) {
    super(bytes)
    this.public = new MachinePublic(this.publicBytes())
  }
  static generate(): MachinePrivate {
    return new MachinePrivate(randomScalar())
  }
  static parse(text: string): MachinePrivate {
    return new MachinePrivate(parseBytes(PRIVATE_PREFIX, text))
  }
}

export class NodePrivate extends PrivateKey {
  readonly public: NodePublic
  constructor(bytes: Uint8Array) {
    super(bytes)
    this.public = new NodePublic(this.publicBytes())
  }
  static generate(): NodePrivate {
    return new NodePrivate(randomScalar())
  }
  static parse(text: string): NodePrivate {
    return new NodePrivate(parseBytes(PRIVATE_PREFIX, text))
  }
}

export class DiscoPrivate extends PrivateKey {
  readonly public: DiscoPublic
  constructor(bytes: Uint8Array) {
    super(bytes)
    this.public = new DiscoPublic(this.publicBytes())
  }
  static generate(): DiscoPrivate {
    return new DiscoPrivate(randomScalar())
  }
}
