// Two servers on one real PostgreSQL, and a clock that they share.

import assert from 'node:assert/strict'
import { after, before, test, type TestContext } from 'node:test'
import { VirtualClock } from '../../base/clock.ts'
import { silentLogger } from '../../base/log.ts'
import { MachinePrivate } from '../../crypto/keys.ts'
import { ServerRegistry } from '../server-registry.ts'
import { PostgresStore } from '../store/postgres-store.ts'
import { noPostgres, TestPostgres } from '../store/test-postgres.ts'
import { CEREMONY_MS } from './ceremonies.ts'
import { ServerSecrets } from './server-secrets.ts'
import { ceremoniesOf } from './shared-ceremonies.ts'
import { TryLimit } from './try-limit.ts'

const skip = noPostgres
let postgres: TestPostgres | undefined
before(async () => {
  if (noPostgres === false) postgres = await TestPostgres.start()
})
after(() => postgres?.end())

async function two(t: TestContext) {
  const url = (await postgres?.database()) ?? ''
  const clock = new VirtualClock()
  const secrets = new ServerSecrets(MachinePrivate.generate())
  const server = async () => {
    const store = await PostgresStore.open(url)
    const registry = await ServerRegistry.load(store, clock, silentLogger)
    t.after(() => registry.close())
    return { store, registry, clock, secrets }
  }
  const [here, there] = [await server(), await server()]
  const sql = async (text: string) => (await postgres?.sql(new URL(url).pathname.slice(1), text)) ?? []
  return { here, there, clock, sql }
}

test('what began at one server ends once, at either, in the same browser', { skip }, async (t) => {
  const { here, there, sql } = await two(t)
  const [a, b] = [here, there].map((server) => ceremoniesOf<{ secret: string }>(server, 'kind'))
  assert.ok(a && b)
  const { id, challenge } = await a.begin('browser', '192.0.2.1', { secret: 'verifier' })
  const [row] = await sql('SELECT * FROM shared_ceremonies')
  const written = JSON.stringify(row) + Buffer.from(row?.['sealed'] as Uint8Array).toString('latin1')
  for (const hidden of ['verifier', challenge, 'browser']) assert.ok(!written.includes(hidden), hidden)

  assert.equal(await b.end(id, 'another browser'), undefined)
  assert.equal(await ceremoniesOf(there, 'another kind').end(id, 'browser'), undefined)
  const ends = await Promise.all(Array.from({ length: 20 }, async (_, i) => (i % 2 ? a : b).end(id, 'browser')))
  const [only, ...more] = ends.filter((ended) => ended !== undefined)
  assert.deepEqual([only?.about.secret, only?.challenge, more.length], ['verifier', challenge, 0])
})

test('a challenge ends after five minutes, and a server with another key cannot read it', { skip }, async (t) => {
  const { here, there, clock } = await two(t)
  const a = ceremoniesOf(here, 'kind')
  const [late, alien] = [await a.begin('browser', '192.0.2.1', 1), await a.begin('browser', '192.0.2.1', 1)]
  const other = { ...there, secrets: new ServerSecrets(MachinePrivate.generate()) }
  assert.equal(await ceremoniesOf(other, 'kind').end(alien.id, 'browser'), undefined)
  clock.advance(CEREMONY_MS)
  assert.equal(await ceremoniesOf(there, 'kind').end(late.id, 'browser'), undefined)
})

test('a flood from one place pushes out its own, at whichever server it comes in', { skip }, async (t) => {
  const { here, there, clock, sql } = await two(t)
  const [a, b] = [here, there].map((server) => ceremoniesOf(server, 'kind'))
  assert.ok(a && b)
  const mine = await a.begin('browser', '192.0.2.1', 1)
  for (let i = 0; i < 80; i++) await (i % 2 ? a : b).begin(`flood-${i}`, '198.51.100.1', 1)
  assert.equal((await sql('SELECT id FROM shared_ceremonies')).length, 33)
  assert.ok(await b.end(mine.id, 'browser'))
  clock.advance(CEREMONY_MS)
  await b.begin('browser', '192.0.2.1', 1)
  assert.equal((await sql('SELECT id FROM shared_ceremonies')).length, 1)
})

test(
  'tries count over both servers, come back with time, and a clock that ran ahead locks nobody out',
  { skip },
  async (t) => {
    const { here, there, clock, sql } = await two(t)
    const limits = [here, there].map(
      ({ registry }) => new TryLimit(registry, clock, 'try', { perSecond: 0.25, burst: 20 }),
    )
    const takeAll = async (source: string): Promise<number> => {
      let taken = 0
      for (let i = 0; i < 60; i++) if (await limits[i % 2]?.take(source)) taken++
      return taken
    }
    assert.equal(await takeAll('192.0.2.1'), 20)
    assert.equal(await takeAll('192.0.2.2'), 20, 'another place has its own')
    clock.advance(8_000)
    assert.equal(await takeAll('192.0.2.1'), 2)
    await sql(`UPDATE shared_limits SET full_at = full_at + 1e9::bigint`)
    clock.advance(4_000)
    assert.ok((await takeAll('192.0.2.1')) > 0)
  },
)
