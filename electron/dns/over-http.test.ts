import assert from 'node:assert/strict'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { test, type TestContext } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { silentLogger } from '../base/log.ts'
import { isTruncated, RCODE, rcodeOf, TYPE } from '../wire/dns/message.ts'
import { DnsListener } from './dns-listener.ts'
import type { DnsPlan } from './dns-plan.ts'
import { HttpListener, type HttpListenerOptions } from './http-listener.ts'
import { askOverHttp, DNS_MESSAGE } from './over-http.ts'
import { Resolver } from './resolver.ts'

const NO_PLAN: DnsPlan = { hosts: new Map(), namesOf: new Map(), routes: new Map(), servers: [], searchDomains: [] }
const BIG = Array.from({ length: 60 }, (_, i) => `10.0.0.${i}`)
const hosts = new Map<string, readonly string[]>([
  ['nas.home.example', ['100.64.0.7']],
  ['big.home.example', BIG],
])

function queryFor(name: string, type: number = TYPE.a): Buffer {
  const head = Buffer.from([0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0])
  const labels = name.split('.').flatMap((label) => [Buffer.of(label.length), Buffer.from(label)])
  return Buffer.concat([head, ...labels, Buffer.from([0, 0, type, 0, 1])])
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await new Promise((done) => probe.once('listening', done))
  const { port } = probe.address() as { port: number }
  await new Promise((done) => probe.close(done))
  return port
}

async function exitNode(t: TestContext, more: Partial<HttpListenerOptions> = {}) {
  const resolver = new Resolver({ clock: systemClock, log: silentLogger, systemServers: () => [] })
  resolver.setPlan({ ...NO_PLAN, hosts, routes: new Map([['home.example', []]]) })
  const options = { answer: (message: Uint8Array) => resolver.resolve(message, 'http'), judge: () => 'answer' as const }
  const port = await freePort()
  const listener = await HttpListener.open({ ...options, ...more }, ['127.0.0.1'], [port])
  t.after(() => listener.close())
  return { port, url: `http://127.0.0.1:${port}/dns-query` }
}

/** A machine that sends everything through the exit node at that URL. */
function userOf(url: string | undefined, systemServers: readonly string[] = []): Resolver {
  const resolver = new Resolver({ clock: systemClock, log: silentLogger, systemServers: () => systemServers })
  resolver.setPlan({ ...NO_PLAN, servers: url === undefined ? [] : [url], beside: new Set(['coord.example']) })
  return resolver
}

interface Got {
  readonly status: number | undefined
  readonly body: Buffer
}

function fetchFrom(port: number, path: string, headers: Record<string, string> = {}, body?: Buffer): Promise<Got> {
  return new Promise((resolve, reject) => {
    const where = { host: '127.0.0.1', port, path, agent: false, headers, method: body ? 'POST' : 'GET' }
    const asked = request(where, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => resolve({ status: response.statusCode, body: Buffer.concat(chunks) }))
    })
    asked.on('error', reject).end(body)
  })
}

test('names are looked up by the exit node, over UDP cut to what the client takes', async (t) => {
  const { url } = await exitNode(t)
  const user = userOf(url)
  const found = await user.resolve(queryFor('nas.home.example'), 'udp')
  assert.ok(found && rcodeOf(found) === RCODE.ok && !isTruncated(found) && found[7] === 1)
  const gone = await user.resolve(queryFor('gone.home.example'), 'udp')
  assert.equal(gone && rcodeOf(gone), RCODE.noSuchName)
  const cut = await user.resolve(queryFor('big.home.example'), 'udp')
  assert.ok(cut && isTruncated(cut) && cut.length <= 512 && cut[7] === 0)
  const whole = await user.resolve(queryFor('big.home.example'), 'tcp')
  assert.equal(whole?.[7], BIG.length)
})

test('the exit node itself asks over UDP, and over TCP for what is too long', async (t) => {
  const upstream = new Resolver({ clock: systemClock, log: silentLogger, systemServers: () => [] })
  upstream.setPlan({ ...NO_PLAN, hosts, routes: new Map([['home.example', []]]) })
  const port = await freePort()
  const asked: string[] = []
  const listener = await DnsListener.open(
    {
      resolve: (message, transport) => {
        asked.push(transport)
        return upstream.resolve(message, transport)
      },
    },
    ['127.0.0.1'],
    port,
  )
  t.after(() => listener.close())
  const exit = new Resolver({ clock: systemClock, log: silentLogger, systemServers: () => [`127.0.0.1:${port}`] })
  const found = await exit.resolve(queryFor('nas.home.example'), 'http')
  assert.equal(found?.[7], 1)
  assert.deepEqual(asked, ['udp'])
  const big = await exit.resolve(queryFor('big.home.example'), 'http')
  assert.equal(big?.[7], BIG.length)
  assert.deepEqual(asked, ['udp', 'udp', 'tcp'])
})

test('while an exit node is in use nobody else is asked, but for what the tunnel itself needs', async () => {
  const asked: string[] = []
  const resolver = new Resolver({
    clock: systemClock,
    log: silentLogger,
    systemServers: () => ['198.51.100.1'],
    ask: (_, server) => {
      asked.push(server)
      return Promise.reject(new Error('away'))
    },
  })
  resolver.setPlan({ ...NO_PLAN, beside: new Set(['coord.example']) })
  for (const name of ['www.example', 'coord.example']) {
    const answer = await resolver.resolve(queryFor(name), 'udp')
    assert.equal(answer && rcodeOf(answer), RCODE.failed)
  }
  assert.deepEqual(asked, ['198.51.100.1'])
})

test('who may not, and who asks too much, is told so', async (t) => {
  const refusing = await exitNode(t, { judge: () => 'refuse' })
  await assert.rejects(askOverHttp(refusing.url, queryFor('nas.home.example'), AbortSignal.timeout(5_000)), {
    code: 'dns/refused',
  })
  const busy = await exitNode(t, { judge: () => 'later' })
  const { status } = await fetchFrom(busy.port, '/dns-query?dns=AAAA')
  assert.equal(status, 429)
})

test('a page of a browser, another path and junk get nothing', async (t) => {
  const { port } = await exitNode(t)
  const dns = queryFor('nas.home.example').toString('base64url')
  const got = await fetchFrom(port, `/dns-query?dns=${dns}`)
  assert.deepEqual([got.status, got.body[7]], [200, 1])
  const post = { 'content-type': DNS_MESSAGE }
  for (const [path, headers, body, status] of [
    [`/dns-query?dns=${dns}`, { origin: 'http://evil.example' }, undefined, 403],
    [`/dns-query?dns=${dns}`, { referer: 'http://evil.example/' }, undefined, 403],
    [`/dns-query?dns=${dns}`, { host: 'evil.example' }, undefined, 403],
    ['/v0/put/file', {}, undefined, 404],
    ['/', {}, undefined, 200],
    ['/dns-query', {}, undefined, 400],
    ['/dns-query', post, Buffer.from('junk'), 400],
    ['/dns-query', { 'content-type': 'text/plain' }, queryFor('nas.home.example'), 400],
    ['/dns-query', post, Buffer.alloc(5_000), 400],
  ] as const)
    assert.equal((await fetchFrom(port, path, headers, body)).status, status, `${path} ${JSON.stringify(headers)}`)
})

test('a port that is taken is passed over', async (t) => {
  const { port } = await exitNode(t)
  const free = await freePort()
  const options = { answer: () => Promise.resolve(undefined), judge: () => 'answer' as const }
  const listener = await HttpListener.open(options, ['127.0.0.1'], [port, free])
  t.after(() => listener.close())
  assert.equal(listener.port, free)
  await assert.rejects(HttpListener.open(options, ['127.0.0.1'], [port, free]), { code: 'dns/no-address' })
})
