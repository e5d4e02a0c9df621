// Tokens as the command line handles them: for a person, or for nobody.

import type { Clock } from '../../base/clock.ts'
import type { User } from '../model.ts'
import type { Registry } from '../registry.ts'
import { ApiTokens, serverMaker, type TokenInfo } from './api-tokens.ts'
import { scopesOf } from './scopes.ts'

export interface TokensAdminOptions {
  readonly registry: Registry
  readonly findUser: (name: string) => User
  readonly clock: Clock
  readonly actor: string
}

export interface TokenWish {
  readonly name: string
  readonly scopes: readonly string[]
  /** Whose role bounds it, also later; the server's own when left out. */
  readonly user?: string | undefined
  readonly lifeMs?: number | undefined
}

export class TokensAdmin {
  readonly #options: TokensAdminOptions
  readonly #tokens: ApiTokens

  constructor(options: TokensAdminOptions) {
    this.#options = options
    this.#tokens = new ApiTokens(options.registry, options.clock)
  }

  async list(): Promise<TokenInfo[]> {
    return this.#tokens.list()
  }

  async create(wish: TokenWish): Promise<TokenInfo & { readonly token: string }> {
    const { findUser, actor } = this.#options
    const user = wish.user === undefined ? undefined : findUser(wish.user)
    const maker = user ? { userId: user.id, scopes: scopesOf(user.role) } : serverMaker
    return this.#tokens.create(wish, maker, actor)
  }

  async revoke(id: string): Promise<void> {
    return this.#tokens.revoke(id, this.#options.actor)
  }
}
