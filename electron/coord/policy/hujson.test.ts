import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { HuJsonError, lineAndColumn, parseHuJson, plainJson } from './hujson.ts'

const read = (text: string): unknown => plainJson(parseHuJson(text))

function problem(text: string): string {
  try {
    parseHuJson(text)
  } catch (error) {
    assert.ok(error instanceof HuJsonError)
    const { line, column } = lineAndColumn(text, error.at)
    return `${line}:${column} ${error.message}`
  }
  return assert.fail(`no problem with ${text}`)
}

test('comments and commas at the end are passed over', () => {
  assert.deepEqual(read('// head\n{ /* a */ "a": [1, 2,], // b\r\n "b": {"c": null,},\n}\n/* tail */'), {
    a: [1, 2],
    b: { c: null },
  })
  assert.deepEqual(read('\uFEFF{"url": "https://x/*no*/"}'), { url: 'https://x/*no*/' })
})

test('all JSON is HuJSON and means the same', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 5 }), fc.constantFrom(0, 1, 2), (text, indent) => {
      const value: unknown = JSON.parse(text)
      assert.deepEqual(read(JSON.stringify(value, null, indent)), value)
    }),
  )
})

test('what goes wrong is told at its place', () => {
  assert.match(problem('{\n  "a": 1\n  "b": 2\n}'), /^3:3 a comma or } should stand here/)
  assert.match(problem('{"a": [1, 2'), /^1:7 what begins here has no \]/)
  assert.match(problem('{"a": "x\n"}'), /^1:7 this text has no closing "/)
  assert.match(problem('{"a": 1, "a": 2}'), /^1:10 "a" stands twice/)
  assert.match(problem('{"a": tru}'), /^1:7 "tru" is no value/)
  assert.match(problem('{"a": 01}'), /^1:7 "01" is no value/)
  assert.match(problem("{'a': 1}"), /^1:2 a name in double quotes/)
  assert.match(problem('{} {}'), /^1:4 nothing may follow/)
  assert.match(problem('/* never'), /^1:1 this comment has no end/)
  assert.match(problem('["\\x"]'), /^1:3 after \\ comes/)
  assert.match(problem(''), /^1:1 the text ends/)
  assert.match(problem('[,]'), /^1:2 there is "," where/)
})

test('depth and size are bounded', () => {
  assert.match(problem('['.repeat(100_000)), /nested more than/)
  assert.match(problem(`"${'x'.repeat(3_000_000)}"`), /longer than 2 MiB/)
})

test('no text whatever does anything but parse or fail in its own way', () => {
  const pieces = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"',
    '"a"',
    '//',
    '/*',
    '*/',
    '\n',
    '\\',
    'true',
    '-',
    '1',
    ' ',
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(pieces).map((all) => all.join('')),
      ),
      (text) => {
        try {
          parseHuJson(text)
        } catch (error) {
          assert.ok(error instanceof HuJsonError)
        }
      },
    ),
  )
})
