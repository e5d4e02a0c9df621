import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sshRule } from '../../wire/tailcfg/ssh-policy.ts'
import { CompiledPolicy } from './compile.ts'
import { wireRule } from './node-filter.ts'
import { readPolicy } from './read-policy.ts'
import { compileSample, SAMPLE } from './sample.ts'

const acl = (src: string, dst: string, more = ''): string =>
  `"acls": [{"action": "accept", "src": ["${src}"], "dst": ["${dst}"]${more}}]`

const wire = (policy: CompiledPolicy, node: string): unknown => policy.filter(node).map(wireRule)

const ports = (ip: string, first: number, last = first) => ({ IP: ip, Ports: { First: first, Last: last } })

const ANYWHERE = [
  '10.1.0.0/16',
  '100.64.0.0-100.115.91.255',
  '100.115.94.0-100.127.255.255',
  'fd7a:115c:a1e0::/48',
].toSorted()

test('a policy that says nothing about packets allows everything; an empty list allows nothing', () => {
  const everything = [{ SrcIPs: ['*'], DstPorts: [ports('*', 0, 65_535)] }]
  assert.deepEqual(wire(compileSample(''), 'laptop'), everything)
  assert.equal(compileSample('').sees('laptop', 'pc'), true)
  const nothing = compileSample('"acls": []')
  assert.deepEqual(wire(nothing, 'laptop'), [])
  assert.deepEqual(nothing.peersOf('laptop'), [])
})

test('a rule reaches the nodes it names, in both families, and no others', () => {
  const policy = compileSample(acl('anna@example.org', 'tag:server:22,443'))
  assert.deepEqual(wire(policy, 'server'), [
    {
      SrcIPs: ['100.64.0.1', '100.64.0.3', 'fd7a:115c:a1e0::1', 'fd7a:115c:a1e0::3'],
      DstPorts: [
        ports('100.64.0.7', 22),
        ports('100.64.0.7', 443),
        ports('fd7a:115c:a1e0::7', 22),
        ports('fd7a:115c:a1e0::7', 443),
      ],
    },
  ])
  for (const node of ['laptop', 'pc', 'router']) assert.deepEqual(wire(policy, node), [], node)
  assert.deepEqual(policy.peersOf('server').toSorted(), ['laptop', 'phone'])
  assert.deepEqual(policy.peersOf('laptop'), ['server'])
  assert.ok(!policy.sees('laptop', 'phone') && !policy.sees('pc', 'server'))
})

test('the source * is the tailnet with the subnets behind its routers, the destination * is written as it is', () => {
  assert.deepEqual(wire(compileSample(acl('*', '*:*')), 'pc'), [
    { SrcIPs: ANYWHERE, DstPorts: [ports('*', 0, 65_535)] },
  ])
  assert.deepEqual(wire(compileSample(acl('autogroup:danger-all', 'ben@:1-5')), 'pc'), [
    { SrcIPs: ['*'], DstPorts: [ports('100.64.0.5', 1, 5), ports('fd7a:115c:a1e0::5', 1, 5)] },
  ])
})

test('protocols travel as numbers, and rules alike in sources and protocol become one', () => {
  const policy = compileSample(`"acls": [
    {"action": "accept", "proto": "udp", "src": ["ben@"], "dst": ["tag:server:53"]},
    {"action": "accept", "proto": "17", "src": ["ben@"], "dst": ["100.64.0.7:123"]},
    {"action": "accept", "proto": "icmp", "src": ["ben@"], "dst": ["tag:server:*"]},
  ]`)
  const SrcIPs = ['100.64.0.11', '100.64.0.5', 'fd7a:115c:a1e0::5', 'fd7a:115c:a1e0::b']
  assert.deepEqual(wire(policy, 'server'), [
    {
      SrcIPs,
      DstPorts: [ports('100.64.0.7', 53), ports('fd7a:115c:a1e0::7', 53), ports('100.64.0.7', 123)],
      IPProto: [17],
    },
    { SrcIPs, DstPorts: [ports('100.64.0.7', 0, 65_535), ports('fd7a:115c:a1e0::7', 0, 65_535)], IPProto: [1] },
  ])
})

test('routers get what is behind them, exit nodes the internet', () => {
  const lan = compileSample(acl('ben@', 'printer:631'))
  assert.deepEqual(wire(lan, 'router'), [
    {
      SrcIPs: ['100.64.0.11', '100.64.0.5', 'fd7a:115c:a1e0::5', 'fd7a:115c:a1e0::b'],
      DstPorts: [ports('10.1.2.3', 631)],
    },
  ])
  assert.ok(lan.sees('pc', 'router') && lan.sees('router', 'pc') && !lan.sees('laptop', 'router'))
  assert.deepEqual(wire(compileSample(acl('*', 'other:80')), 'router'), [])
  const out = compileSample(acl('anna@', 'autogroup:internet:443'))
  const [rule] = out.filter('exit')
  assert.ok(rule?.dstPorts?.some(({ ip }) => ip === '8.0.0.0/7'))
  assert.ok(out.sees('laptop', 'exit') && !out.sees('pc', 'exit'))
  for (const node of ['pc', 'router', 'server']) assert.deepEqual(wire(out, node), [], node)
})

test('autogroup:self is one’s own untagged machines', () => {
  const policy = compileSample(acl('autogroup:member', 'autogroup:self:*'))
  const own = ['100.64.0.1', '100.64.0.3', 'fd7a:115c:a1e0::1', 'fd7a:115c:a1e0::3']
  assert.deepEqual(wire(policy, 'laptop'), [
    { SrcIPs: own, DstPorts: [ports('100.64.0.1', 0, 65_535), ports('fd7a:115c:a1e0::1', 0, 65_535)] },
  ])
  assert.deepEqual(policy.peersOf('laptop'), ['phone'])
  assert.deepEqual(policy.peersOf('pc'), ['exit'])
  assert.deepEqual(wire(policy, 'server'), [])
  assert.deepEqual(policy.peersOf('server'), [])
})

test('a relay grant becomes a rule for the relay and one for each of its clients', () => {
  const policy = compileSample(
    '"grants": [{"src": ["ben@"], "dst": ["tag:server"], "app": {"tailscale.com/cap/relay": []}}]',
  )
  assert.deepEqual(wire(policy, 'server'), [
    {
      SrcIPs: ['100.64.0.11', '100.64.0.5', 'fd7a:115c:a1e0::5', 'fd7a:115c:a1e0::b'],
      CapGrant: [{ Dsts: ['100.64.0.7/32', 'fd7a:115c:a1e0::7/128'], CapMap: { 'tailscale.com/cap/relay': null } }],
    },
  ])
  assert.deepEqual(wire(policy, 'pc'), [
    {
      SrcIPs: ['100.64.0.7', 'fd7a:115c:a1e0::7'],
      CapGrant: [
        { Dsts: ['100.64.0.5/32', 'fd7a:115c:a1e0::5/128'], CapMap: { 'tailscale.com/cap/relay-target': null } },
      ],
    },
  ])
  assert.ok(policy.sees('pc', 'server') && policy.sees('server', 'pc'))
})

test('ip and app of a grant are rules of their own, and values travel as they are', () => {
  const policy = compileSample(`"grants": [{"src": ["anna@"], "dst": ["ben@"], "ip": ["tcp:80-90", "icmp:*"],
    "app": {"example.com/cap/print": [{"colour": true}, 7]}}]`)
  const [tcp, icmp, app, ...more] = policy.filter('pc')
  assert.deepEqual([tcp?.ipProto, icmp?.ipProto, more], [[6], [1], []])
  assert.deepEqual(app?.capGrant?.[0]?.capMap?.get('example.com/cap/print'), [{ colour: true }, 7])
})

test('via narrows a grant to routers with the tag that have the route', () => {
  const grant = (tag: string) =>
    `"grants": [{"src": ["ben@"], "dst": ["lan", "other"], "ip": ["*"], "via": ["${tag}"]}]`
  const steered = compileSample(grant('tag:router'))
  assert.equal(steered.filter('router').length, 1)
  assert.ok(steered.sees('pc', 'router'))
  const elsewhere = compileSample(grant('tag:server'))
  assert.deepEqual([elsewhere.filter('router'), elsewhere.filter('server')], [[], []])
  assert.ok(!elsewhere.sees('pc', 'router'))
})

test('attributes of a node are the union of all entries that name it', () => {
  const policy = compileSample(`"randomizeClientPort": true, "nodeAttrs": [
    {"target": ["*"], "attr": ["magicdns-aaaa"]},
    {"target": ["tag:server", "ben@"], "attr": ["disable-relay-client", "magicdns-aaaa"]},
    {"target": ["autogroup:owner"], "attr": ["drive:share"]},
  ]`)
  assert.deepEqual(policy.capabilities('pc'), ['disable-relay-client', 'magicdns-aaaa', 'randomize-client-port'])
  assert.deepEqual(policy.capabilities('laptop'), ['drive:share', 'magicdns-aaaa', 'randomize-client-port'])
  assert.deepEqual(policy.capabilities('nobody'), [])
})

test('the policy approves routes within its blocks, and exit nodes only by their own list', () => {
  const policy = compileSample(`"autoApprovers": {
    "routes": {"10.0.0.0/8": ["tag:router"], "0.0.0.0/0": ["ben@"]}, "exitNode": ["anna@example.org"]}`)
  assert.ok(policy.approves('router', '10.1.0.0/16') && policy.approves('router', '10.0.0.0/8'))
  assert.ok(!policy.approves('router', '10.0.0.0/7') && !policy.approves('router', '192.168.0.0/16'))
  assert.ok(!policy.approves('laptop', '10.1.0.0/16') && policy.approves('pc', '192.168.0.0/16'))
  assert.ok(
    !policy.approves('pc', '0.0.0.0/0') && policy.approves('laptop', '0.0.0.0/0') && policy.approves('laptop', '::/0'),
  )
})

test('tags are owned by users, groups and owners of tags', () => {
  const policy = compileSample('')
  assert.deepEqual(
    ['tag:server', 'tag:router', 'tag:sub', 'tag:nothing'].map((tag) => [
      policy.ownsTag('anna', tag),
      policy.ownsTag('ben', tag),
    ]),
    [
      [true, false],
      [true, true],
      [true, false],
      [false, false],
    ],
  )
})

test('SSH rules name each source, refuse root unless it is listed, and come strictest first', () => {
  const policy = compileSample(`"ssh": [
    {"action": "accept", "src": ["ben@"], "dst": ["tag:server"], "users": ["autogroup:nonroot", "deploy"], "acceptEnv": ["LC_*"]},
    {"action": "check", "src": ["group:all"], "dst": ["tag:server"], "users": ["root"]},
    {"action": "accept", "src": ["autogroup:member"], "dst": ["autogroup:self"], "users": ["localpart:*@example.org"]},
  ]`)
  const rules = policy.sshRules('server').map((rule) => sshRule.write(rule)) as Record<string, unknown>[]
  assert.deepEqual(rules[1], {
    principals: ['100.64.0.5', 'fd7a:115c:a1e0::5', '100.64.0.11', 'fd7a:115c:a1e0::b'].map((nodeIP) => ({ nodeIP })),
    sshUsers: { '*': '=', root: '', deploy: 'deploy' },
    action: {
      accept: true,
      allowAgentForwarding: true,
      allowLocalPortForwarding: true,
      allowRemotePortForwarding: true,
    },
    acceptEnv: ['LC_*'],
  })
  assert.equal(policy.sshRules('server')[0]?.action?.accept, undefined)
  assert.equal(policy.sshRules('server')[0]?.action?.reject, true)
  assert.deepEqual(
    policy.sshRules('phone').map(({ sshUsers }) => [...(sshUsers ?? [])]),
    [[['root', '']], [['anna', 'anna']]],
  )
  assert.deepEqual(policy.sshRules('router'), [])
})

// Source: Headscale policy/v2/testdata/acl_results/acl-a01.hujson, what the hosted service sent to "beedrill" (2026-04-10).
test('a filter recorded from the hosted service comes out the same', () => {
  const users = ['odin@example.com', 'thor@example.org', 'freya@example.com']
  const addresses = [
    ['100.93.46.75', 'fd7a:115c:a1e0::9137:2e4b'],
    ['100.112.189.40', 'fd7a:115c:a1e0::1837:bd28'],
    ['100.119.253.8', 'fd7a:115c:a1e0::1b37:fd08'],
  ]
  const policy = new CompiledPolicy(
    readPolicy('{"acls": [{"action": "accept", "dst": ["*:*"], "src": ["autogroup:member"]}]}'),
    {
      users: users.map((name) => ({ key: name, name })),
      nodes: [
        ...users.map((key, i) => ({ key, userKey: key, tags: [], addresses: addresses[i] ?? [], routes: [] })),
        {
          key: 'beedrill',
          userKey: undefined,
          tags: ['tag:server'],
          addresses: ['100.86.11.46', 'fd7a:115c:a1e0::7f37:b2e'],
          routes: [],
        },
      ],
    },
  )
  assert.deepEqual(wire(policy, 'beedrill'), [
    {
      SrcIPs: [
        '100.112.189.40',
        '100.119.253.8',
        '100.93.46.75',
        'fd7a:115c:a1e0::1837:bd28',
        'fd7a:115c:a1e0::1b37:fd08',
        'fd7a:115c:a1e0::9137:2e4b',
      ],
      DstPorts: [ports('*', 0, 65_535)],
    },
  ])
})

test('who sees whom is the same from both sides, whatever the rules', () => {
  const ends = [
    '*',
    'anna@',
    'ben@',
    'tag:server',
    'tag:router',
    'autogroup:member',
    'autogroup:tagged',
    'lan',
    '100.64.0.5',
  ]
  const keys = SAMPLE.nodes.map(({ key }) => key)
  for (const src of ends)
    for (const dst of [...ends, 'autogroup:internet']) {
      const policy = compileSample(acl(src, `${dst}:*`))
      for (const a of keys)
        for (const b of keys) {
          assert.equal(policy.sees(a, b), policy.sees(b, a), `${src} → ${dst}: ${a}, ${b}`)
          assert.equal(policy.sees(a, b), policy.peersOf(a).includes(b))
        }
    }
})

test('an exit node carries a part of the internet too, and nothing that is private', () => {
  const policy = compileSample(acl('anna@', '9.9.9.9:53'))
  assert.deepEqual(wire(policy, 'exit'), [
    {
      SrcIPs: ['100.64.0.1', '100.64.0.3', 'fd7a:115c:a1e0::1', 'fd7a:115c:a1e0::3'],
      DstPorts: [ports('9.9.9.9', 53)],
    },
  ])
  assert.deepEqual(wire(compileSample(acl('anna@', 'other:53')), 'exit'), [])
})
