import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { utf8 } from '../base/bytes.ts'
import type { HttpReply } from './portmap-io.ts'
import { systemPortmapIo } from './system-io.ts'

const io = systemPortmapIo(() => undefined)
const HERE = '127.0.0.1'
const never = new AbortController().signal

async function serve(t: TestContext, listener: RequestListener): Promise<number> {
  const server = createServer(listener).listen(0, HERE)
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

const get = (port: number, signal = never, body?: Uint8Array): Promise<HttpReply> =>
  io.http(
    { ownAddress: HERE, address: HERE, port, path: '/a?b=c', headers: { SOAPAction: '"x"' }, body },
    10_000,
    signal,
  )

test('a request goes out as asked, and its answer comes back whole', async (t) => {
  const port = await serve(t, (request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      const told = [request.method, request.url, request.headers['soapaction'], body]
      response.writeHead(500).end(JSON.stringify(told))
    })
  })
  const posted = await get(port, never, utf8('<x/>'))
  assert.equal(posted.status, 500)
  assert.deepEqual(JSON.parse(Buffer.from(posted.body).toString()), ['POST', '/a?b=c', '"x"', '<x/>'])
  const got = await get(port)
  assert.deepEqual(JSON.parse(Buffer.from(got.body).toString()), ['GET', '/a?b=c', '"x"', ''])
})

test('a redirect is an answer like any other', async (t) => {
  let asked = 0
  const elsewhere = await serve(t, (_, response) => {
    asked += 1
    response.end('secret')
  })
  const port = await serve(t, (_, response) =>
    response.writeHead(302, { Location: `http://${HERE}:${elsewhere}/` }).end(),
  )
  assert.equal((await get(port)).status, 302)
  assert.equal(asked, 0)
})

test('an answer without end is cut off, however it comes', async (t) => {
  for (const flood of [
    (write: (text: string) => unknown) => write('x'.repeat(20_000)),
    (write: (text: string) => unknown) => {
      for (let i = 0; i < 300; i++) write('x'.repeat(100))
    },
  ]) {
    const port = await serve(t, (_, response) => void flood((text) => response.write(text)))
    await assert.rejects(get(port), { code: 'portmap/too-long' })
  }
  const headers = await serve(t, (_, response) => response.writeHead(200, { 'X-Long': 'x'.repeat(40_000) }).end())
  await assert.rejects(get(headers))
})

test('what hangs, breaks off or is not there ends with an error', async (t) => {
  const silent = await serve(t, () => {})
  const stop = new AbortController()
  const waiting = get(silent, stop.signal)
  stop.abort()
  await assert.rejects(waiting)
  const trickle = await serve(t, (_, response) => {
    response.write('<')
    const timer = setInterval(() => response.write(' '), 10)
    response.on('close', () => clearInterval(timer))
  })
  await assert.rejects(get(trickle, AbortSignal.timeout(100)))
  const broken = await serve(t, (_, response) => {
    response.writeHead(200, { 'Content-Length': 100 })
    response.write('x')
    setTimeout(() => response.destroy(), 10)
  })
  await assert.rejects(get(broken))
  await assert.rejects(get(1))
})

test('datagrams go both ways, and an address that is not ours loses them quietly', async () => {
  const echo = createSocket('udp4')
  echo.on('message', (bytes, from) => echo.send(bytes, from.port, from.address))
  echo.bind(0, HERE)
  await once(echo, 'listening')
  const heard = new Promise<[string, Uint8Array]>((resolve) => {
    const port = io.openUdp(HERE, (from, bytes) => {
      resolve([from, bytes])
      port.close()
      port.close()
      port.send(from, bytes)
    })
    port.send(`${HERE}:${echo.address().port}`, Uint8Array.of(1, 2))
  })
  const [from, bytes] = await heard
  assert.equal(from, `${HERE}:${echo.address().port}`)
  assert.deepEqual([...bytes], [1, 2])
  echo.close()

  const nowhere = io.openUdp('203.0.113.77', () => assert.fail('nothing can come'))
  nowhere.send(`${HERE}:9`, Uint8Array.of(1))
  await new Promise((resolve) => setTimeout(resolve, 20))
  nowhere.send(`${HERE}:9`, Uint8Array.of(1))
  nowhere.close()
})

test('only the router is heard when it announces itself', async () => {
  const told: number[] = []
  const stop = io.onAnnouncement({ address: HERE, ownAddress: HERE }, () => told.push(Date.now()))
  const deaf = io.onAnnouncement({ address: '127.0.0.9', ownAddress: HERE }, () => assert.fail('not the router'))
  const router = createSocket('udp4')
  router.bind(0, HERE)
  await once(router, 'listening')
  router.setMulticastInterface(HERE)
  const deadline = Date.now() + 2_000
  while (told.length === 0 && Date.now() < deadline) {
    router.send(Uint8Array.of(0, 0x80), 5350, '224.0.0.1', () => {})
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  stop()
  deaf()
  router.close()
  assert.ok(told.length > 0)
})
