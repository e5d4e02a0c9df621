import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { VirtualClock } from '../../base/clock.ts'
import { silentLogger } from '../../base/log.ts'
import { openCoordState, type CoordState } from '../coord-state.ts'
import type { User } from '../model.ts'
import type { Guesses } from '../store/identity-store.ts'
import { ACCOUNT_LIMIT, GuessLimits, judge, LONGEST_WAIT_MS, SOURCE_LIMIT, type Verdict } from './guess-limits.ts'

const HERE = { source: '127.0.0.1' }

interface Setting {
  readonly clock: VirtualClock
  readonly ines: User
  limits: GuessLimits
  state: CoordState
  restart(): Promise<void>
}

async function setting(t: TestContext): Promise<Setting> {
  const folder = mkdtempSync(join(tmpdir(), 'peerway-guesses-'))
  const clock = new VirtualClock()
  const open = (): Promise<CoordState> => openCoordState({ folder, clock, log: silentLogger })
  const state = await open()
  const ines = await state.registry.first.transaction((tx) =>
    tx.insertUser({ name: 'ines', displayName: 'Ines', email: undefined, role: 'owner', createdAtMs: 0 }),
  )
  const it: Setting = {
    clock,
    ines,
    state,
    limits: new GuessLimits(state.registry, clock),
    async restart() {
      await it.state.close()
      it.state = await open()
      it.limits = new GuessLimits(it.state.registry, clock)
    },
  }
  t.after(async () => {
    await it.state.close()
    rmSync(folder, { recursive: true, force: true })
  })
  return it
}

const waitOf = (verdict: Verdict): number => (verdict.kind === 'wait' ? verdict.ms : 0)

test('five tries are free, then each wait is twice the last, up to a quarter of an hour, and a hundred are all', () => {
  const waits: number[] = []
  let [known, nowMs, tries]: [Guesses | undefined, number, number] = [undefined, 0, 0]
  for (;;) {
    const { verdict, after } = judge(known, ACCOUNT_LIMIT, nowMs)
    if (verdict.kind === 'closed') break
    if (verdict.kind === 'wait') {
      waits.push(verdict.ms / 1000)
      nowMs += verdict.ms
      continue
    }
    tries++
    known = after
  }
  assert.equal(tries, 100)
  assert.deepEqual(waits.slice(0, 11), [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900])
  assert.ok(waits.slice(10).every((seconds) => seconds === 900))
  const { verdict } = judge(known, ACCOUNT_LIMIT, nowMs + 365 * 24 * 3_600_000)
  assert.equal(verdict.kind, 'closed', 'and time alone opens it no more')
})

test('a hundred thousand tries at any pace: one account takes a hundred of them', () => {
  for (const paceMs of [0, 100, 60_000, 3_600_000]) {
    let [known, tries]: [Guesses | undefined, number] = [undefined, 0]
    for (let i = 0; i < 100_000; i++) {
      const { verdict, after } = judge(known, ACCOUNT_LIMIT, i * paceMs)
      if (verdict.kind !== 'try') continue
      tries++
      known = after
    }
    assert.ok(tries <= 100 && tries >= 5, `${paceMs}: ${tries}`)
  }
})

test('a clock that was set back makes nobody wait longer than the longest wait', () => {
  const known = { failures: 30, readyAtMs: 1e12, lastAtMs: 1e12 }
  assert.equal(waitOf(judge(known, ACCOUNT_LIMIT, 0).verdict), LONGEST_WAIT_MS)
})

test('the count outlives a restart of the server', async (t) => {
  const it = await setting(t)
  for (const [name, user] of [
    ['ines', it.ines],
    ['nobody', undefined],
  ] as const) {
    for (let i = 0; i < 5; i++) assert.equal((await it.limits.begin(HERE, name, user)).kind, 'try')
    await it.restart()
    assert.deepEqual(await it.limits.begin(HERE, name, user), { kind: 'wait', ms: 1_000 })
    assert.deepEqual(await it.limits.begin(HERE, name.toUpperCase(), user), { kind: 'wait', ms: 1_000 })
  }
})

test('the right password starts the account afresh, and one account’s count is not another’s', async (t) => {
  const it = await setting(t)
  for (let i = 0; i < 5; i++) await it.limits.begin(HERE, 'ines', it.ines)
  assert.equal((await it.limits.begin(HERE, 'ines', it.ines)).kind, 'wait')
  assert.equal((await it.limits.begin(HERE, 'karin', undefined)).kind, 'try')
  await it.state.registry.read(({ identity }) => it.limits.succeeded(identity, HERE, it.ines.id))
  assert.equal((await it.limits.begin(HERE, 'ines', it.ines)).kind, 'try')
})

test('one network guesses many names: it waits as a whole, others do not, and an account of its own does not clear it', async (t) => {
  const it = await setting(t)
  const there = (last: number) => ({ source: `203.0.113.${last}` })
  for (let i = 0; i < SOURCE_LIMIT.free; i++)
    assert.equal((await it.limits.begin(there(i), `name-${i}`, undefined)).kind, 'try')
  assert.equal((await it.limits.begin(there(200), 'another', undefined)).kind, 'wait')
  assert.equal((await it.limits.begin({ source: '203.0.114.1' }, 'another', undefined)).kind, 'try')
  assert.equal((await it.limits.begin(HERE, 'yet-another', undefined)).kind, 'try')
  it.clock.advance(1_000)
  assert.equal((await it.limits.begin(there(1), 'ines', it.ines)).kind, 'try')
  await it.state.registry.read(({ identity }) => it.limits.succeeded(identity, there(1), it.ines.id))
  assert.equal((await it.limits.begin(there(1), 'one', undefined)).kind, 'try')
  assert.equal((await it.limits.begin(there(1), 'two', undefined)).kind, 'wait')
})

test('tries at the same moment all count, before any of them is answered', async (t) => {
  const it = await setting(t)
  const verdicts = await Promise.all(Array.from({ length: 50 }, () => it.limits.begin(HERE, 'ines', it.ines)))
  assert.equal(verdicts.filter(({ kind }) => kind === 'try').length, 5)
})

test('names that strangers make up are forgotten, accounts are not', async (t) => {
  const it = await setting(t)
  for (let i = 0; i < 5; i++) await it.limits.begin(HERE, 'ines', it.ines)
  await it.state.registry.read(async ({ identity }) => {
    for (let i = 0; i < 100; i++)
      await identity.setGuesses(`name:${i}`, { failures: 1, readyAtMs: 0, lastAtMs: it.clock.wallNow() + i })
    await identity.pruneGuesses('name:', 10)
    assert.equal(await identity.guesses('name:89'), undefined)
    assert.equal((await identity.guesses('name:90'))?.failures, 1)
  })
  assert.equal((await it.limits.begin(HERE, 'ines', it.ines)).kind, 'wait')
})
