// What a person changes about their account, through the assembled server: what is allowed, in which order, how often.

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type {
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
} from '@simplewebauthn/server'
import type { AccountPage } from './login-api.ts'
import { FRESH_MS } from './sessions.ts'
import { RECOVERY_DELAY_MS } from './recoveries.ts'
import { TestMachine } from '../test-machine.ts'
import { SoftAuthenticator } from './soft-authenticator.ts'
import { Browser, PASSWORD, site, statusesOf, withOwner, type Answer, type Site } from './test-site.ts'
import { hotp } from './totp.ts'

const ACCOUNT = { account: true } as const
const OTHER_PASSWORD = 'kestrel lantern maple nine'

interface Owner extends Site {
  readonly browser: Browser
}

async function pageOf(browser: Browser): Promise<AccountPage> {
  const stage = await browser.open(ACCOUNT)
  assert.equal(stage['kind'], 'account', JSON.stringify(stage))
  return stage['page'] as AccountPage
}

const codeOf = ({ status, body }: Answer): string | number => body.code ?? status

async function addPasskey(it: Owner, name = 'key', origin = it.browser.origin): Promise<SoftAuthenticator> {
  const key = new SoftAuthenticator(origin)
  const begun = await it.browser.call('account/passkey/begin', {})
  assert.equal(begun.status, 200, begun.text)
  const response = key.create(begun.body.value?.['options'] as PublicKeyCredentialCreationOptionsJSON)
  const made = { ceremony: begun.body.value?.['ceremony'], response, passkeyName: name }
  assert.equal((await it.browser.call('account/passkey/add', made)).status, 200)
  it.clock.advance(10_000)
  return key
}

async function signIn(browser: Browser, name: string, password: string, code?: string): Promise<Answer> {
  await browser.open(ACCOUNT)
  return browser.call('sign-in/password', { name, password, code })
}

async function prove(it: Owner): Promise<void> {
  const answer = await it.browser.call('account/prove/password', { password: PASSWORD })
  assert.equal(answer.status, 200, answer.text)
}

/** Invites a person, who sets a password and signs in. */
async function person(it: Site, name: string): Promise<Browser> {
  const { url } = await it.coord.admin.inviteUser(name)
  const browser = new Browser(it)
  const enrol = url.split('/').at(-1) ?? ''
  await browser.open({ enrol })
  assert.equal((await browser.call('enrol/password', { enrol, password: OTHER_PASSWORD })).status, 200)
  assert.equal((await signIn(browser, name, OTHER_PASSWORD)).status, 200)
  it.clock.advance(30_000)
  return browser
}

/** The app's side: turns the second factor on and gives what makes its codes. */
async function enrolTotp(it: Owner): Promise<(stepsOn?: number) => string> {
  const begun = await it.browser.call('account/totp/begin', {})
  const uri = new URL(String(begun.body.value?.['uri']))
  const secret = fromBase32(uri.searchParams.get('secret') ?? '')
  const codeAt = (stepsOn = 0): string => hotp(secret, Math.floor(it.clock.wallNow() / 30_000) + stepsOn)
  const confirmed = await it.browser.call('account/totp/confirm', {
    pending: begun.body.value?.['pending'],
    code: codeAt(),
  })
  assert.equal(confirmed.status, 200, confirmed.text)
  return codeAt
}

function fromBase32(text: string): Uint8Array {
  const bits = Array.from(text, (letter) =>
    'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0'),
  ).join('')
  return Uint8Array.from(bits.match(/.{8}/g) ?? [], (byte) => Number.parseInt(byte, 2))
}

test('the last usable way in stays, in whichever order ways are taken away', async (t) => {
  for (const order of ['key password', 'password key']) {
    const it = await withOwner(t)
    await addPasskey(it)
    const [key] = (await pageOf(it.browser)).passkeys
    const remove = (which: string): Promise<Answer> =>
      which === 'key'
        ? it.browser.call('account/passkey/remove', { id: key?.id })
        : it.browser.call('account/password/remove', {})
    const [first = '', last = ''] = order.split(' ')
    assert.equal((await remove(first)).status, 200, first)
    assert.equal(codeOf(await remove(last)), 'login/last-way')
    const page = await pageOf(it.browser)
    assert.deepEqual(
      [page.passkeys.map(({ mayRemove }) => mayRemove), page.password?.mayRemove],
      last === 'key' ? [[false], undefined] : [[], false],
    )
  }
})

test('of all ways taken away at once, one stays', async (t) => {
  const it = await withOwner(t)
  for (const name of ['one', 'two', 'three']) await addPasskey(it, name)
  const { passkeys } = await pageOf(it.browser)
  const answers = await Promise.all([
    it.browser.call('account/password/remove', {}),
    ...passkeys.map(({ id }) => it.browser.call('account/passkey/remove', { id })),
  ])
  assert.deepEqual(statusesOf(answers), [200, 200, 200, 409])
  const left = await pageOf(it.browser)
  assert.equal(left.passkeys.length + (left.password ? 1 : 0), 1)
})

test('a passkey of a name the server had before does not count as a way in', async (t) => {
  const before = await withOwner(t)
  await addPasskey(before)
  const after = await site(t, 'https://new.example.org', before)
  const browser = new Browser(after, 'https://new.example.org')
  assert.equal((await signIn(browser, 'ines', PASSWORD)).status, 200)
  const page = await pageOf(browser)
  assert.deepEqual(
    page.passkeys.map(({ host, isUsable, mayRemove }) => [host, isUsable, mayRemove]),
    [['home.example.org', false, true]],
  )
  assert.equal(codeOf(await browser.call('account/password/remove', {})), 'login/last-way')
  await addPasskey({ ...after, browser }, 'new')
  assert.equal((await browser.call('account/password/remove', {})).status, 200)
})

test('what could take the account over asks for a sign-in of the last five minutes, and nothing else does', async (t) => {
  const it = await withOwner(t)
  const karin = await person(it, 'karin')
  const spare = await addPasskey(it)
  const { passkeys, people } = await pageOf(it.browser)
  const [id, personId] = [passkeys[0]?.id, people[0]?.id]
  it.clock.advance(FRESH_MS)
  const sensitive: readonly [string, object][] = [
    ['account/passkey/begin', {}],
    ['account/passkey/add', { ceremony: 'x', response: fakeCreation(), passkeyName: 'x' }],
    ['account/passkey/remove', { id }],
    ['account/password/set', { password: OTHER_PASSWORD }],
    ['account/password/remove', {}],
    ['account/totp/begin', {}],
    ['account/totp/confirm', { pending: 'AAAA', code: '123456' }],
    ['account/totp/remove', {}],
    ['account/recovery-codes/make', {}],
    ['account/recovery/start', { person: personId }],
    ['account/recovery/link', { id: 1 }],
  ]
  for (const [name, ask] of sensitive) {
    assert.equal(codeOf(await it.browser.call(name, ask)), 'login/prove-again', name)
    it.clock.advance(4_000)
  }
  assert.equal((await it.browser.call('account/passkey/rename', { id, name: 'Desk' })).status, 200)
  assert.equal((await it.browser.call('account/session/end-others', {})).status, 200)

  await prove(it)
  assert.equal((await it.browser.call('account/recovery/start', { person: personId })).status, 200)
  const recovery = (await pageOf(karin)).recoveries[0]
  it.clock.advance(FRESH_MS)
  const stopped = await karin.call('account/recovery/stop', { id: recovery?.id })
  assert.equal(stopped.status, 200, 'to stop what others do must never wait')

  // By passkey too; and only by one's own.
  const begin = async (by: Browser) => (await by.call('account/prove/begin', {})).body.value
  const hers = await begin(karin)
  const foreign = spare.answer(hers?.['options'] as PublicKeyCredentialRequestOptionsJSON)
  const refused = await karin.call('account/prove/passkey', { ceremony: hers?.['ceremony'], response: foreign })
  assert.equal(codeOf(refused), 'login/passkey-unknown')
  const mine = await begin(it.browser)
  const response = spare.answer(mine?.['options'] as PublicKeyCredentialRequestOptionsJSON)
  const former = it.browser.cookies.get('__Host-peerway-session')
  const proved = await it.browser.call('account/prove/passkey', { ceremony: mine?.['ceremony'], response })
  assert.equal(proved.status, 200)
  assert.notEqual(it.browser.cookies.get('__Host-peerway-session'), former, 'a new session takes its place')
  assert.equal((await pageOf(it.browser)).sessions.length, 1)
  assert.equal((await it.browser.call('account/totp/begin', {})).status, 200)
})

const fakeCreation = () => ({
  id: 'x',
  rawId: 'x',
  type: 'public-key',
  response: { clientDataJSON: 'x', attestationObject: 'x' },
})

test('every call of the account is refused to who is not signed in', async (t) => {
  const it = await withOwner(t)
  const stranger = new Browser(it)
  await stranger.open(ACCOUNT)
  const calls: readonly [string, object][] = [
    ['prove/password', { password: PASSWORD }],
    ['prove/begin', {}],
    ['prove/passkey', { ceremony: 'x', response: fakeAssertion() }],
    ['passkey/begin', {}],
    ['passkey/add', { ceremony: 'x', response: fakeCreation(), passkeyName: 'x' }],
    ['passkey/rename', { id: 'x', name: 'x' }],
    ['passkey/remove', { id: 'x' }],
    ['password/set', { password: OTHER_PASSWORD }],
    ['password/remove', {}],
    ['totp/begin', {}],
    ['totp/confirm', { pending: 'AAAA', code: '123456' }],
    ['totp/remove', {}],
    ['oidc/remove', { provider: 'corp', subject: 'x' }],
    ['recovery-codes/make', {}],
    ['session/end', { id: 1 }],
    ['session/end-others', {}],
    ['invite', { name: 'x', role: 'member' }],
    ['recovery/start', { person: 1 }],
    ['recovery/stop', { id: 1 }],
    ['recovery/link', { id: 1 }],
  ]
  for (const [name, ask] of calls) {
    assert.equal(codeOf(await stranger.call(`account/${name}`, ask)), 'login/not-signed-in', name)
    const foreign = await it.browser.call(`account/${name}`, ask, { origin: 'https://evil.example' })
    assert.equal(codeOf(foreign), 'login/cross-site', name)
    it.clock.advance(4_000)
  }
})

const fakeAssertion = () => ({
  id: 'x',
  rawId: 'x',
  type: 'public-key',
  response: { clientDataJSON: 'x', authenticatorData: 'x', signature: 'x' },
})

test('one person’s passkeys and sessions are out of another’s reach', async (t) => {
  const it = await withOwner(t)
  await addPasskey(it)
  const karin = await person(it, 'karin')
  const { passkeys, sessions } = await pageOf(it.browser)
  const tries: readonly [string, object][] = [
    ['account/passkey/rename', { id: passkeys[0]?.id, name: 'mine now' }],
    ['account/passkey/remove', { id: passkeys[0]?.id }],
    ['account/session/end', { id: sessions[0]?.id }],
  ]
  for (const [name, ask] of tries) assert.equal(codeOf(await karin.call(name, ask)), 'login/gone', name)
  await karin.call('account/session/end-others', {})
  const page = await pageOf(it.browser)
  assert.deepEqual([page.passkeys[0]?.name, page.sessions.length], ['key', 1])
})

test('with an app beside it the password alone signs nobody in, and each code counts once', async (t) => {
  const it = await withOwner(t)
  const codeAt = await enrolTotp(it)
  const phone = new Browser(it)
  assert.equal(codeOf(await signIn(phone, 'ines', PASSWORD)), 'login/code-needed')
  assert.equal(codeOf(await signIn(phone, 'ines', OTHER_PASSWORD)), 'login/wrong-credentials', 'no sign of the app')
  assert.equal(codeOf(await signIn(phone, 'ines', OTHER_PASSWORD, codeAt(1))), 'login/wrong-credentials')
  assert.equal(codeOf(await signIn(phone, 'ines', PASSWORD, codeAt())), 'login/wrong-code', 'used to set it up')
  it.clock.advance(60_000)
  assert.equal((await signIn(phone, 'ines', PASSWORD, codeAt())).status, 200)
  const twice = await Promise.all(
    [new Browser(it), new Browser(it)].map((browser) => signIn(browser, 'ines', PASSWORD, codeAt(1))),
  )
  assert.deepEqual(statusesOf(twice), [200, 401])

  await t.test('codes are guessed no faster than passwords, and the right one starts the count afresh', async () => {
    it.clock.advance(90_000)
    assert.equal((await signIn(phone, 'ines', PASSWORD, codeAt())).status, 200)
    const codes: (string | number)[] = []
    for (let i = 0; i < 6; i++) codes.push(codeOf(await signIn(phone, 'ines', PASSWORD, '000000')))
    assert.deepEqual(codes.slice(4), ['login/wrong-code', 'login/too-many-tries'])
    it.clock.advance(60_000)
    assert.equal((await signIn(phone, 'ines', PASSWORD, codeAt())).status, 200)
    assert.equal((await pageOf(phone)).totpSinceMs !== undefined, true)
  })

  await t.test('it goes with the password, which then is no way in', async () => {
    await it.browser.call('sign-out', {})
    it.clock.advance(90_000)
    assert.equal((await signIn(it.browser, 'ines', PASSWORD, codeAt())).status, 200)
    await pageOf(it.browser)
    await addPasskey(it)
    assert.equal((await it.browser.call('account/password/remove', {})).status, 200)
    assert.equal((await pageOf(it.browser)).totpSinceMs, undefined)
    it.clock.advance(90_000)
    assert.equal(codeOf(await signIn(phone, 'ines', PASSWORD, codeAt())), 'login/wrong-credentials')
    assert.equal(codeOf(await it.browser.call('account/totp/begin', {})), 'login/conflict')
  })
})

test('a key for an app is good for its own account and a while, and not until a code of it was right', async (t) => {
  const it = await withOwner(t)
  const karin = await person(it, 'karin')
  const { value } = (await it.browser.call('account/totp/begin', {})).body
  const secret = fromBase32(new URL(String(value?.['uri'])).searchParams.get('secret') ?? '')
  const confirm = (by: Browser): Promise<Answer> =>
    by.call('account/totp/confirm', {
      pending: value?.['pending'],
      code: hotp(secret, Math.floor(it.clock.wallNow() / 30_000)),
    })
  assert.equal(codeOf(await confirm(karin)), 'login/passkey-too-late')
  const wrong = await it.browser.call('account/totp/confirm', { pending: value?.['pending'], code: '000000' })
  assert.equal(codeOf(wrong), 'login/wrong-code')
  assert.equal((await signIn(new Browser(it), 'ines', PASSWORD)).status, 200, 'nothing asks for a code yet')
  it.clock.advance(10 * 60_000)
  await prove(it)
  assert.equal(codeOf(await confirm(it.browser)), 'login/passkey-too-late')
})

test('recovery codes sign in once each, also at the same moment, and new ones end the old ones', async (t) => {
  const it = await withOwner(t)
  const make = async (): Promise<string[]> =>
    (await it.browser.call('account/recovery-codes/make', {})).body.value?.['codes'] as string[]
  const use = async (name: string, code: string): Promise<Answer> => {
    const browser = new Browser(it)
    await browser.open(ACCOUNT)
    return browser.call('sign-in/recovery-code', { name, code })
  }
  const old = await make()
  assert.equal(new Set(old).size, 10)
  const karin = await person(it, 'karin')
  assert.ok(karin)
  assert.equal(codeOf(await use('karin', old[0] ?? '')), 'login/wrong-code', 'another’s code')
  assert.equal(codeOf(await use('nobody', old[0] ?? '')), 'login/wrong-code')
  assert.equal((await use('INES', (old[0] ?? '').toLowerCase())).status, 200)
  const race = await Promise.all(Array.from({ length: 8 }, () => use('ines', old[1] ?? '')))
  assert.deepEqual(statusesOf(race), [200, ...Array.from({ length: 7 }, () => 401)])
  assert.equal((await pageOf(it.browser)).recoveryCodes?.left, 8)
  it.clock.advance(60_000)
  const fresh = await make()
  assert.equal(codeOf(await use('ines', old[2] ?? '')), 'login/wrong-code')
  assert.equal((await use('ines', fresh[0] ?? '')).status, 200)

  await t.test('and open an account whose password was guessed at too often', async () => {
    for (let i = 0; i < 100; i++) {
      it.clock.advance(16 * 60_000)
      await signIn(new Browser(it), 'ines', `guess ${i}`)
    }
    it.clock.advance(24 * 3_600_000)
    assert.equal(codeOf(await signIn(new Browser(it), 'ines', PASSWORD)), 'login/password-closed')
    const again = await site(t, undefined, it)
    const here = new Browser(again)
    assert.equal(codeOf(await signIn(here, 'ines', PASSWORD)), 'login/password-closed', 'a restart clears nothing')
    const answer = await here.call('sign-in/recovery-code', { name: 'ines', code: fresh[1] })
    assert.equal(answer.status, 200, answer.text)
    assert.equal((await signIn(new Browser(again), 'ines', PASSWORD)).status, 200)
  })
})

test('a new password ends the sessions elsewhere, not this one; so does a way that is taken away', async (t) => {
  const it = await withOwner(t)
  const phone = new Browser(it)
  const signedIn = async (): Promise<boolean> => (await phone.open(ACCOUNT))['kind'] === 'account'
  await signIn(phone, 'ines', PASSWORD)
  assert.ok(await signedIn())
  assert.equal((await it.browser.call('account/password/set', { password: OTHER_PASSWORD })).status, 200)
  assert.ok(!(await signedIn()))
  assert.equal(codeOf(await signIn(phone, 'ines', PASSWORD)), 'login/wrong-credentials')
  await signIn(phone, 'ines', OTHER_PASSWORD)
  await addPasskey(it)
  assert.ok(await signedIn())
  const { passkeys } = await pageOf(it.browser)
  await it.browser.call('account/passkey/remove', { id: passkeys[0]?.id })
  assert.ok(!(await signedIn()))
  const weak = await it.browser.call('account/password/set', { password: 'password12345678' })
  assert.equal(codeOf(weak), 'login/weak-password')
})

test('who may let whom in again: owners all others, admins those below, and nobody themselves', async (t) => {
  const it = await withOwner(t)
  const roles = ['owner', 'admin', 'member', 'auditor'] as const
  const ids = new Map<string, number>()
  for (const role of roles) {
    ids.set(role, (await it.coord.admin.createUser({ name: `${role}-a`, role })).id)
    ids.set(`${role} too`, (await it.coord.admin.createUser({ name: `${role}-b`, role })).id)
  }
  const may: Record<string, readonly string[]> = {
    owner: ['owner too', 'admin', 'admin too', 'member', 'member too', 'auditor', 'auditor too'],
    admin: ['member', 'member too', 'auditor', 'auditor too'],
    member: [],
    auditor: [],
  }
  for (const role of roles) {
    const browser = await person(it, `${role}-a`)
    for (const [who, id] of ids) {
      await signIn(browser, `${role}-a`, OTHER_PASSWORD)
      const answer = await browser.call('account/recovery/start', { person: id })
      const allowed = may[role]?.includes(who) === true
      assert.ok(
        allowed ? [200, 409].includes(answer.status) : codeOf(answer) === 'login/not-allowed',
        `${role}: ${who}`,
      )
      it.clock.advance(30_000)
    }
    const { people } = await pageOf(browser)
    assert.equal(people.length, (may[role] ?? []).length + (role === 'owner' ? 1 : 0), role)
  }
})

test('an invited person sets how they sign in; nobody is invited into an account that is in use', async (t) => {
  const it = await withOwner(t)
  const invite = (by: Browser, name: string, role = 'member'): Promise<Answer> =>
    by.call('account/invite', { name, role })
  const made = await invite(it.browser, 'karin', 'admin')
  assert.equal(made.status, 200, made.text)
  const enrol = String(made.body.value?.['url']).split('/').at(-1) ?? ''
  const karin = new Browser(it)
  await karin.open({ enrol })
  assert.equal((await karin.call('enrol/password', { enrol, password: OTHER_PASSWORD })).status, 200)
  assert.equal((await signIn(karin, 'karin', OTHER_PASSWORD)).status, 200)
  assert.deepEqual((await pageOf(karin)).mayInvite, ['member', 'auditor'])

  assert.equal(codeOf(await invite(it.browser, 'KARIN')), 'login/conflict')
  assert.equal(codeOf(await invite(it.browser, 'ines')), 'login/conflict')
  assert.equal(codeOf(await invite(it.browser, 'two words')), 'login/name-refused')
  for (const role of ['owner', 'admin']) assert.equal(codeOf(await invite(karin, 'jonas', role)), 'login/not-allowed')
  assert.equal(codeOf(await invite(karin, 'ines')), 'login/not-allowed')
  it.clock.advance(60_000)
  assert.equal((await invite(karin, 'jonas')).status, 200)
  // Made without a way in, as by a key: the link is the first one.
  await it.coord.admin.createUser({ name: 'lin', role: 'owner' })
  assert.equal(codeOf(await invite(karin, 'lin')), 'login/not-allowed')
  assert.equal((await invite(it.browser, 'lin')).status, 200)
  const jonas = await person(it, 'jonas')
  await signIn(jonas, 'jonas', OTHER_PASSWORD)
  assert.equal(codeOf(await invite(jonas, 'eve')), 'login/not-allowed')
  it.clock.advance(FRESH_MS)
  assert.equal(codeOf(await invite(karin, 'eve')), 'login/prove-again')
  const roles = (await it.coord.admin.listUsers()).map(({ name, role }) => [name, role])
  assert.deepEqual(roles, [
    ['ines', 'owner'],
    ['karin', 'admin'],
    ['jonas', 'member'],
    ['lin', 'owner'],
  ])
})

test('a recovery waits a day, can be stopped until its link was used, and ends what was before', async (t) => {
  const it = await withOwner(t)
  const karin = await person(it, 'karin')
  const them = (await pageOf(it.browser)).people[0]
  const start = (): Promise<Answer> => it.browser.call('account/recovery/start', { person: them?.id })
  const link = async (): Promise<Answer> => {
    await signIn(it.browser, 'ines', PASSWORD)
    const recovery = (await pageOf(it.browser)).people[0]?.recovery
    return it.browser.call('account/recovery/link', { id: recovery?.id ?? 999 })
  }
  assert.equal((await start()).status, 200)
  assert.equal(codeOf(await start()), 'login/conflict')
  assert.equal(codeOf(await link()), 'login/conflict')
  it.clock.advance(RECOVERY_DELAY_MS - 1)
  assert.equal(codeOf(await link()), 'login/conflict')
  it.clock.advance(1)
  const made = await link()
  assert.equal(made.status, 200, made.text)
  const enrol = String(made.body.value?.['url']).split('/').at(-1) ?? ''
  const finder = new Browser(it)
  assert.equal((await finder.open({ enrol }))['kind'], 'enrol')

  // Late, but in time: nobody used the link.
  assert.equal((await signIn(karin, 'karin', OTHER_PASSWORD)).status, 200)
  const [seen] = (await pageOf(karin)).recoveries
  assert.equal(seen?.helper, 'ines')
  assert.equal((await karin.call('account/recovery/stop', { id: seen?.id })).status, 200)
  assert.equal((await finder.open({ enrol }))['kind'], 'link-over')
  assert.equal(codeOf(await link()), 'login/gone')

  assert.equal((await start()).status, 200)
  it.clock.advance(RECOVERY_DELAY_MS)
  const second =
    String((await link()).body.value?.['url'])
      .split('/')
      .at(-1) ?? ''
  await finder.open({ enrol: second })
  assert.equal((await finder.call('enrol/password', { enrol: second, password: PASSWORD })).status, 200)
  assert.equal(codeOf(await signIn(karin, 'karin', OTHER_PASSWORD)), 'login/wrong-credentials')
  assert.equal((await signIn(karin, 'karin', PASSWORD)).status, 200)
  assert.deepEqual((await pageOf(karin)).recoveries, [])
  assert.equal((await pageOf(it.browser)).people[0]?.recovery, undefined)
})

test('the person’s own machines tell of a recovery, others’ do not, and no longer than it lasts', async (t) => {
  const it = await withOwner(t)
  await person(it, 'karin')
  const join = async (user: string) => {
    const { key } = await it.coord.admin.createAuthKey({ user })
    const machine = new TestMachine(`http://127.0.0.1:${it.coord.port}`, user)
    t.after(() => machine.close())
    await machine.register({ auth: { authKey: key } })
    return machine.poll()
  }
  const [hers, mine] = [await join('karin'), await join('ines')]
  const first = await hers.until(({ node }) => node !== undefined)
  assert.equal(first.health, undefined)
  const them = (await pageOf(it.browser)).people[0]
  await it.browser.call('account/recovery/start', { person: them?.id })
  it.clock.advance(1_000)
  const told = await hers.until(({ health }) => health !== undefined)
  assert.match(
    told.health?.join() ?? '',
    /^ines gives your account a new way .* stop it at https:\/\/home\.example\.org\/account$/,
  )
  await it.browser.call('account/recovery/stop', { id: (await pageOf(it.browser)).people[0]?.recovery?.id })
  it.clock.advance(1_000)
  const over = await hers.until(({ health }) => health !== undefined)
  assert.deepEqual(over.health, [])
  assert.ok(mine.messages.every(({ health }) => health === undefined))
})

test('no secret of an account can be read out of the database, and every change is in the audit log', async (t) => {
  const it = await withOwner(t)
  const { value } = (await it.browser.call('account/totp/begin', {})).body
  const secret = fromBase32(new URL(String(value?.['uri'])).searchParams.get('secret') ?? '')
  const code = hotp(secret, Math.floor(it.clock.wallNow() / 30_000))
  await it.browser.call('account/totp/confirm', { pending: value?.['pending'], code })
  const codes = (await it.browser.call('account/recovery-codes/make', {})).body.value?.['codes'] as string[]
  await it.browser.call('account/password/set', { password: OTHER_PASSWORD })
  await it.browser.call('account/totp/remove', {})
  const secrets: (string | Uint8Array)[] = [
    ...codes.flatMap((code) => [code, code.replaceAll('-', '')]),
    secret,
    String(value?.['secret']),
    PASSWORD,
    OTHER_PASSWORD,
    it.setupCode,
    it.setupCode.replaceAll('-', ''),
    ...it.browser.cookies.values(),
  ]
  for (const name of readdirSync(it.stateDir).filter((name) => name.startsWith('coord.db')))
    for (const secret of secrets) assert.equal(readFileSync(join(it.stateDir, name)).indexOf(secret), -1)
  const audit = await it.coord.admin.auditSince(0)
  const actions = new Set(audit.map(({ action }) => action))
  for (const action of ['totp.set', 'totp.delete', 'recovery-codes.create', 'password.set', 'sign-in'])
    assert.ok(actions.has(action), action)
})

test('without the setup code nobody makes the first account, wherever they are; with it, once', async (t) => {
  const it = await site(t, 'http://127.0.0.1')
  const stranger = new Browser(it, 'http://127.0.0.1')
  assert.deepEqual(await stranger.open(ACCOUNT), { kind: 'first' })
  for (const setupCode of ['0000-0000-0000-0000', 'x', it.setupCode.slice(1)]) {
    const answer = await stranger.call('first/password', { setupCode, name: 'mallory', password: PASSWORD })
    assert.equal(codeOf(answer), 'login/wrong-setup-code')
  }
  assert.equal(
    codeOf(await stranger.call('first/password', { name: 'mallory', password: PASSWORD })),
    'login/bad-request',
  )
  const again = await site(t, 'http://127.0.0.1', it)
  assert.equal(again.setupCode, it.setupCode, 'it outlives a restart')
  const browser = new Browser(again, 'http://127.0.0.1')
  await browser.open(ACCOUNT)
  const { setupCode } = again
  assert.equal((await browser.call('first/password', { setupCode, name: 'ines', password: PASSWORD })).status, 200)
  assert.equal(
    codeOf(await browser.call('first/password', { setupCode, name: 'eve', password: PASSWORD })),
    'login/has-owner',
  )
  assert.equal(await again.coord.admin.setupCode(), undefined)
  await again.coord.admin.deleteUser('ines')
  assert.notEqual((await again.coord.admin.setupCode())?.code, setupCode, 'an empty server gets another one')
})
