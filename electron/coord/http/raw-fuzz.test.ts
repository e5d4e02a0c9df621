// Below requests: bytes that are no HTTP, bodies without an end, and nonsense inside the encrypted channel.

import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'
import { utf8 } from '../../base/bytes.ts'
import { MachinePrivate } from '../../crypto/keys.ts'
import { NAME, site, withOwner } from '../identity/test-site.ts'
import { dial, TestMachine } from '../test-machine.ts'
import { pick, randomOf } from './test-hostile.ts'

const TIMES = Number(process.env['PEERWAY_FUZZ'] ?? '1')
const SEED = Number(process.env['PEERWAY_FUZZ_SEED'] ?? '20')
/** What the system's buffers of a loopback connection take in beside what the server reads. */
const BUFFERED_BYTES = 8 * 1024 * 1024

interface Met {
  /** The status line's; 0 when the server hung up without one. */
  readonly status: number
  readonly sentBytes: number
}

/** Sends until the server hangs up, which it has to by then. */
function meet(socket: Socket, chunks: Iterator<Uint8Array>, mostMs = 15_000): Promise<Met> {
  return new Promise((resolve, reject) => {
    let received = ''
    let sentBytes = 0
    const timer = setTimeout(() => {
      socket.destroy()
      reject(new Error(`the server keeps the connection after ${received.slice(0, 80)}`))
    }, mostMs)
    const send = (): void => {
      while (!socket.destroyed) {
        const { value, done } = chunks.next()
        if (done === true) return
        sentBytes += value.length
        if (!socket.write(value)) return void socket.once('drain', send)
      }
    }
    socket.on('data', (chunk: Buffer) => (received = (received + chunk.toString('latin1')).slice(0, 4_096)))
    socket.on('error', () => {})
    socket.on('close', () => {
      clearTimeout(timer)
      resolve({ status: Number(/^HTTP\/1\.1 (\d{3})/.exec(received)?.[1] ?? 0), sentBytes })
    })
    socket.once('connect', send)
  })
}

const once = (text: string): Iterator<Uint8Array> => [new Uint8Array(Buffer.from(text, 'latin1'))].values()

test('what is no HTTP request is hung up on, or told so, at once', async (t) => {
  const { coord } = await site(t)
  const host = `Host: ${NAME}\r\n`
  const close = 'Connection: close\r\n'
  const all: Readonly<Record<string, string>> = {
    'long headers': `GET / HTTP/1.1\r\n${host}X: ${'y'.repeat(64 * 1024)}\r\n\r\n`,
    'many headers': `GET / HTTP/1.1\r\n${host}${Array.from({ length: 3_000 }, (_, i) => `X-${i}: yyyyyyyy\r\n`).join('')}\r\n`,
    'a long path': `GET /${'a'.repeat(10 * 1024 * 1024)} HTTP/1.1\r\n${host}\r\n`,
    'a null in a header': `GET / HTTP/1.1\r\n${host}X: a\0b\r\n\r\n`,
    'a null in the path': `GET /\0 HTTP/1.1\r\n${host}\r\n`,
    'a bare carriage return': `GET / HTTP/1.1\r\n${host}X: a\rY: b\r\n\r\n`,
    'bare line feeds': `GET / HTTP/1.1\n${host.trim()}\n${close.trim()}\n\n`,
    'a folded header': `GET / HTTP/1.1\r\n${host}X: a\r\n b\r\n${close}\r\n`,
    'length and chunks': `POST /verify HTTP/1.1\r\n${host}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    'two lengths': `POST /verify HTTP/1.1\r\n${host}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc`,
    'a length below zero': `POST /verify HTTP/1.1\r\n${host}Content-Length: -1\r\n\r\nabc`,
    'a bad chunk': `POST /verify HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n`,
    'another encoding': `POST /verify HTTP/1.1\r\n${host}Transfer-Encoding: gzip\r\n\r\nabc`,
    'no host': `GET /console HTTP/1.1\r\n${close}\r\n`,
    'two hosts': `GET /console HTTP/1.1\r\n${host}Host: evil.example\r\n${close}\r\n`,
    'another version': `GET / HTTP/9.9\r\n${host}\r\n`,
    'another method': `BREW / HTTP/1.1\r\n${host}\r\n`,
    'a tunnel': `CONNECT 127.0.0.1:22 HTTP/1.1\r\n${host}\r\n`,
    'an upgrade elsewhere': `GET / HTTP/1.1\r\n${host}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n`,
    'HTTP/2 without an upgrade': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  }
  const harmless = new Set(['bare line feeds', 'a folded header'])
  for (const [what, text] of Object.entries(all)) {
    const { status } = await meet(connect(coord.port, '127.0.0.1'), once(text))
    const isRefused = status === 0 || (status >= 400 && status < 500)
    assert.ok(isRefused || (harmless.has(what) && status === 200), `${what}: ${status}`)
  }
  assert.equal((await fetch(`http://127.0.0.1:${coord.port}/health`)).status, 200)
})

test('upgrades to the encrypted channel that are none end soon', async (t) => {
  const { coord } = await site(t)
  const random = randomOf(SEED)
  const letters = (count: number): string =>
    Array.from({ length: count }, () => pick(random, Array.from('ABCDEFabcdef0123456789+/='))).join('')
  for (let i = 0; i < 60 * TIMES; i++) {
    const handshake = pick(random, [
      letters(136),
      letters(135),
      '',
      'A'.repeat(136),
      letters(20_000),
      `${letters(134)}==`,
    ])
    const lines = [
      `${pick(random, ['POST', 'POST', 'GET', 'PUT'])} ${pick(random, ['/ts2021', '/ts2021?x', '/ts2021x', '/derp'])} HTTP/1.1`,
      `Host: ${NAME}`,
      'Connection: upgrade',
      `Upgrade: ${pick(random, ['tailscale-control-protocol', 'tailscale-control-protocol', 'derp', 'h2c', 'x'.repeat(999)])}`,
      `X-Tailscale-Handshake: ${handshake}`,
    ]
    const { status } = await meet(
      connect(coord.port, '127.0.0.1'),
      once(`${lines.join('\r\n')}\r\n\r\n${letters(200)}`),
    )
    assert.ok(status < 500, `${status} for ${lines.join(' | ').slice(0, 200)}`)
  }
})

test('nonsense inside the encrypted channel ends the connection, and no other', async (t) => {
  const { coord } = await withOwner(t)
  const url = `http://127.0.0.1:${coord.port}`
  const random = randomOf(SEED)
  const { key } = await coord.admin.createAuthKey({})
  const machine = new TestMachine(url, 'one')
  t.after(() => machine.close())
  assert.equal((await machine.register({ auth: { authKey: key } })).error, '')
  const preface = utf8('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
  const frame = (): Uint8Array => {
    const body = Uint8Array.from({ length: Math.floor(random() * 64) }, () => Math.floor(random() * 256))
    // Its length is now and then a lie.
    const length = random() < 0.8 ? body.length : Math.floor(random() * 2 ** 24)
    const head = Uint8Array.of(
      length >> 16,
      length >> 8,
      length,
      Math.floor(random() * 12),
      Math.floor(random() * 256),
      0,
      0,
      0,
      Math.floor(random() * 4),
    )
    return Buffer.concat([head, body])
  }
  for (let i = 0; i < 40 * TIMES; i++) {
    const noise = await dial(url, MachinePrivate.generate())
    const closed = new Promise((resolve) => noise.once('close', resolve))
    noise.on('error', () => {}).resume()
    const isFramed = random() < 0.7
    if (isFramed) noise.write(Buffer.concat([preface, Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0)]))
    for (let n = 0; n < 20 && !noise.destroyed; n++) noise.write(frame())
    // What is not refused yet may be waiting for the rest of a frame.
    noise.end()
    setTimeout(() => noise.destroy(), 500)
    await closed
  }
  assert.equal(await machine.update(), 200)
})

function* endless(head: string): Generator<Uint8Array> {
  yield utf8(head)
  const chunk = utf8(`10000\r\n${'a'.repeat(0x10000)}\r\n`)
  for (;;) yield chunk
}

test('a body without an end is cut off at its bound, wherever it is sent', async (t) => {
  const { coord, browser } = await withOwner(t)
  const { token } = await coord.serverAdmin.of().tokens.create({ name: 'fuzz', scopes: ['all'] })
  const page = Object.entries(browser.headers())
  const json: [string, string][] = [['content-type', 'application/json']]
  const all: readonly [string, readonly (readonly [string, string])[]][] = [
    ['POST /verify', []],
    ['POST /nowhere', []],
    ['POST /ts2021', []],
    ['POST /console', []],
    ['POST /login/api/state', page],
    ['POST /login/api/sign-in/password', page],
    ['POST /login/api/sign-in/password', []],
    ['POST /login/api/nothing', page],
    ['PUT /api/v1/policy', [...json, ['authorization', `Bearer ${token}`]]],
    ['PUT /api/v1/policy', [...json, ['authorization', 'Bearer nobody']]],
    ['DELETE /api/v1/users/nobody', [['authorization', `Bearer ${token}`]]],
  ]
  for (const [route, headers] of all) {
    const lines = [`${route} HTTP/1.1`, `Host: ${NAME}`, 'Transfer-Encoding: chunked']
    const head = [...lines, ...headers.map(([name, value]) => `${name}: ${value}`)].join('\r\n')
    const { status, sentBytes } = await meet(connect(coord.port, '127.0.0.1'), endless(`${head}\r\n\r\n`))
    assert.ok(status === 0 || (status >= 400 && status < 500), `${route}: ${status}`)
    assert.ok(sentBytes <= 1024 * 1024 + BUFFERED_BYTES, `${route} took ${sentBytes} bytes`)
  }
})
