// What a server bears of what anybody may ask: registrations, uses of one key, passwords. The short forms; PEERWAY_LONG=1
// runs as many rounds as a release wants to see.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { request, type OutgoingHttpHeaders } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { startCoord, type CoordServer } from './coord-server.ts'
import type { LoginProviderFactory } from './login/login-provider.ts'
import { operatorLogin } from './login/operator-login.ts'
import { TestMachine } from './test-machine.ts'

const MACHINES = 1_000
const IN_FLIGHT = 64
const isLong = process.env['PEERWAY_LONG'] === '1'
const KEY_ROUNDS = isLong ? 200 : 3
const LOGINS = isLong ? 1_000 : 100
const PASSWORD = 'otter violin harbour seven'
const WATCHERS = 20
/** Changes told, one after the other. */
const NEWS = 6
/** Limits by address are meant for offices, not for a whole crowd on one machine. */
const SOURCES = 20

/** Without `login`, people sign in as they do at home. */
async function server(t: TestContext, login?: LoginProviderFactory): Promise<CoordServer> {
  const stateDir = mkdtempSync(join(tmpdir(), 'peerway-load-'))
  t.after(() => rmSync(stateDir, { recursive: true, force: true }))
  const listen = { host: '127.0.0.1', port: 0 }
  const prepare = async () => ({ derpMap: { regions: new Map() } })
  const coord = await startCoord({ stateDir, listen, prepare, login })
  t.after(() => coord.close())
  return coord
}

function crowd(t: TestContext, { url }: CoordServer, count: number): readonly TestMachine[] {
  const machines = Array.from(
    { length: count },
    (_, i) => new TestMachine(url, `same-name-${i % 7}`, undefined, { localAddress: `127.0.0.${2 + (i % SOURCES)}` }),
  )
  t.after(() => {
    for (const machine of machines) machine.close()
  })
  return machines
}

/** Does it for all, with so many at a time. */
async function forAll<T>(all: readonly T[], atOnce: number, work: (one: T) => Promise<void>): Promise<void> {
  const queue = [...all]
  const lane = async (): Promise<void> => {
    for (let one = queue.shift(); one !== undefined; one = queue.shift()) await work(one)
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
}

test(`${MACHINES} machines register as fast as it goes: no name and no address twice`, async (t) => {
  const coord = await server(t, operatorLogin)
  const { key } = await coord.admin.createAuthKey({ reusable: true })
  const startMs = performance.now()
  await forAll(crowd(t, coord, MACHINES), IN_FLIGHT, async (machine) => {
    assert.equal((await machine.register({ auth: { authKey: key } })).error, '')
  })
  t.diagnostic(`${((MACHINES * 1_000) / (performance.now() - startMs)).toFixed(0)} registrations a second`)
  const nodes = await coord.admin.listNodes()
  assert.equal(nodes.length, MACHINES)
  for (const all of [nodes.map(({ name }) => name), nodes.flatMap(({ addresses }) => addresses)])
    assert.equal(new Set(all).size, all.length)
})

test(`${MACHINES} machines use a one-use key at the same moment: it lets in one, ${KEY_ROUNDS} times`, async (t) => {
  if (KEY_ROUNDS < 200) t.diagnostic('200 times with PEERWAY_LONG=1 only')
  const coord = await server(t, operatorLogin)
  let outside = crowd(t, coord, MACHINES)
  await forAll(outside, IN_FLIGHT, async (machine) => void (await machine.connect()))
  for (let round = 1; round <= KEY_ROUNDS; round++) {
    const { key } = await coord.admin.createAuthKey({ reusable: false })
    const isInside = await Promise.all(
      outside.map(async (machine) => (await machine.register({ auth: { authKey: key } })).error === ''),
    )
    assert.equal(isInside.filter(Boolean).length, 1, `round ${round}`)
    assert.equal((await coord.admin.listNodes()).length, round)
    outside = outside.filter((_, i) => isInside[i] !== true)
  }
})

test(`${LOGINS} password logins in parallel: each gets an answer, and maps go out meanwhile`, async (t) => {
  const coord = await server(t)
  const owner = await visitor(coord, '127.0.1.251')
  const { code: setupCode } = (await coord.admin.setupCode()) ?? {}
  assert.equal(await owner('first/password', { setupCode, name: 'ines', password: PASSWORD }), 200)
  const { key } = await coord.admin.createAuthKey({ reusable: true })
  const machines = crowd(t, coord, WATCHERS)
  for (const machine of machines) await machine.register({ auth: { authKey: key } })
  const polls = await Promise.all(machines.map(async (machine) => machine.poll()))
  for (const poll of polls) await poll.until(({ peers = [] }) => peers.length === WATCHERS - 1)
  const [mover] = machines
  const [, ...others] = polls
  assert.ok(mover)
  let port = 10_000
  const newsMs = async (): Promise<number> => {
    const endpoint = `198.51.100.1:${(port += 1)}`
    const startMs = performance.now()
    await mover.update({ endpoints: [endpoint] })
    await Promise.all(
      others.map((poll) =>
        poll.until(({ peersChangedPatch = [] }) => peersChangedPatch.some((one) => one.endpoints?.includes(endpoint))),
      ),
    )
    return performance.now() - startMs
  }
  const worst = async (rounds: number): Promise<number> => {
    const took: number[] = []
    for (let i = 0; i < rounds; i++) took.push(await newsMs())
    return Math.max(...took)
  }
  const quietMs = await worst(NEWS)
  const atRest = process.memoryUsage.rss()
  const visitors = await Promise.all(
    Array.from({ length: LOGINS }, (_, i) => visitor(coord, `127.0.1.${1 + (i % 250)}`)),
  )
  const isGood = (i: number): boolean => i % 3 === 0
  const logins = Promise.all(
    visitors.map(async (call, i) =>
      call(
        'sign-in/password',
        isGood(i) ? { name: 'ines', password: PASSWORD } : { name: `somebody-${i}`, password: 'not the password' },
      ),
    ),
  )
  const busyMs = await worst(NEWS)
  const statuses = await logins
  const grownMiB = (process.memoryUsage.rss() - atRest) / 2 ** 20
  t.diagnostic(`news reach all in ${quietMs.toFixed(0)} ms at worst, ${busyMs.toFixed(0)} ms beside the logins`)
  const taken = statuses.filter((status) => status === 200 || status === 401).length
  t.diagnostic(`${taken} passwords compared, ${LOGINS - taken} told to come back; ${grownMiB.toFixed(0)} MiB more`)
  // Let in or not as the password is, or told to come back, also for too many tries at one name: no other answer, and
  // never none.
  for (const [i, status] of statuses.entries())
    assert.ok((isGood(i) ? [200, 429, 503] : [401, 503]).includes(status), `${i}: ${status}`)
  assert.ok(statuses.includes(200) && statuses.includes(401))
  assert.ok(grownMiB < 150)
  // Twice as long at most, and what the clients of this process cost themselves.
  assert.ok(busyMs <= 2 * quietMs + 1_000, `${busyMs} ms`)
})

/** A browser at the account page of a server; answers the status of a call. */
async function visitor(
  { url }: CoordServer,
  localAddress: string,
): Promise<(name: string, ask: unknown) => Promise<number>> {
  const call = (
    name: string,
    ask: unknown,
    headers: OutgoingHttpHeaders,
  ): Promise<{ cookie: string; text: string; status: number }> =>
    new Promise((resolve, reject) => {
      const all = { 'content-type': 'application/json', origin: url, 'sec-fetch-site': 'same-origin', ...headers }
      const sent = request(`${url}/login/api/${name}`, { method: 'POST', localAddress, headers: all }, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        const cookie = (response.headers['set-cookie'] ?? []).map((line) => line.split(';')[0]).join('; ')
        response.on('end', () => resolve({ cookie, text, status: response.statusCode ?? 0 }))
      })
      sent.on('error', reject).end(JSON.stringify(ask))
    })
  const { cookie, text } = await call('state', { account: true }, {})
  const { value } = JSON.parse(text) as { value: { token: string } }
  return async (name, ask) => (await call(name, ask, { cookie, 'x-peerway-token': value.token })).status
}
