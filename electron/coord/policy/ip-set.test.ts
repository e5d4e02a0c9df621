import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { EVERYTHING, INTERNET, IpSet, type IpRange, parseIpSet, TAILNET } from './ip-set.ts'

const BASES = { 4: 0x0a00_0000n, 6: 0xfd7a_115c_a1e0_0000_0000_0000_0000_0000n } as const
const SIZE = 64

/** A set within 64 addresses of each family, beside the plain list of which it has. */
interface Modelled {
  readonly set: IpSet
  readonly has: readonly boolean[]
}

const range = fc.record({
  family: fc.constantFrom<4 | 6>(4, 6),
  from: fc.nat(SIZE - 1),
  length: fc.nat(SIZE - 1),
})

const modelled: fc.Arbitrary<Modelled> = fc.array(range, { maxLength: 8 }).map((all) => {
  const has = Array.from({ length: 2 * SIZE }, () => false)
  const ranges: IpRange[] = all.map(({ family, from, length }) => {
    const to = Math.min(from + length, SIZE - 1)
    has.fill(true, indexOf(family, from), indexOf(family, to) + 1)
    return { family, from: BASES[family] + BigInt(from), to: BASES[family] + BigInt(to) }
  })
  return { set: IpSet.of(ranges), has }
})

const indexOf = (family: 4 | 6, at: number): number => at + (family === 6 ? SIZE : 0)

function members(set: IpSet): boolean[] {
  return Array.from({ length: 2 * SIZE }, (_, i) => {
    const family = i < SIZE ? 4 : 6
    const at = BASES[family] + BigInt(i % SIZE)
    return set.covers(IpSet.of([{ family, from: at, to: at }]))
  })
}

const parsed = (texts: readonly string[]): IpSet =>
  IpSet.union(texts.map((text) => parseIpSet(text) ?? assert.fail(text)))

test('union, difference and intersection are those of plain sets', () => {
  fc.assert(
    fc.property(modelled, modelled, (a, b) => {
      assert.deepEqual(members(a.set), a.has)
      assert.deepEqual(
        members(IpSet.union([a.set, b.set])),
        a.has.map((one, i) => one || b.has[i] === true),
      )
      assert.deepEqual(
        members(a.set.subtract(b.set)),
        a.has.map((one, i) => one && b.has[i] !== true),
      )
      assert.deepEqual(
        members(a.set.intersect(b.set)),
        a.has.map((one, i) => one && b.has[i] === true),
      )
      assert.equal(
        a.set.overlaps(b.set),
        a.has.some((one, i) => one && b.has[i] === true),
      )
      assert.equal(
        a.set.covers(b.set),
        b.has.every((one, i) => !one || a.has[i] === true),
      )
      assert.equal(
        a.set.equals(b.set),
        a.has.every((one, i) => one === b.has[i]),
      )
    }),
  )
})

test('ranges are sorted and never touch', () => {
  fc.assert(
    fc.property(modelled, ({ set }) => {
      for (const [i, one] of set.ranges.entries()) {
        const next = set.ranges[i + 1]
        assert.ok(one.from <= one.to)
        if (next && next.family === one.family) assert.ok(next.from > one.to + 1n)
        if (next) assert.ok(next.family >= one.family)
      }
    }),
  )
})

test('texts and CIDR blocks mean the set they were made of', () => {
  fc.assert(
    fc.property(modelled, ({ set }) => {
      assert.ok(parsed(set.toTexts()).equals(set))
      assert.ok(parsed(set.toPrefixes()).equals(set))
      assert.equal(set.toTexts().length, set.ranges.length)
      assert.ok(set.toPrefixes().every((text) => text.includes('/')))
    }),
  )
})

test('sets read as in packet filters', () => {
  assert.deepEqual(parsed(['10.0.0.1', '10.0.0.0', '10.0.0.3']).toTexts(), ['10.0.0.0/31', '10.0.0.3'])
  assert.deepEqual(parsed(['10.0.0.1-10.0.0.6']).toTexts(), ['10.0.0.1-10.0.0.6'])
  assert.deepEqual(parsed(['10.0.0.1-10.0.0.6']).toPrefixes(), [
    '10.0.0.1/32',
    '10.0.0.2/31',
    '10.0.0.4/31',
    '10.0.0.6/32',
  ])
  assert.deepEqual(parsed(['*']).toTexts(), ['0.0.0.0/0', '::/0'])
  assert.deepEqual(EVERYTHING.toPrefixes(), ['0.0.0.0/0', '::/0'])
  assert.deepEqual([...parsed(['10.0.0.9', '::a']).addresses(9)], ['10.0.0.9', '::a'])
  for (const text of ['', 'x', '10.0.0.0/33', '10.0.0.2-10.0.0.1', '10.0.0.1-::1', '10.0.0.1-', '1.2.3'])
    assert.equal(parseIpSet(text), undefined, text)
})

test('the tailnet and the internet are what the field means by them', () => {
  // As the hosted service writes the source "*" (Headscale policy/v2/testdata, many files).
  assert.deepEqual(TAILNET.toTexts(), [
    '100.64.0.0-100.115.91.255',
    '100.115.94.0-100.127.255.255',
    'fd7a:115c:a1e0::/48',
  ])
  for (const inside of ['1.1.1.1', '100.128.0.0', '2606:4700::1']) assert.ok(INTERNET.covers(parsed([inside])), inside)
  for (const outside of [
    '10.9.8.7',
    '100.64.0.1',
    '169.254.1.1',
    '172.20.0.1',
    '192.168.1.1',
    'fd00::1',
    'fe80::1',
    '::1',
  ])
    assert.ok(!INTERNET.overlaps(parsed([outside])), outside)
})
