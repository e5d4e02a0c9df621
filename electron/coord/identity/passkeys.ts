// The two ceremonies of WebAuthn (Level 3, §7.1 and §7.2). @simplewebauthn checks most of what is to be checked; the rest
// is here. Nothing about an authenticator's maker is asked for or believed (attestation "none").

import type {
  AuthenticationResponseJSON,
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
  RegistrationResponseJSON,
} from '@simplewebauthn/server'
import { equalBytes } from '../../base/bytes.ts'
import { messageOf } from '../../base/errors.ts'
import type { Passkey } from '../store/identity-store.ts'
import { IdentityError } from './identity-error.ts'

/** ES256 and RS256: every authenticator makes one of the two, and every runtime of ours can check both. */
const ALGORITHMS = [-7, -257]
/** WebAuthn §7.1, step 25. */
const MOST_ID_BYTES = 1023
const MOST_TRANSPORTS = 8
/** How long the browser's own dialog may stay open; less than the ceremony lives. */
const DIALOG_MS = 4 * 60_000

export interface Site {
  /** Scheme, host and port, as the browser says it. */
  readonly origin: string
  /** What passkeys are bound to. */
  readonly rpId: string
}

export interface CreationWish extends Site {
  readonly challenge: string
  readonly networkName: string
  readonly user: { readonly handle: Uint8Array; readonly name: string; readonly displayName: string }
  /** A device that has one of these makes no second one. */
  readonly has: readonly Pick<Passkey, 'id' | 'transports'>[]
}

export async function creationOptions(wish: CreationWish): Promise<PublicKeyCredentialCreationOptionsJSON> {
  const { generateRegistrationOptions } = await import('@simplewebauthn/server')
  return generateRegistrationOptions({
    rpID: wish.rpId,
    rpName: wish.networkName,
    challenge: bytesOf(wish.challenge),
    userID: new Uint8Array(wish.user.handle),
    userName: wish.user.name,
    userDisplayName: wish.user.displayName,
    timeout: DIALOG_MS,
    attestationType: 'none',
    excludeCredentials: wish.has.map(({ id, transports }) => ({ id, transports: [...transports] })),
    // Discoverable, so that signing in needs no name; verified, since it is the only thing asked for.
    authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
    supportedAlgorithmIDs: ALGORITHMS,
  })
}

export type CreatedPasskey = Pick<Passkey, 'id' | 'publicKey' | 'counter' | 'transports' | 'rpId'>

export async function checkCreation(
  response: RegistrationResponseJSON,
  asked: Site & { readonly challenge: string },
): Promise<CreatedPasskey> {
  refuseCrossOrigin(response.response.clientDataJSON)
  const { verifyRegistrationResponse } = await import('@simplewebauthn/server')
  const { verified, registrationInfo } = await refusing(() =>
    verifyRegistrationResponse({
      response,
      expectedChallenge: asked.challenge,
      expectedOrigin: asked.origin,
      expectedRPID: asked.rpId,
      requireUserPresence: true,
      requireUserVerification: true,
      supportedAlgorithmIDs: ALGORITHMS,
    }),
  )
  if (!verified) throw refused('not verified')
  const { id, publicKey, counter } = registrationInfo.credential
  if (bytesOf(id).length > MOST_ID_BYTES) throw refused('its id is too long')
  const transports = (response.response.transports ?? [])
    .filter((transport) => /^[a-z-]{1,20}$/.test(transport))
    .slice(0, MOST_TRANSPORTS)
  return { id, publicKey: new Uint8Array(publicKey), counter, transports, rpId: asked.rpId }
}

export async function requestOptions(
  asked: Site & { readonly challenge: string },
): Promise<PublicKeyCredentialRequestOptionsJSON> {
  const { generateAuthenticationOptions } = await import('@simplewebauthn/server')
  return generateAuthenticationOptions({
    rpID: asked.rpId,
    challenge: bytesOf(asked.challenge),
    timeout: DIALOG_MS,
    userVerification: 'required',
  })
}

/** The new counter. Throws when the answer proves nothing, or shows that there may be two of this passkey. */
export async function checkAssertion(
  response: AuthenticationResponseJSON,
  asked: Site & { readonly challenge: string },
  passkey: Passkey,
  handle: Uint8Array | undefined,
): Promise<number> {
  refuseCrossOrigin(response.response.clientDataJSON)
  const claimed = response.response.userHandle
  // Required of discoverable passkeys, which are the only ones we make (§7.2, step 6).
  if (claimed === undefined || !handle || !equalBytes(bytesOf(claimed), handle)) throw refused('another user handle')
  const { verifyAuthenticationResponse } = await import('@simplewebauthn/server')
  const { verified, authenticationInfo } = await refusing(() =>
    verifyAuthenticationResponse({
      response,
      expectedChallenge: asked.challenge,
      expectedOrigin: asked.origin,
      expectedRPID: asked.rpId,
      requireUserVerification: true,
      // The counter is looked at below, where its own answer can be given.
      credential: { id: passkey.id, publicKey: new Uint8Array(passkey.publicKey), counter: 0 },
    }),
  )
  if (!verified) throw refused('not verified')
  if (!isPlausible(passkey.counter, authenticationInfo.newCounter))
    throw new IdentityError(
      'login/passkey-copied',
      'This passkey counts its uses, and its count went back. Somebody may have copied it, so it is not accepted. ' +
        'Sign in another way, or ask the owner of this network for a new link.',
    )
  return authenticationInfo.newCounter
}

/** Passkeys that several devices share do not count and say 0 each time; others must always say more than before (§6.1.1). */
export function isPlausible(before: number, now: number): boolean {
  return now > before || (now === 0 && before === 0)
}

/** A page of another site that shows ours in a frame; the library does not look for it in every case. */
function refuseCrossOrigin(clientDataJson: string): void {
  let data: unknown
  try {
    data = JSON.parse(Buffer.from(clientDataJson, 'base64url').toString('utf8'))
  } catch (error) {
    throw refused('malformed client data', error)
  }
  if (typeof data !== 'object' || data === null) throw refused('malformed client data')
  if (('crossOrigin' in data && data.crossOrigin !== false) || 'topOrigin' in data) throw refused('inside another page')
}

async function refusing<T>(check: () => Promise<T>): Promise<T> {
  try {
    return await check()
  } catch (error) {
    throw refused(messageOf(error), error)
  }
}

const refused = (why: string, cause?: unknown): IdentityError =>
  new IdentityError('login/passkey-refused', 'The passkey’s answer could not be verified. Try again.', {
    cause: cause ?? new Error(why),
  })

const bytesOf = (base64url: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(base64url, 'base64url'))
