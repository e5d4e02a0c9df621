// The program is killed while 32 writers write, again and again: what was acknowledged is there, and nothing is there by half.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { WRITERS } from './kill-writer.ts'
import { openStore, type StorePlace } from './open-store.ts'
import { FIRST_TAILNET } from './store.ts'
import { noPostgres, TestPostgres } from './test-postgres.ts'

const OUT = fileURLToPath(new URL('../../../out', import.meta.url))
const ROUNDS = 20
const LONGEST_MS = 120

mkdirSync(OUT, { recursive: true })
/** Within the checkout, where packages are found. */
const programFolder = mkdtempSync(join(OUT, 'kill-writer-'))
/** Started forty times, so translated once. */
const writer = join(programFolder, 'kill-writer.mjs')
before(async () => {
  const entry = fileURLToPath(new URL('kill-writer.ts', import.meta.url))
  await build({
    entryPoints: [entry],
    outfile: writer,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
  })
})
after(() => rmSync(programFolder, { recursive: true, force: true }))

/** Runs the writers for a while and kills them; answers the last number that each said. */
async function killedWriters(place: string, lifeMs: number): Promise<Map<number, number>> {
  const child = spawn(process.execPath, [writer, place], { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  const begun = new Promise<void>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      resolve()
    })
    child.once('exit', () => reject(new Error('the writers ended by themselves')))
  })
  await begun
  await delay(lifeMs)
  const ended = new Promise((resolve) => child.once('close', resolve))
  child.kill('SIGKILL')
  await ended
  const said = new Map<number, number>()
  for (const [, id, n] of text.matchAll(/^(\d+) (\d+)\n/gm)) said.set(Number(id), Number(n))
  return said
}

async function check(place: StorePlace, said: ReadonlyMap<number, number>): Promise<number> {
  const store = await openStore(place)
  try {
    return await store.transaction(async (server) => {
      const tx = server.inTailnet(FIRST_TAILNET)
      const rows = await tx.auditSince(0, 1_000_000)
      let sum = 0
      for (let id = 0; id < WRITERS; id++) {
        const [first, second] = [await tx.setting(`first-${id}`), await tx.tailnetSetting(`second-${id}`)]
        assert.equal(first, second, `writer ${id} wrote by half`)
        const last = Number(first ?? 0)
        assert.ok(last >= (said.get(id) ?? 0), `writer ${id} was told ${said.get(id)} and ${last} is there`)
        const own = rows.filter(({ actor }) => actor === `writer:${id}`).map(({ subject }) => Number(subject))
        assert.deepEqual(
          own,
          Array.from({ length: last }, (_, i) => i + 1),
        )
        sum += last
      }
      return sum
    })
  } finally {
    await store.close()
  }
}

async function rounds(place: StorePlace, text: string, between?: (round: number) => Promise<void>): Promise<void> {
  const known = new Map<number, number>()
  let written = 0
  for (let round = 0; round < ROUNDS; round++) {
    for (const [id, n] of await killedWriters(text, (LONGEST_MS * (round + 1)) / ROUNDS)) known.set(id, n)
    await between?.(round)
    const now = await check(place, known)
    assert.ok(now > written, 'a round wrote nothing')
    written = now
  }
}

test('SQLite: killed twenty times among 32 writers, it has all that was acknowledged', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'peerway-kill-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'coord.db')
  await rounds({ kind: 'sqlite', path }, path)
})

test('PostgreSQL: the same, and its server falls too', { skip: noPostgres }, async (t) => {
  const postgres = await TestPostgres.start()
  t.after(() => postgres.end())
  const url = await postgres.database()
  await rounds({ kind: 'postgres', url }, url, async (round) => {
    if (round % 5 !== 4) return
    await postgres.stop('SIGQUIT')
    await postgres.run()
  })
})
