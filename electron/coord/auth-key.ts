// Auth keys as text: pwkey-auth-<id>-<secret>. The id finds the key and may be shown; only the SHA-256 of the secret is
// kept, which suffices for 256 random bits.

import { createHash, randomBytes } from 'node:crypto'
import { equalBytes } from '../base/bytes.ts'
import type { AuthKey } from './model.ts'

const PREFIX = 'pwkey-auth-'
const ID_CHARS = 12
/** 32 bytes in base 36. */
const SECRET_CHARS = 50
const FORM = new RegExp(`^${PREFIX}([a-z0-9]{${ID_CHARS}})-([a-z0-9]{${SECRET_CHARS}})$`)

export interface AuthKeySecret {
  readonly id: string
  /** What the person copies; shown once. */
  readonly text: string
  readonly secretHash: Uint8Array
}

export function newAuthKeySecret(): AuthKeySecret {
  const id = randomText(8, ID_CHARS)
  const secret = randomText(32, SECRET_CHARS)
  return { id, text: `${PREFIX}${id}-${secret}`, secretHash: hash(secret) }
}

/** The id, and whether a hash is that of the secret; undefined for what is no auth key at all. */
export function parseAuthKey(
  text: string,
): { readonly id: string; readonly matches: (secretHash: Uint8Array) => boolean } | undefined {
  const match = FORM.exec(text.trim())
  if (!match) return undefined
  const [, id = '', secret = ''] = match
  return { id, matches: (secretHash) => equalBytes(hash(secret), secretHash) }
}

export const AUTH_KEY_STATES = ['valid', 'used', 'expired', 'revoked'] as const
export type AuthKeyState = (typeof AUTH_KEY_STATES)[number]

export function authKeyState(key: AuthKey, nowMs: number): AuthKeyState {
  if (key.revokedAtMs !== undefined) return 'revoked'
  if (key.expiresAtMs !== undefined && key.expiresAtMs <= nowMs) return 'expired'
  if (!key.reusable && key.usedAtMs !== undefined) return 'used'
  return 'valid'
}

/** Random lower-case letters and digits: at most `chars` of them carry the entropy of `bytes`. */
export function randomText(bytes: number, chars: number): string {
  return BigInt(`0x${randomBytes(bytes).toString('hex')}`)
    .toString(36)
    .padStart(chars, '0')
    .slice(-chars)
}

const hash = (secret: string): Uint8Array => createHash('sha256').update(secret).digest()
