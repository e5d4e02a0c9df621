import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { peerway, tempFolder } from './test-coord.ts'

const POLICY = `{
  // Anna maintains the servers.
  "tagOwners": {"tag:server": ["anna@"]},
  "acls": [{"action": "accept", "src": ["anna@"], "dst": ["tag:server:22"]}],
  "nodeAttrs": [{"target": ["tag:server"], "attr": ["magicdns-aaaa"]}],
  "ssh": [{"action": "accept", "src": ["anna@"], "dst": ["tag:server"], "users": ["root"]}],
  "tests": [{"src": "anna@", "accept": ["tag:server:22"], "deny": ["tag:server:80"]}],
}
`
const TOPOLOGY = {
  users: [{ name: 'anna' }],
  nodes: [
    {
      name: 'laptop',
      user: 'anna',
      addresses: ['100.64.0.1', 'fd7a:115c:a1e0::1'],
      routableIPs: [],
      approvedRoutes: [],
    },
    { name: 'server', tags: ['tag:server'], addresses: ['100.64.0.2', 'fd7a:115c:a1e0::2'] },
  ],
}

function files(t: TestContext) {
  const folder = tempFolder(t)
  const write = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }
  return { folder, write, policy: write('policy.hujson', POLICY), topology: write('t.json', JSON.stringify(TOPOLOGY)) }
}

test('compile prints for each node its filter in wire form, its capabilities and its SSH rules', async (t) => {
  const { policy, topology, write } = files(t)
  const { status, stdout, stderr } = await peerway('policy', 'compile', policy, '--topology', topology, '--json')
  assert.deepEqual([status, stderr], [0, ''])
  const Ports = { First: 22, Last: 22 }
  assert.deepEqual(JSON.parse(stdout), {
    laptop: { packetFilter: [], capabilities: [], sshRules: [], peers: ['server'], autoApprovedRoutes: [] },
    server: {
      packetFilter: [
        {
          SrcIPs: ['100.64.0.1', 'fd7a:115c:a1e0::1'],
          DstPorts: [
            { IP: '100.64.0.2', Ports },
            { IP: 'fd7a:115c:a1e0::2', Ports },
          ],
        },
      ],
      capabilities: ['magicdns-aaaa'],
      sshRules: [
        {
          principals: [{ nodeIP: '100.64.0.1' }, { nodeIP: 'fd7a:115c:a1e0::1' }],
          sshUsers: { root: 'root' },
          action: {
            accept: true,
            allowAgentForwarding: true,
            allowLocalPortForwarding: true,
            allowRemotePortForwarding: true,
          },
        },
      ],
      peers: ['laptop'],
      autoApprovedRoutes: [],
    },
  })
  const bad = await peerway('policy', 'compile', policy, '--topology', write('bad.json', '{"nodes": [{"name": "x"}]}'))
  assert.deepEqual([bad.status, bad.stdout], [1, ''])
  assert.match(bad.stderr, /^The topology cannot be used: nodes\[0\] has no tags, .* \[coord\/bad-argument\]\n$/)
  assert.equal((await peerway('policy', 'compile', policy)).status, 2)
})

test('check tells all that is wrong with line and column, and runs the tests', async (t) => {
  const { policy, write } = files(t)
  assert.deepEqual(await peerway('policy', 'check', policy), {
    status: 0,
    stdout: 'The policy is fine, and its test passes.\n',
    stderr: '',
  })
  const failing = write('failing.hujson', POLICY.replace('"deny": ["tag:server:80"]', '"deny": ["tag:server:22"]'))
  const failed = await peerway('policy', 'check', failing)
  assert.equal(failed.status, 1)
  assert.match(failed.stdout, /failing\.hujson: line 7, column 68: test failed: anna@ can reach tag:server:22/)
  const wrong = await peerway('policy', 'check', write('wrong.hujson', '{"acl": [],\n "hosts": []}'), '--json')
  assert.equal(wrong.status, 1)
  const { ok, problems } = JSON.parse(wrong.stdout) as { ok: boolean; problems: { line: number; column: number }[] }
  assert.deepEqual(
    [ok, problems.map(({ line, column }) => [line, column])],
    [
      false,
      [
        [1, 2],
        [2, 11],
      ],
    ],
  )
})

test('a policy is set, shown, compared and taken back on a server’s state', async (t) => {
  const { folder, policy, write } = files(t)
  const state = ['--state', join(folder, 'coord')]
  assert.equal((await peerway('users', 'create', 'anna', ...state)).status, 0)
  assert.match((await peerway('policy', 'get', ...state)).stdout, /Everyone may reach everyone/)
  assert.equal((await peerway('policy', 'diff', policy, ...state)).stdout, 'Nothing changes for the nodes there are.\n')
  assert.equal((await peerway('policy', 'set', policy, ...state)).stdout, 'Revision 1 of the policy is in force.\n')
  assert.equal((await peerway('policy', 'get', ...state)).stdout, readFileSync(policy, 'utf8'))
  const refused = await peerway('policy', 'set', write('wrong.hujson', '{"acls": [}'), ...state)
  assert.equal(refused.status, 1)
  assert.match(refused.stderr, /^The policy cannot be used: line 1, column 11: .* \[coord\/policy-invalid\]\n$/)
  const stale = await peerway('policy', 'set', policy, '--expect', '0', ...state)
  assert.match(stale.stderr, /at revision 1 by now, not 0.*\[coord\/conflict\]/)
  assert.match((await peerway('policy', 'get', '--revision', '0', ...state)).stdout, /Everyone/)
})
