// The second factor beside a password: six digits that an authenticator app makes of a shared secret and the time
// (RFC 6238 with the values that every such app knows: SHA-1, 30 seconds, six digits).

import { createHmac, randomBytes } from 'node:crypto'
import { equalBytes } from '../../base/bytes.ts'

/** RFC 4226 §4, R6: at least 128 bits, 160 recommended. */
const SECRET_BYTES = 20
const STEP_MS = 30_000
const DIGITS = 6
/** RFC 6238 §5.2: one step for clocks that differ and people who type. */
const STEPS_AROUND = 1

export const newTotpSecret = (): Uint8Array => new Uint8Array(randomBytes(SECRET_BYTES))

/** RFC 4226 §5.3. */
export function hotp(secret: Uint8Array, counter: number, digits = DIGITS): string {
  const message = Buffer.alloc(8)
  message.writeBigUInt64BE(BigInt(counter))
  const mac = createHmac('sha1', secret).update(message).digest()
  const offset = (mac.at(-1) ?? 0) & 0xf
  return String((mac.readUInt32BE(offset) & 0x7fffffff) % 10 ** digits).padStart(digits, '0')
}

/** The step the code belongs to; undefined when it is not one of now. */
export function totpStep(secret: Uint8Array, typed: string, nowMs: number): number | undefined {
  const code = Buffer.from(typed.replaceAll(/\s/g, ''))
  const now = Math.floor(nowMs / STEP_MS)
  let found: number | undefined
  // All are compared, whichever matches.
  for (let step = now - STEPS_AROUND; step <= now + STEPS_AROUND; step++)
    if (step >= 0 && equalBytes(code, Buffer.from(hotp(secret, step)))) found = step
  return found
}

/** RFC 4648 without padding, as apps take it. */
export function base32(bytes: Uint8Array): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
  let [text, held, bits] = ['', 0, 0]
  for (const byte of bytes) {
    held = (held << 8) | byte
    for (bits += 8; bits >= 5; bits -= 5) text += alphabet[(held >> (bits - 5)) & 31]
    held &= (1 << bits) - 1
  }
  return bits > 0 ? text + alphabet[(held << (5 - bits)) & 31] : text
}

/** What an authenticator app reads from a QR code. */
export function otpauthUri(secret: Uint8Array, host: string, account: string): string {
  const label = `${encodeURIComponent(host)}:${encodeURIComponent(account)}`
  return `otpauth://totp/${label}?secret=${base32(secret)}&issuer=${encodeURIComponent(host)}`
}
