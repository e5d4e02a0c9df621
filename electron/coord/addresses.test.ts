import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isTailnetAddress } from '../base/endpoint.ts'
import { addressesAt, allot, FIRST_OFFSET, LAST_OFFSET, offsetOf } from './addresses.ts'

const offsets = fc.integer({ min: FIRST_OFFSET, max: LAST_OFFSET })

test('the first node gets the first address of both families', () => {
  const none = allot(1, () => false)
  assert.deepEqual(none, { v4: '100.64.0.1', v6: 'fd7a:115c:a1e0::1', next: 2 })
  assert.deepEqual(addressesAt(11), { v4: '100.64.0.11', v6: 'fd7a:115c:a1e0::b' })
})

test('every address given out lies in the ranges clients know, and its offset can be told from it', () => {
  fc.assert(
    fc.property(offsets, (offset) => {
      const pair = addressesAt(offset)
      if (!pair) return
      assert.ok(isTailnetAddress(pair.v4) && isTailnetAddress(pair.v6))
      assert.equal(offsetOf(pair.v4), offset)
    }),
  )
})

test('nobody gets an address of services, of virtual machines, or the ends of the range', () => {
  const reserved = ['100.100.100.100', '100.100.100.0', '100.115.92.0', '100.115.93.255', '100.64.0.83']
  for (const address of reserved) assert.equal(addressesAt(offsetOf(address) ?? -1), undefined, address)
  for (const offset of [0, -1, 1.5, LAST_OFFSET + 1, Number.NaN]) assert.equal(addressesAt(offset), undefined)
  assert.equal(offsetOf('100.128.0.1'), undefined)
  assert.equal(offsetOf('fd7a:115c:a1e0::1'), undefined)
})

test('no address is given twice, and a freed one rests while others are left', () => {
  fc.assert(
    fc.property(offsets, fc.array(fc.boolean(), { maxLength: 60 }), (start, frees) => {
      const taken = new Set<string>()
      const recent: string[] = []
      let cursor = start
      for (const free of frees) {
        const got = allot(cursor, ({ v4, v6 }) => taken.has(v4) || taken.has(v6))
        assert.ok(got && !recent.includes(got.v4))
        recent.push(got.v4)
        if (!free) taken.add(got.v4).add(got.v6)
        cursor = got.next
      }
    }),
  )
})

test('the search goes around the end of the range', () => {
  assert.equal(allot(LAST_OFFSET, ({ v4 }) => v4.startsWith('100.127.'))?.v4, '100.64.0.1')
  assert.equal(allot(LAST_OFFSET + 5, () => false)?.v4, '100.64.0.1')
})

test('a full range is told, not searched for ever', () => {
  assert.equal(
    allot(1, () => true),
    undefined,
  )
})
