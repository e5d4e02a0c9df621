// Checks what the pages send and answers it. What a call may do is decided here, by who is signed in and what waits.

import { BadArgument, oneOf, optional, shape, text, yesNo, type Check } from '../../contract/check.ts'
import { isCoded } from '../../base/errors.ts'
import type { WaitingMachine } from '../login/login-provider.ts'
import type { User } from '../model.ts'
import { accountCalls, accountPage } from './account-calls.ts'
import { loginOver, type SignedIn } from './accounts.ts'
import {
  accountView,
  assertion,
  call,
  ceremony,
  code,
  enrolToken,
  login,
  loginId,
  name,
  passkeyName,
  passkeySite,
  password,
  provider,
  registration,
  setupCode,
  signedIn,
  type Caller,
  type Handler,
  type Parts,
} from './call-parts.ts'
import type { AccountView, CallName, MachineView, Place, Stage } from './login-api.ts'
import type { ReturnPlace } from './oidc/oidc-sign-in.ts'
import { plainText } from './plain-text.ts'

/** Codes of some providers are a kilobyte or two. */
const MOST_QUERY_CHARS = 8 * 1024

/** All but `state`, which the page asks before it has a token. */
export type LoginCalls = { readonly [N in Exclude<CallName, 'state'>]: Handler<N> }

const place = { login: optional(loginId), enrol: optional(enrolToken), account: optional(yesNo) }
export const checkPlace: Check<Place> = (raw) => {
  const { login, enrol, account } = shape(place)(raw)
  if (account === true && login === undefined && enrol === undefined) return { account }
  if (login !== undefined && enrol === undefined && account === undefined) return { login }
  if (enrol !== undefined && login === undefined && account === undefined) return { enrol }
  throw new BadArgument('Expected a login, a link or an account.')
}

export function loginCalls(parts: Parts): LoginCalls {
  const { context, accounts } = parts
  const begun = async ({ user, token }: SignedIn, caller: Caller): Promise<{ account: AccountView }> => {
    await caller.signIn(token)
    return { account: accountView(user) }
  }
  const enrolled = async (user: User): Promise<{ account: AccountView }> => {
    // A recovery may have come to its end with it.
    await parts.recoveries.announce()
    return { account: accountView(user) }
  }
  const returnPlace = (enrol: string | undefined, login: string | undefined): ReturnPlace =>
    enrol !== undefined ? { enrol } : login !== undefined ? { login } : { account: true }
  const mustWait = (login: string | undefined): void => {
    if (login !== undefined && !context.pendingLogin(login)) throw loginOver()
  }
  return {
    'sign-in/password': call<'sign-in/password'>(
      shape({ login, name, password, code: optional(code) }),
      async ({ login, name, password, code }, caller) => {
        mustWait(login)
        return begun(await accounts.signInWithPassword(caller.visitor, name, { password, code }), caller)
      },
    ),
    'sign-in/recovery-code': call<'sign-in/recovery-code'>(
      shape({ login, name, code }),
      async ({ login, name, code }, caller) => {
        mustWait(login)
        return begun(await accounts.signInWithRecoveryCode(caller.visitor, name, code), caller)
      },
    ),
    'sign-in/begin': call<'sign-in/begin'>(shape({ login }), async ({ login }, caller) => {
      mustWait(login)
      return accounts.beginSignIn(caller.visitor, passkeySite(caller.site))
    }),
    'sign-in/passkey': call<'sign-in/passkey'>(
      shape({ ceremony, response: assertion }),
      async ({ ceremony, response }, caller) =>
        begun(await accounts.signInWithPasskey(caller.visitor, ceremony, response), caller),
    ),
    'first/password': call<'first/password'>(
      shape({ login, setupCode, name, password }),
      async ({ login, setupCode, name, password }, caller) =>
        begun(await accounts.createFirstWithPassword(caller.visitor, login, { name, setupCode }, password), caller),
    ),
    'first/begin': call<'first/begin'>(shape({ login, setupCode, name }), async ({ login, setupCode, name }, caller) =>
      accounts.beginFirst(caller.visitor, passkeySite(caller.site), login, { name, setupCode }),
    ),
    'first/passkey': call<'first/passkey'>(
      shape({ login, ceremony, response: registration, passkeyName }),
      async ({ login, ceremony, response, passkeyName }, caller) => {
        const made = { ceremony, response, name: plainText(passkeyName) }
        return begun(await accounts.createFirstWithPasskey(caller.visitor, login, made), caller)
      },
    ),
    'oidc/begin': call<'oidc/begin'>(
      shape({ provider, purpose: oneOf('sign-in', 'prove', 'link', 'enrol'), login, enrol: optional(enrolToken) }),
      async ({ provider, purpose, login, enrol }, caller) => {
        mustWait(login)
        const place = returnPlace(purpose === 'enrol' ? (enrol ?? '') : undefined, login)
        const me = purpose === 'sign-in' || purpose === 'enrol' ? undefined : await signedIn(caller)
        if (me && purpose === 'link') parts.own.mustBeFresh(me)
        return { url: await parts.oidc.begin(caller.visitor, caller.site, provider, { purpose, place, me }) }
      },
    ),
    'oidc/finish': call<'oidc/finish'>(
      shape({ provider, query: text(MOST_QUERY_CHARS, 0) }),
      async ({ provider, query }, caller) => {
        const finished = await parts.oidc.finish(caller.visitor, provider, query, () => caller.session())
        const { place, kind } = finished
        const back = {
          login: 'login' in place ? place.login : undefined,
          enrol: 'enrol' in place ? place.enrol : undefined,
          enrolled: kind === 'enrolled' ? accountView(finished.user) : undefined,
        }
        if (kind === 'refused') {
          const { code, message } = finished.error
          return { ...back, refused: { code, message } }
        }
        if (kind === 'signed-in') await caller.signIn(finished.signedIn.token)
        if (kind === 'enrolled') await parts.recoveries.announce()
        return { ...back, refused: undefined }
      },
    ),
    approve: call<'approve'>(shape({ login: loginId }), async ({ login }, caller) => {
      const { user } = await signedIn(caller)
      await settling(() => context.completeLogin(login, user.id))
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
    'enrol/password': call<'enrol/password'>(shape({ enrol: enrolToken, password }), async ({ enrol, password }) =>
      enrolled(await accounts.enrolPassword(enrol, password)),
    ),
    'enrol/begin': call<'enrol/begin'>(shape({ enrol: enrolToken }), async ({ enrol }, caller) =>
      accounts.beginEnrol(caller.visitor, passkeySite(caller.site), enrol),
    ),
    'enrol/passkey': call<'enrol/passkey'>(
      shape({ enrol: enrolToken, ceremony, response: registration, passkeyName }),
      async ({ enrol, ceremony, response, passkeyName }, caller) => {
        const made = { ceremony, response, name: plainText(passkeyName) }
        return enrolled(await accounts.enrolPasskey(caller.visitor, enrol, made))
      },
    ),
    ...accountCalls(parts),
  }
}

/** What the page shows first. */
export async function stageOf(place: Place, parts: Parts, caller: Pick<Caller, 'session'>): Promise<Stage> {
  const { context, accounts } = parts
  if ('enrol' in place) {
    const open = await accounts.enrolLink(place.enrol)
    if (!open) return { kind: 'link-over' }
    return { kind: 'enrol', account: accountView(open.user), replaces: open.link.purpose === 'reset' }
  }
  const waiting = 'login' in place ? context.pendingLogin(place.login) : undefined
  if ('login' in place && !waiting) return { kind: 'login-over' }
  const machine = waiting && machineView(waiting, context.clock.wallNow())
  if (accounts.isEmpty) return { kind: 'first', machine }
  const me = await caller.session()
  if (!me)
    return (await accounts.hasCredentials()) || (await parts.oidc.list()).length > 0
      ? { kind: 'sign-in', machine, formerHosts: await parts.own.formerHosts() }
      : { kind: 'no-way-in' }
  const page = await accountPage(parts, me)
  if (!machine) return { kind: 'account', page }
  return { kind: 'approve', machine, account: page.account, recoveries: page.recoveries }
}

async function settling(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    throw isCoded(error, 'coord/not-found') ? loginOver() : error
  }
}

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
