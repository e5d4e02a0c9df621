import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { baseDomainProblem, DEFAULT_BASE_DOMAIN, freeLabel, isLabel, isNameFor, sanitiseLabel } from './names.ts'

const free = (): boolean => false

test('host names become labels as clients of this field expect', () => {
  const expected: Record<string, string> = {
    laptop: 'laptop',
    'Annas MacBook Pro.local': 'annas-macbook-pro',
    'box.localdomain': 'box',
    'nas.lan': 'nas',
    'my_pc@home': 'my-pc-home',
    'héllo wörld': 'hllo-wrld',
    '-.-x-.-': 'x',
    '': '',
    '💥': '',
  }
  for (const [raw, label] of Object.entries(expected)) assert.equal(sanitiseLabel(raw), label, raw)
})

test('whatever a machine calls itself, its name is a DNS label', () => {
  const nasty = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.constantFrom(
      '../../etc/passwd',
      '<img onerror=x>',
      '"; rm -rf /',
      '-rf',
      '\u202Eexe.txt',
      'a'.repeat(10_000),
      '\0',
    ),
  )
  fc.assert(
    fc.property(nasty, (raw) => {
      const label = freeLabel(raw, free)
      assert.ok(isLabel(label), label)
      assert.equal(sanitiseLabel(label), label)
      assert.ok(isNameFor(label, raw))
    }),
  )
})

test('names that are taken get numbers in order', () => {
  const taken = new Set(['pc', 'pc-1'])
  assert.equal(
    freeLabel('PC', (label) => taken.has(label)),
    'pc-2',
  )
  assert.equal(
    freeLabel('   ', (label) => label === 'node'),
    'node-1',
  )
})

test('a number still fits into a label of full length', () => {
  const long = 'x'.repeat(63)
  const label = freeLabel(long, (label) => label === long)
  assert.equal(label.length, 63)
  assert.ok(isLabel(label) && label.endsWith('-1'))
})

test('a node keeps its numbered name as long as its host name stays', () => {
  assert.ok(isNameFor('pc-1', 'PC'))
  assert.ok(!isNameFor('pc-1', 'laptop'))
  assert.ok(!isNameFor('pcs', 'pc'))
})

test('base domains are told apart from what cannot be one', () => {
  assert.equal(baseDomainProblem(DEFAULT_BASE_DOMAIN), undefined)
  for (const bad of [
    '',
    'single',
    'Upper.example',
    'a..b',
    '-a.b',
    'a.b.',
    `${'x'.repeat(64)}.y`,
    `${'x.'.repeat(120)}y`,
  ])
    assert.notEqual(baseDomainProblem(bad), undefined, bad)
})
