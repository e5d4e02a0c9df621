// argon2id, of which only so many run at once: each takes 19 MiB and a core for some ten milliseconds, and anybody may ask.

import { hash, parseOptions, verify } from '@node-rs/argon2'
import { IdentityError } from './identity-error.ts'

/** OWASP's recommendation for argon2id (Password Storage Cheat Sheet): 19 MiB, two passes, one lane. The package's kind is id. */
const COST = { memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const
const MOST_AT_ONCE = 2
const MOST_WAITING = 32

/** Compared with where there is no account, so that this takes as long; nobody's. */
const NOBODYS = '$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'

export interface Comparison {
  readonly matches: boolean
  /** The stored hash is cheaper than what we make today. */
  readonly isOutdated: boolean
}

export class Passwords {
  #running = 0
  readonly #waiting: (() => void)[] = []

  /** A PHC string. */
  hash(password: string): Promise<string> {
    return this.#inTurn(() => hash(normalised(password), COST))
  }

  /** Takes the same time for an account that does not exist or has no password. */
  async compare(phc: string | undefined, password: string): Promise<Comparison> {
    const matches = await this.#inTurn(() => verify(phc ?? NOBODYS, normalised(password)))
    if (phc === undefined) return { matches: false, isOutdated: false }
    const { memoryCost, timeCost } = parseOptions(phc)
    return { matches, isOutdated: memoryCost < COST.memoryCost || timeCost < COST.timeCost }
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= MOST_AT_ONCE) {
      if (this.#waiting.length >= MOST_WAITING)
        throw new IdentityError('login/busy', 'Too many people sign in at this moment. Try again in a few seconds.', {
          retryAfterMs: 3_000,
        })
      // Whoever ends hands its place on, so nobody overtakes.
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    } else this.#running++
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#running--
    }
  }
}

/** What looks the same is the same, however a keyboard composed it (RFC 8265 §4.2). */
const normalised = (password: string): string => password.normalize('NFC')
