import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { capture, show, which } from './run.mjs'

const RUN = new URL('run.mjs', import.meta.url).href

/** A process that becomes another node running `code`. */
function becoming(code: string) {
  const script = `import { become } from ${JSON.stringify(RUN)}; await become(process.execPath, ['-e', ${JSON.stringify(code)}])`
  return spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
}

test('becoming another program passes on its exit status', async () => {
  const [status] = await once(becoming('process.exit(7)'), 'close')
  assert.equal(status, 7)
})

test('becoming another program passes on a signal, and waits for a clean end', async () => {
  const child = becoming("process.on('SIGTERM', () => process.exit(3)); console.log('up'); setInterval(() => {}, 1e6)")
  await once(child.stdout, 'data')
  child.kill('SIGTERM')
  const [status] = await once(child, 'close')
  assert.equal(status, 3)
})

test('dying by a signal is passed on as well', async () => {
  const child = becoming("console.log('up'); setInterval(() => {}, 1e6)")
  await once(child.stdout, 'data')
  child.kill('SIGTERM')
  const [status, signal] = await once(child, 'close')
  assert.deepEqual([status, signal], [null, 'SIGTERM'])
})

test('a program that does not end is ended', async () => {
  const status = await show(process.execPath, ['-e', 'setInterval(() => {}, 1e6)'], { timeoutMs: 200 })
  assert.notEqual(status, 0)
})

test('a program that does not exist is an answer, not an exception', () => {
  const { ok, stderr } = capture('no-such-program-here', [])
  assert.equal(ok, false)
  assert.match(stderr, /ENOENT/)
  assert.equal(which('no-such-program-here'), undefined)
})
