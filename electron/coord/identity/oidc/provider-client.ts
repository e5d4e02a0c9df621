// The server as a client of a provider (OpenID Connect Core §3.1, with PKCE of RFC 7636 and the issuer of RFC 9207). Whatever
// the provider sends is checked by oauth4webapi: issuer, audience, times, nonce, signature.

import {
  allowInsecureRequests,
  type AuthorizationServer,
  authorizationCodeGrantRequest,
  AuthorizationResponseError,
  calculatePKCECodeChallenge,
  type Client,
  type ClientAuth,
  ClientSecretBasic,
  ClientSecretPost,
  clockSkew,
  clockTolerance,
  customFetch,
  discoveryRequest,
  getValidatedIdTokenClaims,
  None,
  processAuthorizationCodeResponse,
  processDiscoveryResponse,
  processUserInfoResponse,
  userInfoRequest,
  validateApplicationLevelSignature,
  validateAuthResponse,
} from 'oauth4webapi'
import type { Clock } from '../../../base/clock.ts'
import { boundedFetch, isLoopback, UnfitAnswer } from './bounded-fetch.ts'

/** How long the addresses that a provider names are kept; its keys are looked up again on their own. */
const DISCOVERED_MS = 10 * 60_000
const MOST_PROVIDERS = 64
/** Clocks of servers differ; tokens are fresh, so a minute opens nothing. */
const TOLERANCE_S = 60

export interface ProviderAccess {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string | undefined
}

/** What the server remembers between leaving for the provider and coming back. */
export interface Attempt {
  readonly state: string
  readonly nonce: string
  readonly verifier: string
  readonly redirectUri: string
}

export type Outcome =
  | { readonly kind: 'person'; readonly raw: Readonly<Record<string, unknown>> }
  /** The provider sent the person back without a code; `error` is its word for it (RFC 6749 §4.1.2.1). */
  | { readonly kind: 'refused'; readonly error: string }

export class ProviderClient {
  readonly #clock: Clock
  readonly #known = new Map<string, { readonly server: AuthorizationServer; readonly untilMs: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Throws whatever is wrong with the provider's answers. */
  async discover(issuer: string): Promise<AuthorizationServer> {
    const nowMs = this.#clock.now()
    const known = this.#known.get(issuer)
    if (known && known.untilMs > nowMs) return known.server
    const url = new URL(issuer)
    const response = await discoveryRequest(url, { algorithm: 'oidc', ...this.#options(issuer) })
    const server = await processDiscoveryResponse(url, response)
    for (const name of ['authorization_endpoint', 'token_endpoint', 'jwks_uri'] as const)
      if (server[name] === undefined) throw new UnfitAnswer(`the provider names no ${name}`)
    this.#known.delete(issuer)
    const oldest = this.#known.keys().next()
    if (this.#known.size >= MOST_PROVIDERS && !oldest.done) this.#known.delete(oldest.value)
    this.#known.set(issuer, { server, untilMs: nowMs + DISCOVERED_MS })
    return server
  }

  /** Where the browser goes. `isProof` asks the provider to ask the person again who they are. */
  async authorizationUrl(
    access: ProviderAccess,
    attempt: Attempt,
    { scopes, isProof }: { readonly scopes: readonly string[]; readonly isProof: boolean },
  ): Promise<string> {
    const server = await this.discover(access.issuer)
    const url = new URL(server.authorization_endpoint ?? '')
    const isFit = url.protocol === 'https:' || (url.protocol === 'http:' && mayBePlain(access.issuer))
    if (!isFit) throw new UnfitAnswer(`the provider’s page ${url.origin} is not encrypted`)
    // Some give groups only to those who ask for them by a scope of that name.
    const offersGroups = server.scopes_supported?.includes('groups') === true
    const scope = [...new Set(['openid', ...scopes, ...(offersGroups ? ['groups'] : [])])].join(' ')
    const parameters = {
      client_id: access.clientId,
      response_type: 'code',
      redirect_uri: attempt.redirectUri,
      scope,
      state: attempt.state,
      nonce: attempt.nonce,
      code_challenge: await calculatePKCECodeChallenge(attempt.verifier),
      code_challenge_method: 'S256',
      ...(isProof && { prompt: 'login', max_age: '0' }),
    }
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
    return url.href
  }

  /** What came back with the browser, made good at the provider. */
  async finish(access: ProviderAccess, attempt: Attempt, came: URLSearchParams): Promise<Outcome> {
    const server = await this.discover(access.issuer)
    const options = this.#options(access.issuer)
    const client: Client = {
      client_id: access.clientId,
      [clockTolerance]: TOLERANCE_S,
      // The library looks at the system's clock; ours may be a test's.
      [clockSkew]: Math.round((this.#clock.wallNow() - Date.now()) / 1000),
    }
    let parameters: URLSearchParams
    try {
      parameters = validateAuthResponse(server, client, came, attempt.state)
    } catch (error) {
      if (error instanceof AuthorizationResponseError) return { kind: 'refused', error: error.error }
      throw error
    }
    const response = await authorizationCodeGrantRequest(
      server,
      client,
      clientAuth(server, access.clientSecret),
      parameters,
      attempt.redirectUri,
      attempt.verifier,
      options,
    )
    const tokens = await processAuthorizationCodeResponse(server, client, response, {
      expectedNonce: attempt.nonce,
      requireIdToken: true,
    })
    // The connection would do (OpenID Connect Core §3.1.3.7, 6), unless somebody on the way ends it.
    await validateApplicationLevelSignature(server, response, options)
    const proved = getValidatedIdTokenClaims(tokens)
    if (!proved) throw new UnfitAnswer('the provider sent no ID token')
    if (server.userinfo_endpoint === undefined) return { kind: 'person', raw: proved }
    const asked = await userInfoRequest(server, client, tokens.access_token, options)
    const told = await processUserInfoResponse(server, client, proved.sub, asked)
    return { kind: 'person', raw: { ...told, ...proved } }
  }

  #options(issuer: string) {
    const isPlain = mayBePlain(issuer)
    return { [customFetch]: boundedFetch(isPlain), [allowInsecureRequests]: isPlain }
  }
}

/** A provider beside the server needs no TLS on the way; all others do. */
export function mayBePlain(issuer: string): boolean {
  const { protocol, hostname } = new URL(issuer)
  return protocol === 'http:' && isLoopback(hostname)
}

function clientAuth(server: AuthorizationServer, secret: string | undefined): ClientAuth {
  if (secret === undefined) return None()
  const methods = server.token_endpoint_auth_methods_supported
  return methods && !methods.includes('client_secret_basic') && methods.includes('client_secret_post')
    ? ClientSecretPost(secret)
    : ClientSecretBasic(secret)
}
