import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { SetupError } from './run.mjs'
import { dropLeft, oneAtATime, swapIn } from './swap-in.mjs'

const HOUR_MS = 3_600_000

function folder(t: TestContext): string {
  const root = mkdtempSync(join(tmpdir(), 'peerway-swap-'))
  t.after(() => rmSync(root, { recursive: true, force: true }))
  return root
}

const build = (n: number): Map<string, string> =>
  new Map([
    ['cli/main.mjs', `const { n } = await import('./chunk-${n}.mjs')\nif (n !== ${n}) throw new Error('mixed')\n`],
    [`cli/chunk-${n}.mjs`, `export const n = ${n}\n`],
    [`cli/chunk-${n}.mjs.map`, '{}'],
  ])
const chunks = (root: string): string[] => readdirSync(join(root, 'cli')).filter((name) => name.startsWith('chunk'))

test('whoever reads while it is renewed finds all of one build', { timeout: 60_000 }, async (t) => {
  const root = folder(t)
  swapIn(root, build(0))
  const reader = spawn(process.execPath, [
    '--input-type=module',
    '-e',
    `let read = 0
    process.stdout.write('ready')
    process.once('SIGTERM', () => { process.stdout.write(' ' + read); process.exit(0) })
    for (;; read++) {
      await import(${JSON.stringify(join(root, 'cli', 'main.mjs'))} + '?' + read)
      await new Promise(setImmediate)
    }`,
  ])
  t.after(() => reader.kill('SIGKILL'))
  let [said, problems] = ['', '']
  reader.stdout.setEncoding('utf8').on('data', (chunk: string) => void (said += chunk))
  reader.stderr.setEncoding('utf8').on('data', (chunk: string) => void (problems += chunk))
  await once(reader.stdout, 'data')
  const closed = once(reader, 'close')
  for (let n = 1; n <= 200; n++) {
    swapIn(root, build(n))
    await new Promise(setImmediate)
  }
  reader.kill('SIGTERM')
  await closed
  assert.equal(problems, '')
  assert.ok(Number(said.replace('ready ', '')) > 20, said)
})

test('what a running process may load late stays for an hour, without its maps', (t) => {
  const root = folder(t)
  swapIn(root, build(1), 0)
  swapIn(root, build(2), 10_000)
  assert.deepEqual(chunks(root), ['chunk-1.mjs', 'chunk-2.mjs', 'chunk-2.mjs.map'])
  swapIn(root, build(2), 10_000 + HOUR_MS / 2)
  assert.ok(existsSync(join(root, 'cli', 'chunk-1.mjs')))
  swapIn(root, build(2), 10_000 + HOUR_MS)
  assert.deepEqual(chunks(root), ['chunk-2.mjs', 'chunk-2.mjs.map'])
})

test('a chunk that comes back is part of the build again', (t) => {
  const root = folder(t)
  swapIn(root, build(1), 0)
  swapIn(root, build(2), 1)
  swapIn(root, build(1), 2)
  dropLeft(root)
  assert.deepEqual(chunks(root), ['chunk-1.mjs', 'chunk-1.mjs.map'])
})

test('a package gets the last build only', (t) => {
  const root = folder(t)
  for (const n of [1, 2, 3]) swapIn(root, new Map([...build(n), [`only-${n}/x`, '']]))
  dropLeft(root)
  assert.deepEqual(chunks(root), ['chunk-3.mjs', 'chunk-3.mjs.map'])
  assert.deepEqual(
    readdirSync(root).filter((name) => name.startsWith('bundle.')),
    [],
  )
})

test('two at once run one after the other, and the lock goes with the work', async (t) => {
  const root = folder(t)
  const seen: string[] = []
  const work = (name: string) => async () => {
    seen.push(`${name} begins`)
    await new Promise(setImmediate)
    seen.push(`${name} ends`)
  }
  await Promise.all([oneAtATime(root, work('one')), oneAtATime(root, work('two'))])
  assert.deepEqual(seen, ['one begins', 'one ends', 'two begins', 'two ends'])
  await assert.rejects(
    oneAtATime(root, () => Promise.reject(new Error('no'))),
    /no/,
  )
  assert.deepEqual(readdirSync(root), [])
})

test('waiting for another process ends, and says whom it waited for', async (t) => {
  const root = folder(t)
  const lock = join(root, 'bundle.lock')
  writeFileSync(lock, String(process.ppid))
  const never = (): Promise<void> => Promise.reject(new Error('not reached'))
  await assert.rejects(oneAtATime(root, never, { waitMs: 0 }), (error) => {
    assert.ok(error instanceof SetupError)
    assert.match(error.message, new RegExp(`^Process ${process.ppid} is at .*delete .*bundle\\.lock`))
    return true
  })
  assert.equal(readFileSync(lock, 'utf8'), String(process.ppid))
})

test('a lock that a crash left behind holds nobody up', async (t) => {
  const root = folder(t)
  const lock = join(root, 'bundle.lock')
  const dead = spawn(process.execPath, ['-e', ''])
  await once(dead, 'close')
  writeFileSync(lock, String(dead.pid))
  assert.equal(await oneAtATime(root, async () => 'done', { waitMs: 0 }), 'done')
  // The same number, given to another process since.
  writeFileSync(lock, String(process.ppid))
  utimesSync(lock, 0, 0)
  assert.equal(await oneAtATime(root, async () => 'done', { waitMs: 0 }), 'done')
})
