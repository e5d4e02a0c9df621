import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import test, { type TestContext } from 'node:test'
import { connect, type TLSSocket } from 'node:tls'
import fc from 'fast-check'
import { concat, utf8 } from '../base/bytes.ts'
import { VirtualClock } from '../base/clock.ts'
import { NodePrivate } from '../crypto/keys.ts'
import { FrameDecoder } from '../wire/derp/frame-decoder.ts'
import { writeFrameHeader } from '../wire/derp/frame.ts'
import { sealClientInfo } from '../wire/derp/handshake.ts'
import { decodeFrame, encodeFrame, type DerpMessage } from '../wire/derp/message.ts'
import { rawLogin, startServer, WAIT_MS } from './derp-fixture.ts'
import type { DerpNode } from './derp-map.ts'
import type { DerpServerOptions } from './derp-server.ts'

function frame(type: number, payload: Uint8Array, claimedBytes = payload.length): Uint8Array {
  const header = new Uint8Array(5)
  writeFrameHeader(header, 0, type, claimedBytes)
  return concat(header, payload)
}

/** What the server says on a raw connection. */
function listen(socket: TLSSocket): DerpMessage[] {
  const heard: DerpMessage[] = []
  const decoder = new FrameDecoder(() => 1 << 20)
  socket.on('data', (chunk: Uint8Array) =>
    decoder.push(chunk, (type, bytes, start, end) => heard.push(decodeFrame(type, bytes.subarray(start, end)))),
  )
  return heard
}

async function until(what: string, isTrue: () => boolean): Promise<void> {
  const end = Date.now() + WAIT_MS
  while (!isTrue()) {
    if (Date.now() > end) throw new Error(`waited too long for ${what}`)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

async function connectTls(t: TestContext, node: DerpNode): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port: node.DERPPort ?? 0, rejectUnauthorized: false })
  t.after(() => socket.destroy())
  socket.on('error', () => {})
  await once(socket, 'secureConnect')
  return socket
}

const UPGRADE = 'GET /derp HTTP/1.1\r\nHost: derp.test\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n'

test('a client that knows the key from the certificate logs in without waiting, and gets no 101', async (t) => {
  const { node, server } = await startServer(t)
  const socket = await connectTls(t, node)
  const heard = listen(socket)
  const info = { version: 2, canAckPings: true, isProber: false, appName: undefined, meshKey: undefined }
  const login = encodeFrame('clientInfo', sealClientInfo(NodePrivate.generate(), server.publicKey, info))
  socket.write(concat(utf8(`${UPGRADE}Derp-Fast-Start: 1\r\n\r\n`), login))
  await until('the server info', () => heard.length === 2)
  assert.deepEqual(
    heard.map(({ kind }) => kind),
    ['serverKey', 'serverInfo'],
  )
})

test('answers a ping of up to 1000 bytes with its first eight', async (t) => {
  const { node } = await startServer(t)
  const socket = await rawLogin(t, node, NodePrivate.generate())
  const heard = listen(socket)
  socket.write(frame(0x12, concat(utf8('12345678'), new Uint8Array(992))))
  await until('the pong', () => heard.length === 1)
  assert.ok(heard[0]?.kind === 'pong')
  assert.deepEqual(heard[0].body.data, utf8('12345678'))
})

test('skips frames of types it does not know, whatever they hold', async (t) => {
  const { node } = await startServer(t)
  const socket = await rawLogin(t, node, NodePrivate.generate())
  const heard = listen(socket)
  socket.write(
    concat(frame(0x77, new Uint8Array(100_000)), frame(0x13, new Uint8Array(3)), frame(0x12, utf8('12345678'))),
  )
  await until('the pong', () => heard.length === 1)
})

const fatal: readonly (readonly [string, Uint8Array])[] = [
  ['a packet without a destination', frame(0x04, new Uint8Array(31))],
  ['a packet over the limit', frame(0x04, new Uint8Array(0), 32 + 65_536 + 1)],
  ['a frame of the greatest length', frame(0x04, new Uint8Array(0), 0xffffffff)],
  ['an unknown frame over 1 MiB', frame(0x77, new Uint8Array(0), (1 << 20) + 1)],
  ['NotePreferred of two bytes', frame(0x07, new Uint8Array(2))],
  ['NotePreferred without a byte', frame(0x07, new Uint8Array(0))],
  ['a ping of seven bytes', frame(0x12, new Uint8Array(7))],
  ['a ping of 1001 bytes', frame(0x12, new Uint8Array(1001))],
  ['a packet to forward, without the mesh key', frame(0x0a, new Uint8Array(100))],
  ['watching connections, without the mesh key', frame(0x10, new Uint8Array(0))],
  ['closing a peer, without the mesh key', frame(0x11, new Uint8Array(32))],
]

for (const [what, bytes] of fatal) {
  test(`ends a connection that sends ${what}`, async (t) => {
    const { node, server } = await startServer(t)
    const socket = await rawLogin(t, node, NodePrivate.generate())
    const closed = once(socket, 'close', { signal: AbortSignal.timeout(WAIT_MS) })
    socket.write(bytes)
    await closed
    await until('it to be forgotten', () => server.counters().connections === 0)
  })
}

test('no login whatever but a right one gets in, and the server lives on', async (t) => {
  const { node, server } = await startServer(t, { maxConnectionsPerSource: 1000 })
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.boolean(), async (bytes, isFramed) => {
      const socket = await connectTls(t, node)
      const closed = once(socket, 'close', { signal: AbortSignal.timeout(WAIT_MS) })
      const payload = isFramed ? frame(0x02, bytes) : bytes
      // Bytes of another frame behind it end what would otherwise wait for more until the login deadline.
      socket.write(concat(utf8(`${UPGRADE}\r\n`), payload, frame(0xff, new Uint8Array(0), 0xffffffff)))
      socket.resume()
      const waits = !isFramed && bytes.length > 0 && bytes[0] === 0x02
      if (waits) socket.end()
      await closed
    }),
    { numRuns: 50 },
  )
  assert.equal(server.counters().clients, 0)
  await until('all to be forgotten', () => server.counters().connections === 0)
  await rawLogin(t, node, NodePrivate.generate())
})

test('no frames whatever end anything but their own connection', async (t) => {
  const { node, server } = await startServer(t, { maxConnectionsPerSource: 1000 })
  const witness = await rawLogin(t, node, NodePrivate.generate())
  const frames = fc.array(fc.tuple(fc.nat(0x20), fc.uint8Array({ maxLength: 120 })), { maxLength: 20 })
  await fc.assert(
    fc.asyncProperty(frames, async (list) => {
      const socket = await rawLogin(t, node, NodePrivate.generate())
      socket.on('error', () => {})
      const closed = once(socket, 'close', { signal: AbortSignal.timeout(WAIT_MS) })
      socket.write(concat(...list.map(([type, payload]) => frame(type, payload))))
      socket.end()
      await closed
    }),
    { numRuns: 50 },
  )
  await until('all to be forgotten', () => server.counters().connections === 1)
  const heard = listen(witness)
  witness.write(frame(0x12, utf8('12345678')))
  await until('the pong', () => heard.some(({ kind }) => kind === 'pong'))
})

test('ends a connection that does not log in within ten seconds', async (t) => {
  const clock = new VirtualClock()
  const { node, server } = await startServer(t, { clock })
  const socket = await connectTls(t, node)
  socket.write(`${UPGRADE}\r\n`)
  socket.resume()
  await until('the session', () => server.counters().connections === 1)
  clock.advance(9_999)
  assert.equal(server.counters().connections, 1)
  clock.advance(1)
  assert.equal(server.counters().connections, 0)
})

test('an admission check that never answers counts as no', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { node, server } = await startServer(t, { clock: new VirtualClock(), admit: () => new Promise(() => {}) })
  const socket = await connectTls(t, node)
  const info = { version: 2, canAckPings: true, isProber: false, appName: undefined, meshKey: undefined }
  const login = encodeFrame('clientInfo', sealClientInfo(NodePrivate.generate(), server.publicKey, info))
  socket.write(concat(utf8(`${UPGRADE}Derp-Fast-Start: 1\r\n\r\n`), login))
  socket.resume()
  await until('it to be asked or refused', () => {
    t.mock.timers.tick(1_000)
    return server.counters().refused === 1
  })
  assert.equal(server.counters().connections, 0)
})

test('sends keep-alives, asks a silent client, and gives it up when it stays silent', async (t) => {
  const clock = new VirtualClock()
  const { node, server } = await startServer(t, { clock })
  const info = { version: 2, canAckPings: true, isProber: false, appName: undefined, meshKey: undefined }
  const socket = await connectTls(t, node)
  const heard = listen(socket)
  const login = encodeFrame('clientInfo', sealClientInfo(NodePrivate.generate(), server.publicKey, info))
  socket.write(concat(utf8(`${UPGRADE}Derp-Fast-Start: 1\r\n\r\n`), login))
  await until('the login', () => server.counters().clients === 1 && heard.length === 2)
  const kinds = (): string[] => heard.slice(2).map(({ kind }) => kind)
  clock.advance(65_000)
  await until('the first keep-alive', () => kinds().length === 1)
  clock.advance(65_000)
  await until('the question', () => kinds().length === 3)
  assert.deepEqual(kinds(), ['keepAlive', 'keepAlive', 'ping'])
  clock.advance(130_000)
  assert.equal(server.counters().clients, 0)
})

test('keeps the rate of a client by reading more slowly, and drops nothing', async (t) => {
  const clock = new VirtualClock()
  const { node, server } = await startServer(t, { clock, rateLimit: { bytesPerSecond: 100_000, burstBytes: 1 } })
  const key = NodePrivate.generate()
  const socket = await rawLogin(t, node, key)
  const heard = listen(socket)
  const packets = 40
  for (let i = 0; i < packets; i++) socket.write(frame(0x04, concat(key.public.bytes, new Uint8Array(20_000))))
  await until('the burst to be used', () => server.counters().bytesReceived > 65_568)
  const atOnce = server.counters().packets
  for (let i = 0; i < 100; i++) await new Promise((resolve) => setImmediate(resolve))
  assert.ok(server.counters().packets <= atOnce + 1, 'it goes on reading')
  await until('the rest, as time passes', () => {
    clock.advance(100)
    return server.counters().packets === packets
  })
  // Seven seconds' worth: a ping behind all that would be answered too late for the client to stay.
  await until('the client to hear that we live', () => heard.filter(({ kind }) => kind === 'keepAlive').length >= 6)
})

test('holds a client to the rate of Appendix A unless told otherwise', async (t) => {
  const clock = new VirtualClock()
  const key = NodePrivate.generate()
  const bytes = 4_000_000
  const packet = frame(0x04, concat(key.public.bytes, new Uint8Array(50_000)))
  const arrived = async (options: DerpServerOptions): Promise<number> => {
    const { node, server } = await startServer(t, { clock, ...options })
    const socket = await rawLogin(t, node, key)
    socket.resume()
    for (let sent = 0; sent < bytes; sent += packet.length) socket.write(packet)
    let before = -1
    for (let quiet = 0; quiet < 200; quiet = server.counters().bytesReceived === before ? quiet + 1 : 0) {
      before = server.counters().bytesReceived
      await new Promise((resolve) => setImmediate(resolve))
    }
    return before
  }
  const held = await arrived({})
  // The burst, and the one read that goes over it.
  assert.ok(held >= 2_000_000 && held <= 2_200_000, `${held} bytes at once`)
  assert.ok((await arrived({ rateLimit: 'off' })) >= bytes)
})

async function get(node: DerpNode, path: string, headers: Record<string, string> = {}) {
  const asked = request({
    host: '127.0.0.1',
    port: node.DERPPort,
    path,
    headers,
    rejectUnauthorized: false,
    agent: false,
  })
  asked.end()
  const [response] = (await once(asked, 'response')) as [IncomingMessage]
  response.resume()
  await once(response, 'end')
  return response
}

test('answers the probes around it', async (t) => {
  const { node } = await startServer(t)
  for (const path of ['/derp/probe', '/derp/latency-check']) {
    const probe = await get(node, path)
    assert.equal(probe.statusCode, 200)
    assert.equal(probe.headers['access-control-allow-origin'], '*')
  }
  const portal = await get(node, '/generate_204', { 'X-Tailscale-Challenge': 'ts_host.example-1:2' })
  assert.equal(portal.statusCode, 204)
  assert.equal(portal.headers['x-tailscale-response'], 'response ts_host.example-1:2')
  const bad = await get(node, '/generate_204', { 'X-Tailscale-Challenge': '<script>' })
  assert.equal(bad.headers['x-tailscale-response'], undefined)
  assert.equal((await get(node, '/derp')).statusCode, 426)
  assert.equal((await get(node, '/robots.txt')).statusCode, 200)
  assert.equal((await get(node, '/nothing')).statusCode, 404)
})

test('refuses an upgrade to anything else', async (t) => {
  const { node } = await startServer(t)
  for (const [path, protocol, status] of [
    ['/derp', 'websocket', '426'],
    ['/elsewhere', 'DERP', '404'],
  ]) {
    const socket = await connectTls(t, node)
    socket.write(`GET ${path} HTTP/1.1\r\nHost: derp.test\r\nUpgrade: ${protocol}\r\nConnection: Upgrade\r\n\r\n`)
    const [chunk] = (await once(socket, 'data')) as [Buffer]
    assert.match(chunk.toString('latin1'), new RegExp(`^HTTP/1.1 ${status} `))
    await once(socket, 'close')
  }
})
