import assert from 'node:assert/strict'
import { once } from 'node:events'
import * as http2 from 'node:http2'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { test, type TestContext } from 'node:test'
import { VirtualClock } from '../base/clock.ts'
import { isCoded } from '../base/errors.ts'
import { ControlConnection } from './control-connection.ts'

const forever = new AbortController().signal
const server = new URL('http://control.example')

/** An HTTP/2 connection over plain TCP, and the server's end of it. */
async function setUp(t: TestContext, onSocket: (socket: Socket) => void) {
  const listener = createServer(onSocket).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const socket = connect((listener.address() as AddressInfo).port, '127.0.0.1')
  await once(socket, 'connect')
  const clock = new VirtualClock()
  // As in real life a stream that is no socket: HTTP/2 hands such ones their events in another order.
  const connection = new ControlConnection(Duplex.from({ readable: socket, writable: socket }), server, clock)
  t.after(() => {
    connection.close()
    socket.destroy()
    listener.close()
  })
  return { connection, clock, socket }
}

const broken = (error: unknown): boolean => isCoded(error, 'control/disconnected')

test('a connection that goes silent is given up, and what waits on it fails', async (t) => {
  const { connection, clock, socket } = await setUp(t, (peer) => {
    t.after(() => peer.destroy())
    peer.on('error', () => {})
    peer.resume()
  })
  const waiting = connection.request({ method: 'POST', path: '/x', body: Buffer.from('{}') }, 100, forever)
  const failed = assert.rejects(waiting, broken)
  clock.advance(30_000)
  clock.advance(19_999)
  assert.ok(connection.usable)
  clock.advance(1)
  assert.ok(!connection.usable)
  await failed
  assert.ok(socket.destroyed)
})

test('a connection that answers pings stays, also through a probe', async (t) => {
  const h2 = http2.createServer()
  h2.on('request', (_, response) => response.end('ok'))
  const { connection, clock } = await setUp(t, (peer) => h2.emit('connection', peer))
  // The settings and the pong travel in real time; a whole request after each step is proof that they have arrived.
  for (let i = 0; i < 5; i++) {
    clock.advance(30_000)
    await connection.request({ method: 'GET', path: '/' }, 100, forever)
  }
  connection.probe(5_000)
  await connection.request({ method: 'GET', path: '/' }, 100, forever)
  clock.advance(20_000)
  assert.ok(connection.usable)
})

test('an answer that breaks off is an error, an answer that is too long too, and others go on', async (t) => {
  const h2 = http2.createServer()
  h2.on('request', (request, response) => {
    if (request.url === '/long') response.end('x'.repeat(200))
    else if (request.url === '/reset') {
      response.write('half')
      setImmediate(() => response.stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR))
    } else if (request.url === '/cut') {
      response.write('half')
      setImmediate(() => request.stream.session?.destroy())
    } else response.end('ok')
  })
  const { connection } = await setUp(t, (peer) => h2.emit('connection', peer))
  const get = (path: string) => connection.request({ method: 'GET', path }, 100, forever)
  await assert.rejects(get('/long'), (error) => isCoded(error, 'control/bad-answer'))
  await assert.rejects(get('/reset'), broken)
  assert.equal(Buffer.from((await get('/fine')).body).toString(), 'ok')
  await assert.rejects(get('/cut'), broken)
  assert.ok(!connection.usable)
  await assert.rejects(get('/fine'), broken)
})

test('an answer that comes in one piece with its end is whole', async (t) => {
  const frame = (type: number, flags: number, stream: number, payload: string): Buffer =>
    Buffer.concat([Buffer.from([0, 0, payload.length, type, flags, 0, 0, 0, stream]), Buffer.from(payload, 'latin1')])
  const { connection } = await setUp(t, (peer) => {
    t.after(() => peer.destroy())
    peer.on('error', () => {})
    // SETTINGS at once; for the first request, HEADERS with ":status: 200" (HPACK 0x88) and DATA with the end, as Go sends it.
    peer.write(frame(4, 0, 0, ''))
    let received = Buffer.alloc(0)
    peer.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      if (!received.includes('ask')) return
      received = Buffer.alloc(0)
      peer.write(Buffer.concat([frame(1, 4, 1, '\x88'), frame(0, 1, 1, 'ok')]))
    })
  })
  const answer = await connection.request({ method: 'POST', path: '/', body: Buffer.from('ask') }, 100, forever)
  assert.equal(answer.status, 200)
  assert.equal(Buffer.from(answer.body).toString(), 'ok')
})
