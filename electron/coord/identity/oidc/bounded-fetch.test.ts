import assert from 'node:assert/strict'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { boundedFetch, isLoopback } from './bounded-fetch.ts'

async function served(t: TestContext, answer: (response: ServerResponse) => void): Promise<string> {
  const server = createServer((_request, response) => answer(response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

const get = (url: string, mayBePlain = true, timeoutMs?: number): Promise<Response> =>
  boundedFetch(mayBePlain, timeoutMs)(url, { method: 'GET', headers: {}, body: undefined })

test('an answer that does not come, or does not end, is waited for so long', async (t) => {
  const silent = await served(t, () => undefined)
  await assert.rejects(get(silent, true, 50), { name: 'TimeoutError' })
  const slow = await served(t, (response) => response.writeHead(200).write('a little'))
  await assert.rejects(get(slow, true, 50), { name: 'TimeoutError' })
})

test('without TLS only this very machine is asked, whatever an address looks like', async (t) => {
  const url = await served(t, (response) => response.end('yes'))
  assert.equal(await (await get(url)).text(), 'yes')
  await assert.rejects(get(url, false), /is not encrypted/)
  for (const other of [
    'http://192.168.1.1/',
    'http://127.0.0.1.example/',
    'http://localhost.example/',
    'file:///etc/passwd',
  ])
    await assert.rejects(get(other), /is not encrypted/)
  assert.deepEqual(['127.8.9.1', '[::1]', 'localhost', '128.0.0.1', '[::2]'].map(isLoopback), [
    true,
    true,
    true,
    false,
    false,
  ])
})

test('an answer leads nowhere else, and one without a body is one', async (t) => {
  const url = await served(t, (response) => response.writeHead(302, { location: 'http://192.0.2.1/' }).end())
  assert.equal((await get(url)).status, 302)
  const empty = await served(t, (response) => response.writeHead(204).end())
  assert.equal((await get(empty)).status, 204)
})
