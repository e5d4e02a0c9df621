import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MAX_PASSWORD_BYTES, passwordProblem } from './password-rule.ts'

test('what guessers try first is refused, however it is dressed up', () => {
  const common = [
    'password12345678',
    'Password1234567!!',
    'P@ssw0rd2024!!!!',
    'passwordpassword',
    '12345678901234567890',
    '098765432109876',
    'qwertyuiopqwertyuiop',
    'qwertz1234567890',
    '1q2w3e4r5t6z7u8i',
    'qazwsxedc1234567',
    'iloveyou2024!!!!',
    'Willkommen123456',
    'sunshine1995!!!!',
    'aaaaaaaaaaaaaaaa',
    'abcabcabcabcabcabc',
    'Adm1n1strat0r!!!!',
    'peerway-peerway-',
  ]
  for (const password of common) assert.equal(passwordProblem(password), 'too-common', password)
})

test('what nobody tries first is let through', () => {
  const good = [
    'otter violin harbour',
    'correct horse battery',
    'kX9#mQ2$vL7!wT5',
    'trölsch-öhrchen-kraut',
    '我的密码是一个很长很长的句子吗',
  ]
  for (const password of good) assert.equal(passwordProblem(password), undefined, password)
})

test('a password made of one’s own name, or the server’s, is refused', () => {
  assert.equal(passwordProblem('karin.lindenhof1', ['karin', 'home.lindenhof.net']), 'too-common')
  assert.equal(passwordProblem('karin.lindenhof1', ['ines']), undefined)
})

test('length is counted in characters at the short end and in bytes at the long one', () => {
  assert.equal(passwordProblem('kX9#mQ2$vL7!wT'), 'too-short')
  assert.equal(passwordProblem('🦦🎻🏰🌊🪵🧭🦉🌲🏮🦊🐻🐼🐨🐯'), 'too-short')
  assert.equal(passwordProblem('xK'.repeat(MAX_PASSWORD_BYTES)), 'too-long')
  const longest = Array.from({ length: MAX_PASSWORD_BYTES }, (_, i) =>
    String.fromCharCode(97 + ((i * i * 7) % 26)),
  ).join('')
  assert.equal(passwordProblem(longest), undefined)
})

test('any text whatever gets an answer in little time', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 1024, unit: 'binary' }), (text) => {
      const startMs = performance.now()
      const problem = passwordProblem(text, [text])
      assert.ok(problem === undefined || ['too-short', 'too-long', 'too-common'].includes(problem))
      assert.ok(performance.now() - startMs < 250)
    }),
    { numRuns: 200 },
  )
})
