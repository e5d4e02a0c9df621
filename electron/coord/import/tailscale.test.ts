import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { isCoded } from '../../base/errors.ts'
import { MachinePrivate, MachinePublic, NodePublic, randomScalar } from '../../crypto/keys.ts'
import { site } from '../identity/test-site.ts'
import { readPolicy } from '../policy/read-policy.ts'
import { TestMachine } from '../test-machine.ts'
import { carryPolicy } from './carry-policy.ts'
import { readTailscaleFiles, tailscaleNetwork } from './tailscale-files.ts'

/** As the service answers, with what it leaves out of a short list. */
const device = (more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> => ({
  addresses: ['100.101.102.103', 'fd7a:115c:a1e0:ab12:4843:cd96:6265:9a63'],
  authorized: true,
  blocksIncomingConnections: false,
  clientVersion: '1.86.2',
  created: '2025-01-15T10:00:00Z',
  expires: '2031-07-11T10:00:00Z',
  hostname: 'NAS',
  id: '92960230385',
  isExternal: false,
  keyExpiryDisabled: false,
  lastSeen: '2026-04-11T12:00:00Z',
  machineKey: new MachinePublic(randomScalar()).text,
  name: 'nas.tail8c2f1.ts.net',
  nodeId: 'n292kg92CNTRL',
  nodeKey: new NodePublic(randomScalar()).text,
  os: 'linux',
  user: 'anna@corp.example',
  enabledRoutes: ['192.168.7.0/24'],
  ...more,
})

const POLICY = `// Who may what.
{
  "groups": {"group:eng": ["anna@corp.example"]},
  "tagOwners": {"tag:server": ["group:eng"]},
  // Known to the other service only.
  "postures": {
    "posture:latest": ["node:tsVersion >= '1.40'"],
  },
  "acls": [
    {"action": "accept", "src": ["group:eng"], "dst": ["tag:server:22"]}, // stays
    {"action": "accept", "src": ["anna@corp.example"], "srcPosture": ["posture:latest"], "dst": ["*:*"]},
    {"action": "accept", "src": ["group:gone"], "dst": ["*:*"]}
  ],
  "nodeAttrs": [{"target": ["*"], "attr": ["funnel"]}],
}
`

test('what of a policy cannot be kept goes by whole entries, each named with its line', () => {
  const { text, remarks } = carryPolicy(POLICY)
  assert.ok(text !== undefined)
  const policy = readPolicy(text)
  assert.equal(policy.acls?.length, 1, 'a rule without its condition would open more')
  assert.match(text, /^\/\/ Who may what\./)
  assert.match(text, /\/\/ stays/)
  assert.doesNotMatch(text, /posture|group:gone/)
  assert.equal(remarks.length, 3)
  assert.match(remarks.join('\n'), /line 6, column 3: .*"postures".* Left out: "postures"/)
  assert.match(remarks.join('\n'), /line 11, .*"srcPosture".* Left out: this entry of "acls"/)
  assert.match(remarks.join('\n'), /line 12, .*group:gone.* Left out: this entry of "acls"/)
})

test('a policy that can be kept stays as it was, to the letter', () => {
  const whole = '{\n  // all\n  "acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"],},],\n}'
  assert.deepEqual(carryPolicy(whole), { text: whole, remarks: [] })
})

test('no policy is taken where leaving something out would open everything', () => {
  for (const text of ['{"acls": 7}', '{"acls": [', '[]', '{"grants": "*"}', '']) {
    const { text: kept, remarks } = carryPolicy(text)
    assert.equal(kept, undefined, text)
    assert.ok(remarks.length > 0)
  }
  const none = carryPolicy('{"acls": [{"action": "drop"}]}').text
  assert.deepEqual(none && readPolicy(none).acls, [], 'no rule, which is not the same as none told')
})

test('whatever is damaged, what is kept can be read, and allows no rule that was not there', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(POLICY.length - 1), fc.constantFrom('', '"', '{', ']', ',', '/', 'x', '7')), {
        maxLength: 4,
      }),
      (damages) => {
        let text = POLICY
        for (const [at, by] of damages) text = text.slice(0, at) + by + text.slice(at + 1)
        const kept = carryPolicy(text).text
        if (kept === undefined) return
        const { acls, grants } = readPolicy(kept)
        assert.ok(acls !== undefined || grants !== undefined || !/"acls"\s*:/.test(text))
        assert.ok((acls?.length ?? 0) <= 3)
      },
    ),
    { numRuns: 400 },
  )
})

test('devices come with names, addresses, tags and routes; those that cannot are named', () => {
  const { nodes, users, unread } = tailscaleNetwork({
    policy: undefined,
    users: [
      { id: '1', loginName: 'ines@corp.example', displayName: 'Ines', role: 'owner', status: 'active', type: 'member' },
      { id: '2', loginName: 'karl@corp.example', displayName: 'Karl', role: 'it-admin', status: 'active' },
      { id: '3', loginName: 'gone@corp.example', role: 'member', status: 'suspended' },
    ],
    devices: [
      device(),
      device({
        name: 'web.tail8c2f1.ts.net',
        hostname: 'web',
        user: 'tagged-devices',
        tags: ['tag:server'],
        keyExpiryDisabled: true,
        addresses: ['100.64.0.9'],
      }),
      device({ name: 'old.tail8c2f1.ts.net', machineKey: '' }),
      device({ name: 'theirs.other.ts.net', isExternal: true, user: 'x@other.example' }),
      device({ name: 'new.tail8c2f1.ts.net', authorized: false }),
      { name: 7, addresses: ['x', null] },
    ],
  })
  assert.deepEqual(
    users.map(({ name, email, role }) => [name, email, role]),
    [
      ['ines', 'ines@corp.example', 'owner'],
      ['karl', 'karl@corp.example', undefined],
      ['anna', 'anna@corp.example', undefined],
    ],
  )
  assert.deepEqual(
    nodes.map(({ name, user, addressV4, tags, routes, expiresAtMs }) => [
      name,
      user,
      addressV4,
      tags,
      routes,
      expiresAtMs,
    ]),
    [
      ['nas', 'anna', '100.101.102.103', [], ['192.168.7.0/24'], Date.UTC(2031, 6, 11, 10)],
      ['web', 'ines', '100.64.0.9', ['tag:server'], ['192.168.7.0/24'], undefined],
      ['old', 'anna', '100.101.102.103', [], ['192.168.7.0/24'], Date.UTC(2031, 6, 11, 10)],
      ['7', 'ines', undefined, [], [], undefined],
    ],
  )
  const told = unread.join('\n')
  for (const wanted of [
    /it-admin/,
    /gone@corp.example: is suspended/,
    /old: its keys/,
    /theirs: is shared/,
    /new: was not let in/,
  ])
    assert.match(told, wanted)
})

test('people whose addresses begin alike keep them whole', () => {
  const both = ['anna@corp.example', 'anna@github'].map((user) => device({ user }))
  const { users } = tailscaleNetwork({ policy: undefined, users: undefined, devices: both })
  assert.deepEqual(
    users.map(({ name }) => name),
    ['anna@corp.example', 'anna@github'],
  )
})

test('files that are something else are told in words', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'peerway-import-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'devices.json')
  const read = (): unknown => readTailscaleFiles({ policy: undefined, devices: file, users: undefined })
  assert.throws(read, (error) => isCoded(error, 'coord/not-found'))
  for (const text of ['', '{', 'null', '{"message": "unauthorized"}', '{"devices": {}}']) {
    writeFileSync(file, text)
    assert.throws(read, (error) => isCoded(error, 'coord/bad-argument'), text)
  }
  writeFileSync(file, JSON.stringify({ devices: [null, 7, [], device()] }))
  assert.doesNotThrow(read)
})

test('machines that come by their keys are who they were, with the machine key they had or another', async (t) => {
  const { coord, stateDir } = await site(t)
  const url = `http://127.0.0.1:${coord.port}`
  const known = MachinePrivate.generate()
  const devices = [
    device({ machineKey: known.public.text }),
    device({
      name: 'web.x.ts.net',
      hostname: 'web',
      machineKey: '',
      tags: ['tag:server'],
      addresses: ['100.64.7.7'],
      enabledRoutes: [],
    }),
    device({ name: 'late.x.ts.net', hostname: 'late', addresses: ['100.64.7.8'] }),
  ]
  const [policy, list] = [join(stateDir, 'policy.hujson'), join(stateDir, 'devices.json')]
  writeFileSync(policy, POLICY)
  writeFileSync(list, JSON.stringify({ devices }))
  const { imports } = coord.admin
  const look = await imports.fromTailscale({ policy, devices: list, users: undefined }, false)
  assert.equal(look.applied, false)
  assert.deepEqual(await coord.admin.listNodes(), [])
  const done = await imports.fromTailscale({ policy, devices: list, users: undefined }, true)
  assert.deepEqual(
    [done.policy, done.users, done.nodes.map(({ name }) => name)],
    ['carried', ['anna'], ['nas', 'web', 'late']],
  )

  const spent = await imports.rejoin(['web'], 3_600_000)
  const keys = new Map((await imports.rejoin([], 3_600_000)).map(({ node, key }) => [node, key]))
  assert.deepEqual([...keys.keys()], ['nas', 'web', 'late'])
  const join_ = async (machine: TestMachine, authKey: string | undefined): Promise<string> => {
    t.after(() => machine.close())
    return (await machine.register({ auth: { authKey: authKey ?? '' } })).error
  }
  assert.match(await join_(new TestMachine(url, 'web'), spent[0]?.key), /revoked/, 'a newer key ends the one before')
  // The host's name may have changed meanwhile; the name given to it stays.
  assert.equal(await join_(new TestMachine(url, 'nas-reborn', known), keys.get('nas')), '')
  assert.equal(await join_(new TestMachine(url, 'web'), keys.get('web')), '')
  assert.match(await join_(new TestMachine(url, 'thief'), keys.get('web')), /already used/)
  const nodes = await coord.admin.listNodes()
  assert.deepEqual(
    nodes.map(({ name, user, addresses, tags }) => [name, user, addresses[0], tags]),
    [
      ['nas', 'anna', '100.101.102.103', []],
      ['web', 'anna', '100.64.7.7', ['tag:server']],
      ['late', 'anna', '100.64.7.8', []],
    ],
  )
  assert.deepEqual(
    (await imports.moves()).map(({ node, moved }) => [node, moved]),
    [
      ['nas', true],
      ['web', true],
      ['late', false],
    ],
  )
  await assert.rejects(imports.rejoin(['web'], 1_000), (error) => isCoded(error, 'coord/not-found'))
  assert.deepEqual(
    (await imports.rejoin([], 1_000)).map(({ node }) => node),
    ['late'],
  )
})
