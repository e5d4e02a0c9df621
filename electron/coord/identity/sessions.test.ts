import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { VirtualClock } from '../../base/clock.ts'
import { silentLogger } from '../../base/log.ts'
import { isCoded } from '../../base/errors.ts'
import { openCoordState } from '../coord-state.ts'
import type { User } from '../model.ts'
import type { ServerRegistry } from '../server-registry.ts'
import type { EnrolPurpose } from '../store/identity-store.ts'
import { createEnrolLink, openEnrolLink, PUBLIC_URL } from './enrol-links.ts'
import { SESSION_IDLE_MS, SESSION_MS, Sessions } from './sessions.ts'

interface Setting {
  readonly folder: string
  readonly clock: VirtualClock
  readonly registry: ServerRegistry
  readonly sessions: Sessions
  readonly user: User
}

async function setting(t: TestContext): Promise<Setting> {
  const folder = mkdtempSync(join(tmpdir(), 'peerway-sessions-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const clock = new VirtualClock()
  const state = await openCoordState({ folder, clock, log: silentLogger })
  t.after(() => state.close())
  const { registry } = state
  const user = await registry.first.transaction(async (tx) => {
    await tx.store.setSetting(PUBLIC_URL, 'https://home.example.org')
    const createdAtMs = clock.wallNow()
    return tx.insertUser({ name: 'ines', displayName: 'Ines', email: undefined, role: 'owner', createdAtMs })
  })
  return { folder, clock, registry, user, sessions: new Sessions(registry, clock) }
}

const begin = ({ registry, sessions, user }: Setting): Promise<string> =>
  registry.transaction((tx) =>
    sessions.begin(tx.store, user, { method: 'passkey', source: '192.0.2.1', browser: 'test' }),
  )

const link = ({ registry, user, clock }: Setting, purpose: EnrolPurpose): Promise<string> =>
  registry.transaction(async (tx) => {
    const { url } = await createEnrolLink(tx, user, purpose, { nowMs: clock.wallNow(), actor: 'test' })
    return url.replace('https://home.example.org/enrol/', '')
  })

test('a session ends half an hour after its last use', async (t) => {
  const it = await setting(t)
  const token = await begin(it)
  assert.equal(Buffer.from(token, 'base64url').length, 32)
  for (let i = 0; i < 4; i++) {
    it.clock.advance(SESSION_IDLE_MS - 60_000)
    assert.equal((await it.sessions.current(token))?.user.name, 'ines')
  }
  it.clock.advance(SESSION_IDLE_MS)
  assert.equal(await it.sessions.current(token), undefined)
  assert.equal(await it.sessions.current(token), undefined)
})

test('a session ends after twelve hours however much it is used', async (t) => {
  const it = await setting(t)
  const token = await begin(it)
  const step = 15 * 60_000
  for (let ms = step; ms < SESSION_MS; ms += step) {
    it.clock.advance(step)
    assert.ok(await it.sessions.current(token))
  }
  it.clock.advance(step)
  assert.equal(await it.sessions.current(token), undefined)
})

test('a session ends by signing out, and with its user', async (t) => {
  const it = await setting(t)
  const [one, two] = [await begin(it), await begin(it)]
  await it.sessions.end(one)
  assert.equal(await it.sessions.current(one), undefined)
  assert.ok(await it.sessions.current(two))
  await it.registry.transaction((tx) => tx.deleteUser(it.user.id))
  assert.equal(await it.sessions.current(two), undefined)
  for (const wrong of [undefined, '', 'x', one.slice(1), `${one}x`])
    assert.equal(await it.sessions.current(wrong), undefined)
})

test('one user has a bounded number of sessions; the oldest goes', async (t) => {
  const it = await setting(t)
  const tokens: string[] = []
  for (let i = 0; i < 40; i++) {
    tokens.push(await begin(it))
    it.clock.advance(1_000)
  }
  const alive = await Promise.all(tokens.map((token) => it.sessions.current(token)))
  assert.deepEqual(
    alive.map((session) => session !== undefined),
    tokens.map((_token, i) => i >= 8),
  )
})

test('a one-time link lives as long as its purpose allows, and ends when a newer one is made', async (t) => {
  const it = await setting(t)
  const isOpen = async (token: string): Promise<boolean> =>
    (await it.registry.read((store) => openEnrolLink(store, token, it.clock.wallNow()))) !== undefined
  const lives: readonly [EnrolPurpose, number][] = [
    ['invite', 72 * 60],
    ['reset', 60],
    ['add', 15],
  ]
  for (const [purpose, minutes] of lives) {
    const token = await link(it, purpose)
    assert.ok(Buffer.from(token, 'base64url').length === 32)
    it.clock.advance(minutes * 60_000 - 1)
    assert.ok(await isOpen(token), purpose)
    it.clock.advance(1)
    assert.ok(!(await isOpen(token)), purpose)
  }
  const older = await link(it, 'invite')
  const newer = await link(it, 'reset')
  assert.deepEqual([await isOpen(older), await isOpen(newer)], [false, true])
  assert.equal(await isOpen('guess'), false)
})

test('of many who use a link at once exactly one succeeds', async (t) => {
  const it = await setting(t)
  const token = await link(it, 'invite')
  const spent = await Promise.all(
    Array.from({ length: 50 }, () =>
      it.registry.transaction(async (tx) => {
        const nowMs = it.clock.wallNow()
        const open = await openEnrolLink(tx.store, token, nowMs)
        return open !== undefined && tx.store.identity.spendEnrolToken(open.hash, nowMs)
      }),
    ),
  )
  assert.equal(spent.filter(Boolean).length, 1)
})

test('neither a session nor a link can be read out of the database', async (t) => {
  const it = await setting(t)
  const secrets = [await begin(it), await link(it, 'invite')]
  const files = readdirSync(it.folder).filter((name) => name.startsWith('coord.db'))
  assert.ok(files.length > 0)
  for (const name of files) {
    const bytes = readFileSync(join(it.folder, name))
    for (const secret of secrets) {
      assert.equal(bytes.indexOf(secret), -1)
      assert.equal(bytes.indexOf(Buffer.from(secret, 'base64url')), -1)
    }
  }
})

test('a server that never ran has no address for a link, and says so', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'peerway-sessions-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const clock = new VirtualClock()
  const state = await openCoordState({ folder, clock, log: silentLogger })
  t.after(() => state.close())
  const made = state.registry.first.transaction(async (tx) => {
    const createdAtMs = clock.wallNow()
    const wish = { name: 'ines', displayName: 'Ines', email: undefined, role: 'owner', createdAtMs } as const
    return createEnrolLink(tx, await tx.insertUser(wish), 'invite', { nowMs: createdAtMs, actor: 'test' })
  })
  await assert.rejects(made, (error) => isCoded(error, 'coord/not-found') && error.message.includes('coord serve'))
})
