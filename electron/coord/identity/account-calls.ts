// The calls of the page /account: each is for whoever is signed in, about their own account or those they may help.

import { oneOf, optional, shape, text, whole } from '../../contract/check.ts'
import { ROLES, type User } from '../model.ts'
import type { Recovery } from '../store/identity-store.ts'
import type { SignedIn } from './accounts.ts'
import {
  accountView,
  assertion,
  base64url,
  call,
  ceremony,
  code,
  name,
  passkeyName,
  passkeySite,
  password,
  provider,
  registration,
  signedIn,
  type Caller,
  type Handler,
  type Parts,
} from './call-parts.ts'
import { IdentityError } from './identity-error.ts'
import { invite } from './invites.ts'
import type { AccountPage, CallName, RecoveryView } from './login-api.ts'
import { plainText } from './plain-text.ts'
import { HELPS, mayHelp } from './recoveries.ts'
import { type CurrentSession, FRESH_MS } from './sessions.ts'
import { base32, otpauthUri } from './totp.ts'

type AccountCallName = Extract<CallName, `account/${string}`>

/** More are looked for in the console. */
const MOST_PEOPLE = 500

const rowId = whole(1, Number.MAX_SAFE_INTEGER)
const nothing = shape({})

export function accountCalls(parts: Parts): { readonly [N in AccountCallName]: Handler<N> } {
  const { context, own, recoveries } = parts
  const proved = async (signedIn: SignedIn, caller: Caller): Promise<null> => {
    await caller.signIn(signedIn.token)
    return null
  }
  /** Most calls change something and answer nothing. */
  const changing = async (caller: Caller, change: (me: CurrentSession) => Promise<void>): Promise<null> => {
    await change(await signedIn(caller))
    return null
  }
  return {
    'account/prove/password': call<'account/prove/password'>(
      shape({ password, code: optional(code) }),
      async (typed, caller) => proved(await own.proveByPassword(await signedIn(caller), caller.visitor, typed), caller),
    ),
    'account/prove/begin': call<'account/prove/begin'>(nothing, async (_ask, caller) =>
      own.beginProof(await signedIn(caller), caller.visitor, passkeySite(caller.site)),
    ),
    'account/prove/passkey': call<'account/prove/passkey'>(
      shape({ ceremony, response: assertion }),
      async ({ ceremony, response }, caller) =>
        proved(await own.proveByPasskey(await signedIn(caller), caller.visitor, ceremony, response), caller),
    ),
    'account/passkey/begin': call<'account/passkey/begin'>(nothing, async (_ask, caller) =>
      own.beginPasskey(await signedIn(caller), caller.visitor, passkeySite(caller.site)),
    ),
    'account/passkey/add': call<'account/passkey/add'>(
      shape({ ceremony, response: registration, passkeyName }),
      ({ ceremony, response, passkeyName }, caller) =>
        changing(caller, (me) =>
          own.addPasskey(me, caller.visitor, { ceremony, response, name: checkedName(passkeyName) }),
        ),
    ),
    'account/passkey/rename': call<'account/passkey/rename'>(
      shape({ id: base64url, name: passkeyName }),
      ({ id, name }, caller) => changing(caller, (me) => own.renamePasskey(me, id, checkedName(name))),
    ),
    'account/passkey/remove': call<'account/passkey/remove'>(shape({ id: base64url }), ({ id }, caller) =>
      changing(caller, (me) => own.removePasskey(me, id)),
    ),
    'account/password/set': call<'account/password/set'>(shape({ password }), ({ password }, caller) =>
      changing(caller, (me) => own.setPassword(me, password)),
    ),
    'account/password/remove': call<'account/password/remove'>(nothing, (_ask, caller) =>
      changing(caller, (me) => own.removePassword(me)),
    ),
    'account/totp/begin': call<'account/totp/begin'>(nothing, async (_ask, caller) => {
      const me = await signedIn(caller)
      const { secret, pending } = await own.beginTotp(me)
      const uri = otpauthUri(secret, new URL(context.publicUrl).hostname, me.user.name)
      return { secret: base32(secret), uri, pending }
    }),
    'account/totp/confirm': call<'account/totp/confirm'>(
      shape({ pending: text(256), code }),
      ({ pending, code }, caller) => changing(caller, (me) => own.confirmTotp(me, pending, code)),
    ),
    'account/totp/remove': call<'account/totp/remove'>(nothing, (_ask, caller) =>
      changing(caller, (me) => own.removeTotp(me)),
    ),
    'account/oidc/remove': call<'account/oidc/remove'>(
      shape({ provider, subject: text(255) }),
      ({ provider, subject }, caller) => changing(caller, (me) => own.removeElsewhere(me, provider, subject)),
    ),
    'account/recovery-codes/make': call<'account/recovery-codes/make'>(nothing, async (_ask, caller) => ({
      codes: await own.makeRecoveryCodes(await signedIn(caller)),
    })),
    'account/session/end': call<'account/session/end'>(shape({ id: rowId }), ({ id }, caller) =>
      changing(caller, (me) => own.endSession(me, id)),
    ),
    'account/session/end-others': call<'account/session/end-others'>(nothing, (_ask, caller) =>
      changing(caller, (me) => own.endOtherSessions(me)),
    ),
    'account/invite': call<'account/invite'>(shape({ name, role: oneOf(...ROLES) }), async ({ name, role }, caller) => {
      const me = await signedIn(caller)
      own.mustBeFresh(me)
      return invite(context, me.user, name, role)
    }),
    'account/recovery/start': call<'account/recovery/start'>(shape({ person: rowId }), ({ person }, caller) =>
      changing(caller, async (me) => {
        own.mustBeFresh(me)
        await recoveries.start(me.user, person)
      }),
    ),
    // Never asks for more: whoever sees it must be able to stop it at once.
    'account/recovery/stop': call<'account/recovery/stop'>(shape({ id: rowId }), ({ id }, caller) =>
      changing(caller, (me) => recoveries.stop(me.user, id)),
    ),
    'account/recovery/link': call<'account/recovery/link'>(shape({ id: rowId }), async ({ id }, caller) => {
      const me = await signedIn(caller)
      own.mustBeFresh(me)
      return recoveries.link(me.user, id)
    }),
  }
}

export async function accountPage(parts: Parts, { user, session }: CurrentSession): Promise<AccountPage> {
  const { context, own, recoveries } = parts
  const open = await recoveries.open()
  const methods = await own.methods(user)
  const sessions = await context.registry.read(({ identity }) => identity.sessionsOf(user.id))
  const view = (recovery: Recovery): RecoveryView => recoveryView(recovery, context.registry.user(recovery.helperId))
  const helped = context
    .users()
    .filter((person) => mayHelp(user, person))
    .slice(0, MOST_PEOPLE)
  return {
    account: accountView(user),
    role: user.role,
    nowMs: context.clock.wallNow(),
    freshUntilMs: session.createdAtMs + FRESH_MS,
    passkeys: methods.passkeys.map(
      ({ id, name, rpId, isUsable, copiedAtMs, mayRemove, createdAtMs, lastUsedAtMs }) => ({
        id,
        name,
        host: rpId,
        isUsable,
        copiedAtMs,
        mayRemove,
        createdAtMs,
        lastUsedAtMs,
      }),
    ),
    password: methods.password,
    totpSinceMs: methods.totpSinceMs,
    recoveryCodes: methods.recoveryCodes,
    elsewhere: methods.elsewhere.map(({ provider, subject, shown, createdAtMs, lastUsedAtMs, mayRemove }) => ({
      provider: provider.name,
      label: provider.label,
      subject,
      shown,
      createdAtMs,
      lastUsedAtMs,
      endsAtMs: provider.leaveAtMs,
      mayRemove,
    })),
    sessions: sessions.map(({ id, method, browser, source, createdAtMs, usedAtMs }) => ({
      id,
      isThis: id === session.id,
      method,
      browser,
      source,
      createdAtMs,
      usedAtMs,
    })),
    recoveries: open.filter(({ userId }) => userId === user.id).map(view),
    mayInvite: HELPS[user.role],
    people: helped.map((person) => {
      const recovery = open.find(({ userId }) => userId === person.id)
      return { id: person.id, ...accountView(person), role: person.role, recovery: recovery && view(recovery) }
    }),
  }
}

const recoveryView = (recovery: Recovery, helper: User | undefined): RecoveryView => ({
  id: recovery.id,
  helper: helper?.displayName ?? 'somebody',
  startedAtMs: recovery.startedAtMs,
  readyAtMs: recovery.readyAtMs,
})

function checkedName(typed: string): string {
  const name = plainText(typed).trim()
  if (name === '') throw new IdentityError('login/bad-request', 'Type a name for the passkey.')
  return name
}
