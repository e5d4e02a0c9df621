import { startAuthentication, startRegistration, WebAuthnError } from '@simplewebauthn/browser'
import { systemName } from '../../identity/browser-name.ts'
import type { PageState } from '../../identity/login-api.ts'
import { Refusal } from './api.ts'
import { words } from './words.ts'

/** Why the page offers no passkeys; undefined when it does. */
export function withoutPasskeys(state: PageState): string | undefined {
  if (state.noPasskeys) return words.noPasskeys[state.noPasskeys]
  return 'PublicKeyCredential' in window ? undefined : words.noPasskeys.browser
}

export const createPasskey: typeof startRegistration = (options) => inWords(() => startRegistration(options))

export const askPasskey: typeof startAuthentication = (options) => inWords(() => startAuthentication(options))

/** So that the person can tell several passkeys apart later. */
export function passkeyName(): string {
  return words.passkeyName(systemName(navigator.userAgent) ?? 'another system')
}

async function inWords<T>(ceremony: () => Promise<T>): Promise<T> {
  try {
    return await ceremony()
  } catch (error) {
    throw new Refusal('page/passkey', textOf(error))
  }
}

function textOf(error: unknown): string {
  if (error instanceof WebAuthnError) {
    if (error.code === 'ERROR_AUTHENTICATOR_PREVIOUSLY_REGISTERED') return words.trouble.passkeyKnown
    if (/MISSING_(DISCOVERABLE_CREDENTIAL|USER_VERIFICATION)_SUPPORT|NO_SUPPORTED_PUBKEYCREDPARAMS/.test(error.code))
      return words.trouble.passkeyUnable
    if (/INVALID_(DOMAIN|RP_ID)/.test(error.code)) return words.noPasskeys.address
  }
  return words.trouble.passkeyCancelled
}
