import { codeOf, CodedError, messageOf } from '../../base/errors.ts'
import { BadArgument } from '../../contract/check.ts'
import { CoordError, type CoordErrorCode } from '../errors.ts'
import { IdentityError } from '../identity/identity-error.ts'
import { PolicyError, type PolicyProblem } from '../policy/problem.ts'

export type ApiErrorCode =
  /** No session, or a token that counts no more: sign in again. */
  | 'api/not-signed-in'
  /** The role or the token does not allow it; somebody else acts. */
  | 'api/not-allowed'
  | 'api/no-such-thing'
  | 'api/no-tailnet'
  | 'api/wrong-host'
  | 'api/bad-request'
  /** Sign in once more, then again. */
  | 'api/prove-again'
  /** Other servers on the same database have to be stopped first. */
  | 'api/not-alone'
  | 'api/too-long'
  /** Wait, then retry. */
  | 'api/too-many-requests'

export class ApiError extends CodedError<ApiErrorCode> {
  readonly status: number

  constructor(status: number, code: ApiErrorCode, message: string) {
    super(code, message)
    this.status = status
  }
}

const STATUS: Partial<Record<CoordErrorCode, number>> = {
  'coord/bad-argument': 400,
  'coord/not-found': 404,
  'coord/conflict': 409,
  'coord/backup-damaged': 422,
  'coord/state-newer': 422,
  'coord/addresses-exhausted': 507,
  'coord/storage-full': 507,
  'coord/storage-read-only': 503,
  'coord/storage-unreachable': 503,
}

export interface Failure {
  readonly status: number
  readonly error: { readonly code: string; readonly message: string; readonly problems?: readonly PolicyProblem[] }
}

/** What the caller is told; undefined for what is our own fault, and stays in the log. */
export function failureOf(error: unknown): Failure | undefined {
  const told = { code: codeOf(error) ?? 'api/internal', message: messageOf(error) }
  if (error instanceof ApiError) return { status: error.status, error: told }
  if (error instanceof PolicyError) return { status: 422, error: { ...told, problems: error.problems } }
  if (error instanceof BadArgument) return { status: 400, error: told }
  if (error instanceof IdentityError) return { status: 403, error: told }
  const status = error instanceof CoordError ? STATUS[error.code] : undefined
  return status === undefined ? undefined : { status, error: told }
}
