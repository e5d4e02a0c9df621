// Ceremonies where servers share a database: begun at one, ended at any, and at one only. What was asked is sealed, since
// who reads the database is not to finish what somebody began.

import { createHash, randomBytes } from 'node:crypto'
import { fromUtf8, utf8 } from '../../base/bytes.ts'
import type { LoginContext } from '../login/login-provider.ts'
import {
  Ceremonies,
  type Ceremony,
  CEREMONY_MS,
  type CeremonyPlace,
  MOST_CEREMONIES,
  MOST_FROM_ONE_SOURCE,
} from './ceremonies.ts'

type Context = Pick<LoginContext, 'registry' | 'store' | 'secrets' | 'clock'>

/** `kind` keeps apart what means different things. What it is about must survive JSON. */
export function ceremoniesOf<T>(context: Context, kind: string, lifeMs = CEREMONY_MS): CeremonyPlace<T> {
  return context.store.listen ? new SharedCeremonies(context, kind, lifeMs) : new Ceremonies(context.clock, lifeMs)
}

class SharedCeremonies<T> implements CeremonyPlace<T> {
  readonly #context: Context
  readonly #kind: string
  readonly #lifeMs: number

  constructor(context: Context, kind: string, lifeMs: number) {
    this.#context = context
    this.#kind = kind
    this.#lifeMs = lifeMs
  }

  async begin(visitor: string, source: string, about: T): Promise<Ceremony<T>> {
    const { registry, secrets, clock } = this.#context
    const id = randomBytes(16).toString('base64url')
    const challenge = randomBytes(32).toString('base64url')
    const sealed = secrets.seal(this.#purpose(id), utf8(JSON.stringify({ challenge, about })))
    const nowMs = clock.wallNow()
    await registry.read(async ({ shared }) =>
      shared?.insertCeremony(
        { id, kind: this.#kind, visitor: hashOf(visitor), source, sealed, endsAtMs: nowMs + this.#lifeMs },
        nowMs,
        { all: MOST_CEREMONIES, ofSource: MOST_FROM_ONE_SOURCE },
      ),
    )
    return { id, challenge, about }
  }

  async end(id: string, visitor: string): Promise<Ceremony<T> | undefined> {
    const { registry, secrets, clock } = this.#context
    const ended = await registry.read(async ({ shared }) => shared?.endCeremony(id, this.#kind, hashOf(visitor)))
    if (!ended || ended.endsAtMs <= clock.wallNow()) return undefined
    const opened = secrets.open(this.#purpose(id), ended.sealed)
    // Only a server with the same key could have sealed it.
    return opened && { id, ...(JSON.parse(fromUtf8(opened)) as Pick<Ceremony<T>, 'challenge' | 'about'>) }
  }

  #purpose(id: string): string {
    return `ceremony ${this.#kind} ${id}`
  }
}

/** The cookie itself would let a reader of the database go on in the person's browser's place. */
const hashOf = (visitor: string): string => createHash('sha256').update(visitor).digest('base64url')
