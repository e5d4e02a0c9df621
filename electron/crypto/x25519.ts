// X25519 (RFC 7748) by the platform where it has it, else in JavaScript: the same results, several times faster. A server
// that everybody comes back to, and a node that meets a thousand peers, spend their first seconds here.

import { x25519 } from '@noble/curves/ed25519.js'
import { createPrivateKey, createPublicKey, diffieHellman, type KeyObject } from 'node:crypto'
import { equalBytes } from '../base/bytes.ts'

/** DER around the 32 bytes of a key (RFC 8410 §4 and §7): the form in which node:crypto takes them. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b656e04220420', 'hex')
const SPKI_PREFIX = Buffer.from('302a300506032b656e032100', 'hex')

type Agree = (secret: Uint8Array, remote: Uint8Array) => Uint8Array

/** Throws for a remote key of low order, whose result would be zero whatever the secret (RFC 7748 §6.1). */
export const agreePortably: Agree = (secret, remote) => x25519.getSharedSecret(secret, remote)

export const agreeByPlatform: Agree = (secret, remote) =>
  Uint8Array.from(diffieHellman({ privateKey: privateObject(secret), publicKey: publicObject(remote) }))

const privateObject = (secret: Uint8Array): KeyObject =>
  createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, secret]), format: 'der', type: 'pkcs8' })

const publicObject = (remote: Uint8Array): KeyObject =>
  createPublicKey({ key: Buffer.concat([SPKI_PREFIX, remote]), format: 'der', type: 'spki' })

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
