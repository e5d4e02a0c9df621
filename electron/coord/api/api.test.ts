// The API as programs and pages meet it: a real server, real sockets.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { startCoord, type CoordServer } from '../coord-server.ts'
import { operatorLogin } from '../login/operator-login.ts'
import { TestMachine } from '../test-machine.ts'
import { CLIENT, testProvider } from '../identity/oidc/test-provider.ts'
import { OPERATIONS, type Operation, writes } from './operations.ts'
import { SCHEMAS } from './schemas.ts'

interface Answered {
  readonly status: number
  readonly body: unknown
}

async function started(t: TestContext) {
  const stateDir = mkdtempSync(join(tmpdir(), 'peerway-api-'))
  const coord = await startCoord({
    stateDir,
    listen: { host: '127.0.0.1', port: 0 },
    prepare: async () => ({ derpMap: { regions: new Map() } }),
    login: operatorLogin,
  })
  t.after(async () => {
    await coord.close()
    rmSync(stateDir, { recursive: true, force: true })
  })
  const { admin } = coord
  for (const role of ['owner', 'admin', 'auditor', 'member'] as const)
    await admin.createUser({ name: `the-${role}`, email: `${role}@home.example`, role })
  const machine = new TestMachine(coord.url, 'one')
  t.after(() => machine.close())
  const { key } = await admin.createAuthKey({ user: 'the-owner' })
  assert.equal((await machine.register({ auth: { authKey: key } })).error, '')
  const ask = (token: string | undefined, method: string, path: string, body?: unknown): Promise<Answered> =>
    call(coord, method, path, { ...(token !== undefined && { authorization: `Bearer ${token}` }) }, body)
  const tokenFor = async (user: string, ...scopes: string[]): Promise<string> =>
    (await coord.serverAdmin.of().tokens.create({ name: 'test', scopes, user })).token
  return { coord, admin, ask, tokenFor }
}

async function call(
  coord: CoordServer,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  body?: unknown,
): Promise<Answered> {
  const response = await fetch(`${coord.url}${path.startsWith('/') ? path : `/${path}`}`, {
    method,
    headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text) }
}

const codeIn = ({ body }: Answered): unknown => (body as { error?: { code?: unknown } } | undefined)?.error?.code
/** With arguments for every call, wherever they belong. */
const pathOf = ({ path }: Operation): string =>
  `/api/v1${path.replace('{node}', 'one').replace('{name}', 'the-member').replace('{login}', 'abcdefgh').replace('{domain}', 'corp.example').replace('{id}', 'none')}`

const BODIES: Readonly<Record<string, unknown>> = {
  'nodes.rename': { to: 'first' },
  'nodes.tag': { tags: ['tag:x'] },
  'nodes.move': { user: 'the-admin' },
  'logins.approve': { user: 'the-admin' },
  'users.create': { name: 'new-one' },
  'users.rename': { to: 'the-guest' },
  'users.role': { role: 'member' },
  'auth-keys.create': { user: 'the-owner' },
  'policy.set': { text: '{}' },
  'policy.diff': { text: '{}' },
  'derp-map.set': { text: '{"Regions": {"901": {"RegionCode": "lab", "Nodes": [{"HostName": "192.0.2.7"}]}}}' },
  'derp-map.add-region': { code: 'fra', host: 'derp.corp.example' },
  'dns.split': { servers: ['192.0.2.53'] },
  'dns.records.add': { name: 'printer.corp.example', value: '192.0.2.9' },
  'oidc.add': { name: 'corp', issuer: 'https://id.corp.example', clientId: 'peerway' },
  'oidc.leave': { atMs: 0 },
  'own-tokens.create': { name: 'another', scopes: ['nodes:read'] },
}
const bodyOf = (operation: Operation): unknown =>
  BODIES[operation.call] ?? (Object.keys(operation.body).length > 0 ? {} : undefined)

test('every operation asks who it is, and takes no token that does not count', async (t) => {
  const { ask } = await started(t)
  let asked = 0
  for (const operation of OPERATIONS) {
    const token = ['pwapi-nonsense', `pwapi-${'A'.repeat(43)}`, undefined][asked++ % 3]
    const answer = await ask(token, operation.method, pathOf(operation), bodyOf(operation))
    assert.ok([401, 403, 429].includes(answer.status), `${operation.call}: ${answer.status}`)
    // Without a token it may be a browser, which has to prove first that the page is our own.
    assert.match(String(codeIn(answer)), /^(api\/not-signed-in|api\/too-many-requests|login\/cross-site)$/)
  }
})

test('a role bounds what a token of its person does, whatever its scopes were', async (t) => {
  const { admin, ask, tokenFor, coord } = await started(t)
  const tokens = {
    auditor: await tokenFor('the-auditor', 'all:read'),
    admin: await tokenFor('the-admin', 'all'),
  }
  for (const operation of OPERATIONS) {
    const answer = await ask(tokens.auditor, operation.method, pathOf(operation), bodyOf(operation))
    if (writes(operation)) assert.equal(answer.status, 403, `${operation.call}: ${JSON.stringify(answer)}`)
    else assert.notEqual(answer.status, 403, `${operation.call}: ${JSON.stringify(answer)}`)
  }
  await assert.rejects(tokenFor('the-member', 'nodes:read'), /more than its maker may/)
  await assert.rejects(tokenFor('the-auditor', 'nodes'), /more than its maker may/)
  // An administrator who becomes nobody takes the token along.
  assert.equal((await ask(tokens.admin, 'GET', '/api/v1/nodes')).status, 200)
  await admin.deleteUser('the-admin')
  assert.equal((await ask(tokens.admin, 'GET', '/api/v1/nodes')).status, 401)
  assert.equal((await coord.serverAdmin.of().tokens.list()).length, 2)
})

test('a scope opens its area and no other', async (t) => {
  const { ask, tokenFor } = await started(t)
  const areas = [...new Set(OPERATIONS.map(({ area }) => area))]
  for (const area of areas) {
    const [full, read] = [await tokenFor('the-owner', area), await tokenFor('the-owner', `${area}:read`)]
    for (const operation of OPERATIONS) {
      const isInside = operation.area === area
      // What changes things is asked for elsewhere; here only whether the door opens.
      if (isInside && writes(operation)) continue
      const answers = [full, read].map((token) => ask(token, operation.method, pathOf(operation), bodyOf(operation)))
      for (const { status } of await Promise.all(answers)) {
        if (status === 429) continue
        assert.equal(status === 403, !isInside, `${area} and ${operation.call}: ${status}`)
      }
    }
  }
})

test('nothing of another tailnet can be seen or changed', async (t) => {
  const { coord, ask } = await started(t)
  await coord.serverAdmin.createTailnet({ name: 'other', domain: 'other.internal' })
  const other = coord.serverAdmin.of('other')
  await other.createUser({ name: 'mallory' })
  const { token } = await other.tokens.create({ name: 'theirs', scopes: ['all'] })
  for (const operation of OPERATIONS) {
    if (operation.call === 'users.create' || operation.call === 'own-tokens.create') continue
    const answer = await ask(token, operation.method, pathOf(operation), bodyOf(operation))
    const text = JSON.stringify(answer.body ?? '')
    for (const foreign of ['the-owner', 'the-member"', '100.64.0.1', 'mkey:'])
      assert.ok(!text.includes(foreign) || answer.status === 404, `${operation.call} tells ${text}`)
    if (/\{(node|name|login)\}/.test(operation.path) && !operation.path.startsWith('/dns'))
      assert.ok([403, 404].includes(answer.status), `${operation.call}: ${answer.status} ${text}`)
  }
  const kept = await coord.admin.showNode('one')
  assert.deepEqual([kept.name, kept.user, kept.tags], ['one', 'the-owner', []])
  assert.ok((await coord.admin.listUsers()).some(({ name }) => name === 'the-member'))
})

test('another role counts at once, for tokens too, and the last owner stays one', async (t) => {
  const { admin, ask, tokenFor } = await started(t)
  const owner = await tokenFor('the-owner', 'all')
  const other = await tokenFor('the-admin', 'all')
  const role = (token: string, who: string, to: string): Promise<Answered> =>
    ask(token, 'PUT', `/api/v1/users/${who}/role`, { role: to })
  assert.equal(codeIn(await role(owner, 'the-owner', 'admin')), 'coord/conflict')
  assert.equal(codeIn(await role(other, 'the-member', 'owner')), 'api/not-allowed')
  assert.equal(codeIn(await role(other, 'the-owner', 'member')), 'api/not-allowed')
  assert.equal((await role(other, 'the-member', 'auditor')).status, 200)
  assert.equal((await role(owner, 'the-admin', 'auditor')).status, 200)
  assert.equal(codeIn(await role(other, 'the-member', 'member')), 'api/not-allowed')
  assert.equal((await ask(other, 'GET', '/api/v1/nodes')).status, 200)
  assert.equal((await role(owner, 'the-admin', 'member')).status, 200)
  assert.equal(codeIn(await ask(other, 'GET', '/api/v1/nodes')), 'api/not-allowed')
  assert.equal((await role(owner, 'the-member', 'owner')).status, 200)
  assert.equal((await role(owner, 'the-owner', 'member')).status, 200)
  const log = await admin.auditSince(0)
  const details = log.filter(({ action }) => action === 'user.role').map(({ detail }) => detail)
  assert.deepEqual(details, [
    'the-member: member → auditor',
    'the-admin: admin → auditor',
    'the-admin: auditor → member',
    'the-member: auditor → owner',
    'the-owner: owner → member',
  ])
})

test('with several tailnets, who waits is for who runs them all, or who knows where it waits', async (t) => {
  const { coord, ask, tokenFor } = await started(t)
  await coord.serverAdmin.createTailnet({ name: 'work' })
  await coord.serverAdmin.of('work').createUser({ name: 'boss' })
  await coord.serverAdmin.addMember({ tailnet: 'work', user: 'the-owner', role: 'admin' })
  const machine = new TestMachine(coord.url, 'two')
  t.after(() => machine.close())
  const { authUrl } = await machine.register()
  const id = authUrl.split('/').at(-1) ?? ''
  const waiting = async (token: string): Promise<unknown> => (await ask(token, 'GET', '/api/v1/logins')).body
  const boss = (await coord.serverAdmin.of('work').tokens.create({ name: 'x', scopes: ['all'], user: 'boss' })).token
  assert.deepEqual(await waiting(await tokenFor('the-admin', 'all')), [])
  assert.deepEqual(await waiting(boss), [])
  assert.equal(((await waiting(await tokenFor('the-owner', 'all'))) as unknown[]).length, 1)
  const wrong = await ask(boss, 'POST', `/api/v1/logins/${id}/approve`, { user: 'the-member' })
  assert.equal(wrong.status, 404, 'not in that tailnet')
  assert.equal((await ask(boss, 'POST', `/api/v1/logins/${id}/approve`, { user: 'boss' })).status, 200)
  assert.equal((await coord.serverAdmin.of('work').showNode('two')).user, 'boss')
})

test('an owner of the whole server takes a backup along, and nobody else', async (t) => {
  const { coord, admin, ask, tokenFor } = await started(t)
  const owner = await tokenFor('the-owner', 'all')
  const take = (token: string): Promise<Response> =>
    fetch(`${coord.url}/api/v1/backup`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ passphrase: 'correct horse' }),
    })
  for (const token of [await tokenFor('the-admin', 'all'), await tokenFor('the-owner', 'nodes'), 'pwapi-none'])
    assert.ok([401, 403].includes((await take(token)).status))
  const answer = await take(owner)
  assert.equal(answer.status, 200)
  const lines = gunzipSync(new Uint8Array(await answer.arrayBuffer()))
    .toString()
    .trim()
    .split('\n')
  assert.match(lines[0] ?? '', /"format":"peerway-coord-backup".*"key":\{/)
  assert.match(lines.at(-1) ?? '', /"end":true/)
  assert.ok((await admin.auditSince(0)).some(({ action }) => action === 'server.backup'))
  await coord.serverAdmin.createTailnet({ name: 'work' })
  assert.equal((await take(owner)).status, 403, 'others are in it too')
  assert.equal((await ask(owner, 'GET', '/api/v1/backup')).status, 404)
})

test('administrators do not touch owners', async (t) => {
  const { ask, tokenFor } = await started(t)
  const token = await tokenFor('the-admin', 'all')
  const tries: readonly (readonly [string, string, unknown?])[] = [
    ['POST', '/users', { name: 'second', role: 'owner' }],
    ['PUT', '/users/the-owner/name', { to: 'gone' }],
    ['PUT', '/users/THE-OWNER/name', { to: 'gone' }],
    ['DELETE', '/users/the-owner'],
    ['POST', '/users/the-owner/invite'],
  ]
  for (const [method, path, body] of tries)
    assert.equal(codeIn(await ask(token, method, `/api/v1${path}`, body)), 'api/not-allowed', `${method} ${path}`)
  const invited = await ask(token, 'POST', '/api/v1/users/the-member/invite')
  assert.equal(invited.status, 200)
})

test('a day’s work goes through it, is answered as described, and stands in the audit log', async (t) => {
  const { ask, tokenFor, admin } = await started(t)
  const token = await tokenFor('the-owner', 'all')
  const ajv = new Ajv2020({ strict: false, validateFormats: false })
  const seen = new Set<string>()
  for (const operation of OPERATIONS) {
    if (
      ['nodes.delete', 'users.delete', 'auth-keys.revoke', 'own-tokens.revoke', 'logins.approve'].includes(
        operation.call,
      )
    )
      continue
    if (operation.call === 'users.role' || operation.call === 'users.rename' || operation.call === 'nodes.rename')
      continue
    // Below, with a provider that answers.
    if (operation.call.startsWith('oidc.') && operation.call !== 'oidc.list') continue
    const body = operation.call === 'nodes.tag' ? { tags: [] } : bodyOf(operation)
    const { status, body: value } = await ask(token, operation.method, pathOf(operation), body)
    // Answered, but there is none of that name.
    if (['dns.records.remove', 'derp-map.remove-region'].includes(operation.call)) continue
    assert.ok(
      status === 200 || (operation.call.startsWith('routes.approve') && status === 404),
      `${operation.call}: ${status} ${JSON.stringify(value)}`,
    )
    if (status !== 200 || operation.answer === 'nothing') continue
    const schema =
      typeof operation.answer === 'string'
        ? SCHEMAS[operation.answer]
        : { type: 'array', items: SCHEMAS[operation.answer.list] }
    const isValid = ajv.compile(schema)
    assert.ok(isValid(value), `${operation.call}: ${JSON.stringify(isValid.errors)} in ${JSON.stringify(value)}`)
    seen.add(operation.call)
  }
  assert.ok(seen.size > 20)
  const log = await admin.auditSince(0)
  const own = log.filter(({ actor }) => /^token:\S+ from 127\.0\.0\.1$/.test(actor)).map(({ action }) => action)
  for (const action of ['user.create', 'auth-key.create', 'policy.set', 'dns.set', 'token.create', 'enrol-link.create'])
    assert.ok(own.includes(action), `${action} in ${own.join(' ')}`)
})

test('owners run the providers that people sign in by; administrators and auditors look', async (t) => {
  const { coord, admin, ask, tokenFor } = await started(t)
  const provider = await testProvider(t, [`${coord.url}/login/oidc/corp/callback`])
  const wish = { name: 'corp', issuer: provider.issuer, clientId: CLIENT.id }
  const [owner, other] = [await tokenFor('the-owner', 'all'), await tokenFor('the-admin', 'all')]
  // What runs beside the server is out of reach from afar.
  assert.equal(codeIn(await ask(owner, 'POST', '/api/v1/providers', wish)), 'api/bad-request')
  await admin.oidc.add({ ...wish, clientSecret: CLIENT.secret, allowGroups: ['staff'] })
  const leaving = { atMs: Date.now() + 86_400_000 }
  const writes: readonly (readonly [string, string, unknown?])[] = [
    ['POST', '/providers', { ...wish, issuer: 'https://id.corp.example' }],
    ['PUT', '/providers/corp/leave', leaving],
    ['PATCH', '/providers/corp', { clientSecret: 'another', allowGroups: ['staff'] }],
    ['DELETE', '/providers/corp/leave'],
    ['DELETE', '/providers/corp'],
  ]
  for (const [method, path, body] of writes)
    assert.equal(codeIn(await ask(other, method, `/api/v1${path}`, body)), 'api/not-allowed', `${method} ${path}`)

  const isStatus = new Ajv2020({ strict: false, validateFormats: false }).compile(SCHEMAS.ProviderStatus)
  for (const [method, path, body] of [
    ['GET', '/providers/corp'],
    ...writes.slice(1, 2),
    ...writes.slice(3, 4),
  ] as typeof writes) {
    const { status, body: value } = await ask(owner, method, `/api/v1${path}`, body)
    assert.equal(status, 200, JSON.stringify(value))
    assert.ok(isStatus(value), JSON.stringify(isStatus.errors))
    assert.ok(!JSON.stringify(value).includes(CLIENT.secret))
  }
  const { body } = await ask(other, 'GET', '/api/v1/providers')
  assert.deepEqual(
    (body as { name: string; redirectUri: string; people: number }[]).map(({ name, redirectUri, people }) => [
      name,
      redirectUri,
      people,
    ]),
    [['corp', `${coord.url}/login/oidc/corp/callback`, 0]],
  )
  assert.equal((await ask(owner, 'DELETE', '/api/v1/providers/corp')).status, 204)
  assert.deepEqual(await admin.oidc.list(), [])
})

test('the document describes every operation once, and its schemas are schemas', async (t) => {
  const { ask } = await started(t)
  const { status, body } = await ask(undefined, 'GET', '/api/v1/openapi.json')
  assert.equal(status, 200)
  const { paths, components } = body as {
    readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly operationId: string }>>>>
    readonly components: { readonly schemas: object }
  }
  const ids = Object.values(paths).flatMap((path) => Object.values(path).map(({ operationId }) => operationId))
  // Who asks, and the four of backups.
  assert.equal(ids.length, OPERATIONS.length + 5)
  assert.equal(new Set(ids).size, ids.length)
  for (const schema of Object.values(components.schemas))
    new Ajv2020({ strict: false, validateFormats: false }).compile(schema as object)
})

test('bad input of any kind is told in words, and never a failure of the server', async (t) => {
  const { coord, ask, tokenFor } = await started(t)
  const token = await tokenFor('the-owner', 'all')
  const bodies: unknown[] = [
    '',
    '[',
    'null',
    '[]',
    '{"to":1}',
    '{"to":null}',
    '{"x":1}',
    '{"to":"\u0000"}',
    `{"to":"${'a'.repeat(5_000)}"}`,
  ]
  for (const body of bodies) {
    const answer = await ask(token, 'PUT', '/api/v1/nodes/one/name', body)
    assert.ok(answer.status >= 400 && answer.status < 500, `${JSON.stringify(body)}: ${answer.status}`)
    assert.ok(codeIn(answer))
  }
  const headers = { authorization: `Bearer ${token}` }
  for (const [method, path] of [
    ['GET', '/api/v1/nodes/%'],
    ['GET', '/api/v1/nodes/%00'],
    ['GET', '/api/v1/nodes/..%2f..'],
    ['POST', '/api/v1/nodes'],
    ['GET', '/api/v1/nothing'],
    ['GET', '/api/v1/policy?revision=-1'],
    ['GET', '/api/v1/routes?nodes=one'],
  ] as const) {
    const answer = await call(coord, method, path, headers)
    assert.ok(answer.status >= 400 && answer.status < 500, `${method} ${path}: ${answer.status}`)
  }
  const problem = await ask(token, 'PUT', '/api/v1/policy', { text: '{"acls": [{"action": "maybe"}]}' })
  assert.equal(problem.status, 422)
  const [first] = (problem.body as { error: { problems: { line: number }[] } }).error.problems
  assert.equal(first?.line, 1)
  const long = await ask(token, 'PUT', '/api/v1/policy', { text: 'x'.repeat(2_000_000) }).catch(() => ({ status: 413 }))
  assert.equal(long.status, 413)
})

test('a browser without its own page, or from another site, changes nothing', async (t) => {
  const { coord } = await started(t)
  const answer = await new Promise<number>((resolve, reject) => {
    const outgoing = httpRequest(`${coord.url}/api/v1/users`, {
      method: 'POST',
      headers: {
        origin: 'https://evil.example',
        'content-type': 'application/json',
        cookie: `peerway-session=${'A'.repeat(43)}`,
      },
    })
    outgoing.on('response', (response) => resolve(response.resume().statusCode ?? 0)).on('error', reject)
    outgoing.end('{"name":"mallory"}')
  })
  assert.equal(answer, 403)
})

test('changes are told as they happen', async (t) => {
  const { coord, admin, tokenFor } = await started(t)
  const token = await tokenFor('the-owner', 'nodes:read')
  const end = new AbortController()
  const stream = await fetch(`${coord.url}/api/v1/events`, {
    headers: { authorization: `Bearer ${token}` },
    signal: end.signal,
  })
  assert.equal(stream.headers.get('content-type'), 'text/event-stream')
  const reader = stream.body?.getReader()
  await admin.createUser({ name: 'newcomer' })
  let text = ''
  while (!text.includes('event: change')) text += new TextDecoder().decode((await reader?.read())?.value)
  assert.match(text, /data: \[.*"user".*\]/)
  end.abort()
})
