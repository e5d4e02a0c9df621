import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { concat, fromHex, toHex, utf8 } from '../../base/bytes.ts'
import { ChallengePublic } from '../../crypto/keys.ts'
import { WireError } from '../codec.ts'
import { EarlyPayloadFilter, encodeEarlyPayload } from './early-payload.ts'
import { MAX_PLAINTEXT_BYTES, MAX_RECORD_BYTES, RecordOpener, RecordSealer } from './record.ts'

const hex = (text: string): Uint8Array => fromHex(text) ?? assert.fail('bad hex in the test')

// control.md §12.2: k1 client to server, k2 server to client.
const K1 = hex('97bb1ff1b3c0030ed1e8f7d54ad3728ad885ba618751ae88d5a752c3c5f31027')
const K2 = hex('67e4e0ae881d024a7aef742740ca594e486443a61ac5362959c6b1350e8e5ab0')
const EARLY =
  'ffffff54530000005f7b226e6f64654b65794368616c6c656e6765223a226368616c7075623a33386162363634626438366637376437653636626464396165303739323931336139346664386233336131323630303237653462343663316634383834633637227d'

test('records are the known ones, with the counter big endian', () => {
  const sealer = new RecordSealer(K1)
  assert.equal(toHex(sealer.seal(utf8('hello'))), '04001514a9f922c148802d01a653ad5bc589a481c5458acc')
  assert.equal(toHex(sealer.seal(utf8('world'))), '0400153c89e3a3a5fd9087e1aef36a9762884ffe4b001b80')
  assert.equal(toHex(new RecordSealer(K1, 256n).seal(utf8('x'))), '04001144859727afc8eee62ff5efa2a9ce5027fd')
  assert.equal(toHex(new RecordSealer(K1).seal(new Uint8Array(0))), '0400103347b22582b92c4275dc63feeb1c4916')
  assert.deepEqual(new RecordOpener(K1, 256n).push(hex('04001144859727afc8eee62ff5efa2a9ce5027fd')), [utf8('x')])
})

test('the known early payload is written, sealed and taken off again', () => {
  const challenge = ChallengePublic.parse('chalpub:38ab664bd86f77d7e66bdd9ae0792913a94fd8b33a1260027e4b46c1f4884c67')
  const encoded = encodeEarlyPayload({ challenge })
  assert.equal(toHex(encoded), EARLY)
  assert.equal(
    toHex(new RecordSealer(K2).seal(encoded)),
    '04007808bb6ffdc3ecd54d134dbd5dc8dd071c935e7c5ab53de3f9c3cd8001ad066202c66dd600c63bd7aa944afc7634433c61d4381e45e150a25dbd167bb13760521195b99e9f5465d9df3fc9bab53acaa039d07829e9df5ff0dff01ed4e02112dae3ed8039c58da8b61203992f21d287ce8d6309f3cc78a35a2a',
  )
  const filter = new EarlyPayloadFilter()
  assert.deepEqual(filter.push(concat(encoded, utf8('rest'))), utf8('rest'))
  assert.equal(filter.payload?.challenge?.text, challenge.text)
})

const cuts = (bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] => {
  const parts: Uint8Array[] = []
  let at = 0
  for (const size of sizes) {
    if (at >= bytes.length) break
    parts.push(bytes.subarray(at, at + size))
    at += size
  }
  if (at < bytes.length) parts.push(bytes.subarray(at))
  return parts
}

test('whatever is sealed comes out again, however the stream is cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 50 }),
      (messages, sizes) => {
        const sealer = new RecordSealer(K1)
        const stream = concat(...messages.map((message) => sealer.seal(message)))
        const opener = new RecordOpener(K1)
        const out = cuts(stream, sizes).flatMap((part) => opener.push(part))
        assert.deepEqual(concat(...out), concat(...messages))
        assert.ok(opener.idle)
        assert.ok(
          out.every((part) => part.length > 0),
          'empty records are skipped',
        )
      },
    ),
  )
})

test('long plaintext is split into records of the greatest length', () => {
  const plaintext = new Uint8Array(2 * MAX_PLAINTEXT_BYTES + 1).fill(7)
  const records = new RecordSealer(K1).seal(plaintext)
  assert.equal(records.length, 2 * MAX_RECORD_BYTES + 3 + 16 + 1)
  assert.deepEqual(concat(...new RecordOpener(K1).push(records)), plaintext)
})

test('a changed, repeated, foreign or oversized record is refused', () => {
  const record = new RecordSealer(K1).seal(utf8('hello'))
  const changed = record.slice()
  changed[10] = (changed[10] ?? 0) ^ 1
  const refused = (bytes: Uint8Array, code: string): void =>
    assert.throws(
      () => new RecordOpener(K1).push(bytes),
      (error) => error instanceof WireError && error.code === code,
    )
  refused(changed, 'wire/bad-value')
  refused(concat(record, record), 'wire/bad-value')
  refused(Uint8Array.of(5, 0, 16), 'wire/bad-value')
  refused(Uint8Array.of(4, 0x0f, 0xfe), 'wire/too-long')
  refused(Uint8Array.of(4, 0, 15), 'wire/short')
  refused(new RecordSealer(K2).seal(utf8('hello')), 'wire/bad-value')
})

test('the last counter value is never used', () => {
  const sealer = new RecordSealer(K1, 2n ** 64n - 2n)
  sealer.seal(utf8('last'))
  assert.throws(() => sealer.seal(utf8('one too many')), WireError)
})

test('a stream without early payload passes untouched, however it is cut', () => {
  const early = encodeEarlyPayload({ challenge: undefined })
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 60 }).filter((bytes) => bytes[0] !== 0xff),
      fc.boolean(),
      fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 12 }),
      (stream, withPayload, sizes) => {
        const filter = new EarlyPayloadFilter()
        const whole = withPayload ? concat(early, stream) : stream
        const out = concat(...cuts(whole, sizes).map((part) => filter.push(part)))
        assert.deepEqual(out, stream)
        assert.ok(filter.settled)
        assert.equal(filter.payload !== undefined, withPayload)
      },
    ),
  )
})

test('no early payload whatever fails other than with a code', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.string(), (junk, text) => {
      const json = utf8(text)
      const length = Uint8Array.of(0, 0, json.length >> 8, json.length & 0xff)
      for (const stream of [junk, concat(hex('ffffff5453'), junk), concat(hex('ffffff5453'), length, json)]) {
        try {
          new EarlyPayloadFilter().push(stream)
        } catch (error) {
          assert.ok(error instanceof WireError)
        }
      }
    }),
  )
})
