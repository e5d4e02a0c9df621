import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { PolicyError } from './problem.ts'
import { readPolicy } from './read-policy.ts'
import { sampleText } from './sample.ts'

function problems(text: string): string[] {
  try {
    readPolicy(text)
  } catch (error) {
    assert.ok(error instanceof PolicyError)
    return error.problems.map(({ line, column, message }) => `${line}:${column} ${message}`)
  }
  return []
}

/** The only problem of a policy with these members, without its place. */
function problem(members: string): string {
  const found = problems(sampleText(members))
  assert.equal(found.length, 1, `${members}\n${found.join('\n')}`)
  return found[0] ?? ''
}

const rule = (src: string, dst: string, more = ''): string =>
  `"acls": [{"action": "accept", "src": ["${src}"], "dst": ["${dst}"]${more}}]`
const grant = (more: string, dst = 'ben@'): string => `"grants": [{"src": ["anna@"], "dst": ["${dst}"], ${more}}]`
const ssh = (more: string): string => `"ssh": [{"action": "accept", "src": ["anna@"], "dst": ["tag:server"], ${more}}]`

test('all problems are told at once, each at its line and column', () => {
  const text = `{
  // who may what
  "acls": [
    {"action": "accept", "src": ["tag:x"], "dst": ["*:*"]},
    {"action": "deny", "src": ["*"], "dst": ["*"]},
  ],
  "alcs": [],
}`
  assert.deepEqual(
    problems(text).map((one) => one.split(' ').slice(0, 3).join(' ')),
    ['4:34 tag:x has', '5:16 there is', '5:46 "*" lacks', '7:3 a policy'],
  )
})

test('names of members may be written in any case, values may not', () => {
  assert.deepEqual(problems('{"ACLs": [{"Action": "accept", "Src": ["*"], "DST": ["*:*"]}]}'), [])
  assert.match(problem('"acls": [{"action": "Accept", "src": ["*"], "dst": ["*:*"]}]'), /only the action "accept"/)
})

test('rules name what is defined, and where it may stand', () => {
  const cases: [members: string, says: RegExp][] = [
    [rule('group:nobody', '*:*'), /group:nobody is not defined; add it to "groups"/],
    [rule('laptop', '*:*'), /no host "laptop"; .* write laptop@ if it is a user/],
    [rule('*', 'tag:x:22'), /tag:x has no owner; add it to "tagOwners"/],
    [rule('autogroup:internet', '*:*'), /autogroup:internet cannot be a source/],
    [rule('autogroup:self', '*:*'), /autogroup:self cannot be a source/],
    [rule('*', 'autogroup:danger-all:*'), /cannot be a destination/],
    [rule('*', 'autogroup:nonroot:*'), /cannot be a destination/],
    [rule('autogroup:everyone', '*:*'), /there is no autogroup:everyone/],
    [rule('tag:server', 'autogroup:self:*'), /with autogroup:self sources are users/],
    [rule('10.0.0.1/8', '*:*'), /bits set beyond its length; write 10.0.0.0\/8/],
    [rule('300.0.0.1', '*:*'), /is no address/],
    [rule('a b', '*:*'), /names nothing/],
    [rule('*', '*:ssh'), /"ssh" is no port; write as in \*:443/],
    [rule('*', '*:0'), /"0" is no port/],
    [rule('*', '*:70000'), /"70000" is no port/],
    [rule('*', '*:9-1'), /"9-1" is no port/],
    [rule('*', 'tag:server'), /"tag:server" lacks its ports/],
    [rule('*', '*:22', ', "proto": "icmp"'), /has no ports; write \*:\*/],
    [rule('*', '*:*', ', "proto": "*"'), /"\*" is no protocol; .* or leave "proto" out/],
    [rule('*', '*:*', ', "proto": "06"'), /"06" is no protocol/],
    [rule('*', '*:*', ', "ports": []'), /has no member "ports"; it may have action, proto, src, dst/],
    ['"acls": [{"src": ["*"], "dst": ["*:*"]}]', /no "action"/],
    ['"acls": [{"action": "accept", "dst": ["*:*"]}]', /no "src"/],
    ['"acls": {}', /"acls" is a list/],
    ['"acls": [7]', /a rule of "acls" is an object/],
  ]
  for (const [members, says] of cases) {
    if (members === '"acls": [7]') assert.match(problems(sampleText(members)).join('\n'), says)
    else assert.match(problem(members), says, members)
  }
})

test('grants give packets or capabilities, each in its form', () => {
  const cases: [members: string, says: RegExp][] = [
    [grant('"ip": []'), /gives nothing/],
    [grant('"app": {}'), /gives nothing/],
    [grant('"ip": ["icmp"]'), /write icmp:\* for all of icmp/],
    [grant('"ip": ["tcp:0"]'), /"0" is no port/],
    [grant('"ip": ["icmp:8"]'), /icmp has no ports; write icmp:\*/],
    [grant('"ip": ["tcp:80:90"]'), /no protocol and port/],
    [grant('"app": {"https://example.com/x": []}'), /is no capability/],
    [grant('"app": {"tailscale.com/cap/funnel": []}'), /cannot be granted/],
    [grant('"app": {"example.com/x": []}', 'autogroup:internet'), /take no capabilities/],
    [grant('"ip": ["*"]', '0.0.0.0/0'), /for all addresses write "\*"/],
    [grant('"ip": ["*"], "via": ["group:all"]'), /"via" takes tags/],
    [grant('"ip": ["*"], "via": ["tag:x"]'), /tag:x has no owner/],
    [grant('"app": {"example.com/x": []}, "via": ["tag:router"]'), /cannot have "via"/],
    ['"grants": [{"src": ["*"], "dst": ["autogroup:self"], "ip": ["*"]}]', /with autogroup:self sources/],
  ]
  for (const [members, says] of cases) assert.match(problem(members), says, members)
  assert.deepEqual(problems(sampleText(grant('"ip": ["*", "80", "80-90", "udp:*", "sctp:7", "47:*"]'))), [])
})

test('SSH rules, definitions and tests are checked too', () => {
  const cases: [members: string, says: RegExp][] = [
    [ssh('"users": []'), /no "users"/],
    [ssh('"users": ["*"]'), /"\*" is no login/],
    [ssh('"users": ["root"], "checkPeriod": "200h"'), /no period/],
    [ssh('"users": ["root"], "acceptEnv": [""]'), /name of a variable/],
    [
      '"ssh": [{"action": "accept", "src": ["tag:router"], "dst": ["autogroup:self"], "users": ["root"]}]',
      /machines with tags/,
    ],
    ['"ssh": [{"action": "accept", "src": ["anna@"], "dst": ["ben@"], "users": ["root"]}]', /only ben@ can log in/],
    [
      '"ssh": [{"action": "accept", "src": ["anna@"], "dst": ["*"], "users": ["root"]}]',
      /\* cannot be a destination of SSH/,
    ],
    ['"autoApprovers": {"routes": {"10.0.0.1": ["ben@"]}}', /no CIDR block/],
    ['"autoApprovers": {"exitNode": ["*"]}', /\* cannot be an owner/],
    ['"nodeAttrs": [{"target": ["autogroup:self"], "attr": ["x"]}]', /cannot be a target/],
    ['"nodeAttrs": [{"attr": ["x"]}]', /no "target"/],
    ['"nodeAttrs": [{"target": ["*"], "ipPool": ["100.100.100.0/24"]}]', /reserved/],
    ['"tests": [{"src": "anna@", "accept": ["*:22"]}]', /one host and one port/],
    ['"tests": [{"src": "anna@", "accept": ["tag:server:22-23"]}]', /one host and one port/],
    ['"tests": [{"src": "anna@"}]', /expects nothing/],
    ['"tests": [{"accept": ["tag:server:22"]}]', /no "src"/],
    ['"sshTests": [{"src": "anna@", "dst": ["tag:server"]}]', /expects nothing/],
    ['"randomizeClientPort": 1', /true or false/],
  ]
  for (const [members, says] of cases) assert.match(problem(members), says, members)
  const definitions: [text: string, says: RegExp][] = [
    ['{"groups": {"admins": []}}', /no name of a group/],
    ['{"groups": {"group:a": ["group:b"], "group:b": []}}', /groups hold users/],
    ['{"groups": {"group:a": ["anna"]}}', /write as in anna@example.org, or anna@ for a local one/],
    ['{"hosts": {"x": "example.org"}}', /no address/],
    ['{"hosts": {"x": "10.0.0.1/8"}}', /write 10.0.0.0\/8/],
    ['{"tagOwners": {"tag:1": []}}', /no tag/],
    [
      '{"tagOwners": {"tag:a": ["tag:b"], "tag:b": ["tag:c"], "tag:c": ["tag:a"]}}',
      /in a circle \(tag:a ← tag:b ← tag:c ← tag:a\)/,
    ],
    ['[]', /a policy is an object/],
  ]
  for (const [text, says] of definitions) assert.match(problems(text).join('\n'), says, text)
})

test('a member that is null is as if it were not there', () => {
  assert.match(problem('"acls": [{"action": "accept", "src": null, "dst": ["*:*"]}]'), /no "src"/)
  assert.deepEqual(problems(sampleText(ssh('"users": ["root"], "checkPeriod": null, "acceptEnv": null'))), [])
})

test('of many problems the first twenty are told', () => {
  assert.equal(problems(`{"hosts": {${Array.from({ length: 99 }, (_, i) => `"h${i}": "?"`).join()}}}`).length, 20)
})

test('no text whatever does anything but read or fail with problems', () => {
  const word = fc.constantFrom(
    '"acls"',
    '"grants"',
    '"src"',
    '"dst"',
    '"ip"',
    '"app"',
    '"via"',
    '"ssh"',
    '"users"',
    '"tests"',
    '"tag:x"',
    '"*:*"',
    '"*"',
    '"action"',
    '"accept"',
    '{',
    '}',
    '[',
    ']',
    ':',
    ',',
    'null',
    '1',
  )
  const value = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom('*', 'accept', 'tag:x', '*:22', 'autogroup:self', 'a@b', null, 1, true),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(
        fc.constantFrom(
          'acls',
          'grants',
          'ssh',
          'tests',
          'sshTests',
          'nodeAttrs',
          'src',
          'dst',
          'ip',
          'app',
          'via',
          'action',
          'users',
          'groups',
          'hosts',
          'tagOwners',
          'autoApprovers',
          'routes',
          'exitNode',
          'target',
          'attr',
          'accept',
          'deny',
        ),
        tie('value'),
        { maxKeys: 5 },
      ),
    ),
  })).value
  const text = fc.oneof(
    value.map((one) => JSON.stringify(one)),
    fc.array(word).map((all) => all.join(' ')),
  )
  fc.assert(
    fc.property(text, (one) => void problems(one)),
    { numRuns: 500 },
  )
})
