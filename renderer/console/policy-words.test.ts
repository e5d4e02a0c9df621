import assert from 'node:assert/strict'
import { test } from 'node:test'
import { suggest } from './policy-words.ts'

const known = { users: ['anna', 'ben@corp.example'], tags: ['tag:nas'] }

/** The caret is at the bar. */
function at(text: string): readonly string[] {
  const caret = text.indexOf('|')
  return suggest(text.replace('|', ''), caret, known)?.words ?? []
}

test('keys are those of the place', () => {
  assert.deepEqual(at('{"ac|'), ['acls'])
  assert.deepEqual(at('{"acls": [{"s|"}]}'), ['src'])
  assert.deepEqual(at('{"acls": [{"action": "accept", "d|'), ['dst'])
  assert.deepEqual(at('{"autoApprovers": {"e|'), ['exitNode'])
  assert.deepEqual(at('{"grants": [], "n|'), ['nodeAttrs'])
})

test('values are people, groups, tags and hosts that there are', () => {
  const head = '{"groups": {"group:ops": []}, "hosts": {"cam": "10.0.0.7"}, "tagOwners": {"tag:web": []}, '
  assert.deepEqual(at(`${head}"acls": [{"src": ["g|`), ['group:ops'])
  assert.deepEqual(at(`${head}"acls": [{"src": ["tag:|`), ['tag:nas', 'tag:web'])
  assert.deepEqual(at(`${head}"acls": [{"src": ["*"], "dst": ["c|`), ['cam:*'])
  assert.deepEqual(at('{"groups": {"group:ops": ["|'), ['anna@', 'ben@corp.example'])
  assert.deepEqual(at('{"grants": [{"via": ["|'), ['tag:nas'])
  assert.deepEqual(at('{"ssh": [{"action": "|'), ['accept', 'check'])
})

test('nothing is offered in a comment, outside of quotes, or for a word that is whole', () => {
  assert.deepEqual(at('{ // "ac|'), [])
  assert.deepEqual(at('{ /* "ac|'), [])
  assert.deepEqual(at('{ acl|'), [])
  assert.deepEqual(at('{"acls|"'), [])
  assert.deepEqual(at('{"acls": [{"src": ["it\\"s", "an|'), ['anna@'])
})
