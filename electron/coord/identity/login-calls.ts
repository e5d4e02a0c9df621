// Checks what the pages send and answers it. What a call may do is decided here, by who is signed in and what waits.

import type { AuthenticationResponseJSON, RegistrationResponseJSON } from '@simplewebauthn/server'
import { BadArgument, listOf, optional, shape, text, type Check } from '../../contract/check.ts'
import { isCoded } from '../../base/errors.ts'
import type { LoginContext, WaitingMachine } from '../login/login-provider.ts'
import type { User } from '../model.ts'
import { loginOver, type Accounts, type SignedIn, type Visitor } from './accounts.ts'
import { IdentityError } from './identity-error.ts'
import type { AccountView, CallName, Calls, MachineView, Place, Stage } from './login-api.ts'
import type { Site } from './passkeys.ts'
import { MAX_PASSWORD_BYTES } from './password-rule.ts'
import type { ReachedSite } from './site.ts'

/** One request of a browser whose source was checked. */
export interface Caller {
  readonly visitor: Visitor
  readonly site: ReachedSite
  /** Undefined when nobody is signed in. */
  user(): Promise<User | undefined>
  signIn(token: string): void
  signOut(): Promise<void>
}

/** Takes what was sent, or throws BadArgument; the answer waits for the caller. */
type Handler<N extends CallName> = Check<(caller: Caller) => Promise<Calls[N]['value']>>
/** All but `state`, which the page asks before it has a token. */
export type LoginCalls = { readonly [N in Exclude<CallName, 'state'>]: Handler<N> }

function call<N extends CallName>(
  check: Check<Calls[N]['ask']>,
  answer: (ask: Calls[N]['ask'], caller: Caller) => Promise<Calls[N]['value']>,
): Handler<N> {
  return (raw) => {
    const ask = check(raw)
    return (caller) => answer(ask, caller)
  }
}

const loginId = text(64, 8)
const enrolToken = text(64, 8)
const name = text(64)
// Counted in characters here, and in bytes by the rule, before any work is done on it.
const password = text(MAX_PASSWORD_BYTES)
const ceremony = text(64)
const base64url: Check<string> = (raw) => {
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
const registration: Check<RegistrationResponseJSON> = (raw) => {
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
const assertion: Check<AuthenticationResponseJSON> = (raw) => {
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
const passkeyName = text(64)

const place = { login: optional(loginId), enrol: optional(enrolToken) }
export const checkPlace: Check<Place> = (raw) => {
  const { login, enrol } = shape(place)(raw)
  if (login !== undefined && enrol === undefined) return { login }
  if (enrol !== undefined && login === undefined) return { enrol }
  throw new BadArgument('Expected a login or a link.')
}

export function loginCalls(context: LoginContext, accounts: Accounts): LoginCalls {
  const begun = ({ user, token }: SignedIn, caller: Caller): { account: AccountView } => {
    caller.signIn(token)
    return { account: accountView(user) }
  }
  const mustWait = (login: string): void => {
    if (!context.pendingLogin(login)) throw loginOver()
  }
  return {
    'sign-in/password': call<'sign-in/password'>(
      shape({ login: loginId, name, password }),
      async ({ login, name, password }, caller) => {
        mustWait(login)
        return begun(await accounts.signInWithPassword(caller.visitor, name, password), caller)
      },
    ),
    'sign-in/begin': call<'sign-in/begin'>(shape({ login: loginId }), async ({ login }, caller) => {
      mustWait(login)
      return accounts.beginSignIn(caller.visitor, passkeySite(caller.site))
    }),
    'sign-in/passkey': call<'sign-in/passkey'>(
      shape({ ceremony, response: assertion }),
      async ({ ceremony, response }, caller) =>
        begun(await accounts.signInWithPasskey(caller.visitor, ceremony, response), caller),
    ),
    'first/password': call<'first/password'>(
      shape({ login: loginId, name, password }),
      async ({ login, name, password }, caller) =>
        begun(await accounts.createFirstWithPassword(caller.visitor, login, name, password), caller),
    ),
    'first/begin': call<'first/begin'>(shape({ login: loginId, name }), async ({ login, name }, caller) =>
      accounts.beginFirst(caller.visitor, passkeySite(caller.site), login, name),
    ),
    'first/passkey': call<'first/passkey'>(
      shape({ login: loginId, ceremony, response: registration, passkeyName }),
      async ({ login, ceremony, response, passkeyName }, caller) => {
        const made = { ceremony, response, name: plainText(passkeyName) }
        return begun(await accounts.createFirstWithPasskey(caller.visitor, login, made), caller)
      },
    ),
    approve: call<'approve'>(shape({ login: loginId }), async ({ login }, caller) => {
      const { id } = await signedIn(caller)
      await settling(() => context.completeLogin(login, id))
      return null
    }),
    refuse: call<'refuse'>(shape({ login: loginId }), async ({ login }, caller) => {
      await signedIn(caller)
      await settling(() => context.refuseLogin(login))
      return null
    }),
    'sign-out': call<'sign-out'>(shape({}), async (_ask, caller) => {
      await caller.signOut()
      return null
    }),
    'enrol/password': call<'enrol/password'>(shape({ enrol: enrolToken, password }), async ({ enrol, password }) => ({
      account: accountView(await accounts.enrolPassword(enrol, password)),
    })),
    'enrol/begin': call<'enrol/begin'>(shape({ enrol: enrolToken }), async ({ enrol }, caller) =>
      accounts.beginEnrol(caller.visitor, passkeySite(caller.site), enrol),
    ),
    'enrol/passkey': call<'enrol/passkey'>(
      shape({ enrol: enrolToken, ceremony, response: registration, passkeyName }),
      async ({ enrol, ceremony, response, passkeyName }, caller) => {
        const made = { ceremony, response, name: plainText(passkeyName) }
        return { account: accountView(await accounts.enrolPasskey(caller.visitor, enrol, made)) }
      },
    ),
  }
}

/** What the page shows first. */
export async function stageOf(
  place: Place,
  context: LoginContext,
  accounts: Accounts,
  caller: Pick<Caller, 'user'>,
): Promise<Stage> {
  if ('enrol' in place) {
    const open = await accounts.enrolLink(place.enrol)
    if (!open) return { kind: 'link-over' }
    return { kind: 'enrol', account: accountView(open.user), replaces: open.link.purpose === 'reset' }
  }
  const waiting = context.pendingLogin(place.login)
  if (!waiting) return { kind: 'login-over' }
  const machine = machineView(waiting, context.clock.wallNow())
  if (accounts.isEmpty) return { kind: 'first', machine }
  const user = await caller.user()
  if (user) return { kind: 'approve', machine, account: accountView(user) }
  return { kind: (await accounts.hasCredentials()) ? 'sign-in' : 'no-way-in', machine }
}

async function signedIn(caller: Caller): Promise<User> {
  const user = await caller.user()
  if (!user) throw new IdentityError('login/not-signed-in', 'You are not signed in any more. Sign in again.')
  return user
}

async function settling(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    throw isCoded(error, 'coord/not-found') ? loginOver() : error
  }
}

function passkeySite({ origin, hostname, noPasskeys }: ReachedSite): Site {
  if (noPasskeys)
    throw new IdentityError('login/passkeys-unavailable', 'Browsers offer no passkeys at this address. Use a password.')
  return { origin, rpId: hostname }
}

const accountView = ({ name, displayName }: User): AccountView => ({ name, displayName })

function machineView(waiting: WaitingMachine, nowMs: number): MachineView {
  const hex = waiting.machineKey.replace(/^[a-z]+:/, '').slice(0, 16)
  return {
    name: plainText(waiting.hostname),
    system: plainText(waiting.os),
    source: waiting.source,
    askedSecondsAgo: Math.max(Math.round((nowMs - waiting.createdAtMs) / 1000), 0),
    key: (hex.match(/.{4}/g) ?? []).join(' '),
  }
}

/** Without what would turn the rest of the line around or hide parts of it, and not longer than a person reads. */
function plainText(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu, '').slice(0, 63)
}
