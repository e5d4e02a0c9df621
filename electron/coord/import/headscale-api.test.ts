import assert from 'node:assert/strict'
import { createServer, type RequestListener } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { isCoded } from '../../base/errors.ts'
import { MachinePublic, NodePublic, randomScalar } from '../../crypto/keys.ts'
import { selfSigned } from '../test-certificate.ts'
import { readHeadscaleServer } from './headscale-api.ts'

const KEY = 'k3y.that-nobody-may-see'

async function listen(t: TestContext, listener: RequestListener, tls?: { cert: string; key: string }): Promise<string> {
  const server = tls ? createTlsServer(tls, listener) : createServer(listener)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return `${tls ? 'https' : 'http'}://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Paths to what they answer; all else is not there. */
const answering =
  (answers: Readonly<Record<string, unknown>>, seen: (string | undefined)[] = []): RequestListener =>
  ({ url = '', headers }, response) => {
    seen.push(`${url} ${headers.authorization ?? 'nobody'}`)
    const answer = answers[url]
    response.statusCode = answer === undefined ? 404 : 200
    response.end(JSON.stringify(answer ?? { code: 5, message: 'Not Found' }))
  }

const anna = { id: '1', name: 'anna', displayName: '', email: 'a@x.org' }
const nodeRow = (more: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> => ({
  id: '1',
  machineKey: new MachinePublic(randomScalar()).text,
  nodeKey: new NodePublic(randomScalar()).text,
  ipAddresses: ['fd7a:115c:a1e0::5', '100.64.0.5'],
  name: 'h1',
  givenName: 'one',
  user: anna,
  expiry: '0001-01-01T00:00:00Z',
  forcedTags: ['tag:x'],
  validTags: ['tag:x', 'tag:y'],
  approvedRoutes: ['192.168.0.0/24'],
  ...more,
})
const one = nodeRow()
const answers = {
  '/api/v1/user': { users: [anna] },
  '/api/v1/node': { nodes: [one] },
  '/api/v1/policy': { policy: '{"acls": []} // of theirs' },
  '/version': { version: 'v0.27.1' },
}

test('users, nodes and policy are read, and the key goes only where it is needed', async (t) => {
  const seen: string[] = []
  const url = await listen(t, answering(answers, seen))
  const { users, nodes, unread, policy } = await readHeadscaleServer({ url, apiKey: KEY })
  assert.deepEqual(users, [{ foreignId: 1, name: 'anna', displayName: 'anna', email: 'a@x.org' }])
  assert.deepEqual(
    nodes.map((node) => ({ ...node, machineKey: node.machineKey.text, nodeKey: node.nodeKey.text })),
    [
      {
        machineKey: one['machineKey'],
        nodeKey: one['nodeKey'],
        name: 'one',
        hostname: 'h1',
        user: 'anna',
        addressV4: '100.64.0.5',
        addressV6: 'fd7a:115c:a1e0::5',
        tags: ['tag:x', 'tag:y'],
        routes: ['192.168.0.0/24'],
        expiresAtMs: undefined,
      },
    ],
  )
  assert.deepEqual(unread, [])
  assert.equal(policy, '{"acls": []} // of theirs')
  assert.deepEqual(seen, [
    `/api/v1/user Bearer ${KEY}`,
    `/api/v1/node Bearer ${KEY}`,
    `/api/v1/policy Bearer ${KEY}`,
    '/version nobody',
  ])
})

test('a server below a path is asked below it', async (t) => {
  const below = Object.fromEntries(Object.entries(answers).map(([path, answer]) => [`/hs${path}`, answer]))
  const url = await listen(t, answering(below))
  assert.equal((await readHeadscaleServer({ url: `${url}/hs`, apiKey: KEY })).nodes.length, 1)
})

test('rows that cannot be taken, a version nobody tried and a policy that is not given out are named', async (t) => {
  const url = await listen(
    t,
    answering({
      '/api/v1/user': { users: [anna] },
      '/api/v1/node': {
        nodes: [
          nodeRow({ givenName: 'two', machineKey: 'mkey:zz' }),
          nodeRow({ givenName: 'three', user: { id: '9' }, forcedTags: [], validTags: [] }),
          nodeRow({ givenName: 'four', user: { id: '2147455555', name: 'tagged-devices' } }),
          null,
        ],
      },
      '/version': { version: 'v9.9.9' },
    }),
  )
  const { nodes, unread, policy } = await readHeadscaleServer({ url, apiKey: KEY })
  assert.deepEqual(
    nodes.map(({ name, user }) => [name, user]),
    [['four', 'anna']],
  )
  assert.equal(policy, undefined)
  const told = unread.join('\n')
  assert.match(told, /two: its keys cannot be read/)
  assert.match(told, /three: its user is not there/)
  assert.match(told, /four: belongs to its tags there, and to anna here/)
  assert.match(told, /Policy: that server does not give it out \(404 Not Found\)\. .*policy set FILE/)
  assert.match(told, /has version v9\.9\.9;/)
})

test('what a policy cannot keep is left out by entries and named', async (t) => {
  const policy = '{"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}], "posturesOfTheirs": 1}'
  const url = await listen(t, answering({ ...answers, '/api/v1/policy': { policy } }))
  const found = await readHeadscaleServer({ url, apiKey: KEY })
  assert.match(found.unread.join('\n'), /Policy, .*Left out: "posturesOfTheirs"/)
  assert.doesNotMatch(found.policy ?? '', /postures/)
})

test('each way of not being asked says what to do, and never the key', async (t) => {
  const status = (code: number, headers: Record<string, string> = {}, body = '') =>
    listen(t, (_, response) => response.writeHead(code, headers).end(body))
  const cases: readonly [url: string, code: string, says: RegExp][] = [
    [await status(401, {}, 'Unauthorized'), 'coord/bad-argument', /does not accept this API key.*apikeys create/],
    [await status(302, { location: 'https://other.example/' }), 'coord/bad-argument', /https:\/\/other\.example/],
    [await status(200, {}, '<html>hello</html>'), 'coord/bad-argument', /is not a Headscale server/],
    [await status(404), 'coord/bad-argument', /is not a Headscale server/],
    [await status(200, {}, '{"users": {}}'), 'coord/bad-argument', /is not a Headscale server/],
    [await status(503, {}, '{"message": "busy"}'), 'coord/unreachable', /cannot answer just now \(503 busy\)/],
    [(await status(200)).replace('http:', 'https:'), 'coord/unreachable', /does not speak TLS there/],
    [
      await listen(t, answering(answers), await selfSigned()),
      'coord/unreachable',
      /certificate does not hold \(self-signed certificate\)\. .*NODE_EXTRA_CA_CERTS/,
    ],
    ['http://127.0.0.1:1', 'coord/unreachable', /Is the URL right, and does the server run\?/],
    ['headscale.example', 'coord/bad-argument', /looks like https:/],
    ['ftp://headscale.example', 'coord/bad-argument', /looks like https:/],
    ['https://a:b@headscale.example', 'coord/bad-argument', /looks like https:/],
  ]
  for (const [url, code, says] of cases)
    await assert.rejects(readHeadscaleServer({ url, apiKey: KEY }), (error) => {
      assert.ok(isCoded(error, code), `${url}: ${String(error)}`)
      assert.match(error.message, says)
      assert.doesNotMatch(error.message, /k3y/)
      return true
    })
  const isRefused = (error: unknown) => isCoded(error, 'coord/bad-argument') && !error.message.includes('two')
  await assert.rejects(readHeadscaleServer({ url: cases[0]?.[0] ?? '', apiKey: 'two\nlines' }), isRefused)
})

test('a server that does not end its answer is left, in time and in length', async (t) => {
  const silent = await listen(t, () => undefined)
  await assert.rejects(readHeadscaleServer({ url: silent, apiKey: KEY }, 50), /does not answer in time/)
  const block = Buffer.alloc(1 << 20, ' ')
  const endless = await listen(t, (_, response) => {
    const more = (): void => {
      while (response.write(block));
      response.once('drain', more)
    }
    more()
  })
  await assert.rejects(readHeadscaleServer({ url: endless, apiKey: KEY }), /the answer is too long/)
})

test('whatever a server says, it is taken or refused in words', async (t) => {
  let body: unknown
  const url = await listen(t, (_, response) => response.end(JSON.stringify(body)))
  const row = fc.dictionary(
    fc.constantFrom('id', 'name', 'givenName', 'user', 'ipAddresses', 'tags', 'machineKey', 'expiry'),
    fc.jsonValue(),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(row, { maxLength: 4 }), fc.jsonValue(), async (rows, policy) => {
      body = { users: rows, nodes: rows.map((one) => nodeRow(one)), policy }
      const { nodes, unread } = await readHeadscaleServer({ url, apiKey: KEY })
      assert.ok(nodes.length <= rows.length && unread.every((one) => one !== ''))
    }),
    { numRuns: 60 },
  )
})
