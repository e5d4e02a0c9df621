// What keeps other sites out: where the request says it comes from, a token that only our own page can read, and cookies
// that do not travel across sites. Each would do alone.

import { createHmac } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { equalBytes } from '../../base/bytes.ts'
import { IdentityError } from './identity-error.ts'
import type { ReachedSite } from './site.ts'
import { tokenHash } from './token.ts'

export const TOKEN_HEADER = 'x-peerway-token'

/** For pages, answers and assets alike. */
export const SECURITY_HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy':
    'publickey-credentials-get=(self), publickey-credentials-create=(self), camera=(), microphone=()',
} as const

type CookieName = 'visitor' | 'session'

export class Guard {
  /** Throws IdentityError unless our own page asks. */
  checkSource(request: IncomingMessage, site: ReachedSite): void {
    const { origin, 'sec-fetch-site': fetchSite, 'content-type': type } = request.headers
    // Browsers send Origin with every POST, and Sec-Fetch-Site where the page is trustworthy.
    if (origin !== site.origin || (fetchSite !== undefined && fetchSite !== 'same-origin'))
      throw new IdentityError('login/cross-site', 'This was not asked by this server’s own page.')
    // A type that no form can send.
    if (!/^application\/(json|octet-stream)(;|$)/i.test(type ?? ''))
      throw new IdentityError('login/bad-request', 'The request is neither JSON nor a file.')
  }

  /** The visitor, whose token the page must have sent along. */
  checkToken(request: IncomingMessage, visitor: string | undefined): string {
    const sent = request.headers[TOKEN_HEADER]
    const isOurs =
      visitor !== undefined &&
      typeof sent === 'string' &&
      equalBytes(Buffer.from(sent), Buffer.from(this.tokenFor(visitor)))
    if (!isOurs) throw new IdentityError('login/stale-page', 'This page is too old. Load it again.')
    return visitor
  }

  /**
   * Bound to the browser: another site may make a browser send its cookie, but cannot know this. The cookie is all that is
   * secret in it, so that every server behind one address takes the token that another one gave.
   */
  tokenFor(visitor: string): string {
    return createHmac('sha256', visitor).update('peerway page token').digest('base64url')
  }
}

/** Undefined for what cannot be one of our tokens. */
export function readCookie(request: IncomingMessage, site: ReachedSite, name: CookieName): string | undefined {
  const wanted = cookieName(site, name)
  for (const pair of (request.headers.cookie ?? '').split(';')) {
    const at = pair.indexOf('=')
    if (pair.slice(0, at).trim() !== wanted) continue
    const value = pair.slice(at + 1).trim()
    return tokenHash(value) ? value : undefined
  }
  return undefined
}

/** Until the browser is closed; the session itself ends sooner. An empty value removes it. */
export function setCookie(response: ServerResponse, site: ReachedSite, name: CookieName, value: string): void {
  const parts = [`${cookieName(site, name)}=${value}`, 'Path=/', 'HttpOnly', 'SameSite=Strict']
  if (site.isTls) parts.push('Secure')
  if (value === '') parts.push('Max-Age=0')
  response.appendHeader('set-cookie', parts.join('; '))
}

/** With TLS the prefix keeps other hosts of the same domain from setting ours. */
const cookieName = (site: ReachedSite, name: CookieName): string => `${site.isTls ? '__Host-' : ''}peerway-${name}`
