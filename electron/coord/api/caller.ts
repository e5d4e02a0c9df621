// Who asks: a program with a token, or a person whose browser is signed in.

import type { IncomingMessage } from 'node:http'
import type { Clock } from '../../base/clock.ts'
import { Guard, readCookie } from '../identity/guard.ts'
import { isFresh, Sessions } from '../identity/sessions.ts'
import { siteOf } from '../identity/site.ts'
import type { Role, User, UserId } from '../model.ts'
import type { Registry } from '../registry.ts'
import type { ServerRegistry } from '../server-registry.ts'
import { ApiError } from './api-error.ts'
import { ApiTokens } from './api-tokens.ts'
import { type Scope, scopesOf } from './scopes.ts'

/** A person of several tailnets says in which of them; their home is meant otherwise. */
export const TAILNET_HEADER = 'x-peerway-tailnet'

export interface ApiCaller {
  readonly registry: Registry
  readonly role: Role
  readonly scopes: readonly Scope[]
  /** Undefined for a token that was made on the server's own machine. */
  readonly userId: UserId | undefined
  /** For the audit log. */
  readonly actor: string
  /** A person who signed in a moment ago. */
  readonly isFresh: boolean
}

export interface CallerOptions {
  readonly registry: ServerRegistry
  readonly clock: Clock
  readonly publicUrl: string
}

export class Callers {
  readonly #options: CallerOptions
  readonly #sessions: Sessions
  readonly #guard = new Guard()

  constructor(options: CallerOptions) {
    this.#options = options
    this.#sessions = new Sessions(options.registry, options.clock)
  }

  /** Throws ApiError. `isWrite` asks for proof that it is our own page, where a browser asks. */
  async of(request: IncomingMessage, source: string, isWrite: boolean): Promise<ApiCaller> {
    const { authorization } = request.headers
    const caller =
      authorization === undefined ? await this.#person(request, source, isWrite) : this.#program(authorization, source)
    if (!caller)
      throw new ApiError(
        401,
        'api/not-signed-in',
        'Sign in, or send a token that is still valid: Authorization: Bearer …',
      )
    return caller
  }

  #program(authorization: string, source: string): ApiCaller | undefined {
    const text = /^Bearer ([A-Za-z0-9_-]{1,100})$/i.exec(authorization)?.[1] ?? ''
    for (const registry of this.#options.registry.tailnets()) {
      const open = new ApiTokens(registry, this.#options.clock).open(text)
      if (!open) continue
      const { token, role } = open
      return {
        registry,
        role,
        scopes: token.scopes,
        userId: token.userId,
        actor: `token:${token.id} from ${source}`,
        isFresh: false,
      }
    }
    return undefined
  }

  async #person(request: IncomingMessage, source: string, isWrite: boolean): Promise<ApiCaller | undefined> {
    const { registry, publicUrl } = this.#options
    const site = siteOf(request, publicUrl)
    if (!site) throw new ApiError(421, 'api/wrong-host', 'This is not one of the server’s own addresses.')
    if (isWrite) this.#guard.checkSource(request, site)
    const current = await this.#sessions.current(readCookie(request, site, 'session'))
    if (!current) return undefined
    const own = registry.tailnetsOf(current.user.id)
    // A stream of events has no header.
    const wanted = request.headers[TAILNET_HEADER] ?? queryOf(request, 'tailnet')
    const where = wanted === undefined ? own[0] : own.find(({ tailnet }) => tailnet.name === wanted)
    if (!where) throw new ApiError(404, 'api/no-tailnet', 'You are in no tailnet of that name.')
    const user: User | undefined = where.user(current.user.id)
    if (!user) return undefined
    return {
      registry: where,
      role: user.role,
      scopes: scopesOf(user.role),
      userId: user.id,
      actor: `user:${user.id} from ${source}`,
      isFresh: isFresh(current, this.#options.clock.wallNow()),
    }
  }
}

const queryOf = (request: IncomingMessage, name: string): string | undefined =>
  new URLSearchParams((request.url ?? '').split(/\?(.*)/s)[1] ?? '').get(name) ?? undefined
