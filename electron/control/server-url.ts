// Where a coordination server is, and over which ports its encrypted channel is tried (control.md §2.2).

import { isLoopback, isPrivate } from '../base/endpoint.ts'
import type { ProxyTarget } from '../base/proxy-settings.ts'
import { ControlError } from './control-error.ts'

/** The second way is tried when the first has failed, or has not succeeded after this time. */
const SECOND_WAY_AFTER_MS = 500

export interface DialWay {
  readonly scheme: 'http' | 'https'
  readonly port: number
  /** 0 for the first; the time when this starts at the latest, if nothing has failed before. */
  readonly afterMs: number
}

/** "hs.example.org" counts as https. Only the origin is kept. Throws ControlError 'control/bad-url'. */
export function parseServerUrl(text: string): URL {
  const trimmed = text.trim()
  const whole = /^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed) ? trimmed : `https://${trimmed}`
  const url = URL.canParse(whole) ? new URL(whole) : undefined
  if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.hostname === '')
    throw new ControlError(
      'control/bad-url',
      `"${text}" is no server address. It looks like https://name.example.org, as the owner of the server gave it to you.`,
    )
  if (url.username !== '' || url.password !== '')
    throw new ControlError(
      'control/bad-url',
      'A server address holds no user name or password. Remove the part before "@".',
    )
  return new URL(url.origin)
}

/** The host as people know it: without the usual port. */
export function hostOf(url: URL): string {
  return url.host
}

/** The address without the brackets that URLs put around IPv6. */
export function dialHost(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '')
}

/** What is asked of a proxy for this address, which is an http or https one. */
export function targetOf(url: URL): ProxyTarget {
  const scheme = url.protocol === 'https:' ? 'https' : 'http'
  return { scheme, host: dialHost(url), port: Number(url.port) || (scheme === 'https' ? 443 : 80) }
}

function isPrivateHost(url: URL): boolean {
  const host = dialHost(url)
  return host === 'localhost' || isLoopback(host) || isPrivate(host)
}

/**
 * Plain HTTP is no loss: what travels inside is encrypted and authenticated by Noise. We differ from stock clients in
 * preferring HTTPS where the URL says so: fewer middle boxes interfere, and the fallback is only for the usual ports.
 */
export function dialWays(url: URL): readonly DialWay[] {
  const port = Number(url.port)
  if (url.protocol === 'https:') {
    const https: DialWay = { scheme: 'https', port: port || 443, afterMs: 0 }
    const plain: DialWay = { scheme: 'http', port: 80, afterMs: SECOND_WAY_AFTER_MS }
    return port === 0 && !isPrivateHost(url) ? [https, plain] : [https]
  }
  const plain: DialWay = { scheme: 'http', port: port || 80, afterMs: 0 }
  // Nobody has a certificate for a private address, and what listens on its port 443 is somebody else.
  return isPrivateHost(url) ? [plain] : [plain, { scheme: 'https', port: 443, afterMs: SECOND_WAY_AFTER_MS }]
}
