import assert from 'node:assert/strict'
import { request } from 'node:http'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { startCoord } from '../coord-server.ts'
import { clientOf, parseProxies } from './client-address.ts'

test('the nearest hop that no trusted proxy stands for is the client', () => {
  const proxies = ['127.0.0.1/32', '10.0.0.0/8', 'fd00::/8']
  const cases: readonly (readonly [peer: string, forwarded: string | undefined, client: string])[] = [
    ['127.0.0.1', '203.0.113.7', '203.0.113.7'],
    ['127.0.0.1', '203.0.113.7, 10.1.2.3', '203.0.113.7'],
    ['10.9.9.9', '203.0.113.7:4711', '203.0.113.7'],
    ['fd00::1', '[2001:db8::7]:4711', '2001:db8::7'],
    ['127.0.0.1', '::ffff:203.0.113.7', '203.0.113.7'],
    // What the client wrote before its proxy wrote is not believed.
    ['127.0.0.1', '198.51.100.1, 203.0.113.7', '203.0.113.7'],
    // Nobody is a proxy by saying so.
    ['203.0.113.9', '198.51.100.1', '203.0.113.9'],
    ['127.0.0.1', undefined, '127.0.0.1'],
    ['127.0.0.1', 'unknown', '127.0.0.1'],
    ['127.0.0.1', '203.0.113.7, unknown, 10.0.0.1', '10.0.0.1'],
    ['127.0.0.1', '10.0.0.1, 10.0.0.2', '10.0.0.1'],
  ]
  for (const [peer, forwarded, client] of cases) assert.equal(clientOf(peer, forwarded, proxies), client, forwarded)
  assert.equal(clientOf('127.0.0.1', '203.0.113.7', []), '127.0.0.1')
})

test('whatever stands in the header, the answer is an address, and soon', () => {
  const one = fc.oneof(fc.ipV4(), fc.ipV6(), fc.string(), fc.constant('127.0.0.1'))
  fc.assert(
    fc.property(fc.array(one, { maxLength: 200 }), (hops) => {
      assert.match(clientOf('127.0.0.1', hops.join(','), ['127.0.0.0/8', '::/0']), /^[0-9a-f.:]+$/)
    }),
  )
})

test('proxies are named by address or network', () => {
  assert.deepEqual(parseProxies('127.0.0.1, 10.1.2.3/8'), ['127.0.0.1/32', '10.0.0.0/8'])
  for (const bad of ['', 'proxy.example', '127.0.0.1,,::1', '10.0.0.0/99'])
    assert.equal(parseProxies(bad), undefined, bad)
})

for (const [trusts, name] of [
  [true, 'behind a trusted proxy each person has tries of their own'],
  [false, 'without one the header changes nothing'],
] as const)
  test(name, async (t) => {
    const stateDir = mkdtempSync(join(tmpdir(), 'peerway-proxy-'))
    t.after(() => rmSync(stateDir, { recursive: true, force: true }))
    const coord = await startCoord({
      stateDir,
      listen: { host: '127.0.0.1', port: 0 },
      ...(trusts && { trustedProxies: ['127.0.0.1/32'] }),
      prepare: async () => ({ derpMap: { regions: new Map() } }),
    })
    t.after(() => coord.close())
    const guess = (from: string): Promise<number> =>
      new Promise((resolve, reject) => {
        const headers = { authorization: 'Bearer pwapi-guess', 'x-forwarded-for': from }
        request(`${coord.url}/api/v1/me`, { headers }, (response) => {
          response.resume()
          resolve(response.statusCode ?? 0)
        })
          .on('error', reject)
          .end()
      })
    const statuses: number[] = []
    for (let i = 0; i < 40; i++) statuses.push(await guess('203.0.113.7'))
    assert.ok(statuses.includes(429))
    assert.equal(await guess('203.0.113.8'), trusts ? 401 : 429)
  })
