import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import test, { type TestContext } from 'node:test'
import { VirtualClock } from '../base/clock.ts'
import { stunRequest } from '../wire/stun/request.ts'
import { readStunResponse } from '../wire/stun/response.ts'
import { startStunServer } from './stun-server.ts'

async function asker(t: TestContext, family: 4 | 6) {
  const socket = createSocket(family === 4 ? 'udp4' : 'udp6')
  const address = family === 4 ? '127.0.0.1' : '::1'
  socket.bind(0, address)
  await once(socket, 'listening')
  t.after(() => socket.close())
  return {
    port: socket.address().port,
    ask: async (bytes: Uint8Array, port: number): Promise<Uint8Array> => {
      const answer = once(socket, 'message', { signal: AbortSignal.timeout(5_000) })
      socket.send(bytes, port, address)
      const [reply] = (await answer) as [Uint8Array]
      return reply
    },
    tell: (bytes: Uint8Array, port: number) =>
      new Promise<void>((resolve) => socket.send(bytes, port, address, () => resolve())),
  }
}

const txId = (n: number): Uint8Array => new Uint8Array(12).fill(n)

test('tells each asker its own endpoint, over IPv4 and IPv6', async (t) => {
  const server = await startStunServer({ port: 0 })
  t.after(() => server.close())
  for (const family of [4, 6] as const) {
    const { ask, port } = await asker(t, family)
    const { endpoint, txId: echoed } = readStunResponse(await ask(stunRequest(txId(family)), server.port))
    assert.equal(endpoint, family === 4 ? `127.0.0.1:${port}` : `[::1]:${port}`)
    assert.deepEqual(echoed, txId(family))
  }
})

test('answers nothing but whole requests of its own clients', async (t) => {
  const server = await startStunServer({ address: '127.0.0.1', port: 0 })
  t.after(() => server.close())
  const { ask, tell } = await asker(t, 4)
  const request = stunRequest(txId(1))
  const badCheck = request.slice()
  badCheck[39] = (badCheck[39] ?? 0) ^ 1
  for (const bytes of [new Uint8Array(0), request.subarray(0, 32), badCheck, new Uint8Array(1000), request.subarray(1)])
    await tell(bytes, server.port)
  assert.deepEqual(readStunResponse(await ask(stunRequest(txId(2)), server.port)).txId, txId(2))
  assert.deepEqual(server.counters(), { answered: 1, ignored: 5, limited: 0 })
})

test('stops answering a network that asks too often, until time has passed', async (t) => {
  const clock = new VirtualClock()
  const server = await startStunServer({ address: '127.0.0.1', port: 0, clock })
  t.after(() => server.close())
  const { ask, tell } = await asker(t, 4)
  for (let i = 0; i < 200; i++) await ask(stunRequest(txId(i)), server.port)
  await tell(stunRequest(txId(201)), server.port)
  await tell(new Uint8Array(1), server.port) // counted after the request before it
  while (server.counters().ignored === 0) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(server.counters().limited, 1)
  clock.advance(1_000)
  await ask(stunRequest(txId(202)), server.port)
})

test('names the port when it is taken', async (t) => {
  const first = await startStunServer({ address: '127.0.0.1', port: 0 })
  t.after(() => first.close())
  await assert.rejects(startStunServer({ address: '127.0.0.1', port: first.port }), {
    code: 'derp/port-in-use',
    message: new RegExp(String(first.port)),
  })
})
