import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import test from 'node:test'
import { VirtualClock } from '../base/clock.ts'
import { NodePrivate } from '../crypto/keys.ts'
import { urlAdmission } from './admission.ts'

test('asks the URL, and while it fails knows only those it allowed within a day', async (t) => {
  const known = NodePrivate.generate().public
  const asked: unknown[] = []
  let mode: 'answer' | 'fail' | 'flood' | 'nonsense' = 'answer'
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      const question = JSON.parse(body) as { NodePublic: string }
      asked.push(question)
      if (mode === 'fail') response.writeHead(500).end('{"Allow":true}')
      else if (mode === 'flood') response.end(`{"Allow":true,"x":"${'x'.repeat(10_000)}"}`)
      else if (mode === 'nonsense') response.end('yes')
      else response.end(JSON.stringify({ Allow: question.NodePublic === known.text }))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const clock = new VirtualClock()
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/verify`
  const admit = urlAdmission({ url, clock })

  assert.equal(await admit(known, '192.0.2.1'), true)
  assert.deepEqual(asked, [{ NodePublic: known.text, Source: '192.0.2.1' }])
  assert.equal(await admit(NodePrivate.generate().public, '192.0.2.1'), false)
  for (const failing of ['fail', 'flood', 'nonsense'] as const) {
    mode = failing
    assert.equal(await admit(known, '192.0.2.1'), true, failing)
    assert.equal(await admit(NodePrivate.generate().public, '192.0.2.1'), false, failing)
  }
  clock.advance(24 * 60 * 60 * 1000)
  assert.equal(await admit(known, '192.0.2.1'), false)
})

test('forgets a node that the URL turned away', async (t) => {
  const key = NodePrivate.generate().public
  let answer = '{"Allow":true}'
  const server = createServer((request, response) => {
    request.resume()
    response.end(answer)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const admit = urlAdmission({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` })
  assert.equal(await admit(key, '::1'), true)
  answer = '{"Allow":false}'
  assert.equal(await admit(key, '::1'), false)
  answer = 'broken'
  assert.equal(await admit(key, '::1'), false)
})
