import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { derpMap } from '../wire/tailcfg/derp-map.ts'
import { readMessage } from '../wire/tailcfg/schema.ts'
import { detectPortal, portalQuestions, portalVerdict } from './captive-portal.ts'

const nodeOf = (region: number, ipv4: string, canPort80: boolean) => ({
  Name: `${region}a`,
  RegionID: region,
  HostName: `d${region}.example.org`,
  IPv4: ipv4,
  CanPort80: canPort80,
})
const { regions } = readMessage(derpMap, {
  Regions: Object.fromEntries(
    [1, 2, 3].map((id) => [
      id,
      { RegionID: id, RegionCode: `r${id}`, RegionName: '', Nodes: [nodeOf(id, `203.0.113.${id}`, id !== 3)] },
    ]),
  ),
})

test('servers that answer are asked: the home first, then control, then others, five at most', () => {
  const urls = (server: string | undefined, home?: number) =>
    portalQuestions(regions, home, server).map(({ url }) => url)
  assert.deepEqual(urls('https://control.example.org', 2), [
    'http://203.0.113.2/generate_204',
    'http://control.example.org/generate_204',
    'http://203.0.113.1/generate_204',
  ])
  assert.deepEqual(urls('http://192.168.1.5:8480')[1], 'http://192.168.1.5:8480/generate_204')
  assert.equal(urls(undefined).length, 2)
  assert.deepEqual(
    portalQuestions(new Map(), undefined, 'https://[2001:db8::1]:8443').map(({ url }) => url),
    ['http://[2001:db8::1]/generate_204'],
  )
})

test('what each answer means', () => {
  const question = { url: 'http://d1.example.org/generate_204', challenge: 'ts_d1.example.org' }
  const verdict = (status: number, location?: string, response?: string) =>
    portalVerdict(question, { status, location, response })
  assert.equal(verdict(204, undefined, 'response ts_d1.example.org'), false)
  assert.equal(verdict(204), undefined)
  assert.equal(verdict(200), true)
  assert.equal(verdict(511), true)
  assert.equal(verdict(302, 'http://portal.example/login'), true)
  assert.equal(verdict(301, 'https://d1.example.org/generate_204'), undefined, 'a server that wants https')
  assert.equal(verdict(302, '/elsewhere'), undefined)
  assert.equal(verdict(302, 'http://['), undefined)
  assert.equal(verdict(404), undefined)
})

async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/generate_204`
}

test('a portal, a clean network, and silence are told apart', async (t) => {
  const never = new AbortController().signal
  const clean = await serve(t, (request, response) => {
    const challenge = String(request.headers['x-tailscale-challenge'])
    response.writeHead(204, { 'X-Tailscale-Response': `response ${challenge}` }).end()
  })
  const portal = await serve(t, (_, response) => response.writeHead(302, { Location: 'http://portal.example/' }).end())
  const endless = await serve(t, (_, response) => {
    response.writeHead(404)
    response.write('x'.repeat(100_000))
  })
  const silent = await serve(t, () => {})
  const ask = (...urls: string[]) =>
    detectPortal(
      urls.map((url) => ({ url, challenge: 'ts_127.0.0.1' })),
      never,
    )
  assert.equal(await ask(portal), true)
  assert.equal(await ask(portal, clean), false)
  assert.equal(await ask(endless), undefined)
  assert.equal(await ask(), undefined)
  const stop = new AbortController()
  const waiting = detectPortal([{ url: silent, challenge: 'x' }], stop.signal)
  stop.abort()
  assert.equal(await waiting, undefined)
})
