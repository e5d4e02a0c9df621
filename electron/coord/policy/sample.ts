// A small tailnet for tests: two people, a server, a subnet router and an exit node.

import { CompiledPolicy } from './compile.ts'
import { readPolicy } from './read-policy.ts'
import type { PolicyNode, Topology } from './topology.ts'

const node = (key: string, id: number, more: Partial<PolicyNode>): PolicyNode => ({
  key,
  userKey: undefined,
  tags: [],
  addresses: [`100.64.0.${id}`, `fd7a:115c:a1e0::${id.toString(16)}`],
  routes: [],
  ...more,
})

export const SAMPLE: Topology = {
  users: [
    { key: 'anna', name: 'anna', email: 'anna@example.org', role: 'owner' },
    { key: 'ben', name: 'ben', role: 'member' },
  ],
  nodes: [
    node('laptop', 1, { userKey: 'anna' }),
    node('phone', 3, { userKey: 'anna' }),
    node('pc', 5, { userKey: 'ben' }),
    node('server', 7, { userKey: 'anna', tags: ['tag:server'] }),
    node('router', 9, { tags: ['tag:router'], routes: ['10.1.0.0/16'] }),
    node('exit', 11, { userKey: 'ben', routes: ['0.0.0.0/0', '::/0'] }),
  ],
}

const DEFINITIONS = `
  "groups": {"group:all": ["anna@example.org", "ben@"], "group:none": []},
  "hosts": {"lan": "10.1.0.0/16", "printer": "10.1.2.3", "other": "10.9.0.0/16"},
  "tagOwners": {"tag:server": ["anna@"], "tag:router": ["group:all"], "tag:sub": ["tag:server"]},
`

/** The text of a policy with the members given, and the sample's names. */
export const sampleText = (members: string): string => `{${DEFINITIONS}${members}}`

export const compileSample = (members: string): CompiledPolicy =>
  new CompiledPolicy(readPolicy(sampleText(members)), SAMPLE)
