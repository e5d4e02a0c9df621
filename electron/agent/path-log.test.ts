import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { VirtualClock } from '../base/clock.ts'
import { createLogger, type Logger, silentLogger } from '../base/log.ts'
import type { PathChange } from '../path/path-history.ts'
import { REASON_TEXT } from '../path/path-view.ts'
import { decodePathLog, encodePathLog, MOST_FILE_BYTES } from './path-log-file.ts'
import { PathLog } from './path-log.ts'

const HOUR_MS = 3_600_000
const keyOf = (index: number): string => `nodekey:${index.toString(16).padStart(64, '0')}`
const NAS = keyOf(1)

function folderFor(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'peerway-path-log-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}
const fileIn = (folder: string): string => join(folder, 'path-history.json')

const change = (atWallMs: number): PathChange => ({
  atWallMs,
  from: { kind: 'direct', endpoint: '192.0.2.1:41641' },
  to: { kind: 'derp', region: 7 },
  reason: 'silent',
  reasonText: REASON_TEXT.silent,
  latencyMs: 12.5,
})

function listening(): { readonly log: Logger; readonly words: string[] } {
  const words: string[] = []
  return { log: createLogger((line) => words.push(line)), words }
}

test('changes survive a restart, and those of the new run come after them', async (t) => {
  const folder = folderFor(t)
  const clock = new VirtualClock()
  const first = await PathLog.open(folder, clock, silentLogger)
  const old = [change(clock.wallNow()), change(clock.wallNow() + 1)]
  first.take(NAS, old)
  await first.save()
  const second = await PathLog.open(folder, clock, silentLogger)
  assert.deepEqual(second.list(NAS, []), old)
  const latest = change(clock.wallNow() + 2)
  assert.deepEqual(second.list(NAS, [latest]), [...old, latest])
  await second.save()
  assert.deepEqual((await PathLog.open(folder, clock, silentLogger)).list(NAS, []), [...old, latest])
})

test('a change is written within seconds, and a burst of them at once', async (t) => {
  const folder = folderFor(t)
  const clock = new VirtualClock()
  const log = await PathLog.open(folder, clock, silentLogger)
  const changes = Array.from({ length: 50 }, (_, index) => change(clock.wallNow() + index))
  for (let count = 1; count <= changes.length; count += 1) log.take(NAS, changes.slice(0, count))
  assert.equal(clock.pendingTimers, 1)
  clock.advance(10_000)
  await log.save()
  assert.equal((await PathLog.open(folder, clock, silentLogger)).list(NAS, []).length, 50)
  log.take(NAS, changes)
  assert.equal(clock.pendingTimers, 0, 'nothing new is nothing to write')
})

test('what a closed mesh knew is kept, and a peer that came anew loses nothing', async (t) => {
  const clock = new VirtualClock()
  const log = await PathLog.open(folderFor(t), clock, silentLogger)
  const [a, b, c] = [1, 2, 3].map((ms) => change(clock.wallNow() + ms))
  assert.ok(a && b && c)
  log.take(NAS, [a])
  log.endRun()
  assert.deepEqual(log.list(NAS, [b]), [a, b])
  assert.deepEqual(log.list(NAS, [c]), [a, b, c])
})

test('changes of a day ago are gone, and too many go from the oldest on', async (t) => {
  const folder = folderFor(t)
  const clock = new VirtualClock()
  const log = await PathLog.open(folder, clock, silentLogger)
  const many = Array.from({ length: 300 }, (_, index) => change(clock.wallNow() + index))
  for (let peer = 1; peer <= 40; peer += 1) log.take(keyOf(peer), many)
  assert.equal(log.list(NAS, many).length, 200)
  await log.save()
  const { changes } = decodePathLog(readFileSync(fileIn(folder), 'utf8'))
  const count = [...changes.values()].reduce((sum, list) => sum + list.length, 0)
  assert.ok(count > 4_000 && count <= 5_040, `${count}`)
  assert.ok(statSync(fileIn(folder)).size < MOST_FILE_BYTES / 2)
  const again = await PathLog.open(folder, clock, silentLogger)
  clock.advance(25 * HOUR_MS)
  assert.deepEqual(again.list(NAS, []), [])
  assert.deepEqual((await PathLog.open(folder, clock, silentLogger)).list(NAS, []), [])
})

test('a file that cannot be used is told of, stops nothing, and is replaced by the next change', async (t) => {
  const folder = folderFor(t)
  const clock = new VirtualClock()
  for (const content of ['', '{', '[]', 'null', '{"format":2,"peers":{}}', ' '.repeat(MOST_FILE_BYTES + 1)]) {
    writeFileSync(fileIn(folder), content)
    const { log, words } = listening()
    assert.deepEqual((await PathLog.open(folder, clock, log)).list(NAS, []), [])
    assert.equal(words.length, 1, content.slice(0, 20))
  }
  const log = await PathLog.open(folder, clock, silentLogger)
  log.take(NAS, [change(clock.wallNow())])
  await log.save()
  assert.equal((await PathLog.open(folder, clock, silentLogger)).list(NAS, []).length, 1)
})

test('of a file with broken entries the others are kept', async (t) => {
  const folder = folderFor(t)
  const clock = new VirtualClock()
  const good = change(clock.wallNow())
  const bad = [
    7,
    { ...good, atWallMs: 'noon' },
    { ...good, from: { kind: 'carrier-pigeon' } },
    { ...good, to: { kind: 'direct', endpoint: 'x'.repeat(100_000) } },
    { ...good, to: { kind: 'derp', region: 1.5 } },
    { ...good, reason: 'toString' },
    { ...good, latencyMs: null },
  ]
  writeFileSync(fileIn(folder), JSON.stringify({ format: 1, peers: { [NAS]: [...bad, good], 'nodekey:zz': [good] } }))
  const { log, words } = listening()
  assert.deepEqual((await PathLog.open(folder, clock, log)).list(NAS, []), [good])
  assert.match(words.join(), /broken=8/)
})

test('whatever a file holds, its reading ends with changes or an error', () => {
  const known = encodePathLog(new Map([[NAS, [change(1)]]]))
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.tuple(fc.nat(known.length), fc.string({ maxLength: 3 }))), (made) => {
      const content = typeof made === 'string' ? made : known.slice(0, made[0]) + made[1] + known.slice(made[0] + 1)
      try {
        for (const list of decodePathLog(content).changes.values())
          for (const { reasonText, from, to } of list) assert.ok(reasonText.length > 0 && from.kind && to.kind)
      } catch (error) {
        assert.ok(error instanceof Error && !(error instanceof assert.AssertionError), String(error))
      }
    }),
  )
})

const WRITER = `
  const { PathLog } = await import(process.argv[1])
  const { systemClock } = await import(process.argv[2])
  const silent = { warn: (words) => { console.log(words); process.exit(3) }, debug() {}, info() {} }
  const log = await PathLog.open(process.argv[3], systemClock, silent)
  const list = []
  console.log('writes')
  for (;;) {
    list.push({ atWallMs: Date.now(), from: { kind: 'none' }, to: { kind: 'derp', region: 1 }, reason: 'start', reasonText: '' })
    log.take('${NAS}', list.slice(-200))
    await log.save()
  }
`

test('a run that is killed leaves a file that can be read', { timeout: 60_000 }, async (t) => {
  const folder = folderFor(t)
  const urls = ['./path-log.ts', '../base/clock.ts'].map((name) => new URL(name, import.meta.url).href)
  for (let round = 0; round < 3; round += 1) {
    const args = ['--import', 'tsx', '--input-type=module', '-e', WRITER, ...urls, folder]
    const cwd = fileURLToPath(new URL('../..', import.meta.url))
    const writer = spawn(process.execPath, args, { cwd, stdio: ['ignore', 'pipe', 'inherit'] })
    const [first] = (await once(writer.stdout, 'data')) as [Buffer]
    assert.match(first.toString(), /writes/)
    await new Promise<void>((resolve) => void setTimeout(resolve, 150 + round * 37))
    writer.kill('SIGKILL')
    assert.deepEqual(await once(writer, 'exit'), [null, 'SIGKILL'])
    const { changes, broken } = decodePathLog(readFileSync(fileIn(folder), 'utf8'))
    assert.equal(broken, 0)
    assert.ok((changes.get(NAS)?.length ?? 0) > 0)
  }
})
