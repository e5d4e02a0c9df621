import assert from 'node:assert/strict'
import { connect as connectPlain } from 'node:net'
import { test, type TestContext } from 'node:test'
import { connect as connectTls } from 'node:tls'
import type { Duplex } from 'node:stream'
import { isCoded } from '../../base/errors.ts'
import { listen, parseListen, type ListenOptions } from './listener.ts'
import { selfSigned } from '../test-certificate.ts'

async function started(t: TestContext, more: Partial<ListenOptions> = {}) {
  const listener = await listen({
    host: '127.0.0.1',
    port: 0,
    tls: undefined,
    onRequest: (request, response) => response.end(`${request.url} ${'encrypted' in request.socket ? 'tls' : 'plain'}`),
    onUpgrade: (_request, socket, head) => socket.end(`upgraded ${head.toString()}`),
    ...more,
  })
  t.after(() => listener.close())
  return listener
}

async function talk(socket: Duplex, ...texts: (string | Buffer)[]): Promise<string> {
  let received = ''
  socket.on('data', (chunk: Buffer) => (received += chunk.toString('latin1'))).on('error', () => {})
  for (const text of texts) {
    socket.write(text)
    await new Promise((resolve) => setImmediate(resolve))
  }
  await new Promise((resolve) => socket.once('close', resolve))
  return received
}

const GET = 'GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n'

test('one port speaks plain HTTP and TLS, and upgrades in both', async (t) => {
  const { port } = await started(t, { tls: await selfSigned() })
  const plain = () => connectPlain(port, '127.0.0.1')
  const tls = () =>
    connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['h2', 'http/1.1'] })
  assert.match(await talk(plain(), GET), /200 OK[^]*\/x plain$/)
  assert.match(await talk(tls(), GET), /200 OK[^]*\/x tls$/)
  const upgrade = GET.replace('Connection: close', 'Connection: upgrade\r\nUpgrade: u')
  assert.equal(await talk(plain(), upgrade), 'upgraded ')
  assert.equal(await talk(tls(), `${upgrade}early`), 'upgraded early')
})

test('a request that comes byte by byte is read all the same', async (t) => {
  const { port } = await started(t)
  assert.match(await talk(connectPlain(port, '127.0.0.1'), ...Array.from(GET)), /200 OK/)
})

test('without a certificate TLS is hung up on, and so is what is neither', async (t) => {
  const { port } = await started(t)
  assert.equal(await talk(connectPlain(port, '127.0.0.1'), Buffer.from([0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5])), '')
  assert.equal(await talk(connectPlain(port, '127.0.0.1'), Buffer.from([0, 1, 2, 3])), '')
})

test('silence, half a request and half a handshake each hold a place for a short time only', async (t) => {
  const { port } = await started(t, { headerMs: 200, tls: await selfSigned() })
  const drip = connectPlain(port, '127.0.0.1')
  const dripping = setInterval(() => drip.write('x'), 20)
  t.after(() => clearInterval(dripping))
  const all = [
    talk(connectPlain(port, '127.0.0.1')),
    talk(connectPlain(port, '127.0.0.1'), 'GET /x HTTP/1.1\r\nX: '),
    talk(connectPlain(port, '127.0.0.1'), Buffer.from([0x16, 3, 1, 2, 0])),
    talk(drip, 'GET /x HTTP/1.1\r\nX: '),
  ]
  for (const answer of await Promise.all(all)) assert.ok(!answer.includes('200 OK'))
})

test('headers past the bound are refused', async (t) => {
  const { port } = await started(t)
  const long = GET.replace('Host: h', `Host: h\r\nX: ${'y'.repeat(40_000)}`)
  assert.ok(!(await talk(connectPlain(port, '127.0.0.1'), long)).includes('200 OK'))
})

test('a certificate that is none is a matter of configuration', async () => {
  const options = { host: '127.0.0.1', port: 0, tls: { cert: 'x', key: 'y' }, onRequest: () => {}, onUpgrade: () => {} }
  await assert.rejects(listen(options), (error) => isCoded(error, 'coord/bad-config'))
})

test('listening addresses are read as people write them', () => {
  assert.deepEqual(parseListen('127.0.0.1:8480'), { host: '127.0.0.1', port: 8480 })
  assert.deepEqual(parseListen('[::1]:8480'), { host: '::1', port: 8480 })
  assert.deepEqual(parseListen(':8480'), { host: '::', port: 8480 })
  assert.deepEqual(parseListen('8480'), { host: '::', port: 8480 })
  for (const bad of ['', 'x', 'host:80', ':70000', '1.2.3.4', '::1:80', '1.2.3.4:'])
    assert.equal(parseListen(bad), undefined)
})
