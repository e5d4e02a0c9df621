import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { test, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { silentLogger } from '../../base/log.ts'
import { type AgentSnapshot, emptySnapshot, type NodeId, type PeerView } from '../../contract/snapshot.ts'
import { type ProxyOptions, startHttpProxy, startSocks5 } from './proxies.ts'
import { addressFor } from './reach.ts'
import { readGreeting, readRequest } from './socks5.ts'

const peer = (id: string, addresses: string[], routes: string[] = []): PeerView =>
  ({
    id: id as NodeId,
    name: id,
    dnsName: `${id}.home.example`,
    addresses,
    allowedIps: [...addresses.map((address) => `${address}/${address.includes(':') ? 128 : 32}`), ...routes],
  }) as unknown as PeerView

/** The "machine" of these tests is this one: 127.0.0.1. */
function snapshotOf(over: Partial<NonNullable<AgentSnapshot['routing']>> = {}): AgentSnapshot {
  const all = [peer('nas', ['127.0.0.1']), peer('gate', ['100.64.0.2'], ['192.0.2.0/24', '0.0.0.0/0', '::/0'])]
  return {
    ...emptySnapshot,
    state: 'running',
    peers: Object.fromEntries(all.map((one) => [one.id, one])),
    routing: {
      acceptRoutes: false,
      acceptDns: true,
      exitNode: undefined,
      exitNodeAllowLan: false,
      advertiseRoutes: [],
      advertiseExitNode: false,
      ...over,
    },
  }
}

const options: ProxyOptions = {
  log: silentLogger,
  snapshot: () => snapshotOf(),
  resolve: (name) => (name === 'www.example' ? Promise.resolve(['203.0.113.9']) : Promise.reject(new Error(name))),
}

const to = (host: string, snapshot = snapshotOf()): Promise<string> =>
  addressFor(host, snapshot, options.resolve ?? (() => Promise.resolve([])))

test('machines are reached by name and address, networks and the internet as far as they are used', async () => {
  for (const name of ['nas', 'NAS.home.example', 'nas.home.example.', '127.0.0.1'])
    assert.equal(await to(name), '127.0.0.1')
  assert.equal(await to('192.0.2.7', snapshotOf({ acceptRoutes: true })), '192.0.2.7')
  const exit = snapshotOf({ exitNode: 'gate' as NodeId })
  assert.equal(await to('www.example', exit), '203.0.113.9')
  assert.equal(await to('[2001:db8::1]', exit), '2001:db8::1')
  for (const host of ['192.0.2.7', 'www.example', '169.254.169.254', '::1', '0.0.0.0'])
    await assert.rejects(to(host), { code: 'proxy/not-there' }, host)
  await assert.rejects(to('nobody'), { code: 'proxy/no-name' })
  await assert.rejects(to('nas', { ...snapshotOf(), state: 'stopped' }), { code: 'proxy/not-connected' })
})

test('SOCKS5 is read in whatever pieces it comes', () => {
  const request = Uint8Array.of(5, 1, 0, 3, 3, 0x6e, 0x61, 0x73, 0x1f, 0x90)
  for (let length = 0; length < request.length; length++)
    assert.equal(readRequest(request.subarray(0, length)).kind, 'more')
  assert.deepEqual(readRequest(request), { kind: 'done', value: { host: 'nas', port: 8_080 }, bytes: 10 })
  assert.equal(readRequest(Uint8Array.of(5, 2, 0, 1, 1, 2, 3, 4, 0, 80)).kind, 'bad')
  assert.equal(readRequest(Uint8Array.of(5, 1, 0, 9, 1, 2, 3, 4, 0, 80)).kind, 'bad')
  assert.equal(readGreeting(Uint8Array.of(5, 1, 2)).kind, 'bad')
  assert.equal(readGreeting(Uint8Array.of(4, 1)).kind, 'bad')
  assert.equal(readGreeting(Uint8Array.of(5)).kind, 'more')
})

const BODY = 'x'.repeat(300_000)

async function machine(t: TestContext): Promise<number> {
  const server = createServer((request, response) => {
    const said: Buffer[] = []
    request.on('data', (chunk: Buffer) => said.push(chunk))
    request.on('end', () =>
      response.end(`${request.method} ${request.headers.host} ${Buffer.concat(said).toString()}${BODY}`),
    )
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  t.after(() => server.close().closeAllConnections())
  return (server.address() as { port: number }).port
}

const curl = async (...args: string[]): Promise<string> =>
  (await promisify(execFile)('curl', ['-s', '--max-time', '10', '--noproxy', '', ...args], { maxBuffer: 1 << 20 }))
    .stdout

test('a client of others goes through both', async (t) => {
  const port = await machine(t)
  const socks = await startSocks5('127.0.0.1:0', options)
  const http = await startHttpProxy('127.0.0.1:0', options)
  t.after(() => [socks, http].forEach((proxy) => proxy.close()))
  const url = `http://nas:${port}/`
  const found = `GET nas:${port} ${BODY}`
  assert.equal(await curl('-x', `socks5h://${socks.address}`, url), found)
  assert.equal(await curl('-x', `http://${http.address}`, url), found)
  assert.equal(await curl('-x', `http://${http.address}`, '--proxytunnel', url), found)
  const sent = await curl('-x', `http://${http.address}`, '-d', 'hello', url)
  assert.ok(sent.startsWith(`POST nas:${port} hello`))
  assert.match(await curl('-x', `http://${http.address}`, 'http://192.0.2.7/'), /is not in this network/)
  await assert.rejects(curl('-x', `socks5h://${socks.address}`, 'http://192.0.2.7/'), { code: 97 })
  await assert.rejects(curl('-x', `http://${http.address}`, '-p', 'http://192.0.2.7/'), { code: 56 })
  assert.match(await curl(`http://${http.address}/`), /whole address/)
})

test('junk, and a place that is none, are told', async (t) => {
  const socks = await startSocks5('127.0.0.1:0', options)
  t.after(() => socks.close())
  const [host = '', port = ''] = socks.address.split(':')
  const client = connect(Number(port), host)
  const closed = new Promise((done) => client.once('close', done))
  client.on('error', () => {}).write('GET / HTTP/1.1\r\n\r\n')
  await closed
  await assert.rejects(startSocks5('nowhere', options), { code: 'proxy/bad-address' })
  await assert.rejects(startHttpProxy(socks.address, options), { code: 'proxy/cannot-listen' })
})
