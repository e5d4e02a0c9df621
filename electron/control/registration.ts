// What a client says to become a node of the tailnet, and what the answers mean (control.md §4).

import type { NodePublic } from '../crypto/keys.ts'
import type { HostinfoInput } from '../wire/tailcfg/hostinfo.ts'
import type { RegisterRequestInput, RegisterResponse } from '../wire/tailcfg/register.ts'
import type { WallMs } from '../wire/tailcfg/scalars.ts'
import type { Login, User } from '../wire/tailcfg/user.ts'
import { ControlError } from './control-error.ts'

export interface Registration {
  readonly nodeKey: NodePublic
  /** The key before the last change of keys, whenever that was. */
  readonly oldNodeKey?: NodePublic | undefined
  /** "nlpub:…", the public half of a stored Ed25519 key. Servers want one; nothing is signed with it. */
  readonly nlKey: string
  readonly authKey?: string | undefined
  /** The page of a login that is under way: the answer then waits for its end. */
  readonly followup?: string | undefined
  readonly hostinfo: HostinfoInput
  /** A wish for when the key shall end. */
  readonly expiryMs?: WallMs | undefined
  readonly ephemeral?: boolean | undefined
}

export type RegisterOutcome =
  | { readonly kind: 'registered'; readonly user: User; readonly login: Login }
  /** Someone has to sign in at `url`; then register again with it as `followup`. */
  | { readonly kind: 'login'; readonly url: string }
  /** In the server's words. */
  | { readonly kind: 'refused'; readonly message: string }
  /** Register again with a new node key, and this one as the old one. */
  | { readonly kind: 'key-expired' }

/** What marks a registration as a logout: any time in the past would do, this one is what stock clients send. */
const LOGOUT_EXPIRY_MS = 123_000

export function registerMessage(version: number, input: Registration): RegisterRequestInput {
  return {
    version,
    nodeKey: input.nodeKey,
    oldNodeKey: input.oldNodeKey,
    nlKey: input.nlKey,
    ...(input.authKey !== undefined && { auth: { authKey: input.authKey } }),
    expiryMs: input.expiryMs,
    followup: input.followup ?? '',
    hostinfo: input.hostinfo,
    ephemeral: input.ephemeral ?? false,
  }
}

export function logoutMessage(version: number, input: Registration): RegisterRequestInput {
  return {
    ...registerMessage(version, { ...input, authKey: undefined, followup: undefined }),
    expiryMs: LOGOUT_EXPIRY_MS,
  }
}

/** Checked in the order of the protocol. Throws ControlError for a page that must not be opened. */
export function outcomeOf(response: RegisterResponse, server: URL): RegisterOutcome {
  if (response.error !== '') return { kind: 'refused', message: response.error }
  if (response.nodeKeySignature.length > 0)
    return { kind: 'refused', message: 'This network signs its machines (tailnet lock), which Peerway cannot do yet.' }
  if (response.nodeKeyExpired) return { kind: 'key-expired' }
  if (response.authUrl !== '') return { kind: 'login', url: checkedPage(response.authUrl, server) }
  return { kind: 'registered', user: response.user, login: response.login }
}

/** A page that will be opened in a browser: a web page, and unencrypted only where the server itself is. */
export function checkedPage(text: string, server: URL): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol === 'https:' || (url?.protocol === 'http:' && server.protocol === 'http:')) return text
  throw new ControlError(
    'control/bad-answer',
    `The server at ${server.host} wants a page opened that is no safe web page.`,
  )
}

/** The wait a 429 asks for, ms; undefined when it does not say, or not sensibly. */
export function retryAfterMs(header: string | undefined, nowMs: WallMs): number | undefined {
  if (header === undefined) return undefined
  const text = header.trim()
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs
  return ms > 0 && ms <= 3_600_000 ? ms : undefined
}
