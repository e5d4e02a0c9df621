import assert from 'node:assert/strict'
import { once } from 'node:events'
import * as http2 from 'node:http2'
import { createServer, connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { test, type TestContext } from 'node:test'
import { concat, utf8 } from '../../base/bytes.ts'
import { ChallengePublic, MachinePrivate, randomScalar } from '../../crypto/keys.ts'
import { WireError } from '../codec.ts'
import { type EarlyPayload, encodeEarlyPayload } from './early-payload.ts'
import { clientHandshake, type NoiseKeys, serverHandshake } from './handshake.ts'
import { NoiseStream } from './noise-stream.ts'
import { RecordSealer } from './record.ts'

const serverKey = MachinePrivate.generate()

function keyPair(): { client: NoiseKeys; server: NoiseKeys } {
  const client = clientHandshake(119, MachinePrivate.generate(), serverKey.public)
  const server = serverHandshake(client.initiation, serverKey)
  return { client: client.finish(server.response), server: server.keys }
}

async function socketPair(t: TestContext): Promise<{ a: Socket; b: Socket }> {
  const listener = createServer().listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const address = listener.address()
  assert.ok(address && typeof address === 'object')
  const accepted = once(listener, 'connection')
  const a = connect(address.port, '127.0.0.1')
  const [b] = (await accepted) as [Socket]
  listener.close()
  t.after(() => {
    a.destroy()
    b.destroy()
  })
  return { a, b }
}

async function readAll(stream: Duplex): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for await (const part of stream) parts.push(part as Uint8Array)
  return concat(...parts)
}

test('a megabyte crosses both ways over TCP, and the end is seen', async (t) => {
  const { a, b } = await socketPair(t)
  const keys = keyPair()
  const client = new NoiseStream(a, keys.client)
  const server = new NoiseStream(b, keys.server)
  const up = new Uint8Array(1_000_000).map((_, i) => i * 7)
  const down = new Uint8Array(1_000_000).map((_, i) => i * 13)
  client.end(up)
  server.end(down)
  const [atServer, atClient] = await Promise.all([readAll(server), readAll(client)])
  assert.deepEqual(atServer, up)
  assert.deepEqual(atClient, down)
})

test('a reader that stops makes the writer stop, and nothing is lost', async (t) => {
  const { a, b } = await socketPair(t)
  const keys = keyPair()
  const client = new NoiseStream(a, keys.client)
  const server = new NoiseStream(b, keys.server)
  const block = new Uint8Array(256 * 1024).fill(9)
  let accepted = 0
  // 64 MiB is far past any socket buffer: a stream without back-pressure takes it all.
  for (let i = 0; i < 256; i++) {
    accepted++
    if (!client.write(block)) {
      const drained = once(client, 'drain').then(() => true)
      const stuck = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 200))
      if (!(await Promise.race([drained, stuck]))) break
    }
  }
  assert.ok(accepted < 200, `the writer was never held up: ${accepted} blocks accepted`)
  assert.ok(server.readableLength < 512 * 1024, `${server.readableLength} bytes wait at the reader`)
  client.end()
  assert.equal((await readAll(server)).length, accepted * block.length)
})

test('a bad record destroys both the stream and its transport', async (t) => {
  const { a, b } = await socketPair(t)
  const keys = keyPair()
  const server = new NoiseStream(b, keys.server)
  const failed = once(server, 'error')
  server.resume()
  const record = new RecordSealer(keys.client.sendKey).seal(utf8('hello'))
  record[record.length - 1] = (record[record.length - 1] ?? 0) ^ 1
  a.write(record)
  const [error] = (await failed) as [unknown]
  assert.ok(error instanceof WireError)
  assert.ok(b.destroyed)
})

test('a connection that ends inside a record is an error, not an end', async (t) => {
  const { a, b } = await socketPair(t)
  const keys = keyPair()
  const server = new NoiseStream(b, keys.server)
  const failed = once(server, 'error')
  server.resume()
  a.end(new RecordSealer(keys.client.sendKey).seal(utf8('hello')).subarray(0, 9))
  const [error] = (await failed) as [unknown]
  assert.ok(error instanceof WireError && error.code === 'wire/short')
})

for (const withEarlyPayload of [true, false]) {
  test(`HTTP/2 runs inside, ${withEarlyPayload ? 'after' : 'without'} an early payload`, async (t) => {
    const { a, b } = await socketPair(t)
    const keys = keyPair()
    const challenge = new ChallengePublic(randomScalar())
    const early: EarlyPayload[] = []
    const server = new NoiseStream(b, keys.server)
    if (withEarlyPayload) server.write(encodeEarlyPayload({ challenge }))
    const http2Server = http2.createServer((request, response) => {
      request.pipe(response)
    })
    http2Server.emit('connection', server)
    const client = new NoiseStream(a, keys.client, { onEarlyPayload: (payload) => early.push(payload) })
    const session = http2.connect('https://control', { createConnection: () => client })
    t.after(() => session.destroy())
    const body = Buffer.alloc(300_000, 'x')
    const request = session.request({ ':method': 'POST', ':path': '/echo' })
    request.end(body)
    assert.deepEqual(Buffer.from(await readAll(request)), body)
    assert.deepEqual(early, withEarlyPayload ? [{ challenge }] : [])
    const closed = once(session, 'close')
    server.destroy()
    await closed
  })
}
