// Every endpoint of the server, taken from the tables it works by, with bodies that nobody should send: whatever comes, the
// server says what is wrong with it, and is there for the next. PEERWAY_FUZZ=100 tries a hundred times as much.

import assert from 'node:assert/strict'
import { request as httpRequest } from 'node:http'
import { after, test } from 'node:test'
import type {
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
} from '@simplewebauthn/server'
import { encodeMessage } from '../../wire/tailcfg/schema.ts'
import { pathReport } from '../../wire/path-report.ts'
import { type Field } from '../api/fields.ts'
import { API_PREFIX } from '../api/open-api.ts'
import { OPERATIONS, type Operation } from '../api/operations.ts'
import type { Parts } from '../identity/call-parts.ts'
import type { CallName, Calls } from '../identity/login-api.ts'
import { loginCalls } from '../identity/login-calls.ts'
import { SoftAuthenticator } from '../identity/soft-authenticator.ts'
import { Browser, NAME, PASSWORD, site, withOwner, type Site } from '../identity/test-site.ts'
import { noPostgres, TestPostgres } from '../store/test-postgres.ts'
import { TestMachine } from '../test-machine.ts'
import { MACHINE_ROUTES } from './machine-api.ts'
import { PUBLIC_ROUTES } from './public-routes.ts'
import { type Hostile, hostileBodies, pick, randomOf } from './test-hostile.ts'

const DATABASES = ['a file', ...(noPostgres === false ? ['PostgreSQL'] : [])] as const
let postgres: Promise<TestPostgres> | undefined
after(async () => (await postgres)?.end())
/** Each database has its own idea of what a text may hold. */
const databaseOf = async (kind: string): Promise<string | undefined> =>
  kind === 'a file' ? undefined : (await (postgres ??= TestPostgres.start())).database()

const TIMES = Number(process.env['PEERWAY_FUZZ'] ?? '1')
const SEED = Number(process.env['PEERWAY_FUZZ_SEED'] ?? '20')
/** Nothing waits for anybody here, so an answer that takes longer is an endpoint that hangs. */
const ANSWER_MS = 30_000

interface Asked {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

/** 0 when the server hung up instead. */
async function statusOf(port: number, { method, path, headers, body }: Asked, source: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = httpRequest(
      {
        port,
        method,
        path,
        localAddress: source,
        headers: { host: NAME, connection: 'close', 'content-length': String(body.length), ...headers },
      },
      (response) => {
        response.on('error', () => {})
        response.once('readable', () => response.resume())
        finish(response.statusCode ?? 0)
        // Streams of changes have no end.
        response.destroy()
      },
    )
    const timer = setTimeout(() => {
      asked.destroy()
      reject(new Error(`${method} ${path.slice(0, 80)} was not answered`))
    }, ANSWER_MS)
    const finish = (status: number): void => {
      clearTimeout(timer)
      resolve(status)
    }
    asked.on('error', () => finish(0))
    asked.end(body)
  })
}

/** Limits are per source; these have hardly been heard of. */
const sourceOf = (random: () => number): string =>
  `127.${1 + Math.floor(random() * 250)}.${Math.floor(random() * 250)}.${1 + Math.floor(random() * 250)}`

const TYPES = [
  'application/json',
  'application/json',
  'application/json',
  'text/plain',
  'multipart/form-data',
  'application/json; charset=utf-7',
  '',
]

interface Tally {
  asked: number
  readonly statuses: Map<number, number>
}

const newTally = (): Tally => ({ asked: 0, statuses: new Map() })

function note(tally: Tally, status: number, what: string): void {
  tally.asked++
  tally.statuses.set(status, (tally.statuses.get(status) ?? 0) + 1)
  assert.ok(status < 500 || status === 501, `${status} for ${what}`)
}

const share = ({ asked, statuses }: Tally, ...of: number[]): number =>
  of.reduce((sum, status) => sum + (statuses.get(status) ?? 0), 0) / asked

test('what is open to everybody bears any request', async (t) => {
  const { coord } = await site(t)
  const random = randomOf(SEED)
  const tally = newTally()
  const pages = [
    '/',
    '/console',
    '/account',
    '/login/abcdefgh',
    '/enrol/abcdefgh',
    '/login/oidc/x/callback',
    '/login/assets/x',
  ]
  const routes = [...PUBLIC_ROUTES.map((route) => route.split(' ')), ...pages.map((page) => ['GET', page])]
  const odd = [
    '//',
    '/%',
    '/%00',
    '/../../etc/passwd',
    '*',
    '/api/v1/%ff',
    '/ts2021',
    'http://[',
    '//[/api/v1/me',
    '/?',
    '/login/api/',
  ]
  const all = [...routes, ...odd.flatMap((path) => ['GET', 'POST'].map((method) => [method, path]))]
  for (const [method = '', path = ''] of all)
    for (const { what, bytes } of hostileBodies(
      { NodePublic: `nodekey:${'1'.repeat(64)}`, Source: '' },
      random,
      20 * TIMES,
    )) {
      const query = pick(random, ['', '?v=130', '?v=99999', '?v=%00', '?v[]=1&__proto__=2', `?${'q'.repeat(4_000)}`])
      const headers = { 'content-type': pick(random, TYPES), 'x-tailscale-challenge': pick(random, ['x', '<b>', 'é']) }
      const asked = { method, path: path + query, headers, body: bytes }
      note(
        tally,
        await statusOf(coord.port, asked, sourceOf(random)),
        `${method} ${path}${query.slice(0, 20)}: ${what}`,
      )
    }
  assert.equal((await fetch(`http://127.0.0.1:${coord.port}/health`)).status, 200)
})

/** What an argument might be, by its description. */
function sampleOf({ schema }: Field): unknown {
  if (Array.isArray(schema['enum'])) return schema['enum'][0]
  if (schema['type'] === 'integer') return Number(schema['minimum'] ?? 0)
  if (schema['type'] === 'boolean') return true
  return schema['type'] === 'array' ? ['x1'] : 'x1'
}

const ARGUMENTS = [
  'x1',
  'ines',
  '1',
  '__proto__',
  '%00',
  '%ff',
  '..%2f..',
  '%F0%9F%98%80',
  'a'.repeat(1_000),
  '%ED%A0%80',
  '-1',
  '1e9',
  '%20',
]

function pathOf(operation: Operation, random: () => number): string {
  const path = operation.path.replaceAll(/\{\w+\}/g, () => pick(random, ARGUMENTS))
  const names = [...Object.keys(operation.query), '__proto__', 'constructor']
  const query = random() < 0.5 ? '' : `?${pick(random, names)}=${pick(random, ARGUMENTS)}`
  return `${API_PREFIX}${path}${query}`
}

for (const kind of DATABASES)
  test(`every operation of the API bears any body, from who may do everything and from who may nothing, with ${kind}`, async (t) => {
    const { coord } = await withOwner(t, await databaseOf(kind))
    const { token } = await coord.serverAdmin.of().tokens.create({ name: 'fuzz', scopes: ['all'] })
    const random = randomOf(SEED)
    const tally = newTally()
    for (const operation of OPERATIONS) {
      const sample = Object.fromEntries(Object.entries(operation.body).map(([name, field]) => [name, sampleOf(field)]))
      for (const { what, bytes } of hostileBodies(sample, random, 32 * TIMES)) {
        const who = pick(random, [
          `Bearer ${token}`,
          `Bearer ${token}`,
          `Bearer ${token}`,
          'Bearer x',
          'Basic eDp5',
          '',
        ])
        const headers = { 'content-type': pick(random, TYPES), ...(who !== '' && { authorization: who }) }
        const asked = { method: operation.method, path: pathOf(operation, random), headers, body: bytes }
        note(
          tally,
          await statusOf(coord.port, asked, sourceOf(random)),
          `${operation.call} ${asked.path.slice(0, 80)}: ${what}`,
        )
      }
    }
    assert.ok(share(tally, 401, 429) < 0.5, 'most have come past the door')
    assert.equal((await fetch(`http://127.0.0.1:${coord.port}/health`)).status, 200)
  })

const CREDENTIAL = { id: 'AAAA', rawId: 'AAAA', type: 'public-key', clientExtensionResults: {} } as const
const registration = { ...CREDENTIAL, response: { clientDataJSON: 'e30', attestationObject: 'oA', transports: [] } }
const assertion = { ...CREDENTIAL, response: { clientDataJSON: 'e30', authenticatorData: 'AAAA', signature: 'AAAA' } }
const login = 'abcdefghijkl'
const enrol = 'abcdefghijkl'
const ceremony = 'abcdefghijkl'

/** What a page of ours would send. A call that is missing here does not compile, and fails below. */
const SAMPLES: { readonly [N in CallName]: Calls[N]['ask'] } = {
  state: { login },
  'sign-in/password': { login, name: 'ines', password: PASSWORD, code: '123456' },
  'sign-in/recovery-code': { login: undefined, name: 'ines', code: 'aaaa-bbbb-cccc' },
  'sign-in/begin': { login: undefined },
  'sign-in/passkey': { ceremony, response: assertion },
  'first/password': { login, setupCode: 'AAAA-BBBB', name: 'ines', password: PASSWORD },
  'first/begin': { login, setupCode: 'AAAA-BBBB', name: 'ines' },
  'first/passkey': { login, ceremony, response: registration, passkeyName: 'key' },
  'oidc/begin': { provider: 'corp', purpose: 'sign-in', login: undefined },
  'oidc/finish': { provider: 'corp', query: 'state=a&code=b' },
  approve: { login },
  refuse: { login },
  'sign-out': {},
  'enrol/password': { enrol, password: PASSWORD },
  'enrol/begin': { enrol },
  'enrol/passkey': { enrol, ceremony, response: registration, passkeyName: 'key' },
  'account/prove/password': { password: PASSWORD, code: undefined },
  'account/prove/begin': {},
  'account/prove/passkey': { ceremony, response: assertion },
  'account/passkey/begin': {},
  'account/passkey/add': { ceremony, response: registration, passkeyName: 'key' },
  'account/passkey/rename': { id: 'AAAA', name: 'key' },
  'account/passkey/remove': { id: 'AAAA' },
  'account/password/set': { password: PASSWORD },
  'account/password/remove': {},
  'account/totp/begin': {},
  'account/totp/confirm': { pending: 'AAAA', code: '123456' },
  'account/totp/remove': {},
  'account/oidc/remove': { provider: 'corp', subject: 'a' },
  'account/recovery-codes/make': {},
  'account/session/end': { id: 1 },
  'account/session/end-others': {},
  'account/invite': { name: 'guest', role: 'member' },
  'account/recovery/start': { person: 1 },
  'account/recovery/stop': { id: 1 },
  'account/recovery/link': { id: 1 },
}

/** A fresh owner: what is sent may change a password, end a session, remove an account. */
async function ownerOf(it: Site, name: string): Promise<Browser> {
  await it.coord.admin.createUser({ name, role: 'owner' })
  const enrol = (await it.coord.admin.inviteUser(name)).url.split('/').at(-1) ?? ''
  const browser = new Browser(it)
  await browser.open({ enrol })
  assert.equal((await browser.call('enrol/password', { enrol, password: PASSWORD })).status, 200)
  assert.equal((await browser.call('sign-in/password', { name, password: PASSWORD })).status, 200)
  it.clock.advance(60_000)
  return browser
}

for (const kind of DATABASES)
  test(`every call of the login pages bears any body, signed in or not, with ${kind}`, async (t) => {
    const it = await withOwner(t, await databaseOf(kind))
    const random = randomOf(SEED)
    const tally = newTally()
    const names = ['state', ...Object.keys(loginCalls({} as Parts))]
    let owner = it.browser
    let owners = 0
    for (const name of names) {
      assert.ok(name in SAMPLES, `${name} has a sample`)
      const stage = await owner.open({ account: true })
      if (stage['kind'] !== 'account') owner = await ownerOf(it, `owner-${++owners}`)
      const stranger = new Browser(it)
      await stranger.open({ account: true })
      for (const { what, bytes } of hostileBodies(SAMPLES[name as CallName], random, 32 * TIMES)) {
        const headers = { ...pick(random, [owner, owner, stranger]).headers(), 'content-type': pick(random, TYPES) }
        const asked = { method: 'POST', path: `/login/api/${name}`, headers, body: bytes }
        note(tally, await statusOf(it.coord.port, asked, sourceOf(random)), `${name}: ${what}`)
      }
    }
    assert.ok(share(tally, 400) > 0.2 && share(tally, 429) < 0.3, JSON.stringify([...tally.statuses]))
  })

test('a passkey that answers with nonsense is refused, and nothing else happens', async (t) => {
  const it = await withOwner(t)
  const random = randomOf(SEED)
  const tally = newTally()
  const { browser } = it
  const key = new SoftAuthenticator(browser.origin)
  // One who signs in: now and then what was damaged does not count.
  const stranger = new Browser(it)
  await stranger.open({ account: true })
  const begun = async (name: string, by = browser): Promise<{ ceremony: unknown; options: unknown }> => {
    it.clock.advance(4_000)
    const { status, text, body } = await by.call(name, name === 'sign-in/begin' ? { login: undefined } : {})
    assert.equal(status, 200, text)
    return { ceremony: body.value?.['ceremony'], options: body.value?.['options'] }
  }
  const attest = async (): Promise<unknown> => {
    const { ceremony, options } = await begun('account/passkey/begin')
    const response = new SoftAuthenticator(browser.origin).create(options as PublicKeyCredentialCreationOptionsJSON)
    return { ceremony, response, passkeyName: 'key' }
  }
  const first = await begun('account/passkey/begin')
  const response = key.create(first.options as PublicKeyCredentialCreationOptionsJSON)
  assert.equal(
    (await browser.call('account/passkey/add', { ...first, options: undefined, response, passkeyName: 'key' })).status,
    200,
  )
  const assertNow = async (): Promise<unknown> => {
    const { ceremony, options } = await begun('sign-in/begin', stranger)
    return { ceremony, response: key.answer(options as PublicKeyCredentialRequestOptionsJSON) }
  }
  for (let i = 0; i < 60 * TIMES; i++) {
    // A sign-in counts for a few minutes.
    if (i % 20 === 19) {
      it.clock.advance(10 * 60_000)
      assert.equal((await browser.call('account/prove/password', { password: PASSWORD })).status, 200)
    }
    const isAdding = i % 2 === 0
    const name = isAdding ? 'account/passkey/add' : 'sign-in/passkey'
    const body = hostileBodies(await (isAdding ? attest() : assertNow()), random, 2)[1] as Hostile
    const asked = {
      method: 'POST',
      path: `/login/api/${name}`,
      headers: (isAdding ? browser : stranger).headers(),
      body: body.bytes,
    }
    note(tally, await statusOf(it.coord.port, asked, sourceOf(random)), `${name}: ${body.what}`)
  }
})

const json = (bytes: Uint8Array): unknown => JSON.parse(Buffer.from(bytes).toString())

/** 0 when the stream was closed without an answer. */
async function machineStatus(machine: TestMachine, route: string, body: Uint8Array, type: string): Promise<number> {
  const [method = '', path = ''] = route.split(' ')
  const session = await machine.connect()
  const stream = session.request({ ':method': method, ':path': path, 'content-type': type }, { endStream: false })
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${route} was not answered`)), ANSWER_MS)
    const finish = (status: number): void => {
      clearTimeout(timer)
      stream.destroy()
      resolve(status)
    }
    stream.on('error', () => {}).on('response', (headers) => finish(Number(headers[':status'])))
    stream.on('close', () => finish(0))
    stream.end(body)
  })
}

for (const kind of DATABASES)
  test(`every endpoint inside the encrypted channel bears any body, from machines it knows and others, with ${kind}`, async (t) => {
    const { coord } = await withOwner(t, await databaseOf(kind))
    const url = `http://127.0.0.1:${coord.port}`
    const random = randomOf(SEED)
    const tally = newTally()
    const { key } = await coord.admin.createAuthKey({ reusable: true })
    let machine = new TestMachine(url, 'one')
    t.after(() => machine.close())
    let left = 0
    for (const route of [
      ...MACHINE_ROUTES,
      'POST /machine/set-dns',
      'GET /machine/map',
      'POST /%00',
      'POST /../machine/map',
    ])
      for (let round = 0; round < 6 * TIMES; round++) {
        const isKnown = random() < 0.7
        if (left-- <= 0 || isKnown) {
          machine.close()
          machine = new TestMachine(url, 'one')
          left = 1
          if (isKnown) assert.equal((await machine.register({ auth: { authKey: key } })).error, '')
        }
        const nodeKey = machine.nodeKey.public
        const samples: { readonly [R in (typeof MACHINE_ROUTES)[number]]: Uint8Array } = {
          'POST /machine/register': machine.registerBody({
            auth: { authKey: key },
            expiryMs: 1_000,
            followup: `${url}/login/abcdefgh`,
          }),
          'POST /machine/map': machine.mapBody({ endpoints: ['192.0.2.1:41641'], omitPeers: true }),
          'POST /machine/path-report': encodeMessage(pathReport, {
            nodeKey,
            peers: [{ node: '1', kind: 'direct', latencyMs: 3, relay: '2', isUsed: true }],
          }),
        }
        const sample: unknown = json(samples[route as keyof typeof samples] ?? samples['POST /machine/map'])
        for (const { what, bytes } of hostileBodies(sample, random, 25))
          note(tally, await machineStatus(machine, route, bytes, pick(random, TYPES)), `${route}: ${what}`)
      }
    assert.ok(share(tally, 400) > 0.2, JSON.stringify([...tally.statuses]))
    assert.ok(share(tally, 0, 429) < 0.2, JSON.stringify([...tally.statuses]))
    const fine = new TestMachine(url, 'fine')
    t.after(() => fine.close())
    assert.equal((await fine.register({ auth: { authKey: key } })).error, '')
    assert.equal(await fine.update(), 200)
    assert.equal(await machineStatus(fine, 'POST /machine/register', new Uint8Array(2 * 1024 * 1024), ''), 413)
  })
