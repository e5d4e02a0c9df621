import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CompiledPolicy } from './compile.ts'
import { providerGroupsIn, unknownProviders } from './provider-groups.ts'
import { readPolicy } from './read-policy.ts'
import { readTopology } from './topology-file.ts'

const TOPOLOGY = readTopology(`{
  "users": [
    {"name": "anna", "groups": ["staff@corp", "on call@corp"]},
    {"name": "ben", "groups": ["staff@other", "staff@corp.evil"]},
    {"name": "carl"},
  ],
  "nodes": [
    {"name": "a", "user": "anna", "addresses": ["100.64.0.1"]},
    {"name": "b", "user": "ben", "addresses": ["100.64.0.2"]},
    {"name": "c", "user": "carl", "addresses": ["100.64.0.3"]},
  ],
}`)

const compiled = (text: string): CompiledPolicy => new CompiledPolicy(readPolicy(text), TOPOLOGY)
test('a group of a provider is who the provider says, at that provider and no other', () => {
  const { resolver } = compiled('{"acls": []}')
  const places = (group: string): readonly string[] => resolver.usersInGroup(group).map(({ name }) => name)
  assert.deepEqual(places('group:staff@corp'), ['anna'])
  assert.deepEqual(places('group:on call@corp'), ['anna'])
  assert.deepEqual(places('group:staff@other'), ['ben'])
  assert.deepEqual(places('group:staff'), [])
  assert.deepEqual(places('group:@corp'), [])
})

test('what the policy defines under such a name is what counts', () => {
  const { resolver } = compiled('{"groups": {"group:staff@corp": ["carl@"]}, "acls": []}')
  assert.deepEqual(
    resolver.usersInGroup('group:staff@corp').map(({ name }) => name),
    ['carl'],
  )
})

test('its members own tags', () => {
  const policy = compiled('{"tagOwners": {"tag:db": ["group:on call@corp"]}, "acls": []}')
  assert.deepEqual(
    ['anna', 'ben', 'carl'].map((key) => policy.ownsTag(key, 'tag:db')),
    [true, false, false],
  )
})

test('groups of a provider that is not there are found wherever they stand, with their place', () => {
  const text = `{
  "tagOwners": {"tag:db": ["group:a@gone"]},
  "acls": [{"action": "accept", "src": ["group:b@gone", "group:staff@corp"], "dst": ["group:c@gone:22"]}],
  "grants": [{"src": ["group:d@gone"], "dst": ["*"], "ip": ["*"]}],
  "ssh": [{"action": "accept", "src": ["group:e@gone"], "dst": ["tag:db"], "users": ["root"]}],
  "autoApprovers": {"exitNode": ["group:f@gone"], "routes": {"10.0.0.0/8": ["group:g@gone"]}},
  "nodeAttrs": [{"target": ["group:h@gone"], "attr": ["funnel"]}],
}`
  const policy = readPolicy(text)
  const problems = unknownProviders(text, policy, ['corp'])
  const found = problems.map(({ message }) => /add group:(.)@gone /.exec(message)?.[1] ?? '')
  assert.equal(found.toSorted((a, b) => a.localeCompare(b)).join(''), 'abcdefgh')
  assert.deepEqual([problems[0]?.line, problems[0]?.column], [2, 28])
  assert.equal(providerGroupsIn(policy).length, 9)
  assert.deepEqual(unknownProviders(text, policy, ['corp', 'gone']), [])
})
