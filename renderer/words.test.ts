import assert from 'node:assert/strict'
import { test } from 'node:test'
import { splitMessage } from './words.ts'

test('a message is a headline and a next step', () => {
  const cases: readonly [string, string, string][] = [
    [
      'No server answers at home.example.org. Check the spelling.',
      'No server answers at home.example.org',
      'Check the spelling.',
    ],
    ['It failed.', 'It failed', ''],
    ['It failed', 'It failed', ''],
    ['Version 1.2.3 is too old. Update it. Then retry.', 'Version 1.2.3 is too old', 'Update it. Then retry.'],
  ]
  for (const [message, title, text] of cases) assert.deepEqual(splitMessage(message), { title, text })
})
