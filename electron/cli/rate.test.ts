import assert from 'node:assert/strict'
import test from 'node:test'

import { bytesText, parseRate } from './rate.ts'

test('reads rates as people type them', () => {
  for (const [text, bytes] of [
    ['0', 0],
    ['1500', 1500],
    ['500k', 500_000],
    ['2.5M', 2_500_000],
    ['2MB/s', 2_000_000],
    ['20mbit', 2_500_000],
    ['8 kbps', 1_000],
    ['1G', 1_000_000_000],
  ] as const)
    assert.equal(parseRate(text), bytes, text)
  for (const text of ['', '-1', 'fast', '1.2.3', '5 parsecs', '9'.repeat(30)])
    assert.equal(parseRate(text), undefined, text)
})

test('says amounts in a few digits', () => {
  assert.deepEqual([0, 999, 1500, 2_500_000, 7e9].map(bytesText), [
    '0 bytes',
    '999 bytes',
    '1.5 kB',
    '2.5 MB',
    '7.0 GB',
  ])
})
