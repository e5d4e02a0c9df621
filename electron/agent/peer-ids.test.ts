import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PeerIds } from './peer-ids.ts'

test('an id is kept while its peer is there and not reused at once', () => {
  const ids = new PeerIds()
  assert.equal(ids.of('a'), 1)
  assert.equal(ids.of('b'), 2)
  ids.keepOnly(new Set(['b']))
  assert.equal(ids.keyOf(1), undefined)
  assert.equal(ids.of('c'), 3)
  assert.equal(ids.of('b'), 2)
})

test('ids wrap around past those in use, and running out is an error', () => {
  const ids = new PeerIds()
  for (let i = 0; i < 65_535; i++) ids.of(`k${i}`)
  assert.throws(() => ids.of('one more'))
  ids.keepOnly(new Set(Array.from({ length: 65_534 }, (_, i) => `k${i}`)))
  assert.equal(ids.of('one more'), 65_535)
})

test('a renewed peer has another id, and its old one means nobody', () => {
  const ids = new PeerIds()
  ids.of('a')
  ids.of('b')
  ids.renew('a')
  assert.equal(ids.of('a'), 3)
  assert.equal(ids.keyOf(1), undefined)
  assert.equal(ids.keyOf(3), 'a')
})
