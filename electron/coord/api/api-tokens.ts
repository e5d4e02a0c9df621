// Tokens with which programs use the API. Each has a name, an end and scopes; a person's never does more than the person may.

import type { Clock } from '../../base/clock.ts'
import { toHex } from '../../base/bytes.ts'
import { CoordError } from '../errors.ts'
import { newToken, tokenHash } from '../identity/token.ts'
import { type KeptSetting, recordOf } from '../kept-settings.ts'
import type { Role, UserId } from '../model.ts'
import type { Registry } from '../registry.ts'
import { allows, isScope, type Scope, SCOPES, scopesOf } from './scopes.ts'

/** Calls that the API answers by itself: what they may depends on who asks. */
export const OWN_CALLS = ['own-tokens.list', 'own-tokens.create', 'own-tokens.revoke'] as const
export type OwnCall = (typeof OWN_CALLS)[number]

const PREFIX = 'pwapi-'
const DEFAULT_LIFE_MS = 90 * 86_400_000
const LONGEST_LIFE_MS = 366 * 86_400_000
const MOST_TOKENS = 200
const MOST_NAME_CHARS = 64

export interface ApiToken {
  readonly id: string
  readonly name: string
  readonly hash: string
  readonly scopes: readonly Scope[]
  /** Undefined for one that was made on the server's own machine. */
  readonly userId: UserId | undefined
  readonly createdAtMs: number
  readonly expiresAtMs: number
}

/** Printed by --json, so the names are public interface. */
export interface TokenInfo {
  readonly id: string
  readonly name: string
  readonly scopes: readonly Scope[]
  readonly user?: string
  readonly createdAt: string
  readonly expiresAt: string
}

export const apiTokens: KeptSetting<ReadonlyMap<string, ApiToken>> = {
  name: 'api-tokens',
  parse(text) {
    const { tokens } = recordOf(text)
    const all = Array.isArray(tokens) ? tokens.flatMap((one: unknown) => tokenFrom(one) ?? []) : []
    return new Map(all.map((token) => [token.hash, token]))
  },
}

/** A damaged one counts as none: it opens nothing. */
function tokenFrom(value: unknown): ApiToken | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { id, name, hash, scopes, userId, createdAtMs, expiresAtMs } = value as Readonly<Record<string, unknown>>
  if (typeof id !== 'string' || typeof name !== 'string' || typeof hash !== 'string') return undefined
  if (typeof createdAtMs !== 'number' || typeof expiresAtMs !== 'number' || !Array.isArray(scopes)) return undefined
  const known = scopes.filter((scope): scope is Scope => typeof scope === 'string' && isScope(scope))
  return {
    id,
    name,
    hash,
    scopes: known,
    userId: typeof userId === 'number' ? userId : undefined,
    createdAtMs,
    expiresAtMs,
  }
}

/** Who asks for a token: it cannot do more than they. */
export interface TokenMaker {
  readonly userId: UserId | undefined
  readonly scopes: readonly Scope[]
}

export class ApiTokens {
  readonly #registry: Registry
  readonly #clock: Clock

  constructor(registry: Registry, clock: Clock) {
    this.#registry = registry
    this.#clock = clock
  }

  list(): TokenInfo[] {
    return [...this.#registry.kept(apiTokens).values()].map((token) => this.#info(token))
  }

  /** `token` is the secret, and this the only time it is shown. */
  async create(
    wish: { readonly name: string; readonly scopes: readonly string[]; readonly lifeMs?: number | undefined },
    maker: TokenMaker,
    actor: string,
  ): Promise<TokenInfo & { readonly token: string }> {
    const scopes = checkedScopes(wish.scopes, maker)
    const name = wish.name.replaceAll(/[\p{Cc}\p{Cf}]/gu, '').trim()
    if (name === '' || name.length > MOST_NAME_CHARS) throw bad(`A name has 1 to ${MOST_NAME_CHARS} characters.`)
    const lifeMs = wish.lifeMs ?? DEFAULT_LIFE_MS
    if (!(lifeMs > 0 && lifeMs <= LONGEST_LIFE_MS)) throw bad('A token lasts at most 366 days.')
    const { text, hash } = newToken()
    const nowMs = this.#clock.wallNow()
    const made: ApiToken = {
      id: text.slice(0, 12),
      name,
      hash: toHex(hash),
      scopes,
      userId: maker.userId,
      createdAtMs: nowMs,
      expiresAtMs: nowMs + lifeMs,
    }
    await this.#change(actor, 'token.create', made, (all) => {
      if (all.length >= MOST_TOKENS)
        throw new CoordError('coord/conflict', `There are ${MOST_TOKENS} tokens; revoke some first.`)
      return [...all, made]
    })
    return { ...this.#info(made), token: `${PREFIX}${text}` }
  }

  async revoke(id: string, actor: string): Promise<void> {
    const known = [...this.#registry.kept(apiTokens).values()].find((token) => token.id === id)
    if (!known) throw new CoordError('coord/not-found', `There is no token ${id}; see: peerway coord tokens list.`)
    await this.#change(actor, 'token.revoke', known, (all) => all.filter((token) => token.id !== id))
  }

  /** What a token may do now; undefined for one that counts no more. */
  open(text: string): { readonly token: ApiToken; readonly role: Role } | undefined {
    const hash = text.startsWith(PREFIX) ? tokenHash(text.slice(PREFIX.length)) : undefined
    const token = hash && this.#registry.kept(apiTokens).get(toHex(hash))
    if (!token || token.expiresAtMs <= this.#clock.wallNow()) return undefined
    if (token.userId === undefined) return { token, role: 'admin' }
    // Whoever is no member any more has no tokens either.
    const role = this.#registry.user(token.userId)?.role
    return role && { token, role }
  }

  async #change(
    actor: string,
    action: string,
    which: ApiToken,
    change: (all: readonly ApiToken[]) => readonly ApiToken[],
  ): Promise<void> {
    await this.#registry.transaction(async (tx) => {
      const nowMs = this.#clock.wallNow()
      const before = [...apiTokens.parse(await tx.store.tailnetSetting(apiTokens.name)).values()]
      const tokens = change(before.filter(({ expiresAtMs }) => expiresAtMs > nowMs))
      await tx.setKept(apiTokens.name, JSON.stringify({ tokens }))
      await tx.audit(actor, action, `token:${which.id}`, `${which.name}: ${which.scopes.join(' ')}`)
    })
  }

  #info({ id, name, scopes, userId, createdAtMs, expiresAtMs }: ApiToken): TokenInfo {
    const user = userId === undefined ? undefined : this.#registry.user(userId)?.name
    return {
      id,
      name,
      scopes,
      ...(user !== undefined && { user }),
      createdAt: new Date(createdAtMs).toISOString(),
      expiresAt: new Date(expiresAtMs).toISOString(),
    }
  }
}

function checkedScopes(wanted: readonly string[], maker: TokenMaker): Scope[] {
  const scopes = [...new Set(wanted)].map((text) => {
    if (!isScope(text)) throw bad(`There is no scope "${text}"; known are ${SCOPES.join(', ')}.`)
    return text
  })
  if (scopes.length === 0) throw bad('Say what the token may do.')
  for (const scope of scopes) {
    const [area = '', suffix] = scope.split(':')
    const isCovered =
      area === 'all'
        ? maker.scopes.includes('all') || (suffix === 'read' && maker.scopes.includes('all:read'))
        : allows(maker.scopes, area as Parameters<typeof allows>[1], suffix === undefined)
    if (!isCovered) throw bad(`A token cannot do more than its maker may: not "${scope}".`)
  }
  return scopes
}

export const serverMaker: TokenMaker = { userId: undefined, scopes: scopesOf('owner') }

const bad = (message: string): CoordError => new CoordError('coord/bad-argument', message)
