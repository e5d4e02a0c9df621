// Two servers on one database, each with a DERP server of its own: machines of one reach those of the other.

import assert from 'node:assert/strict'
import { after, before, test, type TestContext } from 'node:test'
import { fromUtf8, utf8 } from '../base/bytes.ts'
import { systemClock } from '../base/clock.ts'
import { noPostgres, TestPostgres } from '../coord/store/test-postgres.ts'
import { TestMachine } from '../coord/test-machine.ts'
import { testServers } from '../coord/test-servers.ts'
import type { DerpMap } from '../derp/derp-map.ts'
import { DerpPool } from '../derp/derp-pool.ts'
import { derpMap, type DerpMapInput } from '../wire/tailcfg/derp-map.ts'

const WAIT_MS = 40_000
const DERP = ['--derp-listen', '127.0.0.1:0', '--derp-host', '127.0.0.1']

let postgres: TestPostgres | undefined
before(async () => {
  if (noPostgres === false) postgres = await TestPostgres.start()
})
after(() => postgres?.end())

async function until(what: string, isTrue: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = Date.now() + WAIT_MS
  while (!(await isTrue())) {
    if (Date.now() > endMs) throw new Error(`waited too long for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const numbersOf = (map: DerpMapInput | undefined): string =>
  [...(map?.regions?.keys() ?? [])].toSorted((x, y) => x - y).join(' ')

async function joined(t: TestContext, url: string, name: string, authKey: string) {
  const machine = new TestMachine(url, name)
  t.after(() => machine.close())
  assert.equal((await machine.register({ auth: { authKey } })).error, '')
  const stream = await machine.poll()
  t.after(() => stream.close())
  const untilRegions = async (numbers: string) =>
    (await stream.until((message) => message.derpMap !== undefined && numbersOf(message.derpMap) === numbers, WAIT_MS))
      .derpMap
  const heard: string[] = []
  const pool = new DerpPool({
    nodeKey: machine.nodeKey,
    clock: systemClock,
    onDisco: () => {},
    onWireGuard: (region, chunk, spans) => {
      for (let i = 0; i < spans.length; i += 2) {
        const start = spans[i] ?? 0
        heard.push(`${region} ${fromUtf8(chunk.subarray(start, start + (spans[i + 1] ?? 0)))}`)
      }
    },
  })
  t.after(() => pool.close())
  return { machine, stream, pool, heard, untilRegions }
}

test('machines of two servers meet at the DERP server of either', { skip: noPostgres }, async (t) => {
  const url = (await postgres?.database()) ?? ''
  const its = await testServers(t, url, { more: DERP })
  const { key } = JSON.parse(await its.cli('auth-keys', 'create', '--reusable', '--json')) as { key: string }
  const [first, second] = its.servers
  const a = await joined(t, first?.url ?? '', 'a', key)
  const b = await joined(t, second?.url ?? '', 'b', key)

  const map = await a.untilRegions('900 999')
  const other = await b.untilRegions('900 999')
  assert.ok(map && other)
  assert.deepEqual(derpMap.write(map), derpMap.write(other))
  const ports = [...(map.regions?.values() ?? [])].map(({ nodes }) => nodes?.[0]?.derpPort)
  assert.equal(new Set(ports).size, 2)
  const written = derpMap.write(map) as DerpMap
  for (const { pool } of [a, b]) pool.setMap(written)
  a.pool.setHome(900)
  b.pool.setHome(999)
  const isHome = (pool: DerpPool, id: number) =>
    pool.status().some(({ region, connected }) => region === id && connected)
  await until('both to be at home', () => isHome(a.pool, 900) && isHome(b.pool, 999))
  await until('a packet to b', () => {
    a.pool.send(999, b.machine.nodeKey.public.bytes, utf8('to b'), 'wireguard')
    return b.heard.includes('999 to b')
  })
  await until('a packet to a', () => {
    b.pool.send(900, a.machine.nodeKey.public.bytes, utf8('to a'), 'wireguard')
    // By the way that a came, where that is still open.
    return a.heard.some((packet) => packet.endsWith(' to a'))
  })

  // One that dies is silent for a minute before it is forgotten; the minute is not waited for here.
  await second?.stop('SIGKILL')
  const database = new URL(url).pathname.slice(1)
  assert.equal((await postgres?.sql(database, 'SELECT region FROM shared_regions'))?.length, 2)
  await postgres?.sql(
    database,
    `UPDATE shared_regions SET beat_at = beat_at - interval '45 seconds' WHERE region = 999`,
  )
  const startedMs = performance.now()
  await a.untilRegions('900')
  const ms = performance.now() - startedMs
  t.diagnostic(`forgotten ${Math.round(ms)} ms later`)
  assert.ok(ms > 5_000, 'not before a minute of silence')
})
