// Codes that people read off a screen or paper and type: 80 random bits in sixteen letters and digits. Nobody guesses them,
// so a plain hash is enough to keep one.

import { createHash, randomBytes } from 'node:crypto'

export const CODE_BYTES = 10
/** Without I, L, O and U, which are mistaken for others or make words. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const CODE_LENGTH = (CODE_BYTES * 8) / 5

/** As it is compared: no dashes, one case. */
export type Code = string

export const newCode = (): Code => codeOf(randomBytes(CODE_BYTES))

export function codeOf(bytes: Uint8Array): Code {
  let [code, held, bits] = ['', 0, 0]
  for (const byte of bytes) {
    held = (held << 8) | byte
    for (bits += 8; bits >= 5; bits -= 5) code += ALPHABET[(held >> (bits - 5)) & 31]
    held &= (1 << bits) - 1
  }
  return code
}

/** What was typed as a code, however it was spaced; undefined for what cannot be one. */
export function readCode(typed: string): Code | undefined {
  const code = typed.toUpperCase().replaceAll(/[\s-]/g, '').replaceAll(/[IL]/g, '1').replaceAll('O', '0')
  return code.length === CODE_LENGTH && Array.from(code).every((letter) => ALPHABET.includes(letter)) ? code : undefined
}

export const shownCode = (code: Code): string => (code.match(/.{4}/g) ?? []).join('-')

export const codeHash = (code: Code): Uint8Array => new Uint8Array(createHash('sha256').update(code).digest())
