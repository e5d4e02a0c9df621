// What a person is told of a passkey that may have been copied, and of one made for a name the server no longer has.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type {
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
} from '@simplewebauthn/server'
import type { AccountPage } from './login-api.ts'
import { SoftAuthenticator } from './soft-authenticator.ts'
import { type Answer, Browser, PASSWORD, site, withOwner } from './test-site.ts'

const ACCOUNT = { account: true } as const

async function addPasskey(browser: Browser): Promise<SoftAuthenticator> {
  const key = new SoftAuthenticator(browser.origin)
  const { body } = await browser.call('account/passkey/begin', {})
  const response = key.create(body.value?.['options'] as PublicKeyCredentialCreationOptionsJSON)
  const made = { ceremony: body.value?.['ceremony'], response, passkeyName: 'key' }
  assert.equal((await browser.call('account/passkey/add', made)).status, 200)
  return key
}

async function usePasskey(
  browser: Browser,
  key: SoftAuthenticator,
  names: 'sign-in' | 'prove',
  counter?: number,
): Promise<Answer> {
  const prefix = names === 'sign-in' ? 'sign-in' : 'account/prove'
  const { body } = await browser.call(`${prefix}/begin`, names === 'sign-in' ? { login: undefined } : {})
  const lies = counter === undefined ? {} : { counter }
  const response = key.answer(body.value?.['options'] as PublicKeyCredentialRequestOptionsJSON, lies)
  return browser.call(`${prefix}/passkey`, { ceremony: body.value?.['ceremony'], response })
}

async function passkeysOf(browser: Browser): Promise<AccountPage['passkeys']> {
  const stage = await browser.open(ACCOUNT)
  return (stage['page'] as AccountPage).passkeys
}

test('a passkey whose count went back is shown to its owner until it is removed', async (t) => {
  for (const where of ['sign-in', 'prove'] as const) {
    const it = await withOwner(t)
    const key = await addPasskey(it.browser)
    const other = new Browser(it)
    await other.open(ACCOUNT)
    assert.equal((await usePasskey(other, key, 'sign-in', 50)).status, 200)
    assert.deepEqual(
      (await passkeysOf(it.browser)).map(({ copiedAtMs }) => copiedAtMs),
      [undefined],
    )
    it.clock.advance(30_000)
    const copy = await usePasskey(where === 'prove' ? it.browser : other, key, where, 49)
    assert.equal(copy.body.code, 'login/passkey-copied')
    const seenAtMs = it.clock.wallNow()
    assert.deepEqual(
      (await passkeysOf(it.browser)).map(({ copiedAtMs }) => copiedAtMs),
      [seenAtMs],
    )
    // The one that counts on is still its owner's; what was seen stays.
    it.clock.advance(30_000)
    assert.equal((await usePasskey(other, key, 'sign-in', 60)).status, 200)
    const [shown] = await passkeysOf(it.browser)
    assert.equal(shown?.copiedAtMs, seenAtMs)
    assert.equal((await it.browser.call('account/passkey/remove', { id: shown?.id })).status, 200)
    await addPasskey(it.browser)
    assert.deepEqual(
      (await passkeysOf(it.browser)).map(({ copiedAtMs }) => copiedAtMs),
      [undefined],
    )
  }
})

test('after a change of the server’s name the page says why the passkey does not work, until nobody has one of that name', async (t) => {
  const before = await withOwner(t)
  await addPasskey(before.browser)
  const stranger = new Browser(before)
  assert.deepEqual(await stranger.open(ACCOUNT), { kind: 'sign-in', formerHosts: [] })

  const after = await site(t, 'https://new.example.org', before)
  const browser = new Browser(after, 'https://new.example.org')
  assert.deepEqual(await browser.open(ACCOUNT), { kind: 'sign-in', formerHosts: ['home.example.org'] })
  assert.equal((await browser.call('sign-in/password', { name: 'ines', password: PASSWORD })).status, 200)
  const [old] = await passkeysOf(browser)
  assert.deepEqual([old?.host, old?.isUsable, old?.mayRemove], ['home.example.org', false, true])
  const key = await addPasskey(browser)
  assert.equal((await browser.call('account/passkey/remove', { id: old?.id })).status, 200)
  await browser.call('sign-out', {})
  assert.deepEqual(await browser.open(ACCOUNT), { kind: 'sign-in', formerHosts: [] })
  assert.equal((await usePasskey(browser, key, 'sign-in')).status, 200)
})
