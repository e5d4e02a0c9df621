// Two servers behind one address are one server to a machine, to a person's browser and to whoever guesses.

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test, type TestContext } from 'node:test'
import { NodePrivate } from '../crypto/keys.ts'
import { CLIENT, testProvider } from './identity/oidc/test-provider.ts'
import { SoftAuthenticator } from './identity/soft-authenticator.ts'
import { noPostgres, TestPostgres } from './store/test-postgres.ts'
import { serverKeyOf, TestMachine } from './test-machine.ts'
import { TestBrowser, testServers, type TestServers } from './test-servers.ts'

const skip = noPostgres
const KARIN = { sub: 'k-1', email: 'karin@corp.example', email_verified: true, preferred_username: 'karin' }
const PASSWORD = 'otter violin harbour seven'
/** Who waits is told within two seconds, mostly at once; the rest is for a machine that is busy. */
const WAKE_MS = 6_000

let postgres: TestPostgres | undefined
before(async () => {
  if (noPostgres === false) postgres = await TestPostgres.start()
})
after(() => postgres?.end())

const servers = async (t: TestContext): Promise<TestServers> => testServers(t, (await postgres?.database()) ?? '')

async function asked(t: TestContext, url: string, name: string): Promise<{ machine: TestMachine; login: string }> {
  const machine = new TestMachine(url, name)
  t.after(() => machine.close())
  return { machine, login: (await machine.register()).authUrl.split('/').at(-1) ?? '' }
}

/** The machine comes back by another connection, and so to the server named, and waits there. */
function waits(t: TestContext, { machine, login }: { machine: TestMachine; login: string }, all: string, url: string) {
  const again = new TestMachine(url, machine.hostname, machine.machineKey)
  again.nodeKey = machine.nodeKey
  t.after(() => again.close())
  return again.register({ followup: `${all}/login/${login}` })
}

async function woken(t: TestContext, waiting: ReturnType<typeof waits>[], settledMs: number): Promise<void> {
  for (const answer of await Promise.all(waiting)) assert.deepEqual([answer.error, answer.authUrl], ['', ''])
  const ms = Math.round(performance.now() - settledMs)
  t.diagnostic(`all who waited knew after ${ms} ms`)
  assert.ok(ms < WAKE_MS, `${ms} ms`)
}

async function ok(answer: ReturnType<TestBrowser['call']>): Promise<Record<string, unknown>> {
  const { status, text, body } = await answer
  assert.equal(status, 200, text)
  return body.value ?? {}
}

async function owner(its: TestServers): Promise<TestBrowser> {
  const setupCode = (await its.cli('users', 'setup-code')).trim()
  const browser = new TestBrowser(its.url)
  assert.equal((await browser.open({ account: true }))['kind'], 'first')
  await ok(browser.call('first/password', { setupCode, name: 'ines', password: PASSWORD }))
  return browser
}

// All browsers here count as one, with twenty tries and one more every four seconds: the steps keep below that.
test('every request of a login goes to another server than the one before', { skip }, async (t) => {
  const its = await servers(t)
  const browser = await owner(its)

  await t.test('by password, and the machine that waits is let in on both', async () => {
    const machine = await asked(t, its.url, 'laptop')
    const waiting = its.servers.map(({ url }) => waits(t, machine, its.url, url))
    const stranger = new TestBrowser(its.url)
    const { login } = machine
    for (let i = 0; i < 4; i++) assert.equal((await stranger.open({ login }))['kind'], 'sign-in')
    assert.equal((await stranger.send('GET', `/login/${login}`)).status, 200)
    assert.equal((await stranger.send('GET', `/login/${login}`)).status, 200)
    const wrong = await stranger.call('sign-in/password', { login, name: 'ines', password: 'not this one at all' })
    assert.equal(wrong.body.code, 'login/wrong-credentials')
    await ok(stranger.call('sign-in/password', { login, name: 'ines', password: PASSWORD }))
    for (let i = 0; i < 2; i++) assert.equal((await stranger.open({ login }))['kind'], 'approve')
    await ok(stranger.call('approve', { login }))
    await woken(t, waiting, performance.now())
    for (let i = 0; i < 2; i++) assert.equal((await stranger.open({ login }))['kind'], 'login-over')
    const again = await stranger.call('approve', { login })
    assert.equal(again.body.code, 'login/over')
  })

  await t.test('by passkey, whose challenge is good for one answer at one of them', async () => {
    await browser.open({ account: true })
    const key = new SoftAuthenticator(its.url)
    const made = await ok(browser.call('account/passkey/begin', {}))
    const options = made['options'] as Parameters<SoftAuthenticator['create']>[0]
    const response = key.create(options)
    await ok(browser.call('account/passkey/add', { ceremony: made['ceremony'], response, passkeyName: 'key' }))

    const machine = await asked(t, its.url, 'phone')
    const { login } = machine
    const waiting = its.servers.map(({ url }) => waits(t, machine, its.url, url))
    const other = new TestBrowser(its.url)
    await other.open({ login })
    const begun = await ok(other.call('sign-in/begin', { login }))
    const answer = {
      ceremony: begun['ceremony'],
      response: key.answer(begun['options'] as Parameters<SoftAuthenticator['answer']>[0]),
    }
    const thief = new TestBrowser(its.url)
    await thief.open({ login })
    assert.equal((await thief.call('sign-in/passkey', answer)).body.code, 'login/passkey-too-late')
    const answers = await Promise.all(Array.from({ length: 3 }, () => other.call('sign-in/passkey', answer)))
    assert.equal(answers.filter(({ status }) => status === 200).length, 1)
    await ok(other.call('approve', { login }))
    await woken(t, waiting, performance.now())
  })

  await t.test('by an account elsewhere', async (t) => {
    const callback = `${its.url}/login/oidc/corp/callback`
    const provider = await testProvider(t, [callback])
    const secretFile = join(its.servers[0]?.stateDir ?? '', 'client-secret')
    writeFileSync(secretFile, CLIENT.secret, { mode: 0o600 })
    const where = ['--issuer', provider.issuer, '--client-id', CLIENT.id, '--client-secret-file', secretFile]
    await its.cli('oidc', 'add', 'corp', ...where, '--allow-domain', 'corp.example')
    provider.person = KARIN

    // The two halves of the way fall to different servers, whichever was the first.
    for (let round = 0; round < 2; round++) {
      const machine = await asked(t, its.url, `tablet${round}`)
      const { login } = machine
      const waiting = its.servers.map(({ url }) => waits(t, machine, its.url, url))
      const karin = new TestBrowser(its.url)
      await karin.open({ login })
      if (round === 1) await karin.open({ login })
      const { url } = await ok(karin.call('oidc/begin', { provider: 'corp', purpose: 'sign-in', login }))
      const query = new URL(await provider.visit(String(url))).search.slice(1)
      const finished = await ok(karin.call('oidc/finish', { provider: 'corp', query }))
      assert.deepEqual([finished['login'], finished['refused']], [login, undefined])
      if (round === 0) {
        const again = await karin.call('oidc/finish', { provider: 'corp', query })
        assert.equal(again.body.code, 'login/passkey-too-late')
      }
      await ok(karin.call('approve', { login }))
      await woken(t, waiting, performance.now())
    }

    await t.test('whose groups count at both', async (t) => {
      const made = JSON.parse(await its.cli('auth-keys', 'create', '--user', 'ines', '--reusable', '--json'))
      const policy = join(its.servers[0]?.stateDir ?? '', 'policy')
      writeFileSync(policy, '{"acls": [{"action": "accept", "src": ["group:staff@corp"], "dst": ["ines@:443"]}]}')
      await its.cli('policy', 'set', policy)
      const streams = await Promise.all(
        its.servers.map(async ({ url }, i) => {
          const machine = new TestMachine(url, `desk${i}`)
          t.after(() => machine.close())
          assert.equal((await machine.register({ auth: { authKey: (made as { key: string }).key } })).error, '')
          const stream = await machine.poll()
          t.after(() => stream.close())
          const first = await stream.until(({ node }) => node !== undefined)
          assert.deepEqual(first.peers?.map(({ name }) => name) ?? [], [])
          return stream
        }),
      )
      const signIn = async (groups: readonly string[]): Promise<void> => {
        provider.person = { ...KARIN, groups }
        const karin = new TestBrowser(its.url)
        await karin.open({ account: true })
        const { url } = await ok(karin.call('oidc/begin', { provider: 'corp', purpose: 'sign-in' }))
        const query = new URL(await provider.visit(String(url))).search.slice(1)
        assert.equal((await ok(karin.call('oidc/finish', { provider: 'corp', query })))['refused'], undefined)
      }
      await signIn(['staff'])
      const startedMs = performance.now()
      for (const stream of streams)
        await stream.until(
          ({ peersChanged = [] }) => peersChanged.some(({ name }) => name.startsWith('tablet')),
          WAKE_MS,
        )
      t.diagnostic(`the group counted at both after ${Math.round(performance.now() - startedMs)} ms`)
      await signIn([])
      for (const stream of streams) await stream.until(({ peersRemoved = [] }) => peersRemoved.length > 0, WAKE_MS)
    })
  })

  await t.test('a login refused at one is refused at both', async () => {
    const machine = await asked(t, its.url, 'stranger')
    const waiting = its.servers.map(({ url }) => waits(t, machine, its.url, url))
    await browser.open({ login: machine.login })
    await ok(browser.call('refuse', { login: machine.login }))
    for (const { error } of await Promise.all(waiting)) assert.match(error, /refused/)
  })
})

test('what a program changed at one server it finds at the other', { skip }, async (t) => {
  const its = await servers(t)
  await owner(its)
  const token = (await its.cli('tokens', 'create', 'test', '--user', 'ines', '--scopes', 'users')).trim()
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  for (let i = 0; i < 10; i++) {
    const [here, there] = i % 2 === 0 ? its.servers : its.servers.toReversed()
    const body = JSON.stringify({ name: `person${i}` })
    const made = await fetch(`${here?.url}/api/v1/users`, { method: 'POST', headers, body })
    assert.ok(made.ok, await made.text())
    const listed = await (await fetch(`${there?.url}/api/v1/users`, { headers })).text()
    assert.match(listed, new RegExp(`"person${i}"`))
  }
})

test('who guesses has no more tries at two servers than at one', { skip }, async (t) => {
  const its = await servers(t)
  await owner(its)
  const { login } = await asked(t, its.url, 'laptop')
  const browser = new TestBrowser(its.url)
  await browser.open({ login })
  const startedMs = performance.now()
  const statuses: number[] = []
  while (!statuses.includes(429) && statuses.length < 40) {
    const guess = { login, name: 'ines', code: `AAAA-BBBB-CCCC-${String(statuses.length).padStart(4, '0')}` }
    statuses.push((await browser.call('sign-in/recovery-code', guess)).status)
  }
  const refilled = Math.ceil((performance.now() - startedMs) / 4_000)
  // The owner took one of the twenty.
  assert.ok(statuses.length <= 20 + refilled, `${statuses.length} tries`)
  assert.ok(statuses.length > 15, `${statuses.length} tries`)
  assert.equal(statuses.at(-1), 429)
})

test('a key for one use, tried a thousand times at both servers, lets in one machine', { skip }, async (t) => {
  const its = await servers(t)
  await owner(its)
  const made = JSON.parse(await its.cli('auth-keys', 'create', '--user', 'ines', '--json')) as { key: string }
  const serverKey = await serverKeyOf(its.url)
  const machines = Array.from({ length: 32 }, (_, i) => new TestMachine(its.url, `m${i}`, undefined, { serverKey }))
  t.after(() => {
    for (const machine of machines) machine.close()
  })
  let [admitted, refused] = [0, 0]
  const startedMs = performance.now()
  await Promise.all(
    machines.map(async (machine, i) => {
      for (let tries = i; tries < 1_000; tries += machines.length) {
        machine.nodeKey = NodePrivate.generate()
        const { error } = await machine.register({ auth: { authKey: made.key } })
        if (error === '') admitted++
        else refused++
      }
    }),
  )
  t.diagnostic(`1,000 tries took ${Math.round(performance.now() - startedMs)} ms`)
  assert.deepEqual([admitted, refused], [1, 999])
  const nodes = JSON.parse(await its.cli('nodes', 'list', '--json')) as unknown[]
  assert.equal(nodes.length, 1)
})
