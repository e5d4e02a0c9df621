// People sign in at our server with an account at Dex, a provider that nobody here wrote and that knows less than is usual
// today: no PKCE, no user information, groups only for who asks for them by a scope.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import {
  accountIn,
  comeBack,
  nameIn,
  newBrowser,
  refusalIn,
} from '../../electron/coord/identity/oidc/test-oidc-site.ts'
import { CLIENT, follow } from '../../electron/coord/identity/oidc/test-provider.ts'
import { type Browser, NAME, withOwner } from '../../electron/coord/identity/test-site.ts'
import { LabProcess } from '../lab/process.ts'
import { stockBinary, stockUnavailable } from '../stock/binaries.ts'

const REDIRECT_URI = `https://${NAME}/login/oidc/dex/callback`
/** The one person that Dex's mock connector knows. */
const PERSON = 'kilgore@kilgore.trout'
const skip = stockUnavailable('dex') ?? false

async function startDex(t: TestContext): Promise<string> {
  const command = [stockBinary('dex', 'dex'), REDIRECT_URI, CLIENT.id, CLIENT.secret]
  const folder = mkdtempSync(join(tmpdir(), 'peerway-dex-'))
  const dex = new LabProcess(command, { name: 'dex', env: { TMPDIR: folder } })
  t.after(async () => {
    await dex.stop()
    rmSync(folder, { recursive: true, force: true })
  })
  const [, issuer = ''] = await dex.waitForOutput(/^ready (\S+)$/m, 10_000)
  return issuer
}

async function goThere(browser: Browser, issuer: string, purpose: string): Promise<ReturnType<typeof refusalIn>> {
  const begun = await browser.call('oidc/begin', { provider: 'dex', purpose, login: undefined })
  assert.equal(begun.status, 200, begun.text)
  const back = await follow(String(begun.body.value?.['url']), issuer)
  assert.ok(back.startsWith(`${REDIRECT_URI}?`), back)
  return refusalIn(await comeBack(browser, new URL(back).search.slice(1), 'dex'))
}

test('a person signs in at Dex, by its groups, and leaves it', { skip }, async (t) => {
  const its = await withOwner(t)
  const issuer = await startDex(t)
  const { admin } = its.coord
  const wish = { name: 'dex', issuer, clientId: CLIENT.id, clientSecret: 'not the one', allowGroups: ['authors'] }
  await admin.oidc.add(wish)
  const browser = await newBrowser(its)
  assert.equal((await goThere(browser, issuer, 'sign-in'))?.code, 'login/provider-failed')
  await admin.oidc.update('dex', { clientSecret: CLIENT.secret })
  assert.equal(await goThere(browser, issuer, 'sign-in'), undefined)
  assert.equal(await nameIn(browser), PERSON)
  const [person] = (await admin.oidc.status('dex')).people
  assert.deepEqual([person?.account, person?.groups, person?.depends], [PERSON, ['authors'], true])
  await admin.policy.set(
    '{"acls": [{"action": "accept", "src": ["group:authors@dex"], "dst": ["autogroup:member:*"]}]}',
    'test',
  )
  assert.equal(await goThere(browser, issuer, 'prove'), undefined)

  await t.test('a group that the person is not in keeps them out', async () => {
    await admin.oidc.update('dex', { allowGroups: ['readers'] })
    assert.match((await goThere(await newBrowser(its), issuer, 'sign-in'))?.message ?? '', /none of the groups/)
    await admin.oidc.update('dex', { allowGroups: ['authors'] })
  })

  await t.test('out of it by a password, proved; nothing of it stays', async () => {
    const password = 'otter violin harbour eight'
    assert.equal((await browser.call('account/password/set', { password })).status, 200)
    assert.equal((await browser.call('sign-in/password', { name: PERSON, password })).status, 200)
    const page = await accountIn(browser)
    assert.ok(page)
    const [one] = page['elsewhere'] as readonly { readonly subject: string }[]
    const gone = await browser.call('account/oidc/remove', { provider: 'dex', subject: one?.subject })
    assert.equal(gone.status, 200, gone.text)
    assert.deepEqual((await admin.oidc.status('dex')).people, [])
  })
})
