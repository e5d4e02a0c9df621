// Who is signed in, in which browser. The browser holds a token; the database its hash.

import type { Clock } from '../../base/clock.ts'
import type { User } from '../model.ts'
import type { ServerRegistry } from '../server-registry.ts'
import type { Session, SignInMethod } from '../store/identity-store.ts'
import type { StoreTransaction } from '../store/store.ts'
import { IdentityError } from './identity-error.ts'
import { newToken, tokenHash } from './token.ts'

export const SESSION_IDLE_MS = 30 * 60_000
export const SESSION_MS = 12 * 3_600_000
const MOST_OF_ONE_USER = 32
/** How exactly the last use is known; each write waits for the disk. */
const NOTE_USE_MS = 60_000

/** How long a sign-in counts for changes that could take the account over. */
export const FRESH_MS = 5 * 60_000

/** How and where a session begins. */
export type Beginning = Pick<Session, 'source' | 'browser'> & { readonly method: SignInMethod }

export interface CurrentSession {
  readonly session: Session
  readonly user: User
}

export class Sessions {
  readonly #registry: ServerRegistry
  readonly #clock: Clock

  constructor(registry: ServerRegistry, clock: Clock) {
    this.#registry = registry
    this.#clock = clock
  }

  /** The token for the browser. Always a new one: what the browser had before is not taken over. */
  async begin(store: StoreTransaction, user: User, began: Beginning): Promise<string> {
    const { text, hash } = newToken()
    const nowMs = this.#clock.wallNow()
    await store.identity.insertSession(hash, { ...began, userId: user.id, createdAtMs: nowMs, usedAtMs: nowMs })
    await store.identity.pruneSessions(user.id, MOST_OF_ONE_USER, {
      usedBeforeMs: nowMs - SESSION_IDLE_MS,
      createdBeforeMs: nowMs - SESSION_MS,
    })
    return text
  }

  /** Whose session it is; undefined when it is over, or the user is gone. */
  async current(token: string | undefined): Promise<CurrentSession | undefined> {
    const hash = tokenHash(token)
    if (!hash) return undefined
    const nowMs = this.#clock.wallNow()
    const session = await this.#registry.read(async ({ identity }) => {
      const session = await identity.session(hash)
      if (!session) return undefined
      if (nowMs - session.createdAtMs >= SESSION_MS || nowMs - session.usedAtMs >= SESSION_IDLE_MS) {
        await identity.deleteSession(hash)
        return undefined
      }
      if (nowMs - session.usedAtMs >= NOTE_USE_MS) await identity.noteSessionUse(hash, nowMs)
      return session
    })
    const user = session && this.#registry.user(session.userId)
    return session && user && { session, user }
  }

  async end(token: string | undefined): Promise<void> {
    const hash = tokenHash(token)
    if (hash) await this.#registry.read(({ identity }) => identity.deleteSession(hash))
  }
}

/**
 * Throws IdentityError 'login/prove-again' when the session is not of the last minutes. `graceMs` is for what was begun while
 * it was, and led elsewhere.
 */
export function mustBeFresh(current: CurrentSession, nowMs: number, graceMs = 0): void {
  if (!isFresh(current, nowMs, graceMs))
    throw new IdentityError('login/prove-again', 'Show once more that it is you: this could take the account over.')
}

export function isFresh({ session }: CurrentSession, nowMs: number, graceMs = 0): boolean {
  const ageMs = nowMs - session.createdAtMs
  return ageMs >= 0 && ageMs < FRESH_MS + graceMs
}

export const notSignedIn = (): IdentityError =>
  new IdentityError('login/not-signed-in', 'You are not signed in any more. Sign in again.')
