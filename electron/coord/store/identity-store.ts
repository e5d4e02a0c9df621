// What people sign in with. No secret is here that could be used if the file were stolen: passwords as argon2id, tokens as
// SHA-256 of 256 random bits, passkeys by their public half.

import type { Kysely } from 'kysely'
import type { UserId } from '../model.ts'
import { blob, int, maybe, reading, strings, json, text, type SqlRow } from './rows.ts'
import { SqlOidc, type OidcTables } from './oidc-store.ts'
import type { Tables } from './tables.ts'

/** A server has had few names. */
const MOST_HOSTS = 8

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

export const SIGN_IN_METHODS = ['passkey', 'password', 'recovery-code', 'oidc'] as const
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
  /** Accounts elsewhere that people sign in with. */
  readonly oidc: OidcTables

  /** Whether anybody at all can sign in. */
  hasCredentials(): Promise<boolean>

  passkey(id: string): Promise<Passkey | undefined>
  passkeysOf(userId: UserId): Promise<Passkey[]>
  /** The names of hosts that passkeys were made for; a few. */
  passkeyHosts(): Promise<string[]>
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

export class SqlIdentity implements IdentityTables {
  readonly oidc: OidcTables
  readonly #db: Kysely<Tables>

  constructor(db: Kysely<Tables>) {
    this.#db = db
    this.oidc = new SqlOidc(db)
  }

  async hasCredentials(): Promise<boolean> {
    for (const table of ['passkeys', 'passwords', 'oidc_identities'] as const)
      if (await this.#db.selectFrom(table).select('user_id').limit(1).executeTakeFirst()) return true
    return false
  }

  async passkey(id: string): Promise<Passkey | undefined> {
    const row = await this.#db.selectFrom('passkeys').selectAll().where('id', '=', id).executeTakeFirst()
    return row && passkeyOf(row)
  }

  async passkeysOf(userId: UserId): Promise<Passkey[]> {
    const ofUser = this.#db.selectFrom('passkeys').selectAll().where('user_id', '=', userId)
    return (await ofUser.orderBy('created_at').orderBy('id').execute()).map(passkeyOf)
  }

  async passkeyHosts(): Promise<string[]> {
    const hosts = this.#db.selectFrom('passkeys').select('rp_id').distinct().orderBy('rp_id').limit(MOST_HOSTS)
    return (await hosts.execute()).map(({ rp_id }) => rp_id)
  }

  async insertPasskey(passkey: Passkey): Promise<void> {
    await this.#db
      .insertInto('passkeys')
      .values({
        id: passkey.id,
        user_id: passkey.userId,
        public_key: passkey.publicKey,
        counter: passkey.counter,
        transports: JSON.stringify(passkey.transports),
        rp_id: passkey.rpId,
        name: passkey.name,
        created_at: passkey.createdAtMs,
        last_used_at: passkey.lastUsedAtMs ?? null,
      })
      .execute()
  }

  async notePasskeyUse(id: string, counter: { from: number; to: number }, nowMs: number): Promise<boolean> {
    const { numUpdatedRows } = await this.#db
      .updateTable('passkeys')
      .set({ counter: counter.to, last_used_at: nowMs })
      .where('id', '=', id)
      .where('counter', '=', counter.from)
      .executeTakeFirst()
    return numUpdatedRows === 1n
  }

  async renamePasskey(userId: UserId, id: string, name: string): Promise<boolean> {
    const { numUpdatedRows } = await this.#db
      .updateTable('passkeys')
      .set({ name })
      .where('id', '=', id)
      .where('user_id', '=', userId)
      .executeTakeFirst()
    return numUpdatedRows === 1n
  }

  async deletePasskey(userId: UserId, id: string): Promise<boolean> {
    const ofUser = this.#db.deleteFrom('passkeys').where('id', '=', id).where('user_id', '=', userId)
    return (await ofUser.executeTakeFirst()).numDeletedRows === 1n
  }

  async handleOf(userId: UserId): Promise<Uint8Array | undefined> {
    const ofUser = this.#db.selectFrom('user_handles').select('handle').where('user_id', '=', userId)
    const row = await ofUser.executeTakeFirst()
    return row && reading('user_handles', () => blob(row, 'handle'))
  }

  async insertHandle(userId: UserId, handle: Uint8Array): Promise<void> {
    await this.#db.insertInto('user_handles').values({ user_id: userId, handle }).execute()
  }

  async passwordOf(userId: UserId): Promise<string | undefined> {
    return (await this.#password(userId))?.phc
  }

  async setPassword(userId: UserId, phc: string, nowMs: number): Promise<void> {
    const row = { phc, changed_at: nowMs }
    await this.#db
      .insertInto('passwords')
      .values({ user_id: userId, ...row })
      .onConflict((taken) => taken.column('user_id').doUpdateSet(row))
      .execute()
  }

  async passwordChangedAt(userId: UserId): Promise<number | undefined> {
    return (await this.#password(userId))?.changedAtMs
  }

  async #password(userId: UserId): Promise<{ phc: string; changedAtMs: number } | undefined> {
    const row = await this.#db.selectFrom('passwords').selectAll().where('user_id', '=', userId).executeTakeFirst()
    return row && reading('passwords', () => ({ phc: text(row, 'phc'), changedAtMs: int(row, 'changed_at') }))
  }

  async deletePassword(userId: UserId): Promise<void> {
    await this.#db.deleteFrom('passwords').where('user_id', '=', userId).execute()
    await this.deleteTotp(userId)
  }

  async totp(userId: UserId): Promise<Totp | undefined> {
    const ofUser = this.#db.selectFrom('totp_secrets').selectAll().where('user_id', '=', userId)
    const row = await ofUser.executeTakeFirst()
    return row && totpOf(row)
  }

  async setTotp(userId: UserId, totp: Totp): Promise<void> {
    const row = { sealed: totp.sealed, last_step: totp.lastStep, created_at: totp.createdAtMs }
    await this.#db
      .insertInto('totp_secrets')
      .values({ user_id: userId, ...row })
      .onConflict((taken) => taken.column('user_id').doUpdateSet(row))
      .execute()
  }

  async noteTotpStep(userId: UserId, step: number): Promise<boolean> {
    const { numUpdatedRows } = await this.#db
      .updateTable('totp_secrets')
      .set({ last_step: step })
      .where('user_id', '=', userId)
      .where('last_step', '<', step)
      .executeTakeFirst()
    return numUpdatedRows === 1n
  }

  async deleteTotp(userId: UserId): Promise<void> {
    await this.#db.deleteFrom('totp_secrets').where('user_id', '=', userId).execute()
  }

  async recoveryCodes(userId: UserId): Promise<{ left: number; createdAtMs: number } | undefined> {
    const rows = await this.#db
      .selectFrom('recovery_codes')
      .select(['created_at', 'used_at'])
      .where('user_id', '=', userId)
      .orderBy('created_at', 'desc')
      .execute()
    const [youngest] = rows
    return (
      youngest &&
      reading('recovery_codes', () => ({
        left: rows.filter((row) => row.used_at === null).length,
        createdAtMs: int(youngest, 'created_at'),
      }))
    )
  }

  async replaceRecoveryCodes(userId: UserId, hashes: readonly Uint8Array[], nowMs: number): Promise<void> {
    await this.#db.deleteFrom('recovery_codes').where('user_id', '=', userId).execute()
    for (const hash of hashes)
      await this.#db
        .insertInto('recovery_codes')
        .values({ code_hash: hash, user_id: userId, created_at: nowMs, used_at: null })
        .execute()
  }

  async spendRecoveryCode(userId: UserId, hash: Uint8Array, nowMs: number): Promise<boolean> {
    const { numUpdatedRows } = await this.#db
      .updateTable('recovery_codes')
      .set({ used_at: nowMs })
      .where('code_hash', '=', hash)
      .where('user_id', '=', userId)
      .where('used_at', 'is', null)
      .executeTakeFirst()
    return numUpdatedRows === 1n
  }

  async deleteCredentials(userId: UserId): Promise<void> {
    await this.#db.deleteFrom('passkeys').where('user_id', '=', userId).execute()
    await this.#db.deleteFrom('recovery_codes').where('user_id', '=', userId).execute()
    await this.#db.deleteFrom('oidc_identities').where('user_id', '=', userId).execute()
    await this.deletePassword(userId)
  }

  async session(tokenHash: Uint8Array): Promise<Session | undefined> {
    const row = await this.#db.selectFrom('sessions').selectAll().where('token_hash', '=', tokenHash).executeTakeFirst()
    return row && sessionOf(row)
  }

  async sessionsOf(userId: UserId): Promise<Session[]> {
    const ofUser = this.#db.selectFrom('sessions').selectAll().where('user_id', '=', userId)
    return (await ofUser.orderBy('used_at', 'desc').orderBy('id', 'desc').execute()).map(sessionOf)
  }

  async insertSession(tokenHash: Uint8Array, session: Omit<Session, 'id'>): Promise<void> {
    await this.#db
      .insertInto('sessions')
      .values({
        token_hash: tokenHash,
        user_id: session.userId,
        method: session.method,
        source: session.source,
        browser: session.browser,
        created_at: session.createdAtMs,
        used_at: session.usedAtMs,
      })
      .execute()
  }

  async noteSessionUse(tokenHash: Uint8Array, nowMs: number): Promise<void> {
    await this.#db.updateTable('sessions').set({ used_at: nowMs }).where('token_hash', '=', tokenHash).execute()
  }

  async deleteSession(tokenHash: Uint8Array): Promise<void> {
    await this.#db.deleteFrom('sessions').where('token_hash', '=', tokenHash).execute()
  }

  async endSession(userId: UserId, id: number): Promise<boolean> {
    const ofUser = this.#db.deleteFrom('sessions').where('id', '=', id).where('user_id', '=', userId)
    return (await ofUser.executeTakeFirst()).numDeletedRows === 1n
  }

  async deleteSessionsOf(userId: UserId, but = 0): Promise<void> {
    await this.#db.deleteFrom('sessions').where('user_id', '=', userId).where('id', '<>', but).execute()
  }

  async pruneSessions(
    userId: UserId,
    keep: number,
    over: { usedBeforeMs: number; createdBeforeMs: number },
  ): Promise<void> {
    await this.#db
      .deleteFrom('sessions')
      .where((where) =>
        where.or([where('used_at', '<', over.usedBeforeMs), where('created_at', '<', over.createdBeforeMs)]),
      )
      .execute()
    await this.#db
      .deleteFrom('sessions')
      .where('user_id', '=', userId)
      .where('id', 'not in', (from) =>
        from
          .selectFrom('sessions')
          .select('id')
          .where('user_id', '=', userId)
          .orderBy('created_at', 'desc')
          .orderBy('id', 'desc')
          .limit(keep),
      )
      .execute()
  }

  async enrolToken(tokenHash: Uint8Array): Promise<EnrolToken | undefined> {
    const byHash = this.#db.selectFrom('enrol_tokens').selectAll().where('token_hash', '=', tokenHash)
    const row = await byHash.executeTakeFirst()
    return row && enrolTokenOf(row)
  }

  async insertEnrolToken(tokenHash: Uint8Array, token: EnrolToken, forgetBeforeMs: number): Promise<void> {
    await this.#db.deleteFrom('enrol_tokens').where('expires_at', '<', forgetBeforeMs).execute()
    await this.#db
      .insertInto('enrol_tokens')
      .values({
        token_hash: tokenHash,
        user_id: token.userId,
        purpose: token.purpose,
        created_at: token.createdAtMs,
        expires_at: token.expiresAtMs,
        used_at: token.usedAtMs ?? null,
      })
      .execute()
  }

  async spendEnrolToken(tokenHash: Uint8Array, nowMs: number): Promise<boolean> {
    const { numUpdatedRows } = await this.#db
      .updateTable('enrol_tokens')
      .set({ used_at: nowMs })
      .where('token_hash', '=', tokenHash)
      .where('used_at', 'is', null)
      .where('expires_at', '>', nowMs)
      .executeTakeFirst()
    return numUpdatedRows === 1n
  }

  async spendEnrolTokensOf(userId: UserId, nowMs: number): Promise<void> {
    await this.#db
      .updateTable('enrol_tokens')
      .set({ used_at: nowMs })
      .where('user_id', '=', userId)
      .where('used_at', 'is', null)
      .execute()
  }

  async recoveries(): Promise<Recovery[]> {
    const open = this.#db.selectFrom('recoveries').selectAll().where('ended_at', 'is', null)
    return (await open.orderBy('id').execute()).map(recoveryOf)
  }

  async insertRecovery(recovery: Omit<Recovery, 'id'>): Promise<void> {
    await this.#db
      .insertInto('recoveries')
      .values({
        user_id: recovery.userId,
        helper_id: recovery.helperId,
        started_at: recovery.startedAtMs,
        ready_at: recovery.readyAtMs,
      })
      .execute()
  }

  async endRecovery(id: number, nowMs: number): Promise<boolean> {
    const { numUpdatedRows } = await this.#db
      .updateTable('recoveries')
      .set({ ended_at: nowMs })
      .where('id', '=', id)
      .where('ended_at', 'is', null)
      .executeTakeFirst()
    return numUpdatedRows === 1n
  }

  async guesses(subject: string): Promise<Guesses | undefined> {
    const row = await this.#db.selectFrom('guesses').selectAll().where('subject', '=', subject).executeTakeFirst()
    return row && guessesOf(row)
  }

  async setGuesses(subject: string, { failures, readyAtMs, lastAtMs }: Guesses): Promise<void> {
    const row = { failures, ready_at: readyAtMs, last_at: lastAtMs }
    await this.#db
      .insertInto('guesses')
      .values({ subject, ...row })
      .onConflict((taken) => taken.column('subject').doUpdateSet(row))
      .execute()
  }

  async deleteGuesses(subject: string): Promise<void> {
    await this.#db.deleteFrom('guesses').where('subject', '=', subject).execute()
  }

  async pruneGuesses(prefix: string, keep: number): Promise<void> {
    await this.#db
      .deleteFrom('guesses')
      .where('subject', 'in', (from) =>
        from
          .selectFrom('guesses')
          .select('subject')
          .where((where) => where(where.fn('substr', ['subject', where.lit(1), where.lit(prefix.length)]), '=', prefix))
          .orderBy('last_at', 'desc')
          // SQLite knows no offset without a limit.
          .limit(Number.MAX_SAFE_INTEGER)
          .offset(keep),
      )
      .execute()
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
