// Wanted by x509 before it is loaded.
import 'reflect-metadata'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { test, type TestContext } from 'node:test'
import * as x509 from '@peculiar/x509'
import { isCoded } from '../base/errors.ts'
import { MachinePrivate } from '../crypto/keys.ts'
import { networkError } from './control-error.ts'
import { dialControl, fetchServerKey } from './dialer.ts'
import { checkedPage, retryAfterMs } from './registration.ts'
import { type DialWay, dialWays, parseServerUrl } from './server-url.ts'
import { TinyServer } from './tiny-server.ts'

const forever = new AbortController().signal

async function selfSigned(): Promise<{ key: string; cert: string }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=127.0.0.1',
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3_600_000),
    keys,
    signingAlgorithm: algorithm,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'ip', value: '127.0.0.1' }])],
  })
  const pkcs8 = x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY')
  return { key: pkcs8, cert: cert.toString('pem') }
}

test('over https the key needs a good certificate, the encrypted channel does not', async (t) => {
  const server = await new TinyServer({ tls: await selfSigned() }).start()
  t.after(() => server.stop())
  const url = parseServerUrl(server.url)
  await assert.rejects(
    fetchServerKey(url, 119, forever),
    (error) => isCoded(error, 'control/tls') && error.message.includes('Nobody this computer trusts'),
  )
  const machineKey = MachinePrivate.generate()
  const stream = await dialControl(
    { server: url, serverKey: server.noiseKey.public, machineKey, version: 119 },
    forever,
  )
  stream.destroy()
  assert.deepEqual(
    server.machineKeys.map(({ text }) => text),
    [machineKey.public.text],
  )
})

test('http:// to a server that speaks https, and the other way round, says so', async (t) => {
  const tls = await new TinyServer({ tls: await selfSigned() }).start()
  const plain = await new TinyServer().start()
  t.after(() => Promise.all([tls.stop(), plain.stop()]))
  await assert.rejects(
    fetchServerKey(new URL(tls.url.replace('https', 'http')), 119, forever),
    (error) => isCoded(error, 'control/unreachable') || isCoded(error, 'control/not-a-server'),
  )
  await assert.rejects(
    fetchServerKey(new URL(plain.url.replace('http', 'https')), 119, forever),
    (error) => isCoded(error, 'control/unreachable') && error.message.includes('does not speak HTTPS'),
  )
})

async function silentServer(t: TestContext): Promise<URL> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    t.after(() => socket.destroy())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
}

test('an attempt at a server that never answers ends when it is cancelled', async (t) => {
  const server = await silentServer(t)
  const key = MachinePrivate.generate()
  for (const attempt of [
    (signal: AbortSignal) => fetchServerKey(server, 119, signal),
    (signal: AbortSignal) => dialControl({ server, serverKey: key.public, machineKey: key, version: 119 }, signal),
  ]) {
    const stop = new AbortController()
    const result = attempt(stop.signal)
    setImmediate(() => stop.abort(new Error('enough')))
    await assert.rejects(result, /enough/)
  }
})

test('the second way starts when the first fails, or takes too long, and the loser is hung up', async (t) => {
  const server = await new TinyServer().start()
  t.after(() => server.stop())
  const silent = await silentServer(t)
  const good = { scheme: 'http' as const, port: Number(new URL(server.url).port) }
  const machineKey = MachinePrivate.generate()
  const dial = (ways: readonly DialWay[]) =>
    dialControl(
      { server: new URL(server.url), serverKey: server.noiseKey.public, machineKey, version: 119, ways },
      forever,
    )
  const slow: DialWay = { scheme: 'http', port: Number(silent.port), afterMs: 0 }
  const dead: DialWay = { scheme: 'http', port: 1, afterMs: 0 }
  ;(await dial([slow, { ...good, afterMs: 20 }])).destroy()
  // An hour is not waited: the failure starts the second way at once.
  ;(await dial([dead, { ...good, afterMs: 3_600_000 }])).destroy()
  assert.equal(server.machineKeys.length, 2)
  await assert.rejects(dial([dead, { ...dead, afterMs: 10 }]), (error) => isCoded(error, 'control/unreachable'))

  const winner = await dial([
    { ...good, afterMs: 0 },
    { ...good, afterMs: 3_600_000 },
  ])
  assert.equal(server.machineKeys.length, 3, 'what has won needs no second way')
  winner.destroy()
})

test('the ways to dial follow from the address', () => {
  const http = (port: number, afterMs = 0) => ({ scheme: 'http', port, afterMs })
  const https = (port: number, afterMs = 0) => ({ scheme: 'https', port, afterMs })
  for (const [url, ways] of [
    ['https://host.example', [https(443), http(80, 500)]],
    ['https://host.example:8443', [https(8443)]],
    ['https://192.168.1.2', [https(443)]],
    ['http://host.example', [http(80), https(443, 500)]],
    ['http://host.example:8080', [http(8080), https(443, 500)]],
    ['http://10.0.0.5:8080', [http(8080)]],
    ['http://127.0.0.1', [http(80)]],
    ['http://[fd00::1]:8080', [http(8080)]],
    ['http://localhost:8080', [http(8080)]],
  ] as const)
    assert.deepEqual(dialWays(new URL(url)), ways, url)
})

test('a server address is an origin, with https where nothing is said', () => {
  for (const [text, origin] of [
    ['hs.example.org', 'https://hs.example.org'],
    [' https://hs.example.org/admin?x ', 'https://hs.example.org'],
    ['hs.example.org:8443', 'https://hs.example.org:8443'],
    ['http://192.0.2.1:8080/', 'http://192.0.2.1:8080'],
  ])
    assert.equal(parseServerUrl(text ?? '').origin, origin)
  for (const bad of ['', 'ftp://x', 'https://', 'file:///etc', 'https://me:secret@host', 'a b'])
    assert.throws(
      () => parseServerUrl(bad),
      (error) => isCoded(error, 'control/bad-url'),
      bad,
    )
})

test('messages say what is so and what to do', () => {
  const coded = (code: string) => networkError('hs.example.org', Object.assign(new Error('x'), { code }))
  assert.match(
    coded('ENOTFOUND').message,
    /No server answers at hs\.example\.org\. The name does not exist\. Check the spelling/,
  )
  assert.match(coded('EAI_AGAIN').message, /offline/)
  assert.equal(coded('CERT_HAS_EXPIRED').code, 'control/tls')
  assert.match(coded('CERT_HAS_EXPIRED').message, /expired/)
  assert.match(coded('ERR_TLS_CERT_ALTNAME_INVALID').message, /another name/)
  assert.equal(networkError('x', undefined).code, 'control/unreachable')
})

test('Retry-After is seconds or a date, and nothing unreasonable', () => {
  const now = Date.UTC(2026, 0, 1)
  assert.equal(retryAfterMs('7', now), 7000)
  assert.equal(retryAfterMs('Thu, 01 Jan 2026 00:00:30 GMT', now), 30_000)
  for (const odd of [undefined, '0', '-1', '3601', 'soon', 'Wed, 31 Dec 2025 00:00:00 GMT'])
    assert.equal(retryAfterMs(odd, now), undefined)
})

test('a page to open is a web page, unencrypted only for an unencrypted server', () => {
  const secure = new URL('https://hs.example.org')
  assert.equal(checkedPage('https://login.example/x', secure), 'https://login.example/x')
  assert.equal(checkedPage('http://hs/x', new URL('http://hs')), 'http://hs/x')
  for (const bad of ['http://hs.example.org/x', 'javascript:alert(1)', 'file:///x', 'x'])
    assert.throws(
      () => checkedPage(bad, secure),
      (error) => isCoded(error, 'control/bad-answer'),
    )
})
