// Signing in with an account elsewhere, and leaving a provider, on the pages of a real server in a real browser, with a real
// provider program.

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import {
  CLIENT,
  testProvider,
  type Person,
  type TestProvider,
} from '../../electron/coord/identity/oidc/test-provider.ts'
import { accessible, firstByPasskey, scene, shoot, skip, visit, withBrowser, type Scene } from './login-scene.ts'

withBrowser()

const DAY_MS = 24 * 3_600_000
const KARIN: Person = { sub: 'k-1', email: 'karin@corp.example', email_verified: true, name: 'Karin Holm' }

/** With an owner who has a passkey. */
async function place(t: TestContext): Promise<Scene & { readonly provider: TestProvider }> {
  const its = await scene(t)
  const owner = await visit(t, (await its.ask('ines-pc')).url)
  await firstByPasskey(owner, its.setupCode, 'ines')
  const provider = await testProvider(t, [`${its.coord.url}/login/oidc/corp/callback`])
  await its.coord.admin.oidc.add({
    name: 'corp',
    label: 'Corp',
    issuer: provider.issuer,
    clientId: CLIENT.id,
    clientSecret: CLIENT.secret,
    allowDomains: ['corp.example'],
  })
  provider.person = KARIN
  return { ...its, provider }
}

test('a person comes in by a provider, and leaves it in three steps', { skip }, async (t) => {
  const { coord, ask, provider } = await place(t)
  const { url, answer } = await ask('karin-laptop')
  const at = await visit(t, url)
  await at.heading('Sign in')
  await shoot(at, 'oidc-sign-in')
  await accessible(at, 'sign in')

  await t.test('who cancels there reads so here, and goes on where they were', async () => {
    provider.person = undefined
    await at.button('Continue with Corp').click()
    await at.heading('It did not work')
    await at.page.getByRole('alert').getByText('Corp says that it was cancelled').waitFor()
    assert.equal(new URL(at.page.url()).search, '', 'what came along does not stay in the address')
    await shoot(at, 'oidc-cancelled')
    await accessible(at, 'cancelled')
    await at.button('Choose how to go on').click()
    await at.heading('Sign in')
    provider.person = KARIN
  })

  await at.button('Continue with Corp').click()
  await at.heading('“karin-laptop” wants to join')
  await at.button('Let this machine in').click()
  await at.heading('karin-laptop is in')
  assert.equal((await answer).login.loginName, 'karin@corp.example')
  const before = await coord.admin.showNode('karin-laptop')

  await at.page.goto(`${coord.url}/account`)
  await at.heading('Your account')
  await at.page.getByText('karin@corp.example · last used').waitFor()
  await shoot(at, 'oidc-account')
  await at.button('Leave: Corp').click()
  await at.page.getByRole('heading', { name: 'Leaving Corp' }).waitFor()
  await shoot(at, 'oidc-leaving')
  await accessible(at, 'leaving')
  await at.button('Go on: Add a passkey').click()
  await at.button('Create a passkey').click()
  await at.button('Go on: Sign in with it once').click()
  await at.button('Use a passkey').click()
  await at.button('Go on: Take Corp away').click()
  await at.heading('Take Corp away')
  await shoot(at, 'oidc-take-away')
  await at.button('Take Corp away').click()
  await at.page.getByText('No account elsewhere').waitFor()
  assert.equal(await at.page.getByText('Leaving Corp').count(), 0)
  assert.deepEqual(await coord.admin.showNode('karin-laptop'), before)
  assert.equal((await coord.admin.oidc.status('corp')).people.length, 0)

  await t.test('the passkey signs in, and the account at the provider is linked again', async () => {
    await at.button('Sign out').click()
    await at.button('Use a passkey').click()
    await at.heading('Your account')
    await at.button('Link an account at Corp').click()
    await shoot(at, 'oidc-link')
    await at.button('Continue with Corp').click()
    await at.heading('Your account')
    await at.page.getByText('karin@corp.example · last used').waitFor()
  })
})

test('when the network leaves a provider the account says so, and shows the way', { skip }, async (t) => {
  const { coord, later, provider } = await place(t)
  const at = await visit(t, `${coord.url}/account`, true)
  await at.button('Continue with Corp').click()
  await at.heading('Your account')
  await coord.admin.oidc.leave('corp', Date.now() + DAY_MS)
  await at.page.reload()
  await at.page.getByRole('alert').getByText('Signing in with Corp ends').waitFor()
  await shoot(at, 'phone-oidc-ends')
  await accessible(at, 'ends')

  // After a while the provider is asked again who it is: nothing else of this account can.
  later(10 * 60_000)
  await at.page.reload()
  await at.button('Show me how').click()
  await at.button('Go on: Add a passkey').click()
  await at.heading('Is it you?')
  await shoot(at, 'phone-oidc-prove')
  await accessible(at, 'prove')
  await at.button('Continue with Corp').click()
  await at.page.getByRole('heading', { name: 'Leaving Corp' }).waitFor()
  await at.button('Go on: Add a passkey').click()
  await at.button('Create a passkey').click()
  await at.button('Go on: Sign in with it once').waitFor()
  assert.ok(provider.asked.filter((path) => path.startsWith('/interaction/')).length >= 2, 'it asked again')

  later(2 * DAY_MS)
  const late = await visit(t, `${coord.url}/account`)
  await late.heading('Sign in')
  assert.equal(await late.button('Continue with Corp').count(), 0)
})

test('an invited person takes their account elsewhere', { skip }, async (t) => {
  const { coord } = await place(t)
  const at = await visit(t, (await coord.admin.inviteUser('karin')).url)
  await at.heading('Set how you sign in')
  await shoot(at, 'oidc-enrol')
  await accessible(at, 'enrol')
  await at.button('Continue with Corp').click()
  await at.heading('All set')
  await shoot(at, 'oidc-enrolled')
  await at.page.goto(`${coord.url}/account`)
  await at.button('Continue with Corp').click()
  await at.page.getByText('Signed in as karin, member').waitFor()
})
