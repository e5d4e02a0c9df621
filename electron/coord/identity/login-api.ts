// What the pages ask and are told. Types only: the browser's side imports them too.
//
//   POST /login/api/<name>, JSON → { ok: true, value } | { ok: false, code, message, retryAfterMs? }

import type {
  AuthenticationResponseJSON,
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
  RegistrationResponseJSON,
} from '@simplewebauthn/server'

/** What a page is about: a machine that waits, a one-time link, or one's own account. */
export type Place = { readonly login: string } | { readonly enrol: string } | { readonly account: true }

export type Stage =
  | { readonly kind: 'first'; readonly machine: MachineView | undefined }
  /** Passkeys made for `formerHosts` do not work here: the server's name changed. */
  | {
      readonly kind: 'sign-in'
      readonly machine: MachineView | undefined
      readonly formerHosts: readonly string[]
    }
  /** There are accounts, but none has a way to sign in yet. */
  | { readonly kind: 'no-way-in' }
  | {
      readonly kind: 'approve'
      readonly machine: MachineView
      readonly account: AccountView
      readonly recoveries: readonly RecoveryView[]
    }
  | { readonly kind: 'account'; readonly page: AccountPage }
  | { readonly kind: 'login-over' }
  | { readonly kind: 'enrol'; readonly account: AccountView; readonly replaces: boolean }
  | { readonly kind: 'link-over' }

export interface PageState {
  /** To be sent with every call but this. */
  readonly token: string
  readonly host: string
  /** Why there are no passkeys here; undefined where there are. */
  readonly noPasskeys: 'address' | 'not-encrypted' | undefined
  /** True where others on the way can read what is typed. */
  readonly isReadable: boolean
  /** Whose accounts people sign in with, beside those of this server. */
  readonly providers: readonly ProviderView[]
  readonly stage: Stage
}

export interface ProviderView {
  readonly name: string
  /** On the button. */
  readonly label: string
  /** The network leaves it: not for who sets up something new. */
  readonly isLeft: boolean
}

/** Said by the machine itself, so never more than text. */
export interface MachineView {
  readonly name: string
  readonly system: string
  readonly source: string
  readonly askedSecondsAgo: number
  /** The beginning of its machine key, as the device shows it. */
  readonly key: string
}

export interface AccountView {
  readonly name: string
  readonly displayName: string
}

/** Somebody is about to give this account a new way in. */
export interface RecoveryView {
  readonly id: number
  /** Who does; a name, or "somebody" whose account is gone. */
  readonly helper: string
  readonly startedAtMs: number
  readonly readyAtMs: number
}

/** All that a person sees of their own account. Times are of the server's clock, as `nowMs` is. */
export interface AccountPage {
  readonly account: AccountView
  readonly role: 'owner' | 'admin' | 'member' | 'auditor'
  readonly nowMs: number
  /** Until when the sign-in counts for what could take the account over. */
  readonly freshUntilMs: number
  readonly passkeys: readonly PasskeyView[]
  readonly password: { readonly changedAtMs: number; readonly mayRemove: boolean } | undefined
  /** Since when codes of an app are asked for beside the password. */
  readonly totpSinceMs: number | undefined
  readonly recoveryCodes: { readonly left: number; readonly createdAtMs: number } | undefined
  /** At providers, by which this person signs in. */
  readonly elsewhere: readonly ElsewhereView[]
  readonly sessions: readonly SessionView[]
  /** Of this account, by others. */
  readonly recoveries: readonly RecoveryView[]
  /** With which roles this person may invite others. */
  readonly mayInvite: readonly AccountPage['role'][]
  /** Whom this person may let in again. */
  readonly people: readonly PersonView[]
}

export interface PasskeyView {
  readonly id: string
  readonly name: string
  /** The name of the server it was made for. */
  readonly host: string
  readonly isUsable: boolean
  /** When its count of uses went back, last: somebody may have copied it. */
  readonly copiedAtMs: number | undefined
  readonly mayRemove: boolean
  readonly createdAtMs: number
  readonly lastUsedAtMs: number | undefined
}

export interface ElsewhereView {
  readonly provider: string
  readonly label: string
  /** Tells several at one provider apart. */
  readonly subject: string
  /** As the person knows it: an address or a name. */
  readonly shown: string
  readonly createdAtMs: number
  readonly lastUsedAtMs: number
  /** From then on it signs nobody in; undefined while nobody plans that. */
  readonly endsAtMs: number | undefined
  readonly mayRemove: boolean
}

export interface SessionView {
  readonly id: number
  readonly isThis: boolean
  readonly method: 'passkey' | 'password' | 'recovery-code' | 'oidc'
  readonly browser: string
  readonly source: string
  readonly createdAtMs: number
  readonly usedAtMs: number
}

export interface PersonView extends AccountView {
  readonly id: number
  readonly role: string
  readonly recovery: RecoveryView | undefined
}

/** Left out at the page of one's own account, where no machine waits. */
type Login = string | undefined

export interface Calls {
  state: { ask: Place; value: PageState }
  'sign-in/password': {
    ask: { login: Login; name: string; password: string; code: string | undefined }
    value: { account: AccountView }
  }
  'sign-in/recovery-code': {
    ask: { login: Login; name: string; code: string }
    value: { account: AccountView }
  }
  'sign-in/begin': { ask: { login: Login }; value: Begun<PublicKeyCredentialRequestOptionsJSON> }
  'sign-in/passkey': {
    ask: { ceremony: string; response: AuthenticationResponseJSON }
    value: { account: AccountView }
  }
  'first/password': {
    ask: { login: Login; setupCode: string; name: string; password: string }
    value: { account: AccountView }
  }
  'first/begin': {
    ask: { login: Login; setupCode: string; name: string }
    value: Begun<PublicKeyCredentialCreationOptionsJSON>
  }
  'first/passkey': {
    ask: { login: Login; ceremony: string; response: RegistrationResponseJSON; passkeyName: string }
    value: { account: AccountView }
  }
  /** `url` is the provider's page, for which the browser leaves; it comes back at /login/oidc/<provider>/callback. */
  'oidc/begin': {
    ask: { provider: string; purpose: 'sign-in' | 'prove' | 'link' | 'enrol'; login: Login; enrol?: Login }
    value: { url: string }
  }
  /** `query` is what the provider sent the browser back with. */
  'oidc/finish': {
    ask: { provider: string; query: string }
    value: {
      login: Login
      enrol: Login
      /** Whose one-time link was used. */
      enrolled: AccountView | undefined
      refused: { code: string; message: string } | undefined
    }
  }
  approve: { ask: { login: string }; value: null }
  refuse: { ask: { login: string }; value: null }
  'sign-out': { ask: Nothing; value: null }
  'enrol/password': { ask: { enrol: string; password: string }; value: { account: AccountView } }
  'enrol/begin': { ask: { enrol: string }; value: Begun<PublicKeyCredentialCreationOptionsJSON> }
  'enrol/passkey': {
    ask: { enrol: string; ceremony: string; response: RegistrationResponseJSON; passkeyName: string }
    value: { account: AccountView }
  }

  'account/prove/password': { ask: { password: string; code: string | undefined }; value: null }
  'account/prove/begin': { ask: Nothing; value: Begun<PublicKeyCredentialRequestOptionsJSON> }
  'account/prove/passkey': { ask: { ceremony: string; response: AuthenticationResponseJSON }; value: null }
  'account/passkey/begin': { ask: Nothing; value: Begun<PublicKeyCredentialCreationOptionsJSON> }
  'account/passkey/add': {
    ask: { ceremony: string; response: RegistrationResponseJSON; passkeyName: string }
    value: null
  }
  'account/passkey/rename': { ask: { id: string; name: string }; value: null }
  'account/passkey/remove': { ask: { id: string }; value: null }
  'account/password/set': { ask: { password: string }; value: null }
  'account/password/remove': { ask: Nothing; value: null }
  /** `secret` to type, `uri` for a QR code; `pending` goes back with the first code. */
  'account/totp/begin': { ask: Nothing; value: { secret: string; uri: string; pending: string } }
  'account/totp/confirm': { ask: { pending: string; code: string }; value: null }
  'account/totp/remove': { ask: Nothing; value: null }
  'account/oidc/remove': { ask: { provider: string; subject: string }; value: null }
  'account/recovery-codes/make': { ask: Nothing; value: { codes: readonly string[] } }
  'account/session/end': { ask: { id: number }; value: null }
  'account/session/end-others': { ask: Nothing; value: null }
  'account/invite': {
    ask: { name: string; role: AccountPage['role'] }
    value: { url: string; expiresAtMs: number }
  }
  'account/recovery/start': { ask: { person: number }; value: null }
  'account/recovery/stop': { ask: { id: number }; value: null }
  'account/recovery/link': { ask: { id: number }; value: { url: string; expiresAtMs: number } }
}

type Nothing = Readonly<Record<string, never>>

export interface Begun<Options> {
  readonly ceremony: string
  readonly options: Options
}

export type CallName = keyof Calls

export type Reply<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly code: string; readonly message: string; readonly retryAfterMs?: number }
