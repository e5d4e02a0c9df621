// Secrets that are handed out once and recognised again: 256 random bits, of which only the SHA-256 is kept. That needs no
// slow hash: nobody guesses them.

import { createHash, randomBytes } from 'node:crypto'

const FORM = /^[A-Za-z0-9_-]{43}$/

export interface Token {
  readonly text: string
  readonly hash: Uint8Array
}

export function newToken(): Token {
  const text = randomBytes(32).toString('base64url')
  return { text, hash: hashOf(text) }
}

/** Undefined for what cannot be a token of ours. */
export function tokenHash(text: string | undefined): Uint8Array | undefined {
  return text !== undefined && FORM.test(text) ? hashOf(text) : undefined
}

const hashOf = (text: string): Uint8Array => new Uint8Array(createHash('sha256').update(text).digest())
