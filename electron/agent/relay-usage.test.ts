import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { silentLogger } from '../base/log.ts'
import { RelayUsage } from './relay-usage.ts'

function folderFor(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'peerway-usage-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

test('what was carried survives a restart, by month', async (t) => {
  const folder = folderFor(t)
  const usage = await RelayUsage.open(folder, silentLogger)
  usage.add('2026-11', 1_000, 0)
  usage.add('2026-12', 5, 1)
  await usage.save()
  const again = await RelayUsage.open(folder, silentLogger)
  assert.deepEqual(
    ['2026-11', '2026-12', '2027-01'].map((month) => again.bytesIn(month)),
    [1_000, 5, 0],
  )
})

test('a run that is killed loses seconds or a few megabytes, whichever is less', async (t) => {
  const folder = folderFor(t)
  const usage = await RelayUsage.open(folder, silentLogger)
  const onDisk = async (): Promise<number> => (await RelayUsage.open(folder, silentLogger)).bytesIn('2026-11')
  const carried = { bytes: 0, worst: 0 }
  for (let second = 0; second < 60; second += 2) {
    // Slow, then at a gigabit a second.
    const bytes = second < 30 ? 1_000 : 250_000_000
    usage.add('2026-11', bytes, second * 1_000)
    carried.bytes += bytes
    await new Promise<void>((resolve) => void setTimeout(resolve, 15))
    carried.worst = Math.max(carried.worst, (carried.bytes - (await onDisk())) / bytes)
  }
  // In rounds of two seconds.
  assert.ok(carried.worst <= 5, `${carried.worst} rounds were lost`)
})

test('a broken file is no reason not to relay, and the next count replaces it', async (t) => {
  const folder = folderFor(t)
  for (const content of ['', '{', '[]', '{"carriedBytes":{"2026-11":"many"}}', '{"carriedBytes":{"../x":1}}']) {
    writeFileSync(join(folder, 'relay-usage.json'), content)
    assert.equal((await RelayUsage.open(folder, silentLogger)).bytesIn('2026-11'), 0)
  }
  const usage = await RelayUsage.open(folder, silentLogger)
  usage.add('2026-11', 7, 0)
  await usage.save()
  assert.match(readFileSync(join(folder, 'relay-usage.json'), 'utf8'), /"2026-11": 7/)
})

test('a clock that jumps makes months of its own, and not without end', async () => {
  const usage = RelayUsage.inMemory(silentLogger)
  usage.add('2026-11', 100, 0)
  for (let year = 1970; year < 2020; year++) usage.add(`${year}-01`, 1, 0)
  usage.add('2026-11', 1, 0)
  assert.equal(usage.bytesIn('2026-11'), 101)
  assert.equal(usage.bytesIn('1970-01'), 0)
})
