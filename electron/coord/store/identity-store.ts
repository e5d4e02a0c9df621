// What people sign in with. No secret is here that could be used if the file were stolen: passwords as argon2id, tokens as
// SHA-256 of 256 random bits, passkeys by their public half.

import type { UserId } from '../model.ts'
import { blob, int, maybe, reading, strings, json, text } from './rows.ts'
import type { SqliteDatabase, SqlRow } from './sqlite-database.ts'

export interface Passkey {
  /** The credential's id, base64url. */
  readonly id: string
  readonly userId: UserId
  /** COSE. */
  readonly publicKey: Uint8Array
  /** Zero for ever where the passkey is kept by several devices. */
  readonly counter: number
  readonly transports: readonly string[]
  /** The host name it was made for; by another one browsers do not offer it. */
  readonly rpId: string
  readonly name: string
  readonly createdAtMs: number
  readonly lastUsedAtMs: number | undefined
}

export type SignInMethod = 'passkey' | 'password'

export interface Session {
  readonly userId: UserId
  readonly method: SignInMethod
  readonly createdAtMs: number
  readonly usedAtMs: number
}

/** What a one-time link is for: a reset takes the place of all that the person signed in with before. */
export const ENROL_PURPOSES = ['invite', 'add', 'reset'] as const
export type EnrolPurpose = (typeof ENROL_PURPOSES)[number]

export interface EnrolToken {
  readonly userId: UserId
  readonly purpose: EnrolPurpose
  readonly createdAtMs: number
  readonly expiresAtMs: number
  readonly usedAtMs: number | undefined
}

/** Part of a transaction. */
export interface IdentityTables {
  /** Whether anybody at all can sign in. */
  hasCredentials(): Promise<boolean>

  passkey(id: string): Promise<Passkey | undefined>
  passkeysOf(userId: UserId): Promise<Passkey[]>
  insertPasskey(passkey: Passkey): Promise<void>
  /** False when the counter is no longer what it was read as. */
  notePasskeyUse(id: string, counter: { readonly from: number; readonly to: number }, nowMs: number): Promise<boolean>

  /** Random and the same for ever: how a passkey tells whose it is. */
  handleOf(userId: UserId): Promise<Uint8Array | undefined>
  insertHandle(userId: UserId, handle: Uint8Array): Promise<void>

  /** As a PHC string. */
  passwordOf(userId: UserId): Promise<string | undefined>
  setPassword(userId: UserId, phc: string, nowMs: number): Promise<void>
  deleteCredentials(userId: UserId): Promise<void>

  session(tokenHash: Uint8Array): Promise<Session | undefined>
  insertSession(tokenHash: Uint8Array, session: Session): Promise<void>
  noteSessionUse(tokenHash: Uint8Array, nowMs: number): Promise<void>
  deleteSession(tokenHash: Uint8Array): Promise<void>
  deleteSessionsOf(userId: UserId): Promise<void>
  /** Those that are over, and of this user all but the `keep` youngest. */
  pruneSessions(userId: UserId, keep: number, over: { usedBeforeMs: number; createdBeforeMs: number }): Promise<void>

  enrolToken(tokenHash: Uint8Array): Promise<EnrolToken | undefined>
  /** Also forgets tokens that ended before `forgetBeforeMs`. */
  insertEnrolToken(tokenHash: Uint8Array, token: EnrolToken, forgetBeforeMs: number): Promise<void>
  /** False when it was used already or is too old: of many at once exactly one succeeds. */
  spendEnrolToken(tokenHash: Uint8Array, nowMs: number): Promise<boolean>
  /** From now on no link that was given out for this user counts. */
  spendEnrolTokensOf(userId: UserId, nowMs: number): Promise<void>
}

export class SqliteIdentity implements IdentityTables {
  readonly #db: SqliteDatabase

  constructor(database: SqliteDatabase) {
    this.#db = database
  }

  async hasCredentials(): Promise<boolean> {
    const sql = 'SELECT EXISTS (SELECT 1 FROM passkeys) OR EXISTS (SELECT 1 FROM passwords) AS some'
    return this.#db.get(sql, [])?.['some'] === 1
  }

  async passkey(id: string): Promise<Passkey | undefined> {
    const row = this.#db.get('SELECT * FROM passkeys WHERE id = ?', [id])
    return row && passkeyOf(row)
  }

  async passkeysOf(userId: UserId): Promise<Passkey[]> {
    return this.#db.all('SELECT * FROM passkeys WHERE user_id = ? ORDER BY created_at, id', [userId]).map(passkeyOf)
  }

  async insertPasskey(passkey: Passkey): Promise<void> {
    this.#db.run(
      `INSERT INTO passkeys (id, user_id, public_key, counter, transports, rp_id, name, created_at, last_used_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      [
        passkey.id,
        passkey.userId,
        passkey.publicKey,
        passkey.counter,
        JSON.stringify(passkey.transports),
        passkey.rpId,
        passkey.name,
        passkey.createdAtMs,
        passkey.lastUsedAtMs ?? null,
      ],
    )
  }

  async notePasskeyUse(id: string, counter: { from: number; to: number }, nowMs: number): Promise<boolean> {
    const sql = 'UPDATE passkeys SET counter = ?, last_used_at = ? WHERE id = ? AND counter = ?'
    return this.#db.run(sql, [counter.to, nowMs, id, counter.from]) === 1
  }

  async handleOf(userId: UserId): Promise<Uint8Array | undefined> {
    const row = this.#db.get('SELECT handle FROM user_handles WHERE user_id = ?', [userId])
    return row && reading('user_handles', () => blob(row, 'handle'))
  }

  async insertHandle(userId: UserId, handle: Uint8Array): Promise<void> {
    this.#db.run('INSERT INTO user_handles (user_id, handle) VALUES (?, ?)', [userId, handle])
  }

  async passwordOf(userId: UserId): Promise<string | undefined> {
    const row = this.#db.get('SELECT phc FROM passwords WHERE user_id = ?', [userId])
    return row && reading('passwords', () => text(row, 'phc'))
  }

  async setPassword(userId: UserId, phc: string, nowMs: number): Promise<void> {
    this.#db.run('INSERT OR REPLACE INTO passwords (user_id, phc, changed_at) VALUES (?, ?, ?)', [userId, phc, nowMs])
  }

  async deleteCredentials(userId: UserId): Promise<void> {
    this.#db.run('DELETE FROM passkeys WHERE user_id = ?', [userId])
    this.#db.run('DELETE FROM passwords WHERE user_id = ?', [userId])
  }

  async session(tokenHash: Uint8Array): Promise<Session | undefined> {
    const row = this.#db.get('SELECT * FROM sessions WHERE token_hash = ?', [tokenHash])
    return row && sessionOf(row)
  }

  async insertSession(tokenHash: Uint8Array, session: Session): Promise<void> {
    this.#db.run('INSERT INTO sessions (token_hash, user_id, method, created_at, used_at) VALUES (?, ?, ?, ?, ?)', [
      tokenHash,
      session.userId,
      session.method,
      session.createdAtMs,
      session.usedAtMs,
    ])
  }

  async noteSessionUse(tokenHash: Uint8Array, nowMs: number): Promise<void> {
    this.#db.run('UPDATE sessions SET used_at = ? WHERE token_hash = ?', [nowMs, tokenHash])
  }

  async deleteSession(tokenHash: Uint8Array): Promise<void> {
    this.#db.run('DELETE FROM sessions WHERE token_hash = ?', [tokenHash])
  }

  async deleteSessionsOf(userId: UserId): Promise<void> {
    this.#db.run('DELETE FROM sessions WHERE user_id = ?', [userId])
  }

  async pruneSessions(
    userId: UserId,
    keep: number,
    over: { usedBeforeMs: number; createdBeforeMs: number },
  ): Promise<void> {
    this.#db.run('DELETE FROM sessions WHERE used_at < ? OR created_at < ?', [over.usedBeforeMs, over.createdBeforeMs])
    this.#db.run(
      `DELETE FROM sessions WHERE user_id = ? AND token_hash NOT IN
         (SELECT token_hash FROM sessions WHERE user_id = ? ORDER BY created_at DESC, rowid DESC LIMIT ?)`,
      [userId, userId, keep],
    )
  }

  async enrolToken(tokenHash: Uint8Array): Promise<EnrolToken | undefined> {
    const row = this.#db.get('SELECT * FROM enrol_tokens WHERE token_hash = ?', [tokenHash])
    return row && enrolTokenOf(row)
  }

  async insertEnrolToken(tokenHash: Uint8Array, token: EnrolToken, forgetBeforeMs: number): Promise<void> {
    this.#db.run('DELETE FROM enrol_tokens WHERE expires_at < ?', [forgetBeforeMs])
    this.#db.run(
      'INSERT INTO enrol_tokens (token_hash, user_id, purpose, created_at, expires_at, used_at) VALUES (?, ?, ?, ?, ?, ?)',
      [tokenHash, token.userId, token.purpose, token.createdAtMs, token.expiresAtMs, token.usedAtMs ?? null],
    )
  }

  async spendEnrolToken(tokenHash: Uint8Array, nowMs: number): Promise<boolean> {
    const sql = 'UPDATE enrol_tokens SET used_at = ? WHERE token_hash = ? AND used_at IS NULL AND expires_at > ?'
    return this.#db.run(sql, [nowMs, tokenHash, nowMs]) === 1
  }

  async spendEnrolTokensOf(userId: UserId, nowMs: number): Promise<void> {
    this.#db.run('UPDATE enrol_tokens SET used_at = ? WHERE user_id = ? AND used_at IS NULL', [nowMs, userId])
  }
}

const passkeyOf = (row: SqlRow): Passkey =>
  reading('passkeys', () => ({
    id: text(row, 'id'),
    userId: int(row, 'user_id'),
    publicKey: blob(row, 'public_key'),
    counter: int(row, 'counter'),
    transports: strings(json(row, 'transports')),
    rpId: text(row, 'rp_id'),
    name: text(row, 'name'),
    createdAtMs: int(row, 'created_at'),
    lastUsedAtMs: maybe(row, 'last_used_at', int),
  }))

const sessionOf = (row: SqlRow): Session =>
  reading('sessions', () => ({
    userId: int(row, 'user_id'),
    method: row['method'] === 'passkey' ? 'passkey' : 'password',
    createdAtMs: int(row, 'created_at'),
    usedAtMs: int(row, 'used_at'),
  }))

const enrolTokenOf = (row: SqlRow): EnrolToken =>
  reading('enrol_tokens', () => ({
    userId: int(row, 'user_id'),
    // What we do not know does least.
    purpose: ENROL_PURPOSES.find((purpose) => purpose === row['purpose']) ?? 'add',
    createdAtMs: int(row, 'created_at'),
    expiresAtMs: int(row, 'expires_at'),
    usedAtMs: maybe(row, 'used_at', int),
  }))
