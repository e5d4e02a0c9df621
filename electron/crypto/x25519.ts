// X25519 (RFC 7748) by the platform where it has it, else in JavaScript: the same results, several times faster. A server
// that everybody comes back to, and a node that meets a thousand peers, spend their first seconds here.

import { x25519 } from '@noble/curves/ed25519.js'
import { createPrivateKey, createPublicKey, diffieHellman, type KeyObject } from 'node:crypto'
import { equalBytes } from '../base/bytes.ts'

type Agree = (secret: Uint8Array, remote: Uint8Array) => Uint8Array

/** Throws for a remote key of low order, whose result would be zero whatever the secret (RFC 7748 §6.1). */
export const agreePortably: Agree = (secret, remote) => x25519.getSharedSecret(secret, remote)

export const agreeByPlatform: Agree = (secret, remote) =>
  Uint8Array.from(diffieHellman({ privateKey: privateObject(secret), publicKey: publicObject(remote) }))

/** As JWK (RFC 8037 §2): node:crypto takes that to the raw key, where reading DER costs ten times the agreement itself. */
const privateObject = (secret: Uint8Array): KeyObject =>
  createPrivateKey({ key: { kty: 'OKP', crv: 'X25519', d: base64url(secret), x: NO_PUBLIC }, format: 'jwk' })

const publicObject = (remote: Uint8Array): KeyObject =>
  createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x: base64url(remote) }, format: 'jwk' })

const base64url = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64url')
/** The form has a place for it; nobody looks at it. */
const NO_PUBLIC = base64url(new Uint8Array(32))

/** Platforms differ in what they support; one agreement computed both ways settles it, once. */
function fastest(): Agree {
  const [secret, remote] = [new Uint8Array(32).fill(7), x25519.getPublicKey(new Uint8Array(32).fill(9))]
  try {
    if (equalBytes(agreeByPlatform(secret, remote), agreePortably(secret, remote))) return agreeByPlatform
  } catch {
    // It has no X25519.
  }
  return agreePortably
}

let agree: Agree | undefined

/** 32 bytes each. Throws for a remote key of low order. */
export function sharedSecret(secret: Uint8Array, remote: Uint8Array): Uint8Array {
  agree ??= fastest()
  return agree(secret, remote)
}

/** The base point, u = 9. */
const BASE = Uint8Array.of(9, ...new Uint8Array(31))

export const publicOf = (secret: Uint8Array): Uint8Array => sharedSecret(secret, BASE)
