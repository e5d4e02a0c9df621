import assert from 'node:assert/strict'
import { test } from 'node:test'
import counts from './test-counts.mjs'
import { closing, parse } from './test.mjs'
import { cargoCounts } from './test-stages.mjs'

test('without stage names all but the long ones run; other words choose files', () => {
  assert.deepEqual(parse([]), { stages: ['unit', 'rust', 'lab', 'e2e'], filters: [] })
  assert.deepEqual(parse(['interop']), { stages: ['interop'], filters: [] })
  assert.deepEqual(parse(['unit', 'wire/', 'derp']), { stages: ['unit'], filters: ['wire/', 'derp'] })
  assert.throws(() => parse(['--fast']), /no option --fast/)
})

test("adds up cargo's lines, one per test program", () => {
  const output = [
    'running 12 tests',
    'test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s',
    'test replay ... FAILED',
    'test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s',
  ].join('\n')
  assert.deepEqual(cargoCounts(output), { passed: 15, failed: 2, skipped: 1 })
})

test("takes the runner's own closing counts, whatever the tests print", async () => {
  async function* events() {
    const say = (message: string, nesting = 0) => ({ type: 'test:diagnostic', data: { message, nesting } })
    yield say('pass 900')
    yield say('fail 900', 1)
    yield { type: 'test:pass', data: {} }
    for (const line of ['tests 7', 'pass 3', 'fail 1', 'cancelled 1', 'skipped 2', 'todo 0', 'duration_ms 12.5'])
      yield say(line)
  }
  let written = ''
  for await (const text of counts(events())) written += text
  assert.deepEqual(JSON.parse(written), { passed: 3, failed: 2, skipped: 2 })
})

test('the closing line is the plain one, with skips only where there are some', () => {
  assert.equal(closing({ passed: 3, failed: 0, skipped: 0 }), '3 passed, 0 failed')
  assert.equal(closing({ passed: 3, failed: 1, skipped: 2 }), '3 passed, 1 failed, 2 skipped')
})
