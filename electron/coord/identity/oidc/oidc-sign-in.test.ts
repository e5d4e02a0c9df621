// Signing in at our server by a real provider's accounts, as browsers do it.

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Browser, PASSWORD } from '../test-site.ts'
import {
  accountIn,
  comeBack,
  goAndComeBack,
  KARIN,
  leave,
  nameIn,
  newBrowser,
  oidcSite,
  refusalIn,
} from './test-oidc-site.ts'
import { CLIENT, type Person } from './test-provider.ts'

test('a newcomer of an allowed domain comes in, lets a machine in, and is the same person again', async (t) => {
  const its = await oidcSite(t)
  const { coord, provider } = its
  const login = await its.ask('karins-laptop')
  const browser = new Browser(its)
  assert.equal((await browser.open({ login }))['kind'], 'sign-in')
  const back = await comeBack(browser, await leave(browser, provider, KARIN, { login }))
  assert.deepEqual(back.body.value, { login })
  assert.equal((await browser.open({ login }))['kind'], 'approve')
  assert.equal((await browser.call('approve', { login })).status, 200)
  const [node] = await coord.admin.listNodes()
  assert.deepEqual([node?.name, node?.user], ['karins-laptop', 'karin@corp.example'])

  // By another address and name at the provider, since the subject is who they are.
  const again = await newBrowser(its)
  const later = { ...KARIN, email: 'karin.holm@corp.example', preferred_username: 'kh' }
  assert.equal(refusalIn(await goAndComeBack(again, provider, later)), undefined)
  assert.deepEqual((await accountIn(again))?.['account'], { name: 'karin@corp.example', displayName: 'Karin Holm' })
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

test('a way back is good once, in the browser that left, and for no other provider', async (t) => {
  const its = await oidcSite(t)
  const [browser, other] = [await newBrowser(its), await newBrowser(its)]
  const query = await leave(browser, its.provider, KARIN)
  // Somebody who is sent the link of another would be signed in as that person.
  assert.equal((await comeBack(other, query)).body.code, 'login/passkey-too-late')
  assert.equal(await nameIn(other), undefined)
  const elsewhere = await browser.call('oidc/finish', { provider: 'corp2', query })
  assert.equal(refusalIn(elsewhere)?.code, 'login/passkey-too-late')
  assert.equal((await comeBack(browser, query)).body.code, 'login/passkey-too-late')

  const second = await leave(browser, its.provider, KARIN)
  const before = browser.cookies.get('__Host-peerway-session')
  assert.equal(refusalIn(await comeBack(browser, second)), undefined)
  assert.notEqual(browser.cookies.get('__Host-peerway-session'), before)
  assert.equal((await comeBack(browser, second)).body.code, 'login/passkey-too-late')
  its.clock.advance(16 * 60_000)
  const late = await leave(other, its.provider, KARIN)
  its.clock.advance(16 * 60_000)
  assert.equal((await comeBack(other, late)).body.code, 'login/passkey-too-late')
})

test('who cancels at the provider is told so, and led back to where they were', async (t) => {
  const its = await oidcSite(t)
  const login = await its.ask()
  const browser = new Browser(its)
  await browser.open({ login })
  const back = await comeBack(browser, await leave(browser, its.provider, undefined, { login }))
  assert.equal(back.body.value?.['login'], login)
  assert.equal(refusalIn(back)?.code, 'login/provider-refused')
  assert.match(refusalIn(back)?.message ?? '', /cancelled.*Try again, or sign in another way/)
})

test('an address never leads into an account that is there', async (t) => {
  const its = await oidcSite(t, { allowEveryone: true })
  const { admin } = its.coord
  await admin.createUser({ name: 'boss', email: 'boss@corp.example', role: 'admin' })
  await admin.createUser({ name: 'karin' })
  const browser = await newBrowser(its)
  const asBoss = { ...KARIN, sub: 'm-1', email: 'Boss@corp.example', preferred_username: 'boss' }
  const refused = refusalIn(await goAndComeBack(browser, its.provider, asBoss))
  assert.equal(refused?.code, 'login/provider-stranger')
  assert.match(refused.message, /Sign in to it another way, then link it/)
  assert.equal(await nameIn(browser), undefined)

  // Nor does a name that anybody may choose at the provider: it says whence it comes.
  const unproven = { ...asBoss, sub: 'm-2', email_verified: false }
  assert.equal(refusalIn(await goAndComeBack(browser, its.provider, unproven)), undefined)
  assert.equal(await nameIn(browser), 'boss@corp')
  const second = await newBrowser(its)
  await goAndComeBack(second, its.provider, { ...unproven, sub: 'm-3' })
  assert.equal(await nameIn(second), 'boss2@corp')
  const users = await admin.listUsers()
  assert.deepEqual(
    users.filter(({ name }) => name.includes('@')).map(({ role, email }) => [role, email]),
    [
      ['member', undefined],
      ['member', undefined],
    ],
  )
})

test('rules say who comes in, also of those who came in before', async (t) => {
  const tries: readonly (readonly [Parameters<typeof oidcSite>[1], Person, RegExp | undefined])[] = [
    [{}, KARIN, /no account here is linked to yours/],
    [{ allowDomains: ['corp.example'] }, { ...KARIN, email_verified: false }, /Confirm it there/],
    [{ allowDomains: ['corp.example'] }, { ...KARIN, email: 'k@evil-corp.example' }, /other domains/],
    [{ allowDomains: ['corp.example'] }, { ...KARIN, email: 'k@corp.example.evil.example' }, /other domains/],
    [{ allowGroups: ['admins'] }, KARIN, /none of the groups/],
    [{ allowDomains: ['corp.example'], allowGroups: ['admins'] }, KARIN, /none of the groups/],
    [{ allowGroups: ['admins', 'on call'] }, KARIN, undefined],
    [{ allowEveryone: true }, { sub: 'x' }, undefined],
  ]
  for (const [wish, person, words] of tries) {
    const its = await oidcSite(t, wish)
    const browser = await newBrowser(its)
    const refused = refusalIn(await goAndComeBack(browser, its.provider, person))
    if (words) assert.match(refused?.message ?? '', words)
    else assert.equal(refused, undefined)
    assert.equal((await its.coord.admin.listUsers()).length, words ? 1 : 2)
    await its.coord.close()
  }

  const its = await oidcSite(t, { allowGroups: ['staff'] })
  await goAndComeBack(await newBrowser(its), its.provider, KARIN)
  const later = refusalIn(await goAndComeBack(await newBrowser(its), its.provider, { ...KARIN, groups: [] }))
  assert.match(later?.message ?? '', /none of the groups/)
})

test('a provider belongs to a network, and makes nobody the owner of an empty one', async (t) => {
  const its = await oidcSite(t, { allowEveryone: true })
  await its.coord.serverAdmin.createTailnet({ name: 'other' })
  await its.coord.serverAdmin.of('other').oidc.add({
    name: 'theirs',
    issuer: its.provider.issuer,
    clientId: CLIENT.id,
    clientSecret: CLIENT.secret,
    allowEveryone: true,
  })
  const browser = await newBrowser(its)
  const query = await leave(browser, its.provider, KARIN, { name: 'theirs' })
  assert.match(refusalIn(await comeBack(browser, query, 'theirs'))?.message ?? '', /Nobody owns this network yet/)
  assert.deepEqual(await its.coord.serverAdmin.of('other').listUsers(), [])

  // Once it has an owner, a newcomer is at home there and nowhere else; nobody of another network links an account there.
  await its.coord.serverAdmin.of('other').createUser({ name: 'olga' })
  const second = await leave(browser, its.provider, KARIN, { name: 'theirs' })
  assert.equal(refusalIn(await comeBack(browser, second, 'theirs')), undefined)
  assert.deepEqual(
    (await its.coord.serverAdmin.of('other').listUsers()).map(({ name, role }) => [name, role]),
    [
      ['olga', 'owner'],
      ['karin@corp.example', 'member'],
    ],
  )
  assert.equal((await its.coord.admin.listUsers()).length, 1)
  const link = await its.browser.call('oidc/begin', { provider: 'theirs', purpose: 'link', login: undefined })
  assert.equal(link.body.code, 'login/not-allowed')
  assert.deepEqual(
    (await its.coord.serverAdmin.of('other').oidc.list()).map(({ name }) => name),
    ['theirs'],
  )
  assert.deepEqual(
    (await its.coord.admin.oidc.list()).map(({ name }) => name),
    ['corp'],
  )
})

test('a person links an account, with a fresh sign-in, and comes in by it from then on', async (t) => {
  const its = await oidcSite(t, {})
  const { browser, provider, clock } = its
  assert.equal(refusalIn(await goAndComeBack(browser, provider, KARIN, 'link')), undefined)
  const page = await accountIn(browser)
  assert.ok(page)
  const [linked] = page['elsewhere'] as Record<string, unknown>[]
  assert.deepEqual(
    [linked?.['provider'], linked?.['shown'], linked?.['mayRemove']],
    ['corp', 'karin@corp.example', true],
  )
  const other = await newBrowser(its)
  assert.equal(refusalIn(await goAndComeBack(other, provider, KARIN)), undefined)
  assert.equal(await nameIn(other), 'ines')

  await t.test('nobody else links it too, and not with a sign-in of this morning', async () => {
    const { url } = await its.coord.admin.inviteUser('otto')
    const otto = new Browser(its)
    const enrol = url.split('/').at(-1) ?? ''
    await otto.open({ enrol })
    await otto.call('enrol/password', { enrol, password: PASSWORD })
    await otto.open({ account: true })
    assert.equal((await otto.call('sign-in/password', { name: 'otto', password: PASSWORD })).status, 200)
    const refused = refusalIn(await goAndComeBack(otto, provider, KARIN, 'link'))
    assert.match(refused?.message ?? '', /belongs to somebody else here/)
    clock.advance(6 * 60_000)
    const late = await otto.call('oidc/begin', { provider: 'corp', purpose: 'link', login: undefined })
    assert.equal(late.body.code, 'login/prove-again')
  })

  await t.test('the way back links only to who left, whoever is signed in by then', async () => {
    const both = await newBrowser(its)
    await both.call('sign-in/password', { name: 'otto', password: PASSWORD })
    await both.open({ account: true })
    const query = await leave(both, provider, { ...KARIN, sub: 'k-2' }, { purpose: 'link' })
    await both.call('sign-in/password', { name: 'ines', password: PASSWORD })
    assert.equal(refusalIn(await comeBack(both, query))?.code, 'login/not-signed-in')
  })

  await t.test('it shows again who one is, where the provider asked just now', async () => {
    assert.equal((await other.call('account/password/set', { password: PASSWORD })).body.code, 'login/prove-again')
    const stranger = refusalIn(await goAndComeBack(other, provider, { ...KARIN, sub: 'k-9' }, 'prove'))
    assert.match(stranger?.message ?? '', /not linked to ines/)
    assert.equal(refusalIn(await goAndComeBack(other, provider, KARIN, 'prove')), undefined)
    assert.equal((await other.call('account/password/set', { password: `${PASSWORD} eight` })).status, 200)
  })
})

test('an invited person enrols by their account elsewhere, once, as who was asked in', async (t) => {
  const its = await oidcSite(t)
  const { provider, coord } = its
  const linkFor = async (name: string): Promise<string> =>
    (await coord.admin.inviteUser(name)).url.split('/').at(-1) ?? ''
  const enrol = await linkFor('karin')
  const browser = new Browser(its)
  await browser.open({ enrol })
  const wrong = { ...KARIN, email: 'karin@other.example' }
  const refused = await comeBack(browser, await leave(browser, provider, wrong, { purpose: 'enrol', enrol }))
  assert.deepEqual([refusalIn(refused)?.code, refused.body.value?.['enrol']], ['login/provider-stranger', enrol])
  const done = await comeBack(browser, await leave(browser, provider, KARIN, { purpose: 'enrol', enrol }))
  assert.deepEqual(done.body.value, { enrol, enrolled: { name: 'karin', displayName: 'karin' } })
  assert.equal((await browser.open({ enrol }))['kind'], 'link-over')
  assert.equal(await nameIn(browser), undefined, 'a link sets up, and signs nobody in')
  assert.equal(refusalIn(await goAndComeBack(browser, provider, KARIN)), undefined)
  assert.equal(await nameIn(browser), 'karin')

  // What was used belongs to karin; the link that it was tried with is good still.
  const other = await linkFor('otto')
  const otto = new Browser(its)
  await otto.open({ enrol: other })
  const taken = await comeBack(otto, await leave(otto, provider, KARIN, { purpose: 'enrol', enrol: other }))
  assert.match(refusalIn(taken)?.message ?? '', /belongs to somebody else/)
  assert.equal((await otto.open({ enrol: other }))['kind'], 'enrol')
  const over = await otto.call('oidc/begin', { provider: 'corp', purpose: 'enrol', enrol })
  assert.equal(over.body.code, 'login/link-over')
  assert.equal((await otto.call('oidc/begin', { provider: 'corp', purpose: 'enrol' })).body.code, 'login/link-over')
})

test('the last usable way stays, and what stays was proved', async (t) => {
  const its = await oidcSite(t)
  const { provider, coord } = its
  const browser = await newBrowser(its)
  await goAndComeBack(browser, provider, KARIN)
  const drop = (who: Browser) => who.call('account/oidc/remove', { provider: 'corp', subject: KARIN.sub })
  assert.equal((await drop(browser)).body.code, 'login/last-way')
  assert.equal((await browser.call('account/password/set', { password: PASSWORD })).status, 200)
  assert.equal((await drop(browser)).body.code, 'login/prove-other')
  const typed = { name: 'karin@corp.example', password: PASSWORD }
  assert.equal((await browser.call('sign-in/password', typed)).status, 200)

  const login = await its.ask('karins-pc')
  await browser.call('approve', { login })
  const before = await coord.admin.showNode('karins-pc')
  assert.equal((await drop(browser)).status, 200)
  assert.equal((await browser.call('account/password/remove', {})).body.code, 'login/last-way')
  assert.deepEqual(await coord.admin.showNode('karins-pc'), before)
  assert.deepEqual((await accountIn(browser))?.['elsewhere'], [])
  // The account there is a stranger's from now on, whose address is taken.
  assert.equal(refusalIn(await goAndComeBack(await newBrowser(its), provider, KARIN))?.code, 'login/provider-stranger')
})

test('the client secret and what people bring along can be read nowhere', async (t) => {
  const its = await oidcSite(t)
  const query = await leave(its.browser, its.provider, KARIN)
  await comeBack(its.browser, query)
  const code = new URLSearchParams(query).get('code') ?? ''
  assert.ok(code.length > 20)
  const audit = JSON.stringify(await its.coord.admin.auditSince(0))
  await its.coord.close()
  for (const name of readdirSync(its.stateDir)) {
    const bytes = readFileSync(join(its.stateDir, name), 'latin1')
    for (const secret of [CLIENT.secret, code]) assert.ok(!bytes.includes(secret), `${name} holds a secret`)
  }
  for (const secret of [CLIENT.secret, code]) assert.ok(!audit.includes(secret))
})

test('by another address than the server’s own one is sent there first', async (t) => {
  const its = await oidcSite(t)
  const browser = new Browser(its, `http://127.0.0.1:${its.coord.port}`)
  const send = (path: string, more: Parameters<typeof its.send>[1]) =>
    its.send(path, { ...more, headers: { ...more?.headers, host: `127.0.0.1:${its.coord.port}` } })
  const there = new Browser({ ...its, send }, browser.origin)
  await there.open({ account: true })
  const begun = await there.call('oidc/begin', { provider: 'corp', purpose: 'sign-in', login: undefined })
  assert.deepEqual([begun.status, begun.body.code], [421, 'login/wrong-host'])
})
