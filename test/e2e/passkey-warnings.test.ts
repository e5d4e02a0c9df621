// What the pages tell of a passkey that may have been copied, and of one made for a name the server had before.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { scene, shoot, skip, visit, withBrowser } from './login-scene.ts'

withBrowser()

test('the owner of a passkey that may have been copied sees it on the account page', { skip }, async (t) => {
  const { coord } = await scene(t)
  const at = await visit(t, (await coord.admin.setupCode())?.url ?? '')
  await at.page.getByLabel('Name').fill('ines')
  await at.button('Create with a passkey').click()
  await at.heading('Your account')
  await at.button('Sign out').click()
  await at.button('Use a passkey').click()
  await at.heading('Your account')
  assert.equal(await at.page.getByText('its count went back').count(), 0)
  await at.button('Sign out').click()

  const { authenticator: authenticatorId } = at
  const { credentials } = await at.cdp.send('WebAuthn.getCredentials', { authenticatorId })
  const [credential] = credentials
  assert.ok(credential)
  const countTo = async (signCount: number): Promise<void> => {
    await at.cdp.send('WebAuthn.clearCredentials', { authenticatorId })
    await at.cdp.send('WebAuthn.addCredential', { authenticatorId, credential: { ...credential, signCount } })
  }
  await countTo(0)
  await at.button('Use a passkey').click()
  await at.page.getByText('its count went back').waitFor()
  await countTo(1_000)
  await at.button('Use a passkey').click()
  await at.heading('Your account')
  await at.page.getByRole('alert').filter({ hasText: 'Add another, then remove this one' }).waitFor()
  await shoot(at, 'passkey-copied-account')
})

test('after a change of name the sign-in page says what to do, and so does the account page', { skip }, async (t) => {
  const { coord } = await scene(t)
  const at = await visit(t, (await coord.admin.setupCode())?.url ?? '')
  await at.page.getByLabel('Name').fill('ines')
  await at.button('Create with a passkey').click()
  await at.heading('Your account')
  // As if it had been made at another name: the server's own cannot change under a browser that knows localhost only.
  await at.page.route('**/login/api/state', async (route) => {
    const response = await route.fetch()
    const text = await response.text()
    const former = text.replace('"formerHosts":[]', '"formerHosts":["old.example.org"]')
    const body = former.replace('"host":"localhost","isUsable":true', '"host":"old.example.org","isUsable":false')
    await route.fulfill({ response, body })
  })
  await at.page.reload()
  await at.page.getByText('Add a passkey for localhost, then remove the old one').waitFor()
  await shoot(at, 'former-host-account')
  await at.button('Sign out').click()
  await at.page.getByText('This server was called old.example.org before').waitFor()
  await shoot(at, 'former-host-sign-in')
  // What is still under way ends with the browser.
  await at.page.unrouteAll({ behavior: 'ignoreErrors' })
})
