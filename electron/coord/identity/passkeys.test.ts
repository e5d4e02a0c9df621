import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { isCoded } from '../../base/errors.ts'
import type { Passkey } from '../store/identity-store.ts'
import { checkAssertion, checkCreation, creationOptions, isPlausible, requestOptions } from './passkeys.ts'
import { SoftAuthenticator, type Lies } from './soft-authenticator.ts'

const site = { origin: 'https://home.example.org', rpId: 'home.example.org' }
const newChallenge = (): string => randomBytes(32).toString('base64url')
const handle = new Uint8Array(randomBytes(32))

async function creation(lies: Lies) {
  const challenge = newChallenge()
  const user = { handle, name: 'ines', displayName: 'Ines' }
  const options = await creationOptions({ ...site, challenge, networkName: 'home', user, has: [] })
  const authenticator = new SoftAuthenticator(site.origin)
  return {
    options,
    authenticator,
    made: () => checkCreation(authenticator.create(options, lies), { ...site, challenge }),
  }
}

async function made(): Promise<{ passkey: Passkey; authenticator: SoftAuthenticator }> {
  const { authenticator, made } = await creation({})
  const created = await made()
  const passkey = { ...created, userId: 1, name: '', createdAtMs: 0, lastUsedAtMs: undefined }
  return { passkey, authenticator }
}

const isRefused = (error: unknown): boolean => isCoded(error, 'login/passkey-refused')

const liesOfBoth: Readonly<Record<string, Lies>> = {
  'the other ceremony': { type: 'webauthn.other' },
  'another challenge': { challenge: newChallenge() },
  'no challenge': { challenge: '' },
  'a sub-domain': { origin: 'https://evil.home.example.org' },
  'the parent domain': { origin: 'https://example.org' },
  'another port': { origin: 'https://home.example.org:8443' },
  'plain http': { origin: 'http://home.example.org' },
  'a dot at the end': { origin: 'https://home.example.org.' },
  'a look-alike': { origin: 'https://home.exаmple.org' },
  'another RP id': { rpId: 'example.org' },
  'a frame in another page': { crossOrigin: true },
  'a frame in a named page': { crossOrigin: true, topOrigin: 'https://evil.example' },
  'a named page above, and no frame': { topOrigin: 'https://evil.example' },
  'nobody there': { isPresent: false },
  'nobody verified': { isVerified: false },
}

test('a new passkey is discoverable, verified, says nothing about its maker, and is taken as it is', async () => {
  const { options } = await creation({})
  assert.deepEqual(
    [
      options.authenticatorSelection?.residentKey,
      options.authenticatorSelection?.userVerification,
      options.attestation,
    ],
    ['required', 'required', 'none'],
  )
  assert.equal(options.user.id, Buffer.from(handle).toString('base64url'))
  const { passkey } = await made()
  assert.deepEqual([passkey.rpId, passkey.transports, passkey.counter], ['home.example.org', ['internal'], 0])
})

for (const [name, lies] of Object.entries({
  ...liesOfBoth,
  'an algorithm that was not offered': { algorithm: -8 },
  'an id without end': { idBytes: 1024 },
}))
  test(`a new passkey is refused: ${name}`, async () => {
    const { made } = await creation(lies)
    await assert.rejects(made, isRefused)
  })

test('a passkey answers its challenge and tells its count', async () => {
  const { passkey, authenticator } = await made()
  const challenge = newChallenge()
  const options = await requestOptions({ ...site, challenge })
  assert.deepEqual([options.allowCredentials ?? [], options.userVerification], [[], 'required'])
  assert.equal(await checkAssertion(authenticator.answer(options), { ...site, challenge }, passkey, handle), 1)
})

for (const [name, lies] of Object.entries({
  ...liesOfBoth,
  'no user handle': { userHandle: undefined },
  'the user handle of another': { userHandle: randomBytes(32).toString('base64url') },
  'a signature over something else': { signed: Buffer.from('something else') },
}))
  test(`a passkey’s answer is refused: ${name}`, async () => {
    const { passkey, authenticator } = await made()
    const challenge = newChallenge()
    const answer = authenticator.answer(await requestOptions({ ...site, challenge }), lies)
    await assert.rejects(checkAssertion(answer, { ...site, challenge }, passkey, handle), isRefused)
  })

test('another passkey’s answer under this one’s id is refused', async () => {
  const [{ passkey }, other] = [await made(), await made()]
  const challenge = newChallenge()
  const answer = other.authenticator.answer(await requestOptions({ ...site, challenge }))
  const renamed = { ...answer, id: passkey.id, rawId: passkey.id }
  await assert.rejects(checkAssertion(renamed, { ...site, challenge }, passkey, handle), isRefused)
})

test('a count that went back is refused with an answer of its own', async () => {
  const { passkey, authenticator } = await made()
  const challenge = newChallenge()
  for (const counter of [7, 6, 0]) {
    const answer = authenticator.answer(await requestOptions({ ...site, challenge }), { counter })
    const check = checkAssertion(answer, { ...site, challenge }, { ...passkey, counter: 7 }, handle)
    await assert.rejects(check, (error) => isCoded(error, 'login/passkey-copied'))
  }
})

test('passkeys of several devices do not count, and that is no sign of a copy', () => {
  assert.deepEqual(
    [isPlausible(0, 0), isPlausible(0, 1), isPlausible(5, 6), isPlausible(5, 5), isPlausible(5, 0)],
    [true, true, true, false, false],
  )
})
