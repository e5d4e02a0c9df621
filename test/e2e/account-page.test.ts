// The page of one's own account in a real browser: every way to sign in is added, proved, used and taken away.

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { hotp } from '../../electron/coord/identity/totp.ts'
import {
  firstByPasskey,
  PASSWORD,
  scene,
  shoot,
  skip,
  visit,
  withBrowser,
  type Scene,
  type Visit,
} from './login-scene.ts'

withBrowser()

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

interface Owner extends Scene {
  readonly at: Visit
}

/** Makes the first account at the link that the terminal shows, and looks at it. */
async function owner(t: TestContext): Promise<Owner> {
  const its = await scene(t)
  const setup = await its.coord.admin.setupCode()
  const at = await visit(t, setup?.url ?? '')
  await at.heading('Make this network yours')
  assert.equal(await at.page.getByLabel('Setup code').inputValue(), setup?.code)
  assert.equal(new URL(at.page.url()).hash, '', 'the code does not stay in the address')
  await at.page.getByLabel('Name').fill('ines')
  await at.button('Create with a passkey').click()
  await at.heading('Your account')
  return { ...its, at }
}

/** What an authenticator app does with the key that the page shows. */
function appCode(secret: string, atMs: number): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
  const bits = Array.from(secret.replaceAll(' ', ''), (letter) => alphabet.indexOf(letter).toString(2).padStart(5, '0'))
  const bytes = bits.join('').match(/.{8}/g) ?? []
  return hotp(
    Uint8Array.from(bytes, (byte) => Number.parseInt(byte, 2)),
    Math.floor(atMs / 30_000),
  )
}

const item = (at: Visit, text: string) => at.page.getByRole('listitem').filter({ hasText: text })

test('passkeys are added, named and removed, and the last way in stays', { skip }, async (t) => {
  const { at, later } = await owner(t)
  await shoot(at, 'account-new')
  await at.page.getByText('You have one way in.').waitFor()
  assert.equal(await at.button(/^Remove/).count(), 0)

  await at.button(/^Rename/).click()
  await at.page.getByLabel('Name').fill('Laptop')
  await shoot(at, 'account-rename')
  await at.button('Save the name').click()
  await item(at, 'Laptop').waitFor()

  // A second device: this one has a passkey already, and says so.
  await at.button('Add a passkey').click()
  await at.button('Create a passkey').click()
  await at.page.getByText('This device has a passkey for this account already').waitFor()
  await at.cdp.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId: at.authenticator })
  const second = await at.addAuthenticator()
  await at.button('Create a passkey').click()
  await at.heading('Your account')
  await item(at, 'Passkey made on Linux').waitFor()
  const { credentials } = await at.cdp.send('WebAuthn.getCredentials', { authenticatorId: second })
  assert.equal(credentials.length, 1)
  await shoot(at, 'account-two')

  await t.test('after five minutes the page asks once more who it is, and goes on where one was', async () => {
    later(6 * MINUTE_MS)
    await at.page.reload()
    await at.button('Remove: Laptop').click()
    await at.heading('Is it you?')
    await shoot(at, 'account-prove')
    await at.button('Use a passkey').click()
    await at.heading('Remove “Laptop”?')
    assert.equal(await at.page.evaluate(() => document.activeElement?.textContent), 'Leave it as it is')
    await shoot(at, 'account-remove')
    await at.button('Remove the passkey').click()
    await at.heading('Your account')
    assert.equal(await item(at, 'Laptop').count(), 0)
    await item(at, 'your last way in').waitFor()
  })
})

test('a password, then an app beside it, then codes on paper: each signs in as it should', { skip }, async (t) => {
  const { at, coord, later } = await owner(t)
  await at.button('Set: Password').click()
  await at.heading('Set a password')
  await shoot(at, 'account-password')
  await at.page.getByLabel('New password').fill(PASSWORD)
  await at.button('Set the password').click()
  await at.heading('Your account')

  await at.button('Set up: Authenticator app').click()
  await at.heading('Set up an authenticator app')
  await at.page.getByRole('img', { name: /QR code/ }).waitFor()
  await shoot(at, 'account-totp')
  const secret = (await at.page.locator('.copy code').textContent()) ?? ''
  await at.page.getByLabel('Code of your authenticator app').fill('000000')
  await at.button('Turn it on').click()
  await at.page.getByText('This code is not right').waitFor()
  const firstCode = appCode(secret, Date.now())
  await at.page.getByLabel('Code of your authenticator app').fill(firstCode)
  await at.button('Turn it on').click()
  await at.heading('Your account')
  await item(at, 'Asked for beside the password').waitFor()

  await at.button('Make codes: Recovery codes').click()
  await at.button('Make codes').click()
  await at.heading('Your recovery codes')
  await shoot(at, 'account-codes')
  const codes = await at.page.locator('.codes li').allTextContents()
  assert.equal(new Set(codes).size, 10)
  await at.button('I have kept them').click()
  await item(at, '10 of 10 left').waitFor()
  await shoot(at, 'account-full')

  const phone = await visit(t, `${coord.url}/account`, true)
  await t.test('the password alone is not enough, and a code counts once', async () => {
    await phone.heading('Sign in')
    await phone.button('Name and password').click()
    await phone.page.getByLabel('Name').fill('ines')
    await phone.page.getByLabel('Password', { exact: true }).fill(PASSWORD)
    await phone.button('Sign in').click()
    await phone.heading('One more step')
    await shoot(phone, 'phone-code')
    const code = phone.page.getByLabel('Code of your authenticator app')
    await code.fill(firstCode)
    await code.press('Enter')
    await phone.page.getByText('was used already').waitFor()
    await code.fill(appCode(secret, Date.now() + 30_000))
    await code.press('Enter')
    await phone.heading('Your account')
    await shoot(phone, 'phone-account')
  })

  await t.test('sessions are seen and ended', async () => {
    await at.page.reload()
    await at.page.getByText('this browser').waitFor()
    assert.equal(await at.page.getByText('with the password').count(), 1)
    await at.button(/^End: /).click()
    await at.page.getByText('with the password').waitFor({ state: 'detached' })
    await phone.page.reload()
    await phone.heading('Sign in')
  })

  await t.test('a recovery code signs in, once', async () => {
    await phone.button('Use a recovery code').click()
    await phone.page.getByLabel('Name').fill('ines')
    await phone.page.getByLabel('Recovery code').fill((codes[3] ?? '').toLowerCase().replaceAll('-', ''))
    await shoot(phone, 'phone-recovery-code')
    await phone.button('Sign in').click()
    await phone.heading('Your account')
    await phone.page.getByText('9 of 10 left').waitFor()
    await phone.button('Sign out').click()
    await phone.heading('Sign in')
    await phone.button('Use a recovery code').click()
    await phone.page.getByLabel('Name').fill('ines')
    await phone.page.getByLabel('Recovery code').fill(codes[3] ?? '')
    await phone.button('Sign in').click()
    await phone.page.getByText('or the code was used').waitFor()
  })

  await t.test('without the password the app goes too, and the passkey is the last way', async () => {
    later(6 * MINUTE_MS)
    await at.page.reload()
    await at.button('Remove: Password').click()
    await at.heading('Is it you?')
    await at.button('Use the password').click()
    await at.page.getByLabel('Password', { exact: true }).fill(PASSWORD)
    await at.page.getByLabel('Code of your authenticator app').fill(appCode(secret, Date.now() + 6 * MINUTE_MS))
    await at.button('Go on').click()
    await at.heading('Remove the password?')
    await at.button('Remove the password').click()
    await at.heading('Your account')
    await at.page.getByText('Stands beside a password').waitFor()
    await item(at, 'your last way in').waitFor()
  })
})

test('an owner lets a person in again after a day; the person sees it and can stop it', { skip }, async (t) => {
  const { at, coord, later, ask } = await owner(t)
  await at.button('Invite somebody').click()
  await at.page.getByLabel('Name').fill('karin')
  await shoot(at, 'account-invite')
  await at.button('Make the link').click()
  await at.heading('A link for karin')
  await at.page.getByRole('img', { name: /QR code/ }).waitFor()
  await shoot(at, 'account-invite-link')
  const hers = await visit(t, (await at.page.locator('.copy code').textContent()) ?? '')
  await hers.button('Create a passkey').click()
  await hers.heading('All set')
  await hers.page.goto(`${coord.url}/account`)
  await hers.button('Use a passkey').click()
  await hers.heading('Your account')

  const letIn = async (): Promise<void> => {
    await at.page.goto(`${coord.url}/account`)
    await at.button('Let in again: karin').click()
    if ((await at.button('Use a passkey').count()) > 0) await at.button('Use a passkey').click()
    await at.heading('Let karin in again?')
    await at.button('Start the 24 hours').click()
    await at.heading('Your account')
  }
  await letIn()
  await at.page.getByText('started by ines').waitFor()
  await shoot(at, 'account-helping')

  await hers.page.reload()
  await hers.page.getByText('ines gives this account a new way in').waitFor()
  await shoot(hers, 'account-recovery')
  const machine = await ask('karins-laptop')
  await hers.page.goto(machine.url)
  await hers.page.getByText('ines gives this account a new way in').waitFor()
  await shoot(hers, 'approve-recovery')
  await hers.button('Stop it').click()
  await hers.page.getByText('ines gives this account').waitFor({ state: 'detached' })

  await letIn()
  later(24 * HOUR_MS + 1)
  await at.page.reload()
  await at.button('Use a passkey').click()
  await at.heading('Your account')
  await at.button('Make the link: karin').click()
  await at.button('Make the link').click()
  await at.heading('A new way in for karin')
  await shoot(at, 'account-link')
  const link = (await at.page.locator('.copy code').textContent()) ?? ''
  const lost = await visit(t, link)
  await lost.button('Use a password instead').click()
  await lost.page.getByLabel('New password').fill(PASSWORD)
  await lost.button('Set the password').click()
  await lost.heading('All set')
  await hers.page.goto(`${coord.url}/account`)
  await hers.button('Use a passkey').click()
  await hers.page.getByText('does not know that passkey').waitFor()
  const actions = (await coord.admin.auditSince(0)).map(({ action }) => action)
  for (const action of ['recovery.start', 'recovery.stop', 'enrol-link.create', 'enrol-link.use'])
    assert.ok(actions.includes(action), action)
})

test('a machine that waits is let in by who is signed in at the account page', { skip }, async (t) => {
  const its = await scene(t)
  const { url } = await its.ask('nas')
  const at = await visit(t, url)
  await firstByPasskey(at, its.setupCode, 'ines')
  await at.page.goto(`${its.coord.url}/account`)
  await at.heading('Your account')
})
