// The login page of a real server in a real browser, with passkeys from a virtual authenticator.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { firstByPasskey, PASSWORD, scene, shoot, skip, visit, withBrowser } from './login-scene.ts'

withBrowser()

test('the first account is made with a passkey, owns the network, and signs in with it again', { skip }, async (t) => {
  const { coord, ask, setupCode } = await scene(t)
  const one = await ask('ines-laptop')
  const at = await visit(t, one.url)
  await shoot(at, 'first')
  await firstByPasskey(at, setupCode, 'ines')
  await shoot(at, 'approve')
  await at.button('Let this machine in').click()
  await at.heading('ines-laptop is in')
  await shoot(at, 'let-in')
  assert.equal((await one.answer).login.loginName, 'ines')
  assert.deepEqual(
    (await coord.admin.listUsers()).map(({ name, role, nodes }) => [name, role, nodes]),
    [['ines', 'owner', 1]],
  )

  await t.test('a machine that comes later meets somebody signed in, who can change', async () => {
    const two = await ask('nas')
    await at.page.goto(two.url)
    await at.heading('“nas” wants to join')
    await at.button('Use another account').click()
    await at.heading('Sign in')
    await shoot(at, 'sign-in')
    await at.button('Use a passkey').click()
    await at.heading('“nas” wants to join')
    await at.button('Let this machine in').click()
    await at.heading('nas is in')
    assert.equal((await two.answer).login.loginName, 'ines')
    const { credentials } = await at.cdp.send('WebAuthn.getCredentials', { authenticatorId: at.authenticator })
    assert.deepEqual(
      credentials.map(({ rpId, isResidentCredential, signCount }) => [rpId, isResidentCredential, signCount > 1]),
      [['localhost', true, true]],
    )
  })

  await t.test('a passkey whose count went back is refused in words, and written down', async () => {
    const three = await ask('printer')
    await at.page.goto(three.url)
    await at.button('Use another account').click()
    const { credentials } = await at.cdp.send('WebAuthn.getCredentials', { authenticatorId: at.authenticator })
    await at.cdp.send('WebAuthn.clearCredentials', { authenticatorId: at.authenticator })
    const [credential] = credentials
    assert.ok(credential)
    await at.cdp.send('WebAuthn.addCredential', {
      authenticatorId: at.authenticator,
      credential: { ...credential, signCount: 0 },
    })
    await at.button('Use a passkey').click()
    await at.page.getByText('its count went back').waitFor()
    await shoot(at, 'passkey-copied')
    const audit = await coord.admin.auditSince(0)
    assert.ok(audit.some(({ action, detail }) => action === 'sign-in.refused' && detail.includes('went back')))
  })

  await t.test('a passkey this server does not know is refused in words', async () => {
    const other = await scene(t)
    const there = await visit(t, (await other.ask()).url)
    await firstByPasskey(there, other.setupCode, 'karin')
    const { credentials } = await there.cdp.send('WebAuthn.getCredentials', { authenticatorId: there.authenticator })
    await at.cdp.send('WebAuthn.clearCredentials', { authenticatorId: at.authenticator })
    for (const credential of credentials)
      await at.cdp.send('WebAuthn.addCredential', { authenticatorId: at.authenticator, credential })
    await at.button('Use a passkey').click()
    await at.page.getByText('does not know that passkey').waitFor()
  })
})

test('an account with a password: weak ones and wrong ones are refused, and so is a machine', { skip }, async (t) => {
  const { coord, ask, setupCode } = await scene(t)
  const one = await ask('ines-laptop')
  const at = await visit(t, one.url)
  await at.heading('Make this network yours')
  await at.page.getByLabel('Setup code').fill('0000-0000-0000-0000')
  await at.button('Use a password instead').click()
  await at.page.getByLabel('Name').fill('ines')
  const password = at.page.getByLabel('New password')
  assert.deepEqual(
    [await password.getAttribute('autocomplete'), await password.getAttribute('type')],
    ['new-password', 'password'],
  )
  await password.fill(PASSWORD)
  await at.button('Create the account').click()
  await at.page.getByRole('alert').getByText('This is not the setup code').waitFor()
  await shoot(at, 'wrong-setup-code')
  // As people type it.
  await at.page.getByLabel('Setup code').fill(setupCode.replaceAll('-', ' ').toLowerCase())
  await password.fill('short')
  await at.button('Create the account').click()
  await at.page.getByRole('alert').getByText('at least 15 characters').waitFor()
  await password.fill('password12345678')
  await password.press('Enter')
  await at.page.getByText('among the first that get tried').waitFor()
  await shoot(at, 'weak-password')
  await password.fill(PASSWORD)
  await at.button('Show the password').click()
  assert.equal(await password.getAttribute('type'), 'text')
  await password.press('Enter')
  await at.heading(/wants to join/)
  await at.button('Refuse').click()
  await at.heading('Refused')
  await shoot(at, 'refused')
  assert.match((await one.answer).error, /refused/)
  assert.deepEqual(await coord.admin.listNodes(), [])

  await t.test('another browser signs in with it, on a phone, by keyboard', async () => {
    const two = await ask('karin-pixel')
    const phone = await visit(t, two.url, true)
    await phone.heading('Sign in')
    await shoot(phone, 'phone-sign-in')
    await phone.button('Name and password').press('Enter')
    const name = phone.page.getByLabel('Name')
    const typed = phone.page.getByLabel('Password', { exact: true })
    assert.deepEqual(
      [await name.getAttribute('autocomplete'), await typed.getAttribute('autocomplete')],
      ['username', 'current-password'],
    )
    await phone.page.keyboard.type('ines')
    await phone.page.keyboard.press('Tab')
    await phone.page.keyboard.type('not the password')
    await phone.page.keyboard.press('Enter')
    await phone.page.getByText('The name or the password is not right.').waitFor()
    await shoot(phone, 'phone-wrong-password')
    await name.fill('nobody')
    await typed.press('Enter')
    await phone.page.getByText('The name or the password is not right.').waitFor()
    await name.fill('Ines')
    await typed.fill(PASSWORD)
    await typed.press('Enter')
    await phone.heading('“karin-pixel” wants to join')
    // The safe choice has the focus.
    assert.equal(await phone.page.evaluate(() => document.activeElement?.textContent), 'Refuse')
    await shoot(phone, 'phone-approve')
    await phone.page.keyboard.press('Tab')
    await phone.page.keyboard.press('Enter')
    await phone.heading('karin-pixel is in')
    assert.equal((await two.answer).login.loginName, 'ines')
  })

  await t.test('a page whose machine waits no more says so', async () => {
    await at.page.goto(one.url)
    await at.heading('Nothing waits here')
    await shoot(at, 'over')
  })
})

test('a one-time link sets a way to sign in, once', { skip }, async (t) => {
  const { coord, ask } = await scene(t)
  await coord.admin.createUser({ name: 'ines' })
  const one = await ask()
  const at = await visit(t, one.url)
  await at.heading('Nobody can sign in yet')
  await shoot(at, 'no-way-in')
  const { url } = await coord.admin.inviteUser('karin')
  await at.page.goto(url)
  await at.heading('Set how you sign in')
  await shoot(at, 'enrol')
  const second = await visit(t, url)
  await second.button('Use a password instead').click()
  await shoot(second, 'enrol-password')
  await at.button('Create a passkey').click()
  await at.heading('All set')
  await shoot(at, 'enrolled')

  await second.page.getByLabel('New password').fill(PASSWORD)
  await second.button('Set the password').click()
  await second.heading('This link is over')
  await second.page.goto(url)
  await second.heading('This link is over')

  await at.page.goto(one.url)
  await at.button('Use a passkey').click()
  await at.heading(/wants to join/)
  await at.page.getByText('Signed in as karin').waitFor()

  await t.test('a reset ends the passkey and the session that were before', async () => {
    const reset = await coord.admin.resetUser('karin')
    await second.page.goto(reset.url)
    await second.button('Use a password instead').click()
    await second.page.getByLabel('New password').fill(PASSWORD)
    await second.button('Set the password').click()
    await second.heading('All set')
    await at.button('Let this machine in').click()
    await at.heading('Sign in')
    await at.button('Use a passkey').click()
    await at.page.getByText('does not know that passkey').waitFor()
  })
})

test('by an address there are no passkeys, and the page says why', { skip }, async (t) => {
  const { ask, setupCode } = await scene(t, '127.0.0.1')
  const at = await visit(t, (await ask()).url)
  await at.heading('Make this network yours')
  await at.page.getByText('Passkeys need a name').waitFor()
  assert.equal(await at.button(/passkey/).count(), 0)
  await shoot(at, 'no-passkeys')
  await at.page.getByLabel('Setup code').fill(setupCode)
  await at.page.getByLabel('Name').fill('ines')
  await at.page.getByLabel('New password').fill(PASSWORD)
  await at.button('Create the account').click()
  await at.heading(/wants to join/)
})

test('a page that the server has forgotten gets a new token by itself', { skip }, async (t) => {
  const { coord } = await scene(t)
  const { url } = await coord.admin.inviteUser('ines')
  const at = await visit(t, url)
  await at.heading('Set how you sign in')
  // As after a restart of the server: the page's token is not the one it would get now.
  await at.context.clearCookies()
  await at.button('Create a passkey').click()
  await at.heading('All set')
})

test('a stranger’s name for the server gets an explanation instead of a page', { skip }, async (t) => {
  const { coord, ask } = await scene(t)
  const { url } = await ask()
  const at = await visit(t, url)
  const rebound = url.replace('localhost', 'rebound.localhost')
  await at.page.goto(rebound)
  await at.heading('Another address')
  await shoot(at, 'another-address')
  assert.equal(await at.page.getByRole('link').getAttribute('href'), `${coord.url}${new URL(url).pathname}`)
})
