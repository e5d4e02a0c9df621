import { CodedError } from '../../base/errors.ts'

export type IdentityErrorCode =
  /** Another page, or a program, asked in a browser's name: nobody acts. */
  | 'login/cross-site'
  /** The page is older than the server's memory: load it again. */
  | 'login/stale-page'
  /** The page was reached by a name that is not the server's. */
  | 'login/wrong-host'
  | 'login/bad-request'
  /** Too many requests from one place, or wrong passwords for one account: wait, then retry. */
  | 'login/too-many-tries'
  /** The server checks as many passwords as it can: retry in a moment. */
  | 'login/busy'
  /** Never says which of the two was wrong. */
  | 'login/wrong-credentials'
  /** The password is right; the account has a second factor. */
  | 'login/code-needed'
  /** Of the second factor, or a recovery code. */
  | 'login/wrong-code'
  /** A hundred wrong passwords in a row: another way in, or a reset, opens it again. */
  | 'login/password-closed'
  | 'login/not-signed-in'
  /** The change asks for a sign-in of the last minutes: the page asks once more who it is. */
  | 'login/prove-again'
  /** The way that would stay was never used: sign in by it once. */
  | 'login/prove-other'
  /** Removing it would leave no way in. */
  | 'login/last-way'
  /** What was to be changed is not there any more, or not the person's: load the page again. */
  | 'login/gone'
  /** The role does not allow it. */
  | 'login/not-allowed'
  /** Something of the kind is under way already. */
  | 'login/conflict'
  /** The machine does not wait any more: start again on it. */
  | 'login/over'
  /** A one-time link that was used, is too old, or never was: ask for another. */
  | 'login/link-over'
  /** Somebody else made the first account: sign in, or ask the owner. */
  | 'login/has-owner'
  /** The first account takes the code that the server's terminal shows. */
  | 'login/wrong-setup-code'
  | 'login/name-refused'
  | 'login/weak-password'
  /** By this address, or over this connection, browsers offer no passkeys. */
  | 'login/passkeys-unavailable'
  /** The ceremony was begun elsewhere, too long ago, or ended already: try again. */
  | 'login/passkey-too-late'
  | 'login/passkey-unknown'
  /** Its counter went back: somebody may have copied it. The person removes it. */
  | 'login/passkey-copied'
  /** What the browser sent does not prove anything. */
  | 'login/passkey-refused'
  /** The provider does not answer, or not as it should: retry, or another way in; its log says why. */
  | 'login/provider-failed'
  /** The provider sent the person back without a yes: cancelled, or its settings. */
  | 'login/provider-refused'
  /** The provider knows the person, and this network does not want them, or not yet. */
  | 'login/provider-stranger'
  /** The network left the provider: another way in. */
  | 'login/provider-ended'

/** Message and code reach the person before the page. */
export class IdentityError extends CodedError<IdentityErrorCode> {
  readonly retryAfterMs: number | undefined

  constructor(code: IdentityErrorCode, message: string, options?: { cause?: unknown; retryAfterMs?: number }) {
    super(code, message, options)
    this.retryAfterMs = options?.retryAfterMs
  }
}

/** HTTP status of each answer; for programs the code says more. */
export const STATUS: Readonly<Record<IdentityErrorCode, number>> = {
  'login/cross-site': 403,
  'login/stale-page': 403,
  'login/wrong-host': 421,
  'login/bad-request': 400,
  'login/too-many-tries': 429,
  'login/busy': 503,
  'login/wrong-credentials': 401,
  'login/code-needed': 401,
  'login/wrong-code': 401,
  'login/password-closed': 429,
  'login/not-signed-in': 401,
  'login/prove-again': 403,
  'login/prove-other': 409,
  'login/last-way': 409,
  'login/gone': 404,
  'login/not-allowed': 403,
  'login/conflict': 409,
  'login/over': 404,
  'login/link-over': 404,
  'login/has-owner': 409,
  'login/wrong-setup-code': 401,
  'login/name-refused': 409,
  'login/weak-password': 400,
  'login/passkeys-unavailable': 400,
  'login/passkey-too-late': 400,
  'login/passkey-unknown': 401,
  'login/passkey-copied': 401,
  'login/passkey-refused': 401,
  'login/provider-failed': 502,
  'login/provider-refused': 403,
  'login/provider-stranger': 403,
  'login/provider-ended': 403,
}

export function tooManyTries(waitMs: number): IdentityError {
  const seconds = Math.ceil(waitMs / 1000)
  const wait = seconds < 120 ? `${seconds} s` : `${Math.ceil(seconds / 60)} min`
  return new IdentityError('login/too-many-tries', `Too many tries. Wait ${wait}, then try again.`, {
    retryAfterMs: waitMs,
  })
}
