// What the calls of the pages share: who calls, what they work on, and checks of what was sent.

import type { AuthenticationResponseJSON, RegistrationResponseJSON } from '@simplewebauthn/server'
import { BadArgument, listOf, optional, shape, text, type Check } from '../../contract/check.ts'
import type { LoginContext } from '../login/login-provider.ts'
import type { User } from '../model.ts'
import type { Accounts, Visitor } from './accounts.ts'
import { IdentityError } from './identity-error.ts'
import type { AccountView, CallName, Calls } from './login-api.ts'
import type { OidcSignIn } from './oidc/oidc-sign-in.ts'
import type { OwnAccount } from './own-account.ts'
import type { Site } from './passkeys.ts'
import { MAX_PASSWORD_BYTES } from './password-rule.ts'
import type { Recoveries } from './recoveries.ts'
import { type CurrentSession, notSignedIn } from './sessions.ts'
import type { ReachedSite } from './site.ts'

/** One request of a browser whose source was checked. */
export interface Caller {
  readonly visitor: Visitor
  readonly site: ReachedSite
  /** Undefined when nobody is signed in. */
  session(): Promise<CurrentSession | undefined>
  /** In place of the session this browser had. */
  signIn(token: string): Promise<void>
  signOut(): Promise<void>
}

/** What the calls work on. */
export interface Parts {
  readonly context: LoginContext
  readonly accounts: Accounts
  readonly own: OwnAccount
  readonly oidc: OidcSignIn
  readonly recoveries: Recoveries
}

/** Takes what was sent, or throws BadArgument; the answer waits for the caller. */
export type Handler<N extends CallName> = Check<(caller: Caller) => Promise<Calls[N]['value']>>
export function call<N extends CallName>(
  check: Check<Calls[N]['ask']>,
  answer: (ask: Calls[N]['ask'], caller: Caller) => Promise<Calls[N]['value']>,
): Handler<N> {
  return (raw) => {
    const ask = check(raw)
    return (caller) => answer(ask, caller)
  }
}

export const loginId = text(64, 8)
export const login = optional(loginId)
export const enrolToken = text(64, 8)
export const name = text(64)
// Counted in characters here, and in bytes by the rule, before any work is done on it.
export const password = text(MAX_PASSWORD_BYTES)
export const provider = text(32)
/** Six digits, or a recovery code; people add spaces. */
export const code = text(40)
export const setupCode = text(40)
export const ceremony = text(64)
export const base64url: Check<string> = (raw) => {
  const value = text(16_384)(raw)
  if (!/^[A-Za-z0-9_-]+$/.test(value)) throw new BadArgument('Expected base64url.')
  return value
}
const publicKeyType: Check<'public-key'> = (raw) => {
  if (raw !== 'public-key') throw new BadArgument('Expected a public key.')
  return raw
}

/** Browsers add members over the years: what is not looked at is dropped, not refused. */
function loose<S extends Record<string, Check<unknown>>>(members: S): Check<{ [K in keyof S]: ReturnType<S[K]> }> {
  const strict = shape(members)
  return (raw) => {
    if (typeof raw !== 'object' || raw === null) throw new BadArgument('Expected an object.')
    return strict(Object.fromEntries(Object.entries(raw).filter(([name]) => Object.hasOwn(members, name))))
  }
}

const credential = { id: base64url, rawId: base64url, type: publicKeyType }
const registrationShape = loose({
  ...credential,
  response: loose({
    clientDataJSON: base64url,
    attestationObject: base64url,
    transports: optional(listOf(text(40), 16)),
  }),
})
export const registration: Check<RegistrationResponseJSON> = (raw) => {
  const { id, rawId, type, response } = registrationShape(raw)
  const { clientDataJSON, attestationObject, transports } = response
  return {
    id,
    rawId,
    type,
    response: { clientDataJSON, attestationObject, transports: [...(transports ?? [])] },
    clientExtensionResults: {},
  }
}
const assertionShape = loose({
  ...credential,
  response: loose({
    clientDataJSON: base64url,
    authenticatorData: base64url,
    signature: base64url,
    userHandle: optional(base64url),
  }),
})
export const assertion: Check<AuthenticationResponseJSON> = (raw) => {
  const { id, rawId, type, response } = assertionShape(raw)
  const { clientDataJSON, authenticatorData, signature, userHandle } = response
  return {
    id,
    rawId,
    type,
    response: { clientDataJSON, authenticatorData, signature, ...(userHandle !== undefined && { userHandle }) },
    clientExtensionResults: {},
  }
}
export const passkeyName = text(64)

export async function signedIn(caller: Caller): Promise<CurrentSession> {
  const me = await caller.session()
  if (!me) throw notSignedIn()
  return me
}

export function passkeySite({ origin, hostname, noPasskeys }: ReachedSite): Site {
  if (noPasskeys)
    throw new IdentityError('login/passkeys-unavailable', 'Browsers offer no passkeys at this address. Use a password.')
  return { origin, rpId: hostname }
}

export const accountView = ({ name, displayName }: User): AccountView => ({ name, displayName })
