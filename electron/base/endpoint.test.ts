import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  bytesToIp,
  canonicalEndpoint,
  canonicalIp,
  ipTo16,
  ipToBytes,
  isTailnetAddress,
  joinEndpoint,
  parsePrefix,
  prefixContains,
  splitEndpoint,
} from './endpoint.ts'

test('any four or sixteen bytes are read back from their text', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
    fc.array(fc.constantFrom(0, 0, 0, 1, 255), { minLength: 16, maxLength: 16 }).map((list) => Uint8Array.from(list)),
  )
  fc.assert(
    fc.property(bytes, (input) => {
      const text = bytesToIp(input)
      assert.ok(text !== undefined)
      const again = ipTo16(text)
      const whole = input.length === 16 ? input : ipTo16(input.join('.'))
      assert.deepEqual(again, whole)
      assert.equal(canonicalIp(text), text)
    }),
  )
})

test('IPv6 text is RFC 5952: longest run of zeros, never a single group', () => {
  assert.equal(canonicalIp('2001:0DB8:0:0:1:0:0:1'), '2001:db8::1:0:0:1')
  assert.equal(canonicalIp('2001:db8:0:1:1:1:1:1'), '2001:db8:0:1:1:1:1:1')
  assert.equal(canonicalIp('0:0:0:0:0:0:0:0'), '::')
  assert.equal(canonicalIp('1:0:0:0:0:0:0:0'), '1::')
  assert.equal(canonicalIp('::ffff:192.0.2.1'), '192.0.2.1')
  assert.equal(canonicalIp('64:ff9b::192.0.2.33'), '64:ff9b::c000:221')
})

test('no text whatever throws', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9a-f:.[\]/]{0,50}$/)), (text) => {
      ipToBytes(text)
      splitEndpoint(text)
      parsePrefix(text)
    }),
  )
  for (const bad of ['1.2.3', '1.2.3.256', '01.2.3.4', '::1::', '1:2:3:4:5:6:7:8:9', 'fe80::1%eth0', '', '1.2.3.4.5'])
    assert.equal(canonicalIp(bad), undefined, bad)
})

test('endpoints split and join', () => {
  assert.equal(canonicalEndpoint('[2001:DB8::1]:41641'), '[2001:db8::1]:41641')
  assert.deepEqual(splitEndpoint('192.0.2.1:1'), { address: '192.0.2.1', port: 1 })
  assert.equal(joinEndpoint('::1', 9), '[::1]:9')
  for (const bad of ['192.0.2.1', '192.0.2.1:65536', '[192.0.2.1]:1', '::1:2', 'host:1', '[::1]'])
    assert.equal(splitEndpoint(bad), undefined, bad)
})

test('a prefix contains what shares its bits', () => {
  const prefix = parsePrefix('100.64.0.0/10')
  assert.ok(prefix)
  assert.ok(prefixContains(prefix, Uint8Array.of(100, 127, 255, 255)))
  assert.ok(!prefixContains(prefix, Uint8Array.of(100, 128, 0, 0)))
  assert.equal(parsePrefix('10.0.0.0/33'), undefined)
  assert.equal(isTailnetAddress('100.64.0.1'), true)
  assert.equal(isTailnetAddress('100.115.92.1'), false)
  assert.equal(isTailnetAddress('fd7a:115c:a1e0::1'), true)
})
