import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readPolicy } from './read-policy.ts'
import { runPolicyTests } from './run-tests.ts'
import { SAMPLE, sampleText } from './sample.ts'
import type { Topology } from './topology.ts'

const EMPTY: Topology = { users: [], nodes: [] }

function failures(members: string, topology: Topology = EMPTY): string[] {
  const text = sampleText(members)
  return runPolicyTests(text, readPolicy(text), topology).map(({ message }) => message)
}

const RULES = `
  "acls": [
    {"action": "accept", "src": ["group:all"], "dst": ["tag:server:22", "printer:631"]},
    {"action": "accept", "proto": "udp", "src": ["anna@example.org"], "dst": ["autogroup:self:53"]},
  ],
`
const tests = (...all: readonly string[]): string => `${RULES} "tests": [${all.join()}]`

test('tests are about users and tags, also while none of them has a machine', () => {
  for (const topology of [EMPTY, SAMPLE]) {
    assert.deepEqual(
      failures(
        tests(
          '{"src": "anna@example.org", "accept": ["tag:server:22", "printer:631"], "deny": ["tag:server:80", "tag:router:22", "ben@:22"]}',
          '{"src": "anna@example.org", "proto": "udp", "accept": ["autogroup:self:53", "anna@example.org:53"], "deny": ["ben@:53"]}',
          '{"src": "tag:server", "deny": ["anna@example.org:22", "tag:server:22"]}',
          '{"src": "group:all", "accept": ["tag:server:22"]}',
        ),
        topology,
      ),
      [],
    )
  }
})

test('what is expected and is not so is told with its place', () => {
  const text = sampleText(tests('{"src": "ben@",\n "accept": ["tag:server:80"], "deny": ["printer:631"]}'))
  const found = runPolicyTests(text, readPolicy(text), EMPTY)
  assert.deepEqual(
    found.map(({ message }) => message.split(';')[0]),
    ['test failed: ben@ cannot reach tag:server:80', 'test failed: ben@ can reach printer:631'],
  )
  assert.ok(found.every(({ line }) => line === text.split('\n').length))
})

test('a group can reach what each of its people can', () => {
  const rules = '"acls": [{"action": "accept", "src": ["anna@example.org"], "dst": ["tag:server:22"]}],'
  const test_ = (expect: string) => `${rules} "tests": [{"src": "group:all", "${expect}": ["tag:server:22"]}]`
  assert.equal(failures(test_('accept')).length, 1)
  assert.equal(failures(test_('deny')).length, 1)
})

test('protocols count: a rule for tcp is none for udp', () => {
  const rules = '"acls": [{"action": "accept", "proto": "tcp", "src": ["ben@"], "dst": ["tag:server:53"]}],'
  const expecting = (proto: string) =>
    failures(`${rules} "tests": [{"src": "ben@", ${proto} "accept": ["tag:server:53"]}]`)
  assert.deepEqual(expecting(''), [])
  assert.deepEqual(expecting('"proto": "tcp",'), [])
  assert.equal(expecting('"proto": "udp",').length, 1)
})

test('tests that test nobody or a block fail', () => {
  assert.match(failures(tests('{"src": "group:none", "deny": ["tag:server:22"]}')).join(), /is nobody/)
  assert.match(failures(tests('{"src": "ben@", "deny": ["lan:22"]}')).join(), /block of addresses/)
})

test('SSH tests ask as whom somebody gets in', () => {
  const ssh = `"ssh": [
    {"action": "accept", "src": ["anna@example.org"], "dst": ["tag:server"], "users": ["autogroup:nonroot"]},
    {"action": "check", "src": ["anna@example.org"], "dst": ["tag:server"], "users": ["root"]},
    {"action": "accept", "src": ["autogroup:member"], "dst": ["autogroup:self"], "users": ["localpart:*@example.org"]},
  ],`
  for (const topology of [EMPTY, SAMPLE])
    assert.deepEqual(
      failures(
        `${ssh} "sshTests": [
          {"src": "anna@example.org", "dst": ["anna@example.org"], "accept": ["anna"], "deny": ["root", "ben"]},
          {"src": "ben@", "dst": ["tag:server"], "deny": ["root", "ben"]},
        ]`,
        topology,
      ),
      [],
    )
  assert.deepEqual(
    failures(
      `${ssh} "sshTests": [{"src": "anna@example.org", "dst": ["tag:server"], "accept": ["alice"], "check": ["root"]}]`,
    ),
    [],
  )
  assert.match(
    failures(`${ssh} "sshTests": [{"src": "anna@example.org", "dst": ["tag:server"], "accept": ["root"]}]`).join(),
    /as root on tag:server is "check", not "accept"/,
  )
})
