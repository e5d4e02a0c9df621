import assert from 'node:assert/strict'
import { test } from 'node:test'
import { base32, hotp, newTotpSecret, otpauthUri, totpStep } from './totp.ts'

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text)
const RFC_SECRET = ascii('12345678901234567890')

test('the codes of RFC 4226, appendix D', () => {
  const codes = Array.from({ length: 10 }, (_, counter) => hotp(RFC_SECRET, counter))
  const wanted = '755224 287082 359152 969429 338314 254676 287922 162583 399871 520489'
  assert.deepEqual(codes, wanted.split(' '))
})

test('the codes of RFC 6238, appendix B, for SHA-1', () => {
  const table: readonly [number, string][] = [
    [59, '94287082'],
    [1_111_111_109, '07081804'],
    [1_111_111_111, '14050471'],
    [1_234_567_890, '89005924'],
    [2_000_000_000, '69279037'],
    [20_000_000_000, '65353130'],
  ]
  for (const [seconds, code] of table) {
    assert.equal(hotp(RFC_SECRET, Math.floor(seconds / 30), 8), code)
    assert.equal(totpStep(RFC_SECRET, code.slice(2), seconds * 1000), Math.floor(seconds / 30))
  }
})

test('a code counts in its own half minute and the ones beside it, and not longer', () => {
  const secret = newTotpSecret()
  const step = 57_000_000
  const code = hotp(secret, step)
  const counts = [-60, -31, -30, 0, 29, 59, 60, 90].map((s) => totpStep(secret, code, (step * 30 + s) * 1000) === step)
  // Should a neighbour have the same code by chance, the step found differs, but it is found.
  assert.deepEqual(counts, [false, false, true, true, true, true, false, false])
})

test('what is no code is refused, spaces are not minded', () => {
  const secret = newTotpSecret()
  const code = hotp(secret, 1_000)
  assert.equal(totpStep(secret, `${code.slice(0, 3)} ${code.slice(3)}`, 30_000_000), 1_000)
  for (const typed of ['', '0', code.slice(1), `${code}0`, `-${code}`, 'abcdef', '１２３４５６'])
    assert.equal(totpStep(secret, typed, 30_000_000), undefined, typed)
})

test('secrets are written as RFC 4648, section 10, and the address for apps is escaped', () => {
  const table: readonly [string, string][] = [
    ['', ''],
    ['f', 'MY'],
    ['fo', 'MZXQ'],
    ['foo', 'MZXW6'],
    ['foob', 'MZXW6YQ'],
    ['fooba', 'MZXW6YTB'],
    ['foobar', 'MZXW6YTBOI'],
  ]
  for (const [bytes, text] of table) assert.equal(base32(ascii(bytes)), text)
  assert.equal(
    otpauthUri(RFC_SECRET, 'home.example.org', 'ines&co'),
    'otpauth://totp/home.example.org:ines%26co?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=home.example.org',
  )
})
