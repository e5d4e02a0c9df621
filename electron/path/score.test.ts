import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isBetter, type Measured } from './score.ts'

const direct = (endpoint: string, latencyMs: number): Measured => ({ leg: { kind: 'direct', endpoint }, latencyMs })
const relay = (endpoint: string, latencyMs: number): Measured => ({
  leg: { kind: 'relay', endpoint, vni: 1 },
  latencyMs,
})
const publicV4 = '192.0.2.1:41641'
const otherV4 = '192.0.2.2:41641'
const privateV4 = '10.0.0.2:41641'
const publicV6 = '[2001:db8::1]:41641'

// Computed from the rule (protocol notes, paths.md §5.4): a, b, is a better, is b better.
const table: readonly (readonly [Measured, Measured, boolean, boolean])[] = [
  [direct(publicV4, 100), direct(otherV4, 101), false, false],
  [direct(publicV4, 100), direct(otherV4, 103), true, false],
  [direct(privateV4, 100), direct(otherV4, 91), true, false],
  [direct(privateV4, 100), direct(otherV4, 80), false, false],
  [direct(privateV4, 100), direct(otherV4, 79), false, true],
  [direct(publicV6, 100), direct(otherV4, 91), true, false],
  [direct(publicV6, 100), direct(otherV4, 89), false, true],
  [direct(publicV4, 45), relay(otherV4, 5), true, false],
  [relay(publicV4, 10), relay(otherV4, 20), true, false],
]

test('a direct path that is far slower than a relay is left for it, and taken again only when it is clearly faster', () => {
  assert.ok(isBetter(relay(otherV4, 100), direct(publicV4, 201)))
  for (const latencyMs of [201, 170, 162]) assert.ok(!isBetter(direct(publicV4, latencyMs), relay(otherV4, 100)))
  assert.ok(isBetter(direct(publicV4, 155), relay(otherV4, 100)))
  assert.ok(!isBetter(relay(otherV4, 100), direct(publicV4, 170)))
  assert.ok(isBetter(direct(publicV4, 44), relay(otherV4, 5)), 'less than what anyone notices')
})

test('paths are compared as stock clients compare them', () => {
  for (const [a, b, aBetter, bBetter] of table) {
    const what = `${JSON.stringify(a)} against ${JSON.stringify(b)}`
    assert.equal(isBetter(a, b), aBetter, what)
    assert.equal(isBetter(b, a), bBetter, `${what}, turned round`)
  }
})
