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

export const SIGN_IN_METHODS = ['passkey', 'password', 'recovery-code'] as const
export type SignInMethod = (typeof SIGN_IN_METHODS)[number]

export interface Session {
  readonly id: number
  readonly userId: UserId
  readonly method: SignInMethod
  /** Where it began, as rate limits count places, and in what browser; empty in sessions of older versions. */
  readonly source: string
  readonly browser: string
  readonly createdAtMs: number
  readonly usedAtMs: number
}

/** The second factor beside a password (RFC 6238). */
export interface Totp {
  /** Readable by this server alone. */
  readonly sealed: Uint8Array
  /** The step of the last code that was accepted: no code counts twice. */
  readonly lastStep: number
  readonly createdAtMs: number
}

/** Somebody gives a person a new way in; it waits until `readyAtMs`, so that the person can stop it. */
export interface Recovery {
  readonly id: number
  readonly userId: UserId
  readonly helperId: UserId
  readonly startedAtMs: number
  readonly readyAtMs: number
}

/** Wrong tries on one subject, since the last right one. */
export interface Guesses {
  readonly failures: number
  readonly readyAtMs: number
  readonly lastAtMs: number
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
  /** False when the user has no such passkey; so does the next. */
  renamePasskey(userId: UserId, id: string, name: string): Promise<boolean>
  deletePasskey(userId: UserId, id: string): Promise<boolean>

  /** Random and the same for ever: how a passkey tells whose it is. */
  handleOf(userId: UserId): Promise<Uint8Array | undefined>
  insertHandle(userId: UserId, handle: Uint8Array): Promise<void>

  /** As a PHC string. */
  passwordOf(userId: UserId): Promise<string | undefined>
  setPassword(userId: UserId, phc: string, nowMs: number): Promise<void>
  passwordChangedAt(userId: UserId): Promise<number | undefined>
  /** And the second factor, which is nothing without it. */
  deletePassword(userId: UserId): Promise<void>

  totp(userId: UserId): Promise<Totp | undefined>
  setTotp(userId: UserId, totp: Totp): Promise<void>
  /** False when a code of this or a later step was accepted meanwhile: of two at once one counts. */
  noteTotpStep(userId: UserId, step: number): Promise<boolean>
  deleteTotp(userId: UserId): Promise<void>

  /** How many were not used yet, and when they were made; undefined when none were. */
  recoveryCodes(userId: UserId): Promise<{ readonly left: number; readonly createdAtMs: number } | undefined>
  /** The ones before count no more. */
  replaceRecoveryCodes(userId: UserId, hashes: readonly Uint8Array[], nowMs: number): Promise<void>
  /** False when it is not one of this user's, or was used. */
  spendRecoveryCode(userId: UserId, hash: Uint8Array, nowMs: number): Promise<boolean>

  /** All that the user signs in with. */
  deleteCredentials(userId: UserId): Promise<void>

  session(tokenHash: Uint8Array): Promise<Session | undefined>
  /** The one used last comes first. */
  sessionsOf(userId: UserId): Promise<Session[]>
  insertSession(tokenHash: Uint8Array, session: Omit<Session, 'id'>): Promise<void>
  noteSessionUse(tokenHash: Uint8Array, nowMs: number): Promise<void>
  deleteSession(tokenHash: Uint8Array): Promise<void>
  /** False when the user has no such session. */
  endSession(userId: UserId, id: number): Promise<boolean>
  deleteSessionsOf(userId: UserId, but?: number): Promise<void>
  /** Those that are over, and of this user all but the `keep` youngest. */
  pruneSessions(userId: UserId, keep: number, over: { usedBeforeMs: number; createdBeforeMs: number }): Promise<void>

  enrolToken(tokenHash: Uint8Array): Promise<EnrolToken | undefined>
  /** Also forgets tokens that ended before `forgetBeforeMs`. */
  insertEnrolToken(tokenHash: Uint8Array, token: EnrolToken, forgetBeforeMs: number): Promise<void>
  /** False when it was used already or is too old: of many at once exactly one succeeds. */
  spendEnrolToken(tokenHash: Uint8Array, nowMs: number): Promise<boolean>
  /** From now on no link that was given out for this user counts. */
  spendEnrolTokensOf(userId: UserId, nowMs: number): Promise<void>

  /** Those that nobody ended. */
  recoveries(): Promise<Recovery[]>
  insertRecovery(recovery: Omit<Recovery, 'id'>): Promise<void>
  /** False when it was ended already. */
  endRecovery(id: number, nowMs: number): Promise<boolean>

  guesses(subject: string): Promise<Guesses | undefined>
  setGuesses(subject: string, guesses: Guesses): Promise<void>
  deleteGuesses(subject: string): Promise<void>
  /** Of subjects that begin so, all but the `keep` last tried. */
  pruneGuesses(prefix: string, keep: number): Promise<void>
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

  async renamePasskey(userId: UserId, id: string, name: string): Promise<boolean> {
    return this.#db.run('UPDATE passkeys SET name = ? WHERE id = ? AND user_id = ?', [name, id, userId]) === 1
  }

  async deletePasskey(userId: UserId, id: string): Promise<boolean> {
    return this.#db.run('DELETE FROM passkeys WHERE id = ? AND user_id = ?', [id, userId]) === 1
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

  async passwordChangedAt(userId: UserId): Promise<number | undefined> {
    const row = this.#db.get('SELECT changed_at FROM passwords WHERE user_id = ?', [userId])
    return row && reading('passwords', () => int(row, 'changed_at'))
  }

  async deletePassword(userId: UserId): Promise<void> {
    this.#db.run('DELETE FROM passwords WHERE user_id = ?', [userId])
    await this.deleteTotp(userId)
  }

  async totp(userId: UserId): Promise<Totp | undefined> {
    const row = this.#db.get('SELECT * FROM totp_secrets WHERE user_id = ?', [userId])
    return row && totpOf(row)
  }

  async setTotp(userId: UserId, totp: Totp): Promise<void> {
    this.#db.run('INSERT OR REPLACE INTO totp_secrets (user_id, sealed, last_step, created_at) VALUES (?, ?, ?, ?)', [
      userId,
      totp.sealed,
      totp.lastStep,
      totp.createdAtMs,
    ])
  }

  async noteTotpStep(userId: UserId, step: number): Promise<boolean> {
    const sql = 'UPDATE totp_secrets SET last_step = ? WHERE user_id = ? AND last_step < ?'
    return this.#db.run(sql, [step, userId, step]) === 1
  }

  async deleteTotp(userId: UserId): Promise<void> {
    this.#db.run('DELETE FROM totp_secrets WHERE user_id = ?', [userId])
  }

  async recoveryCodes(userId: UserId): Promise<{ left: number; createdAtMs: number } | undefined> {
    const row = this.#db.get(
      `SELECT count(*) - count(used_at) AS unused, max(created_at) AS created_at FROM recovery_codes
       WHERE user_id = ? HAVING count(*) > 0`,
      [userId],
    )
    return row && reading('recovery_codes', () => ({ left: int(row, 'unused'), createdAtMs: int(row, 'created_at') }))
  }

  async replaceRecoveryCodes(userId: UserId, hashes: readonly Uint8Array[], nowMs: number): Promise<void> {
    this.#db.run('DELETE FROM recovery_codes WHERE user_id = ?', [userId])
    const sql = 'INSERT INTO recovery_codes (code_hash, user_id, created_at, used_at) VALUES (?, ?, ?, NULL)'
    for (const hash of hashes) this.#db.run(sql, [hash, userId, nowMs])
  }

  async spendRecoveryCode(userId: UserId, hash: Uint8Array, nowMs: number): Promise<boolean> {
    const sql = 'UPDATE recovery_codes SET used_at = ? WHERE code_hash = ? AND user_id = ? AND used_at IS NULL'
    return this.#db.run(sql, [nowMs, hash, userId]) === 1
  }

  async deleteCredentials(userId: UserId): Promise<void> {
    this.#db.run('DELETE FROM passkeys WHERE user_id = ?', [userId])
    this.#db.run('DELETE FROM recovery_codes WHERE user_id = ?', [userId])
    await this.deletePassword(userId)
  }

  async session(tokenHash: Uint8Array): Promise<Session | undefined> {
    const row = this.#db.get('SELECT * FROM sessions WHERE token_hash = ?', [tokenHash])
    return row && sessionOf(row)
  }

  async sessionsOf(userId: UserId): Promise<Session[]> {
    return this.#db
      .all('SELECT * FROM sessions WHERE user_id = ? ORDER BY used_at DESC, id DESC', [userId])
      .map(sessionOf)
  }

  async insertSession(tokenHash: Uint8Array, session: Omit<Session, 'id'>): Promise<void> {
    this.#db.run(
      `INSERT INTO sessions (token_hash, user_id, method, source, browser, created_at, used_at)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
      [
        tokenHash,
        session.userId,
        session.method,
        session.source,
        session.browser,
        session.createdAtMs,
        session.usedAtMs,
      ],
    )
  }

  async noteSessionUse(tokenHash: Uint8Array, nowMs: number): Promise<void> {
    this.#db.run('UPDATE sessions SET used_at = ? WHERE token_hash = ?', [nowMs, tokenHash])
  }

  async deleteSession(tokenHash: Uint8Array): Promise<void> {
    this.#db.run('DELETE FROM sessions WHERE token_hash = ?', [tokenHash])
  }

  async endSession(userId: UserId, id: number): Promise<boolean> {
    return this.#db.run('DELETE FROM sessions WHERE id = ? AND user_id = ?', [id, userId]) === 1
  }

  async deleteSessionsOf(userId: UserId, but = 0): Promise<void> {
    this.#db.run('DELETE FROM sessions WHERE user_id = ? AND id <> ?', [userId, but])
  }

  async pruneSessions(
    userId: UserId,
    keep: number,
    over: { usedBeforeMs: number; createdBeforeMs: number },
  ): Promise<void> {
    this.#db.run('DELETE FROM sessions WHERE used_at < ? OR created_at < ?', [over.usedBeforeMs, over.createdBeforeMs])
    this.#db.run(
      `DELETE FROM sessions WHERE user_id = ? AND token_hash NOT IN
         (SELECT token_hash FROM sessions WHERE user_id = ? ORDER BY created_at DESC, id DESC LIMIT ?)`,
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

  async recoveries(): Promise<Recovery[]> {
    return this.#db.all('SELECT * FROM recoveries WHERE ended_at IS NULL ORDER BY id', []).map(recoveryOf)
  }

  async insertRecovery(recovery: Omit<Recovery, 'id'>): Promise<void> {
    this.#db.run('INSERT INTO recoveries (user_id, helper_id, started_at, ready_at) VALUES (?, ?, ?, ?)', [
      recovery.userId,
      recovery.helperId,
      recovery.startedAtMs,
      recovery.readyAtMs,
    ])
  }

  async endRecovery(id: number, nowMs: number): Promise<boolean> {
    return this.#db.run('UPDATE recoveries SET ended_at = ? WHERE id = ? AND ended_at IS NULL', [nowMs, id]) === 1
  }

  async guesses(subject: string): Promise<Guesses | undefined> {
    const row = this.#db.get('SELECT * FROM guesses WHERE subject = ?', [subject])
    return row && guessesOf(row)
  }

  async setGuesses(subject: string, { failures, readyAtMs, lastAtMs }: Guesses): Promise<void> {
    this.#db.run('INSERT OR REPLACE INTO guesses (subject, failures, ready_at, last_at) VALUES (?, ?, ?, ?)', [
      subject,
      failures,
      readyAtMs,
      lastAtMs,
    ])
  }

  async deleteGuesses(subject: string): Promise<void> {
    this.#db.run('DELETE FROM guesses WHERE subject = ?', [subject])
  }

  async pruneGuesses(prefix: string, keep: number): Promise<void> {
    this.#db.run(
      `DELETE FROM guesses WHERE subject IN (SELECT subject FROM guesses WHERE substr(subject, 1, ?) = ?
         ORDER BY last_at DESC LIMIT -1 OFFSET ?)`,
      [prefix.length, prefix, keep],
    )
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
    id: int(row, 'id'),
    userId: int(row, 'user_id'),
    method: SIGN_IN_METHODS.find((method) => method === row['method']) ?? 'password',
    source: text(row, 'source'),
    browser: text(row, 'browser'),
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

const totpOf = (row: SqlRow): Totp =>
  reading('totp_secrets', () => ({
    sealed: blob(row, 'sealed'),
    lastStep: int(row, 'last_step'),
    createdAtMs: int(row, 'created_at'),
  }))

const recoveryOf = (row: SqlRow): Recovery =>
  reading('recoveries', () => ({
    id: int(row, 'id'),
    userId: int(row, 'user_id'),
    helperId: int(row, 'helper_id'),
    startedAtMs: int(row, 'started_at'),
    readyAtMs: int(row, 'ready_at'),
  }))

const guessesOf = (row: SqlRow): Guesses =>
  reading('guesses', () => ({
    failures: int(row, 'failures'),
    readyAtMs: int(row, 'ready_at'),
    lastAtMs: int(row, 'last_at'),
  }))
