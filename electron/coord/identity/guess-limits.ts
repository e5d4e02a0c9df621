// Slows the guessing of one account's password, and of many from one place: some tries are free, then each makes the next
// wait longer, and after a hundred wrong ones in a row an account takes no password any more. Kept on disk, so that making
// the server start again clears nothing. A name without an account behaves as one with an account. Passkeys and recovery
// codes are not counted: nobody guesses them, so a stranger who types wrong passwords cannot lock a person out.

import { createHash } from 'node:crypto'
import type { Clock } from '../../base/clock.ts'
import { isV6 } from '../../base/endpoint.ts'
import type { User, UserId } from '../model.ts'
import type { ServerRegistry } from '../server-registry.ts'
import type { Guesses, IdentityTables } from '../store/identity-store.ts'

export interface GuessLimit {
  readonly free: number
  /** Wrong tries in a row after which nothing counts any more. */
  readonly most: number
  /** Without a try for so long the count starts afresh. */
  readonly forgetMs: number
}

/** NIST SP 800-63B-4 §3.2.2: at most 100 in a row, however much time passes. */
export const ACCOUNT_LIMIT: GuessLimit = { free: 5, most: 100, forgetMs: Number.POSITIVE_INFINITY }
/** A household or an office mistypes more than one person does, and is never closed for good. */
export const SOURCE_LIMIT: GuessLimit = { free: 30, most: Number.POSITIVE_INFINITY, forgetMs: 24 * 3_600_000 }

const FIRST_WAIT_MS = 1_000
export const LONGEST_WAIT_MS = 15 * 60_000
/** Subjects that strangers make up; those of accounts are as many as there are accounts. */
const MOST_NAMES = 16_384
const MOST_SOURCES = 16_384

export type Verdict =
  | { readonly kind: 'try' }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'closed' }

/** What the next try meets, and what is remembered once it is made. */
export function judge(
  known: Guesses | undefined,
  limit: GuessLimit,
  nowMs: number,
): { readonly verdict: Verdict; readonly after: Guesses } {
  const isForgotten = known === undefined || nowMs - known.lastAtMs >= limit.forgetMs
  const before = isForgotten ? 0 : known.failures
  const failures = before + 1
  const doublings = failures - limit.free
  const waitMs = doublings < 0 ? 0 : Math.min(FIRST_WAIT_MS * 2 ** Math.min(doublings, 30), LONGEST_WAIT_MS)
  const after = { failures, readyAtMs: nowMs + waitMs, lastAtMs: nowMs }
  if (before >= limit.most) return { verdict: { kind: 'closed' }, after }
  // A clock that was set back must not make anybody wait longer than the longest wait.
  const leftMs = isForgotten ? 0 : Math.min(known.readyAtMs - nowMs, LONGEST_WAIT_MS)
  return { verdict: leftMs > 0 ? { kind: 'wait', ms: leftMs } : { kind: 'try' }, after }
}

export interface Guesser {
  /** As rate limits count it. */
  readonly source: string
}

export class GuessLimits {
  readonly #registry: ServerRegistry
  readonly #clock: Clock

  constructor(registry: ServerRegistry, clock: Clock) {
    this.#registry = registry
    this.#clock = clock
  }

  /** Counts as failed until `succeeded`, so tries at the same moment all count. */
  begin(guesser: Guesser, name: string, user: User | undefined): Promise<Verdict> {
    const nowMs = this.#clock.wallNow()
    return this.#registry.read(async ({ identity }) => {
      const subjects = subjectsOf(guesser, name, user)
      const judged: { subject: string; isNew: boolean; after: Guesses }[] = []
      for (const { subject, limit } of subjects) {
        const known = await identity.guesses(subject)
        const { verdict, after } = judge(known, limit, nowMs)
        if (verdict.kind !== 'try') return verdict
        judged.push({ subject, isNew: known === undefined, after })
      }
      for (const { subject, after } of judged) await identity.setGuesses(subject, after)
      if (judged.some(({ isNew }) => isNew)) {
        await identity.pruneGuesses('name:', MOST_NAMES)
        await identity.pruneGuesses('source:', MOST_SOURCES)
      }
      return { kind: 'try' }
    })
  }

  /** The account starts afresh. The place only gets its try back: somebody with an account could clear it otherwise. */
  async succeeded(identity: IdentityTables, guesser: Guesser, userId: UserId): Promise<void> {
    await this.clear(identity, userId)
    const subject = sourceSubject(guesser)
    const known = subject === undefined ? undefined : await identity.guesses(subject)
    if (subject === undefined || !known) return
    if (known.failures <= 1) await identity.deleteGuesses(subject)
    else
      await identity.setGuesses(subject, { ...known, failures: known.failures - 1, readyAtMs: this.#clock.wallNow() })
  }

  /** For who showed in another way who they are. */
  clear(identity: IdentityTables, userId: UserId): Promise<void> {
    return identity.deleteGuesses(accountSubject(userId))
  }
}

function subjectsOf(
  guesser: Guesser,
  name: string,
  user: User | undefined,
): { readonly subject: string; readonly limit: GuessLimit }[] {
  const account = { subject: user ? accountSubject(user.id) : nameSubject(name), limit: ACCOUNT_LIMIT }
  const source = sourceSubject(guesser)
  return source === undefined ? [account] : [account, { subject: source, limit: SOURCE_LIMIT }]
}

const accountSubject = (id: UserId): string => `user:${id}`

/** Names may be long, and people type passwords into the wrong field: neither is kept. */
const nameSubject = (name: string): string =>
  `name:${createHash('sha256').update(name.toLowerCase()).digest('base64url')}`

/** A /24 or a /64. Behind a proxy on this computer everybody comes from one address, which then says nothing. */
function sourceSubject({ source }: Guesser): string | undefined {
  if (source.startsWith('127.') || source === '::/64' || source === 'unknown') return undefined
  return `source:${isV6(source.replace('/64', '')) ? source : source.replace(/\.\d+$/, '.0/24')}`
}
