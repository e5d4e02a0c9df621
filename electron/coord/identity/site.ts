// By which URL a page was reached. Only the server's own name, an address, or localhost will do: a name of somebody else's
// that leads here is how a page of theirs would speak to a server behind the reader's router (DNS rebinding).

import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { TLSSocket } from 'node:tls'

export interface ReachedSite {
  /** As the browser says it in Origin. */
  readonly origin: string
  /** Without brackets and port. */
  readonly hostname: string
  /** Read by nobody on the way: TLS, or not on any way at all. */
  readonly isPrivate: boolean
  readonly isTls: boolean
  readonly noPasskeys: 'address' | 'not-encrypted' | undefined
}

export function siteOf(request: IncomingMessage, publicUrl: string): ReachedSite | undefined {
  const host = request.headers.host?.toLowerCase() ?? ''
  // Node joins repeated Host headers away; whatever is no plain host and port is refused.
  if (!/^([a-z0-9.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?$/.test(host)) return undefined
  const own = new URL(publicUrl)
  const isOwn = host === own.host
  // A proxy in front speaks TLS for us, by the name we were told.
  const isTls = request.socket instanceof TLSSocket || (isOwn && own.protocol === 'https:')
  const text = `${isTls ? 'https' : 'http'}://${host}`
  if (!URL.canParse(text)) return undefined
  const url = new URL(text)
  const hostname = url.hostname.replaceAll(/[[\]]/g, '')
  const isAddress = isIP(hostname) !== 0
  if (!isOwn && !isAddress && hostname !== 'localhost') return undefined
  const isLoopback = hostname === 'localhost' || hostname === '::1' || (isAddress && hostname.startsWith('127.'))
  return {
    origin: url.origin,
    hostname,
    isPrivate: isTls || isLoopback,
    isTls,
    noPasskeys: isAddress ? 'address' : isTls || hostname === 'localhost' ? undefined : 'not-encrypted',
  }
}
