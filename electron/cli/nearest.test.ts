import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { didYouMean, nearest } from './nearest.ts'

const VERBS = ['status', 'set', 'switch', 'up', 'down', 'login', 'logout', 'users create', 'users list', 'help']

test('a slip of the fingers is understood, and what is nothing like a command is not guessed at', () => {
  for (const [typed, meant] of [
    ['statsu', 'status'],
    ['hlep', 'help'],
    ['staus', 'status'],
    ['logn', 'login'],
    ['users creat', 'users create'],
    ['usres list', 'users list'],
    ['sw', 'switch'],
    ['frobnicate', undefined],
    ['', undefined],
  ] as const)
    assert.equal(nearest(typed, VERBS), meant, typed)
  assert.equal(
    didYouMean('hlep', VERBS, (name) => `peerway ${name}`),
    'Did you mean peerway help? ',
  )
  assert.equal(didYouMean('frobnicate', VERBS), '')
})

test('a word that is there is itself, and one letter less of a long word is still it', () => {
  fc.assert(
    fc.property(fc.constantFrom(...VERBS.filter((verb) => verb.length > 5)), fc.nat(30), (verb, at) => {
      assert.equal(nearest(verb, VERBS), verb)
      const i = at % verb.length
      assert.equal(nearest(verb.slice(0, i) + verb.slice(i + 1), VERBS), verb)
    }),
  )
})
