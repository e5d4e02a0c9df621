import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mappingVaries } from './netcheck.ts'

const [first, second] = ['192.0.2.1:3478', '192.0.2.2:3478']

test('how a router maps is seen at two servers; two ports of one show a hard router, and no easy one', () => {
  const seen = (...pairs: [server: string, observed: string][]): boolean | undefined => mappingVaries(new Map(pairs))
  assert.equal(seen(), undefined)
  assert.equal(seen([first, '198.51.100.1:1']), undefined)
  assert.equal(seen([first, '198.51.100.1:1'], [second, '198.51.100.1:1']), false)
  assert.equal(seen([first, '198.51.100.1:1'], [second, '198.51.100.1:2']), true)
  assert.equal(seen([first, '198.51.100.1:1'], ['192.0.2.1:3479', '198.51.100.1:1']), undefined)
  assert.equal(seen([first, '198.51.100.1:1'], ['192.0.2.1:3479', '198.51.100.1:2']), true)
})
