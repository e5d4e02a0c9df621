// Who may do what by the calls of the login and account pages: every call, asked by everybody, about things of everybody.
// A call that has no line here fails the test.

import assert from 'node:assert/strict'
import { request as httpRequest } from 'node:http'
import { test, type TestContext } from 'node:test'
import type {
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
} from '@simplewebauthn/server'
import type { Parts } from '../identity/call-parts.ts'
import type { AccountPage, CallName } from '../identity/login-api.ts'
import { loginCalls } from '../identity/login-calls.ts'
import { SoftAuthenticator } from '../identity/soft-authenticator.ts'
import { Browser, NAME, PASSWORD, withOwner, type Answer, type Site } from '../identity/test-site.ts'
import { hotp } from '../identity/totp.ts'
import type { Role } from '../model.ts'

const ROLES = ['owner', 'admin', 'auditor', 'member'] as const
/** Restated, so that a change of the rule is a change of this test. */
const MAY_HELP: Readonly<Record<Role, readonly Role[]>> = {
  owner: ['owner', 'admin', 'auditor', 'member'],
  admin: ['auditor', 'member'],
  auditor: [],
  member: [],
}

interface Person {
  readonly name: string
  readonly role: Role
  readonly id: number
  readonly tailnet: string
  readonly browser: Browser
  readonly key: SoftAuthenticator
}

const ORIGIN = `https://${NAME}`
const ACCOUNT = { account: true } as const

/** Each request from another address: limits are tested elsewhere, and time may stand still here. */
function fromAnywhere(it: Site): Site {
  let asked = 0
  const send: Site['send'] = (path, { method = 'GET', headers = {}, body = '' } = {}) =>
    new Promise((resolve, reject) => {
      asked++
      const localAddress = `127.${1 + (asked % 200)}.${1 + (Math.floor(asked / 200) % 200)}.9`
      const all = { host: NAME, ...headers }
      const outgoing = httpRequest({ port: it.coord.port, path, method, headers: all, localAddress }, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text,
            bytes: Buffer.from(text),
            body: text.startsWith('{') ? (JSON.parse(text) as Answer['body']) : {},
          }),
        )
      })
      outgoing.on('error', reject)
      outgoing.end(body)
    })
  return { ...it, send }
}

const said = ({ status, body }: Answer): string => (status === 200 ? 'yes' : String(body.code ?? status))

async function begun(browser: Browser, name: string): Promise<{ ceremony: unknown; options: unknown }> {
  const { body } = await browser.call(name, {})
  return { ceremony: body.value?.['ceremony'] ?? 'abcdefghijkl', options: body.value?.['options'] }
}

async function addKey(browser: Browser, name: string): Promise<SoftAuthenticator> {
  const key = new SoftAuthenticator(ORIGIN)
  const { ceremony, options } = await begun(browser, 'account/passkey/begin')
  const response = key.create(options as PublicKeyCredentialCreationOptionsJSON)
  assert.equal(said(await browser.call('account/passkey/add', { ceremony, response, passkeyName: name })), 'yes')
  return key
}

async function signedIn(it: Site, name: string): Promise<Browser> {
  const browser = new Browser(it)
  await browser.open(ACCOUNT)
  assert.equal(said(await browser.call('sign-in/password', { login: undefined, name, password: PASSWORD })), 'yes')
  await browser.open(ACCOUNT)
  return browser
}

async function person(it: Site, tailnet: string, name: string, role: Role): Promise<Person> {
  const admin = tailnet === '' ? it.coord.admin : it.coord.serverAdmin.of(tailnet)
  const { id } = await admin.createUser({ name, role })
  const enrol = (await admin.inviteUser(name)).url.split('/').at(-1) ?? ''
  const first = new Browser(it)
  await first.open({ enrol })
  assert.equal(said(await first.call('enrol/password', { enrol, password: PASSWORD })), 'yes')
  const browser = await signedIn(it, name)
  return { name, role, id, tailnet, browser, key: await addKey(browser, 'key') }
}

async function pageOf(browser: Browser): Promise<AccountPage> {
  return (await browser.open(ACCOUNT))['page'] as AccountPage
}

/** All that a stranger might have changed about a person. */
async function traceOf({ browser }: Person): Promise<unknown> {
  const { passkeys, password, totpSinceMs, recoveryCodes, elsewhere, sessions, recoveries } = await pageOf(browser)
  return {
    passkeys,
    password,
    totpSinceMs,
    recoveryCodes,
    elsewhere,
    sessions: sessions.map(({ id }) => id),
    recoveries,
  }
}

interface World {
  readonly it: Site
  readonly callers: readonly Person[]
  /** Of the first tailnet, then of the other. */
  readonly others: readonly Person[]
}

async function world(t: TestContext): Promise<World> {
  const it = fromAnywhere(await withOwner(t))
  await it.coord.serverAdmin.createTailnet({ name: 'other', domain: 'other.internal' })
  const callers: Person[] = []
  const others: Person[] = []
  for (const role of ROLES) callers.push(await person(it, '', `the-${role}`, role))
  callers.push(await person(it, 'other', 'far-owner', 'owner'))
  for (const role of ROLES) others.push(await person(it, '', `other-${role}`, role))
  for (const role of ['owner', 'member'] as const) others.push(await person(it, 'other', `far-other-${role}`, role))
  return { it, callers, others }
}

const mayHelp = (helper: Person, helped: Person): boolean =>
  helper.id !== helped.id && helper.tailnet === helped.tailnet && MAY_HELP[helper.role].includes(helped.role)

/** What to ask, by whom; made anew each time, since most things can be done once. */
type Ask = (by: Person, it: Site) => Promise<unknown>
interface About {
  readonly ask: unknown
  /** Leaves things as they were. */
  readonly undo?: () => Promise<unknown>
}

type Rule =
  /** Whoever has the page: no session is asked for. */
  | { readonly kind: 'open'; readonly ask: unknown }
  /** About oneself, whatever the role. */
  | { readonly kind: 'self'; readonly ask: Ask; readonly undo?: (by: Person) => Promise<unknown> }
  /** About a thing of `of`; the others are told `refused`. */
  | {
      readonly kind: 'thing'
      readonly about: (of: Person, by: Person, it: Site) => Promise<About>
      readonly refused: RegExp
    }
  /** About a person whom not everybody may help. */
  | {
      readonly kind: 'help'
      readonly about: (of: Person, by: Person, it: Site, world: World) => Promise<About>
      readonly may: (by: Person, of: Person) => boolean
      readonly allowed?: RegExp
      readonly refused: RegExp
    }

const same =
  (ask: unknown = {}): Ask =>
  async () =>
    ask

const login = undefined
const CREDENTIAL = { id: 'AAAA', rawId: 'AAAA', type: 'public-key' }
const assertion = { ...CREDENTIAL, response: { clientDataJSON: 'e30', authenticatorData: 'AAAA', signature: 'AAAA' } }
const registration = { ...CREDENTIAL, response: { clientDataJSON: 'e30', attestationObject: 'oA' } }
const enrol = 'abcdefghijkl'
const ceremony = 'abcdefghijkl'

const passkeyOf = async ({ browser }: Person, name: string): Promise<string> => {
  await addKey(browser, name)
  return (await pageOf(browser)).passkeys.find((passkey) => passkey.name === name)?.id ?? ''
}

async function codesOf({ browser }: Person, it: Site): Promise<{ pending: unknown; code: string }> {
  const { body } = await browser.call('account/totp/begin', {})
  const told = body.value?.['secret']
  const secret = fromBase32(typeof told === 'string' ? told : '')
  return { pending: body.value?.['pending'] ?? 'AAAA', code: hotp(secret, Math.floor(it.clock.wallNow() / 30_000)) }
}

function fromBase32(text: string): Uint8Array {
  const letters = Array.from(text.replaceAll(/\s/g, ''), (letter) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter))
  const bits = letters.map((value) => value.toString(2).padStart(5, '0')).join('')
  return Uint8Array.from(bits.match(/.{8}/g) ?? [], (byte) => Number.parseInt(byte, 2))
}

/** Somebody of their tailnet who may, has it begun; `of` can stop it. */
async function recoveryOf(of: Person, { callers, others }: World): Promise<number> {
  const helper = [...callers, ...others].find((one) => mayHelp(one, of))
  assert.ok(helper)
  assert.equal(said(await helper.browser.call('account/recovery/start', { person: of.id })), 'yes')
  return (await pageOf(of.browser)).recoveries[0]?.id ?? 0
}

const stopped = async ({ browser }: Person): Promise<void> => {
  for (const { id } of (await pageOf(browser)).recoveries) await browser.call('account/recovery/stop', { id })
}

let names = 0

const RULES: Readonly<Record<CallName, Rule>> = {
  state: { kind: 'open', ask: ACCOUNT },
  'sign-in/password': { kind: 'open', ask: { login, name: 'nobody', password: PASSWORD } },
  'sign-in/recovery-code': { kind: 'open', ask: { login, name: 'nobody', code: 'aaaa-bbbb-cccc' } },
  'sign-in/begin': { kind: 'open', ask: { login } },
  'sign-in/passkey': { kind: 'open', ask: { ceremony, response: assertion } },
  'first/password': { kind: 'open', ask: { login, setupCode: 'AAAA', name: 'first', password: PASSWORD } },
  'first/begin': { kind: 'open', ask: { login, setupCode: 'AAAA', name: 'first' } },
  'first/passkey': { kind: 'open', ask: { login, ceremony, response: registration, passkeyName: 'key' } },
  'oidc/begin': { kind: 'open', ask: { provider: 'corp', purpose: 'sign-in', login } },
  'oidc/finish': { kind: 'open', ask: { provider: 'corp', query: 'state=a&code=b' } },
  'enrol/password': { kind: 'open', ask: { enrol, password: PASSWORD } },
  'enrol/begin': { kind: 'open', ask: { enrol } },
  'enrol/passkey': { kind: 'open', ask: { enrol, ceremony, response: registration, passkeyName: 'key' } },
  approve: { kind: 'self', ask: async (_by, it) => ({ login: await it.ask() }) },
  refuse: { kind: 'self', ask: async (_by, it) => ({ login: await it.ask() }) },
  'account/prove/password': { kind: 'self', ask: same({ password: PASSWORD }) },
  'account/prove/begin': { kind: 'self', ask: same() },
  'account/prove/passkey': {
    kind: 'thing',
    about: async (of, by) => {
      const { ceremony, options } = await begun(by.browser, 'account/prove/begin')
      return {
        ask: {
          ceremony,
          response: options === undefined ? assertion : of.key.answer(options as PublicKeyCredentialRequestOptionsJSON),
        },
      }
    },
    refused: /^login\/passkey-(unknown|refused)$/,
  },
  'account/passkey/begin': { kind: 'self', ask: same() },
  'account/passkey/add': {
    kind: 'self',
    ask: async ({ browser }) => {
      const made = await begun(browser, 'account/passkey/begin')
      const response =
        made.options === undefined
          ? registration
          : new SoftAuthenticator(ORIGIN).create(made.options as PublicKeyCredentialCreationOptionsJSON)
      return { ceremony: made.ceremony, response, passkeyName: 'one more' }
    },
  },
  'account/passkey/rename': {
    kind: 'thing',
    about: async (of) => ({ ask: { id: await passkeyOf(of, `p${names++}`), name: `mine ${names}` } }),
    refused: /^login\/(gone|passkey-unknown)$/,
  },
  'account/passkey/remove': {
    kind: 'thing',
    about: async (of) => ({ ask: { id: await passkeyOf(of, `p${names++}`) } }),
    refused: /^login\/(gone|passkey-unknown)$/,
  },
  'account/password/set': { kind: 'self', ask: same({ password: PASSWORD }) },
  'account/password/remove': {
    kind: 'self',
    ask: same(),
    undo: ({ browser }) => browser.call('account/password/set', { password: PASSWORD }),
  },
  'account/totp/begin': { kind: 'self', ask: same() },
  'account/totp/confirm': {
    kind: 'self',
    ask: codesOf,
    undo: ({ browser }) => browser.call('account/totp/remove', {}),
  },
  'account/totp/remove': {
    kind: 'self',
    ask: async (by, it) => {
      await by.browser.call('account/totp/confirm', await codesOf(by, it))
      return {}
    },
  },
  // Nobody has one here; linking needs a provider, and is tested with one.
  'account/oidc/remove': {
    kind: 'help',
    about: async () => ({ ask: { provider: 'corp', subject: 'a' } }),
    may: () => false,
    refused: /^login\/gone$/,
  },
  'account/recovery-codes/make': { kind: 'self', ask: same() },
  'account/session/end': {
    kind: 'thing',
    about: async (of, _by, it) => {
      await signedIn(it, of.name)
      const { sessions } = await pageOf(of.browser)
      return { ask: { id: Math.max(...sessions.filter(({ isThis }) => !isThis).map(({ id }) => id)) } }
    },
    refused: /^login\/gone$/,
  },
  'account/session/end-others': { kind: 'self', ask: same() },
  'account/invite': {
    kind: 'help',
    about: async (of) => ({ ask: { name: `guest-${names++}`, role: of.role } }),
    // A new person, in the tailnet of who invites.
    may: (by, of) => MAY_HELP[by.role].includes(of.role),
    refused: /^login\/not-allowed$/,
  },
  'account/recovery/start': {
    kind: 'help',
    about: async (of) => ({ ask: { person: of.id }, undo: () => stopped(of) }),
    may: mayHelp,
    refused: /^login\/not-allowed$/,
  },
  'account/recovery/stop': {
    kind: 'help',
    about: async (of, _by, _it, world) => ({ ask: { id: await recoveryOf(of, world) }, undo: () => stopped(of) }),
    may: (by, of) => by.id === of.id || mayHelp(by, of),
    refused: /^login\/not-allowed$/,
  },
  'account/recovery/link': {
    kind: 'help',
    about: async (of, _by, _it, world) => ({ ask: { id: await recoveryOf(of, world) }, undo: () => stopped(of) }),
    may: mayHelp,
    // It is for them, but not yet: the person has a day to stop it.
    allowed: /^login\/conflict$/,
    refused: /^login\/not-allowed$/,
  },
  // The last: whoever calls it has to sign in again.
  'sign-out': { kind: 'open', ask: {} },
}

test('each call is answered for whom it is meant, about what is theirs, and for nobody else', async (t) => {
  const all = await world(t)
  const { it, callers, others } = all
  const known = ['state', ...Object.keys(loginCalls({} as Parts))]
  assert.deepEqual(Object.keys(RULES).toSorted(), known.toSorted(), 'every call has a rule, and every rule a call')

  const nobody = new Browser(it)
  await nobody.open(ACCOUNT)
  const ended = await signedIn(it, 'the-owner')
  const cookies = new Map(ended.cookies)
  await ended.call('sign-out', {})
  for (const [name, value] of cookies) ended.cookies.set(name, value)
  const owner = callers[0] as Person
  const victim = others.find(({ role }) => role === 'member') as Person

  let asked = 0
  const ask = async (browser: Browser, name: string, what: unknown, headers = {}): Promise<string> => {
    asked++
    return said(await browser.call(name, what, headers))
  }
  for (const name of known as CallName[]) {
    const rule = RULES[name]
    const mute = async (): Promise<unknown> => {
      if (rule.kind === 'open') return rule.ask
      if (rule.kind === 'self') return rule.ask({ ...owner, browser: nobody }, it)
      return (await rule.about(victim, { ...owner, browser: nobody }, it, all)).ask
    }
    const what = await mute()
    const before = await traceOf(victim)
    // Whoever is not our own page, though the browser sends an owner's cookies along.
    assert.equal(await ask(owner.browser, name, what, { origin: 'https://evil.example' }), 'login/cross-site', name)
    assert.equal(await ask(owner.browser, name, what, { 'sec-fetch-site': 'cross-site' }), 'login/cross-site', name)
    assert.equal(await ask(owner.browser, name, what, { 'content-type': 'text/plain' }), 'login/bad-request', name)
    if (name !== 'state') {
      assert.equal(await ask(owner.browser, name, what, { 'x-peerway-token': '' }), 'login/stale-page', name)
      assert.equal(await ask(owner.browser, name, what, { 'x-peerway-token': nobody.token }), 'login/stale-page', name)
    }
    if (rule.kind === 'open') continue
    for (const stranger of [nobody, ended])
      assert.equal(await ask(stranger, name, what), 'login/not-signed-in', `${name} of who is not signed in`)
    assert.deepEqual(await traceOf(victim), before, name)
    await stopped(victim)

    for (const by of callers) {
      if (rule.kind === 'self') {
        assert.equal(await ask(by.browser, name, await rule.ask(by, it)), 'yes', `${name} by ${by.name}`)
        await rule.undo?.(by)
        continue
      }
      for (const of of [by, ...others]) {
        const { ask: about, undo } = await rule.about(of, by, it, all)
        const trace = of === by ? undefined : await traceOf(of)
        const answer = await ask(by.browser, name, about)
        const isAllowed = rule.kind === 'thing' ? by === of : rule.may(by, of)
        const wanted = isAllowed ? ((rule.kind === 'help' ? rule.allowed : undefined) ?? /^yes$/) : rule.refused
        assert.match(answer, wanted, `${name} by ${by.name} about ${of.name}`)
        if (!isAllowed && trace !== undefined)
          assert.deepEqual(await traceOf(of), trace, `${name} by ${by.name} about ${of.name}`)
        await undo?.()
      }
    }
  }
  t.diagnostic(`${asked} calls asked`)
})
