import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { WireError } from '../codec.ts'
import {
  answers,
  isTruncated,
  RCODE,
  rcodeOf,
  readQuery,
  reverseAddress,
  takesBytes,
  TYPE,
  writeAnswer,
} from './message.ts'

/** As `dig` writes it. */
export function queryFor(name: string, type: number, { id = 0x1234, opt = 0, count = 1 } = {}): Buffer {
  const head = Buffer.alloc(12)
  head.writeUInt16BE(id, 0)
  head.writeUInt16BE(0x0120, 2)
  head.writeUInt16BE(count, 4)
  head.writeUInt16BE(opt > 0 ? 1 : 0, 10)
  const labels = name.split('.').flatMap((label) => [Buffer.of(label.length), Buffer.from(label, 'latin1')])
  const tail = Buffer.from([0, 0, type, 0, 1])
  const record = opt > 0 ? Buffer.from([0, 0, 41, opt >> 8, opt & 255, 0, 0, 0, 0, 0, 0]) : Buffer.alloc(0)
  return Buffer.concat([head, ...(name === '' ? [] : labels), tail, record])
}

test('a query is read, its name in lower case', () => {
  const query = readQuery(queryFor('NAS.Home.Example', TYPE.a))
  const { id, name, type, isInternet, wantsRecursion } = query
  assert.deepEqual([id, name, type, isInternet, wantsRecursion], [0x1234, 'nas.home.example', TYPE.a, true, true])
  assert.equal(readQuery(queryFor('', TYPE.ns)).name, '')
})

test('a dot inside a label is no border between two', () => {
  const message = queryFor('nas-home.example', TYPE.a)
  message[message.indexOf('-')] = 0x2e
  assert.equal(readQuery(message).name, 'nas\\046home.example')
})

test('an answer repeats the question as it came and names the addresses', () => {
  const query = readQuery(queryFor('NAS.home.example', TYPE.a))
  const answer = writeAnswer(query, RCODE.ok, [{ type: 'address', address: '100.64.0.7' }], 512)
  assert.equal(
    Buffer.from(answer).toString('hex'),
    `12348580000100010000000003${Buffer.from('NAS').toString('hex')}04686f6d65076578616d706c65000001 0001`.replace(
      ' ',
      '',
    ) + 'c00c00010001 0000003c 0004 64400007'.replaceAll(' ', ''),
  )
  assert.ok(answers(query, answer))
  assert.ok(!answers({ ...query, id: 1 }, answer) && !answers(readQuery(queryFor('x.home.example', TYPE.a)), answer))
})

test('what has no room is left out, and the client told so', () => {
  const query = readQuery(queryFor('a.example', TYPE.aaaa))
  const many = Array.from({ length: 30 }, (_, i) => ({ type: 'address', address: `fd00::${i + 1}` }) as const)
  const cut = writeAnswer(query, RCODE.ok, many, 512)
  assert.ok(cut.length <= 512 && isTruncated(cut))
  assert.ok(!isTruncated(writeAnswer(query, RCODE.ok, many, 4_096)))
})

test('the size that a client takes is read from its OPT record', () => {
  for (const [opt, bytes] of [
    [0, 512],
    [1_232, 1_232],
    [100, 512],
    [65_000, 4_096],
  ] as const) {
    const message = queryFor('a.example', TYPE.a, { opt })
    assert.equal(takesBytes(message, readQuery(message)), bytes)
  }
})

test('reverse names are read back to addresses', () => {
  assert.equal(reverseAddress('7.0.64.100.in-addr.arpa'), '100.64.0.7')
  const digits = 'fd7a115ca1e000000000000000000007'.split('').reverse().join('.')
  assert.equal(reverseAddress(`${digits}.ip6.arpa`), 'fd7a:115c:a1e0::7')
  for (const none of [
    '',
    'in-addr.arpa',
    '1.2.3.in-addr.arpa',
    '300.0.64.100.in-addr.arpa',
    '1.0.64.100.in-addr.arpa.x',
  ])
    assert.equal(reverseAddress(none), undefined, none)
})

test('what is no query is told apart, whatever the bytes', () => {
  const answer = queryFor('a.example', TYPE.a)
  answer[2] = 0x81
  for (const bad of [answer, queryFor('a.example', TYPE.a, { count: 2 }), Buffer.alloc(0), answer.subarray(0, 15)])
    assert.throws(() => readQuery(bad), WireError)
  const pointer = Buffer.concat([queryFor('', TYPE.a).subarray(0, 12), Buffer.from([0xc0, 12, 0, 1, 0, 1])])
  assert.throws(() => readQuery(pointer), WireError)
  const long = queryFor(Array.from({ length: 6 }, () => 'a'.repeat(60)).join('.'), TYPE.a)
  assert.throws(() => readQuery(long), WireError)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), fc.boolean(), (bytes, isQuery) => {
      if (isQuery) bytes.set([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0].slice(0, bytes.length))
      try {
        const query = readQuery(bytes)
        takesBytes(bytes, query)
        const made = writeAnswer(query, RCODE.noSuchName, [], 512)
        assert.ok(answers(query, made) && rcodeOf(made) === RCODE.noSuchName)
        reverseAddress(query.name)
      } catch (error) {
        assert.ok(error instanceof WireError, String(error))
      }
    }),
    { numRuns: 2_000 },
  )
})
