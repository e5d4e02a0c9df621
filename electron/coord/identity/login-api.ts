// What the pages ask and are told. Types only: the browser's side imports them too.
//
//   POST /login/api/<name>, JSON → { ok: true, value } | { ok: false, code, message, retryAfterMs? }

import type {
  AuthenticationResponseJSON,
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
  RegistrationResponseJSON,
} from '@simplewebauthn/server'

/** What a page is about: a machine that waits, or a one-time link. */
export type Place = { readonly login: string } | { readonly enrol: string }

export type Stage =
  | { readonly kind: 'first'; readonly machine: MachineView }
  | { readonly kind: 'sign-in'; readonly machine: MachineView }
  /** There are accounts, but none has a way to sign in yet. */
  | { readonly kind: 'no-way-in'; readonly machine: MachineView }
  | { readonly kind: 'approve'; readonly machine: MachineView; readonly account: AccountView }
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
  readonly stage: Stage
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

export interface Calls {
  state: { ask: Place; value: PageState }
  'sign-in/password': { ask: { login: string; name: string; password: string }; value: { account: AccountView } }
  'sign-in/begin': { ask: { login: string }; value: Begun<PublicKeyCredentialRequestOptionsJSON> }
  'sign-in/passkey': {
    ask: { ceremony: string; response: AuthenticationResponseJSON }
    value: { account: AccountView }
  }
  'first/password': { ask: { login: string; name: string; password: string }; value: { account: AccountView } }
  'first/begin': { ask: { login: string; name: string }; value: Begun<PublicKeyCredentialCreationOptionsJSON> }
  'first/passkey': {
    ask: { login: string; ceremony: string; response: RegistrationResponseJSON; passkeyName: string }
    value: { account: AccountView }
  }
  approve: { ask: { login: string }; value: null }
  refuse: { ask: { login: string }; value: null }
  'sign-out': { ask: Readonly<Record<string, never>>; value: null }
  'enrol/password': { ask: { enrol: string; password: string }; value: { account: AccountView } }
  'enrol/begin': { ask: { enrol: string }; value: Begun<PublicKeyCredentialCreationOptionsJSON> }
  'enrol/passkey': {
    ask: { enrol: string; ceremony: string; response: RegistrationResponseJSON; passkeyName: string }
    value: { account: AccountView }
  }
}

export interface Begun<Options> {
  readonly ceremony: string
  readonly options: Options
}

export type CallName = keyof Calls

export type Reply<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly code: string; readonly message: string; readonly retryAfterMs?: number }
