// Signing in at our server by a real provider's accounts, as browsers do it.

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { type Answer, Browser, NAME, type Site, withOwner } from '../test-site.ts'
import type { NewProviderWish } from './oidc-admin.ts'
import { CLIENT, type Person, testProvider, type TestProvider } from './test-provider.ts'

const CALLBACK = `https://${NAME}/login/oidc/corp/callback`
const KARIN: Person = {
  sub: 'k-1',
  email: 'karin@corp.example',
  email_verified: true,
  preferred_username: 'karin',
  name: 'Karin Holm',
  groups: ['staff', 'on call'],
}

interface Place extends Site {
  readonly browser: Browser
  readonly provider: TestProvider
}

async function place(
  t: TestContext,
  wish: Partial<NewProviderWish> = { allowDomains: ['corp.example'] },
): Promise<Place> {
  const its = await withOwner(t)
  const provider = await testProvider(t, [CALLBACK])
  await its.coord.admin.oidc.add({
    name: 'corp',
    issuer: provider.issuer,
    clientId: CLIENT.id,
    clientSecret: CLIENT.secret,
    ...wish,
  })
  return { ...its, provider }
}

/** From the button to the page that the provider sends the browser back to. */
async function leave(
  browser: Browser,
  provider: TestProvider,
  person: Person | undefined,
  purpose = 'sign-in',
  login?: string,
): Promise<string> {
  const begun = await browser.call('oidc/begin', { provider: 'corp', purpose, login })
  assert.equal(begun.status, 200, begun.text)
  provider.person = person
  const back = await provider.visit(String(begun.body.value?.['url']))
  assert.ok(back.startsWith(`${CALLBACK}?`), back)
  return new URL(back).search.slice(1)
}

const comeBack = (browser: Browser, query: string): Promise<Answer> =>
  browser.call('oidc/finish', { provider: 'corp', query })

async function signIn(browser: Browser, provider: TestProvider, person: Person | undefined): Promise<Answer> {
  return comeBack(browser, await leave(browser, provider, person))
}

const refusal = ({ body }: Answer): { code?: string; message?: string } | undefined =>
  body.value?.['refused'] as { code: string; message: string } | undefined

async function newBrowser(site: Site): Promise<Browser> {
  const browser = new Browser(site)
  await browser.open({ account: true })
  return browser
}

test('a newcomer of an allowed domain comes in, lets a machine in, and is the same person again', async (t) => {
  const its = await place(t)
  const { coord, provider } = its
  const login = await its.ask('karins-laptop')
  const browser = new Browser(its)
  const stage = await browser.open({ login })
  assert.equal(stage['kind'], 'sign-in')
  const query = await leave(browser, provider, KARIN, 'sign-in', login)
  const back = await comeBack(browser, query)
  assert.deepEqual(back.body.value, { login })
  assert.equal((await browser.open({ login }))['kind'], 'approve')
  assert.equal((await browser.call('approve', { login })).status, 200)
  const [node] = await coord.admin.listNodes()
  assert.deepEqual([node?.name, node?.user], ['karins-laptop', 'karin@corp.example'])

  // By another address and name at the provider, since the subject is who they are.
  const again = await newBrowser(its)
  const later = { ...KARIN, email: 'karin.holm@corp.example', preferred_username: 'kh' }
  assert.deepEqual(refusal(await signIn(again, provider, later)), undefined)
  const page = (await again.open({ account: true }))['page'] as Record<string, unknown>
  assert.deepEqual(page['account'], { name: 'karin@corp.example', displayName: 'Karin Holm' })
  assert.deepEqual(
    (await coord.admin.listUsers()).map(({ name, role }) => [name, role]),
    [
      ['ines', 'owner'],
      ['karin@corp.example', 'member'],
    ],
  )
  const audit = await coord.admin.auditSince(0)
  assert.deepEqual(
    audit.filter(({ action }) => action.startsWith('oidc.')).map(({ action, detail }) => [action, detail]),
    [
      ['oidc.add', provider.issuer],
      ['oidc.join', 'corp: karin@corp.example'],
    ],
  )
})
