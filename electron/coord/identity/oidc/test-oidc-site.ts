// For tests: a server whose people sign in at a real provider, and browsers that go there and come back.

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { type Answer, Browser, NAME, type Site, withOwner } from '../test-site.ts'
import type { NewProviderWish } from './oidc-admin.ts'
import { CLIENT, type Person, testProvider, type TestProvider } from './test-provider.ts'

export const CALLBACK = `https://${NAME}/login/oidc/corp/callback`
export const KARIN: Person = {
  sub: 'k-1',
  email: 'karin@corp.example',
  email_verified: true,
  preferred_username: 'karin',
  name: 'Karin Holm',
  groups: ['staff', 'on call'],
}

export interface OidcSite extends Site {
  /** The owner’s, who has a password. */
  readonly browser: Browser
  readonly provider: TestProvider
}

export async function oidcSite(
  t: TestContext,
  wish: Partial<NewProviderWish> = { allowDomains: ['corp.example'] },
): Promise<OidcSite> {
  const its = await withOwner(t)
  const provider = await testProvider(t, [CALLBACK, CALLBACK.replace('corp', 'theirs')])
  await its.coord.admin.oidc.add({
    name: 'corp',
    issuer: provider.issuer,
    clientId: CLIENT.id,
    clientSecret: CLIENT.secret,
    ...wish,
  })
  return { ...its, provider }
}

/** From the button to the query with which the provider sends the browser back. */
export async function leave(
  browser: Browser,
  provider: TestProvider,
  person: Person | undefined,
  {
    purpose = 'sign-in',
    login,
    name = 'corp',
    enrol,
  }: { readonly purpose?: string; readonly login?: string; readonly name?: string; readonly enrol?: string } = {},
): Promise<string> {
  const begun = await browser.call('oidc/begin', { provider: name, purpose, login, enrol })
  assert.equal(begun.status, 200, begun.text)
  provider.person = person
  const back = await provider.visit(String(begun.body.value?.['url']))
  assert.ok(back.startsWith(`${CALLBACK.replace('corp', name)}?`), back)
  return new URL(back).search.slice(1)
}

export const comeBack = (browser: Browser, query: string, name = 'corp'): Promise<Answer> =>
  browser.call('oidc/finish', { provider: name, query })

/** All of it; the answer has `refused` where it did not go well. */
export async function goAndComeBack(
  browser: Browser,
  provider: TestProvider,
  person: Person | undefined,
  purpose = 'sign-in',
): Promise<Answer> {
  return comeBack(browser, await leave(browser, provider, person, { purpose }))
}

export const refusalIn = ({ body }: Answer): { readonly code: string; readonly message: string } | undefined =>
  body.value?.['refused'] as { code: string; message: string } | undefined

export async function newBrowser(site: Site): Promise<Browser> {
  const browser = new Browser(site)
  await browser.open({ account: true })
  return browser
}

/** What the browser's person sees of their account; undefined when nobody is signed in. */
export async function accountIn(browser: Browser): Promise<Readonly<Record<string, unknown>> | undefined> {
  return (await browser.open({ account: true }))['page'] as Record<string, unknown> | undefined
}

export async function nameIn(browser: Browser): Promise<string | undefined> {
  return ((await accountIn(browser))?.['account'] as { name: string } | undefined)?.name
}
