import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { contains, networkOf, overlap } from './prefix.ts'

test('a network is written in one way only', () => {
  assert.equal(networkOf('10.1.2.3/8'), '10.0.0.0/8')
  assert.equal(networkOf('10.1.2.3'), '10.1.2.3/32')
  assert.equal(networkOf('192.168.1.77/27'), '192.168.1.64/27')
  assert.equal(networkOf('FD7A:115C:A1E0:0::1/48'), 'fd7a:115c:a1e0::/48')
  assert.equal(networkOf('1.2.3.4/0'), '0.0.0.0/0')
  assert.equal(networkOf('2001:db8::1/0'), '::/0')
  for (const none of ['', '10.0.0.0/33', '10.0.0/8', 'fd00::/129', 'x/8', '10.0.0.0/08', '::ffff:10.0.0.0/104'])
    assert.equal(networkOf(none), undefined, none)
})

test('a network contains those inside it, of its own family', () => {
  assert.ok(contains('10.0.0.0/8', '10.1.0.0/16') && contains('10.0.0.0/8', '10.0.0.0/8'))
  assert.ok(!contains('10.1.0.0/16', '10.0.0.0/8') && !contains('0.0.0.0/0', '::/0'))
  assert.ok(overlap('10.1.0.0/16', '10.0.0.0/8') && !overlap('10.1.0.0/16', '10.2.0.0/16'))
  assert.ok(!contains('nonsense', '10.0.0.0/8') && !contains('10.0.0.0/8', ''))
})

test('whatever the text, a network keeps its form and contains itself', () => {
  const text = fc.oneof(
    fc.tuple(fc.ipV4(), fc.nat(32)).map(([ip, bits]) => `${ip}/${bits}`),
    fc.tuple(fc.ipV6(), fc.nat(128)).map(([ip, bits]) => `${ip}/${bits}`),
    fc.string(),
  )
  fc.assert(
    fc.property(text, (one) => {
      const network = networkOf(one)
      if (network === undefined) return
      assert.equal(networkOf(network), network)
      assert.ok(contains(network, network) && contains(network, one))
    }),
  )
})
