// The pages' calls through the assembled server, as a browser, another site or a program would make them.

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import type {
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
} from '@simplewebauthn/server'
import { SoftAuthenticator } from './soft-authenticator.ts'
import { Browser, NAME, PASSWORD, site, statusesOf, withOwner, type Site } from './test-site.ts'

test('the whole way by password: the first account owns the network, and lets its machine in', async (t) => {
  const its = await site(t)
  const login = await its.ask('ines-laptop')
  const browser = new Browser(its)
  const stage = await browser.open({ login })
  assert.equal(stage['kind'], 'first')
  assert.deepEqual((stage['machine'] as { name: string }).name, 'ines-laptop')
  assert.equal((await browser.call('approve', { login })).body.code, 'login/not-signed-in')
  await browser.call('first/password', { login, setupCode: its.setupCode, name: 'ines', password: PASSWORD })
  assert.equal((await browser.open({ login }))['kind'], 'approve')
  assert.equal((await browser.call('approve', { login })).status, 200)
  assert.equal((await browser.call('approve', { login })).body.code, 'login/over')
  const [node] = await its.coord.admin.listNodes()
  assert.deepEqual([node?.name, node?.user], ['ines-laptop', 'ines'])
  const [user] = await its.coord.admin.listUsers()
  assert.equal(user?.role, 'owner')
})

test('the whole way by passkey, and a challenge is good for one answer in one browser', async (t) => {
  const its = await site(t)
  const login = await its.ask()
  const browser = new Browser(its)
  await browser.open({ login })
  const key = new SoftAuthenticator(browser.origin)
  const creation = await browser.call('first/begin', { login, setupCode: its.setupCode, name: 'ines' })
  const response = key.create(creation.body.value?.['options'] as PublicKeyCredentialCreationOptionsJSON)
  const made = { login, ceremony: creation.body.value?.['ceremony'], response, passkeyName: 'test' }
  assert.equal((await browser.call('first/passkey', made)).status, 200)
  assert.equal((await browser.call('first/passkey', made)).body.code, 'login/passkey-too-late')

  const other = new Browser(its)
  await other.open({ login })
  const begin = async (by: Browser): Promise<{ ceremony: unknown; options: PublicKeyCredentialRequestOptionsJSON }> => {
    const { body } = await by.call('sign-in/begin', { login })
    return {
      ceremony: body.value?.['ceremony'],
      options: body.value?.['options'] as PublicKeyCredentialRequestOptionsJSON,
    }
  }
  const asked = await begin(other)
  const answer = { ceremony: asked.ceremony, response: key.answer(asked.options) }
  const thief = new Browser(its)
  await thief.open({ login })
  assert.equal((await thief.call('sign-in/passkey', answer)).body.code, 'login/passkey-too-late')
  const twice = await Promise.all([other.call('sign-in/passkey', answer), other.call('sign-in/passkey', answer)])
  assert.deepEqual(statusesOf(twice), [200, 400])

  const late = await begin(other)
  its.clock.advance(5 * 60_000)
  const tooLate = await other.call('sign-in/passkey', { ceremony: late.ceremony, response: key.answer(late.options) })
  assert.equal(tooLate.body.code, 'login/passkey-too-late')
})

test('nothing that another site can make a browser send changes anything', async (t) => {
  const { browser, ask, coord } = await withOwner(t)
  const login = await ask()
  await browser.open({ login })
  const attacks: Record<string, Record<string, string>> = {
    'another site': { origin: 'https://evil.example' },
    'a sub-domain': { origin: `https://evil.${NAME}` },
    'the parent': { origin: 'https://example.org' },
    'another port': { origin: `https://${NAME}:8443` },
    'plain http': { origin: `http://${NAME}` },
    'a sandboxed frame': { origin: 'null' },
    'no origin': { origin: '' },
    'a name that begins like ours': { origin: `https://${NAME}.evil.example` },
    'cross-site by its own word': { 'sec-fetch-site': 'cross-site' },
    'a sibling by its own word': { 'sec-fetch-site': 'same-site' },
    'typed into the bar': { 'sec-fetch-site': 'none' },
    'a form': { 'content-type': 'application/x-www-form-urlencoded' },
    'a form that looks like text': { 'content-type': 'text/plain' },
    'a form with parts': { 'content-type': 'multipart/form-data; boundary=x' },
    'no token': { 'x-peerway-token': '' },
    'a guessed token': { 'x-peerway-token': 'A'.repeat(43) },
    'another host, rebound': { host: 'evil.example', origin: 'https://evil.example' },
    'a host with a port of its own': { host: `${NAME}:1`, origin: `https://${NAME}:1` },
    'a host with a dot at the end': { host: `${NAME}.`, origin: `https://${NAME}.` },
    'an address that is a name': { host: '127.evil.example', origin: 'http://127.evil.example' },
  }
  for (const [name, headers] of Object.entries(attacks))
    for (const call of ['approve', 'refuse', 'sign-out', 'sign-in/password']) {
      const { status, body } = await browser.call(call, { login, name: 'ines', password: PASSWORD }, headers)
      assert.ok([400, 403, 421].includes(status) && body.ok === false, `${name}: ${call}: ${status}`)
    }
  assert.deepEqual(await coord.admin.listNodes(), [])
  assert.equal((await browser.open({ login }))['kind'], 'approve', 'and the session is still there')
  assert.equal((await browser.call('approve', { login })).status, 200)
})

test('the token of one browser is no good in another', async (t) => {
  const its = await withOwner(t)
  const login = await its.ask()
  const thief = new Browser(its)
  await thief.open({ login })
  await its.browser.open({ login })
  const answer = await its.browser.call('approve', { login }, { 'x-peerway-token': thief.token })
  assert.equal(answer.body.code, 'login/stale-page')
})

test('every answer keeps itself out of frames, caches and other sites', async (t) => {
  const its = await site(t)
  const login = await its.ask()
  const json = { 'content-type': 'application/json', origin: `https://${NAME}` }
  const answers = await Promise.all([
    its.send(`/login/${login}`),
    its.send('/login/0123456789abcdef'),
    its.send('/enrol/0123456789abcdef'),
    its.send(`/login/${login}`, { headers: { host: 'evil.example' } }),
    its.send('/account'),
    its.send('/login/assets/login.js'),
    its.send('/login/assets/login.css'),
    its.send('/login/api/state', { method: 'POST', headers: json, body: JSON.stringify({ login }) }),
    its.send('/login/api/state', { method: 'POST' }),
  ])
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 404, 200, 421, 200, 200, 200, 200, 403],
  )
  for (const { headers } of answers) {
    const policy = String(headers['content-security-policy'])
    for (const part of ["default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'"])
      assert.ok(policy.includes(part), policy)
    assert.ok(!/unsafe|\*|data:|https?:/.test(policy), policy)
    assert.equal(headers['x-content-type-options'], 'nosniff')
    assert.equal(headers['referrer-policy'], 'no-referrer')
    const isAsset = /javascript|css/.test(String(headers['content-type']))
    assert.equal(headers['cache-control'], isAsset ? 'no-cache' : 'no-store')
  }
  const tag = String(answers[5]?.headers.etag)
  assert.equal((await its.send('/login/assets/login.js', { headers: { 'if-none-match': tag } })).status, 304)
  for (const path of ['/login/assets/../../package.json', '/login/assets/login.js.map', '/login/api/state', '/login/'])
    assert.equal((await its.send(path)).status, 404, path)
})

test('cookies are out of reach for scripts and other sites, and with TLS for other hosts too', async (t) => {
  const behindTls = await site(t)
  const plain = await site(t, 'http://localhost')
  const attributes = async (its: Site, origin: string): Promise<string[]> => {
    const login = await its.ask()
    const browser = new Browser(its, origin)
    await browser.open({ login })
    const { setupCode } = its
    const { headers } = await browser.call('first/password', { login, setupCode, name: 'ines', password: PASSWORD })
    return headers['set-cookie'] ?? []
  }
  const [secure] = await attributes(behindTls, `https://${NAME}`)
  assert.match(secure ?? '', /^__Host-peerway-session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Secure$/)
  const [local] = await attributes(plain, 'http://localhost')
  assert.match(local ?? '', /^peerway-session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/)
})

test('a session from before signing in is not taken over', async (t) => {
  const { browser, ask } = await withOwner(t)
  const login = await ask()
  const planted = browser.cookies.get('__Host-peerway-session')
  await browser.open({ login })
  await browser.call('sign-in/password', { login, name: 'ines', password: PASSWORD })
  assert.notEqual(browser.cookies.get('__Host-peerway-session'), planted)
})

test('an account that is not there, one without a password and a wrong password answer alike', async (t) => {
  const { browser, ask, coord } = await withOwner(t)
  await coord.admin.createUser({ name: 'karin' })
  const login = await ask()
  await browser.open({ login })
  const answers: string[] = []
  for (const name of ['ines', 'karin', 'nobody', '\u0001', 'x'.repeat(64)]) {
    const { status, body, headers } = await browser.call('sign-in/password', {
      login,
      name,
      password: 'not the password',
    })
    answers.push(JSON.stringify([status, body, headers['set-cookie'] ?? [], headers['content-length']]))
  }
  assert.equal(new Set(answers).size, 1, answers.join('\n'))
  assert.ok(answers[0]?.includes('login/wrong-credentials'))
})

test('guessing one account waits longer and longer, whether or not it is there; waiting lets the owner in', async (t) => {
  const { browser, ask, clock } = await withOwner(t)
  const login = await ask()
  await browser.open({ login })
  for (const name of ['ines', 'nobody']) {
    for (let i = 0; i < 5; i++) await browser.call('sign-in/password', { login, name, password: `guess ${i}` })
    const { status, body, headers } = await browser.call('sign-in/password', { login, name, password: PASSWORD })
    assert.deepEqual([status, body.code, headers['retry-after']], [429, 'login/too-many-tries', '1'])
  }
  clock.advance(1_000)
  const { status } = await browser.call('sign-in/password', { login, name: 'ines', password: PASSWORD })
  assert.equal(status, 200)
})

test('one place may try so often, whatever it tries', async (t) => {
  const { browser, ask, clock, coord } = await withOwner(t)
  const login = await ask()
  await browser.open({ login })
  const statuses: number[] = []
  for (let i = 0; i < 30; i++) {
    const ask = { login, name: `somebody-${i}`, password: 'not the password' }
    statuses.push((await browser.call('sign-in/password', ask)).status)
  }
  // One try of the burst of 20 made the account.
  assert.deepEqual([statuses.indexOf(429), statuses.filter((status) => status === 401).length], [19, 19])
  clock.advance(60_000)
  assert.equal((await browser.call('sign-in/password', { login, name: 'ines', password: PASSWORD })).status, 200)
  const refusals = (await coord.admin.auditSince(0)).filter(({ action }) => action === 'sign-in.refused')
  assert.ok(refusals.length > 0 && refusals.length <= 20)
  assert.ok(!JSON.stringify(refusals).includes('somebody'), 'what was typed is not kept')
})

test('two who make the first account at once: one owns the network, the other is told', async (t) => {
  const its = await site(t)
  const login = await its.ask()
  const browsers = ['ines', 'mallory'].map((name) => ({ name, browser: new Browser(its) }))
  for (const { browser } of browsers) await browser.open({ login })
  const made = await Promise.all(
    browsers.map(({ name, browser }) =>
      browser.call('first/password', { login, setupCode: its.setupCode, name, password: PASSWORD }),
    ),
  )
  assert.deepEqual(statusesOf(made), [200, 409])
  assert.equal(made.find(({ status }) => status === 409)?.body.code, 'login/has-owner')
  const users = await its.coord.admin.listUsers()
  assert.deepEqual(
    users.map(({ role }) => role),
    ['owner'],
  )
})

test('no first account without a machine that waits, with a bad name, or with a weak password', async (t) => {
  const its = await site(t)
  const login = await its.ask()
  const browser = new Browser(its)
  await browser.open({ login })
  const tries: readonly [unknown, string][] = [
    [{ login: '0123456789abcdef', name: 'ines', password: PASSWORD }, 'login/over'],
    [{ login, name: 'ines linden', password: PASSWORD }, 'login/name-refused'],
    [{ login, name: '<b>', password: PASSWORD }, 'login/name-refused'],
    [{ login, name: 'ines', password: 'short' }, 'login/weak-password'],
    [{ login, name: 'ines', password: 'password12345678' }, 'login/weak-password'],
    [{ login, name: 'ines', password: 'home.example.org' }, 'login/weak-password'],
    [{ login, name: 'ines', password: 'x'.repeat(1_025) }, 'login/bad-request'],
    [{ login, name: 'ines' }, 'login/bad-request'],
  ]
  for (const [ask, code] of tries) {
    const { setupCode } = its
    assert.equal((await browser.call('first/password', { setupCode, ...(ask as object) })).body.code, code)
  }
  assert.deepEqual(await its.coord.admin.listUsers(), [])
})

test('a one-time link is good once, a reset ends what was before, and neither shows who exists', async (t) => {
  const { browser, ask, coord, stateDir, ...its } = await withOwner(t)
  const login = await ask()
  const token = async (which: 'inviteUser' | 'resetUser', name: string): Promise<string> =>
    (await coord.admin[which](name)).url.split('/').at(-1) ?? ''
  const invite = await token('inviteUser', 'karin')
  const hers = new Browser({ coord, ask, stateDir, ...its })
  assert.deepEqual(await hers.open({ enrol: invite }), {
    kind: 'enrol',
    account: { name: 'karin', displayName: 'karin' },
    replaces: false,
  })
  const set = { enrol: invite, password: 'kestrel lantern maple nine' }
  const both = await Promise.all([hers.call('enrol/password', set), hers.call('enrol/password', set)])
  assert.deepEqual(statusesOf(both), [200, 404])
  assert.deepEqual(await hers.open({ enrol: invite }), { kind: 'link-over' })
  assert.deepEqual(await hers.open({ enrol: 'A'.repeat(43) }), { kind: 'link-over' })

  await hers.open({ login })
  const signIn = async (password: string): Promise<number> =>
    (await hers.call('sign-in/password', { login, name: 'karin', password })).status
  assert.equal(await signIn(set.password), 200)
  assert.equal((await hers.open({ login }))['kind'], 'approve')
  const reset = await token('resetUser', 'karin')
  assert.equal(await signIn(set.password), 200, 'a link that nobody used changes nothing')
  assert.equal(
    (await hers.call('enrol/password', { enrol: reset, password: 'harbour seven otter violin' })).status,
    200,
  )
  assert.equal((await hers.open({ login }))['kind'], 'sign-in', 'the session is over')
  assert.deepEqual([await signIn(set.password), await signIn('harbour seven otter violin')], [401, 200])

  const secrets = [invite, reset, set.password, PASSWORD, ...browser.cookies.values(), ...hers.cookies.values()]
  for (const name of readdirSync(stateDir).filter((name) => name.startsWith('coord.db')))
    for (const secret of secrets) assert.equal(readFileSync(join(stateDir, name)).indexOf(secret), -1)
})

test('by an address, or without TLS, passkeys are not offered and not begun', async (t) => {
  const cases: readonly [string, string | undefined][] = [
    ['http://192.168.1.4:8480', 'address'],
    ['https://192.168.1.4', 'address'],
    ['http://[fd00::4]:8480', 'address'],
    ['http://home.example.org', 'not-encrypted'],
    ['https://home.example.org', undefined],
    ['http://localhost:8480', undefined],
  ]
  for (const [url, expected] of cases) {
    const its = await site(t, url)
    const login = await its.ask()
    const browser = new Browser(its, url)
    const state = await browser.call('state', { login })
    assert.equal(state.body.value?.['noPasskeys'], expected, url)
    assert.equal(state.body.value?.['isReadable'], url.startsWith('http://') && !url.includes('localhost'), url)
    browser.token = String(state.body.value?.['token'])
    const begun = await browser.call('first/begin', { login, setupCode: its.setupCode, name: 'ines' })
    assert.equal(begun.body.code, expected && 'login/passkeys-unavailable', url)
  }
})

test('no body whatever gets more than a refusal', async (t) => {
  const its = await withOwner(t)
  const login = await its.ask()
  await its.browser.open({ login })
  const calls = [
    'state',
    'sign-in/passkey',
    'enrol/passkey',
    'first/passkey',
    'approve',
    'oidc/begin',
    'oidc/finish',
    'none',
    'constructor',
    ...['passkey/add', 'passkey/rename', 'totp/confirm', 'session/end', 'recovery/start', 'oidc/remove'].map(
      (name) => `account/${name}`,
    ),
  ]
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...calls), fc.jsonValue(), async (call, body) => {
      const { status } = await its.browser.call(call, body)
      its.clock.advance(5_000)
      assert.ok(status >= 400 && status < 500, `${call}: ${status}`)
    }),
    { numRuns: 250 },
  )
  const huge = await its.browser.call('approve', { login: 'x'.repeat(100_000) })
  assert.equal(huge.body.code, 'login/bad-request')
  assert.equal((await its.coord.admin.listNodes()).length, 0)
})
