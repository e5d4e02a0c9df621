import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { isCoded } from './errors.ts'
import { type Proxy, ProxyLogin } from './proxy-settings.ts'
import { connectThrough } from './proxy-tunnel.ts'

const never = new AbortController().signal
const TARGET = { scheme: 'https', host: 'derp.example.org', port: 443 } as const

async function listen(t: TestContext, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return (server.address() as AddressInfo).port
}

const proxyAt = (port: number, more: Partial<Proxy> = {}): Proxy => ({
  kind: 'http',
  host: '127.0.0.1',
  port,
  variable: 'HTTPS_PROXY',
  login: undefined,
  ...more,
})

/** A server that says `answer` to whatever is said first. */
const scripted = (t: TestContext, answer: string | Uint8Array): Promise<number> =>
  listen(
    t,
    createServer((socket) => {
      socket.on('error', () => {})
      socket.once('data', () => socket.write(answer))
    }),
  )

const echo = (t: TestContext): Promise<number> =>
  listen(
    t,
    createServer((socket) => {
      socket.on('error', () => {})
      socket.write('hello ')
      socket.pipe(socket)
    }),
  )

async function said(socket: Socket, text: string): Promise<string> {
  let heard = ''
  socket.write(text)
  for await (const chunk of socket) {
    heard += (chunk as Buffer).toString()
    if (heard.includes(text)) break
  }
  return heard
}

test('a proxy gets the name, the port and the login, and then carries bytes both ways', async (t) => {
  const far = await echo(t)
  const asked: (string | undefined)[] = []
  const proxy = createHttpServer().on('connect', (request, client, head) => {
    asked.push(request.url, request.headers.host, request.headers['proxy-authorization'])
    const server = connect(far, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n')
      server.write(head)
      server.pipe(client).pipe(server)
    })
    client.on('error', () => server.destroy())
    client.on('close', () => server.destroy())
  })
  const login = new ProxyLogin('anna', 'p:ss')
  const socket = await connectThrough(proxyAt(await listen(t, proxy), { login }), TARGET, never)
  assert.equal(await said(socket, 'there'), 'hello there')
  const basic = `Basic ${Buffer.from('anna:p:ss').toString('base64')}`
  assert.deepEqual(asked, ['derp.example.org:443', 'derp.example.org:443', basic])
})

test('what the server says in the same breath as the proxy is kept', async (t) => {
  const port = await scripted(t, 'HTTP/1.0 200 OK\r\n\r\nfirst words')
  const socket = await connectThrough(proxyAt(port), TARGET, never)
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  assert.equal(chunk.toString(), 'first words')
  socket.destroy()
})

const refusals: readonly (readonly [string, string, RegExp])[] = [
  ['HTTP/1.1 407 Auth\r\nProxy-Authenticate: Basic realm="x"\r\n\r\n', 'proxy/needs-login', /http:\/\/user:password@/],
  ['HTTP/1.1 407 Auth\r\nProxy-Authenticate: NTLM\r\n\r\n', 'proxy/needs-login', /only NTLM/],
  ['HTTP/1.1 403 Filtered\r\nContent-Length: 9\r\n\r\nforbidden', 'proxy/forbidden', /allow CONNECT to derp.example/],
  ['HTTP/1.1 503 Down\r\n\r\n', 'proxy/no-route', /does not get to derp.example.org:443/],
  ['HTTP/1.1 302 Found\r\nLocation: http://login/\r\n\r\n', 'proxy/not-a-proxy', /Correct HTTPS_PROXY/],
  ['SSH-2.0-OpenSSH_9.2\r\n', 'proxy/not-a-proxy', /no HTTP proxy/],
  ['HTTP/1.1 2x0 OK\r\n\r\n', 'proxy/not-a-proxy', /no HTTP proxy/],
  [`HTTP/1.1 200 OK\r\nX: ${'y'.repeat(64 * 1024)}`, 'proxy/not-a-proxy', /no HTTP proxy/],
]

for (const [answer, code, next] of refusals)
  test(`a proxy that answers ${JSON.stringify(answer.slice(0, 50))} is ${code}, with the next step`, async (t) => {
    const port = await scripted(t, answer)
    await assert.rejects(connectThrough(proxyAt(port), TARGET, never), (error) => {
      assert.ok(isCoded(error, code), String(error))
      assert.match(error.message, next)
      return true
    })
  })

test('a login that the proxy does not take is to be corrected, whatever status says so', async (t) => {
  for (const status of [407, 401]) {
    const port = await scripted(t, `HTTP/1.1 ${status} Auth\r\n\r\n`)
    const proxy = proxyAt(port, { login: new ProxyLogin('anna', 'wrong') })
    await assert.rejects(connectThrough(proxy, TARGET, never), /does not take those in HTTPS_PROXY/)
  }
})

test('a proxy that is not there, hangs up, or never answers', async (t) => {
  const gone = createServer()
  const gonePort = await listen(t, gone)
  gone.close()
  await assert.rejects(connectThrough(proxyAt(gonePort), TARGET, never), (error) => isCoded(error, 'proxy/unreachable'))
  const rude = await listen(
    t,
    createServer((socket) => socket.end()),
  )
  await assert.rejects(connectThrough(proxyAt(rude), TARGET, never), (error) => isCoded(error, 'proxy/not-a-proxy'))
  const mute = await listen(
    t,
    createServer((socket) => socket.on('error', () => {}).resume()),
  )
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const results: unknown[] = []
  const note = (result: unknown): unknown => results.push(result)
  connectThrough(proxyAt(mute), TARGET, never).then(note, note)
  // Each second passes only after what the network has brought meanwhile.
  for (let turn = 0; turn < 100_000 && results.length === 0; turn++) {
    if (turn % 100 === 0) t.mock.timers.tick(1_000)
    await new Promise(setImmediate)
  }
  assert.ok(isCoded(results[0], 'proxy/silent'), String(results[0]))
})

test('an abort ends the wait at once, with its own reason', async (t) => {
  const mute = await scripted(t, '')
  const stop = new AbortController()
  const asked = connectThrough(proxyAt(mute), TARGET, stop.signal)
  stop.abort(new Error('not wanted any more'))
  await assert.rejects(asked, /not wanted any more/)
})

test('a host name cannot say more to the proxy than a name', async (t) => {
  let heard = ''
  const port = await listen(
    t,
    createServer((socket) => socket.on('data', (chunk) => (heard += chunk.toString()))),
  )
  for (const host of ['a\r\nX: y', 'a b', '', 'a/b', 'a@b'])
    await assert.rejects(connectThrough(proxyAt(port), { ...TARGET, host }, never), (e) =>
      isCoded(e, 'proxy/forbidden'),
    )
  assert.equal(heard, '')
})

/** A SOCKS5 server for one connection, one answer for each thing said. */
const socksServer = (t: TestContext, heard: Buffer[], answers: readonly number[][]): Promise<number> =>
  listen(
    t,
    createServer((socket) => {
      let next = 0
      socket.on('error', () => {})
      socket.on('data', (chunk) => {
        heard.push(chunk)
        socket.write(Uint8Array.from(answers[next++] ?? []))
      })
    }),
  )

test('a SOCKS5 proxy is asked by name, with a login when it wants one', async (t) => {
  const heard: Buffer[] = []
  const connected = [5, 0, 0, 1, 0, 0, 0, 0, 0, 0]
  const hello = [...Buffer.from('hello')]
  const port = await socksServer(t, heard, [
    [5, 2],
    [1, 0],
    [...connected, ...hello],
  ])
  const proxy = proxyAt(port, { kind: 'socks5', login: new ProxyLogin('an', 'pw') })
  const socket = await connectThrough(proxy, TARGET, never)
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  assert.equal(chunk.toString(), 'hello')
  socket.destroy()
  assert.deepEqual([...(heard[0] ?? [])], [5, 2, 0, 2])
  assert.deepEqual([...(heard[1] ?? [])], [1, 2, ...Buffer.from('an'), 2, ...Buffer.from('pw')])
  assert.deepEqual([...(heard[2] ?? [])], [5, 1, 0, 3, 16, ...Buffer.from('derp.example.org'), 1, 187])
})

const socksRefusals: readonly (readonly [string, readonly number[][]])[] = [
  ['proxy/needs-login', [[5, 255]]],
  ['proxy/not-a-proxy', [[4, 0]]],
  [
    'proxy/forbidden',
    [
      [5, 0],
      [5, 2, 0, 1, 0, 0, 0, 0, 0, 0],
    ],
  ],
  [
    'proxy/no-route',
    [
      [5, 0],
      [5, 5, 0, 1, 0, 0, 0, 0, 0, 0],
    ],
  ],
  [
    'proxy/not-a-proxy',
    [
      [5, 0],
      [5, 0, 0, 9, 0, 0, 0, 0, 0, 0],
    ],
  ],
]

for (const [code, answers] of socksRefusals)
  test(`a SOCKS5 proxy that answers ${JSON.stringify(answers)} is ${code}`, async (t) => {
    const port = await socksServer(t, [], answers)
    await assert.rejects(connectThrough(proxyAt(port, { kind: 'socks5' }), TARGET, never), (e) => isCoded(e, code))
  })

test('whatever a proxy answers, it opens or fails with a code', async (t) => {
  let answer = Buffer.alloc(0)
  const port = await listen(
    t,
    createServer((socket) => {
      socket.on('error', () => {})
      socket.once('data', () => socket.end(answer))
    }),
  )
  const head = fc.constantFrom('', 'HTTP/1.1 ', 'HTTP/1.1 200', '\x05\x00', '\x05\x00\x05\x00\x00\x03')
  await fc.assert(
    fc.asyncProperty(head, fc.uint8Array({ maxLength: 80 }), fc.constantFrom('http', 'socks5'), async (a, b, kind) => {
      answer = Buffer.concat([Buffer.from(a, 'latin1'), b])
      try {
        const socket = await connectThrough(proxyAt(port, { kind: kind as Proxy['kind'] }), TARGET, never)
        socket.destroy()
      } catch (error) {
        if (!isCoded(error) || !error.code.startsWith('proxy/')) throw error
      }
    }),
    { numRuns: 60 },
  )
})
