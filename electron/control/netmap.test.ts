import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isCoded } from '../base/errors.ts'
import { DiscoPublic, NodePublic } from '../crypto/keys.ts'
import { mapResponse, type MapResponseInput } from '../wire/tailcfg/map-response.ts'
import { node, type Node, type NodeInput } from '../wire/tailcfg/node.ts'
import { encodeMessage, parseMessage, readMessage } from '../wire/tailcfg/schema.ts'
import { applyMapResponse, firstMapResponse, isExpired, type Netmap } from './netmap.ts'
import { expiredNode, nodeAddresses } from './peers.ts'

const NOW = Date.UTC(2026, 0, 1)
const HOUR = 3_600_000

const nodeKeyOf = (byte: number): NodePublic => new NodePublic(new Uint8Array(32).fill(byte))
const discoKeyOf = (byte: number): DiscoPublic => new DiscoPublic(new Uint8Array(32).fill(byte))
const rule = (source: string) => ({
  srcIps: [source],
  dstPorts: [{ ip: '*', ports: { first: 0, last: 65_535 } }],
})

/** Through the wire, so that every test also says what the bytes mean. */
const response = (input: MapResponseInput) => parseMessage(mapResponse, encodeMessage(mapResponse, input))
const apply = (previous: Netmap | undefined, input: MapResponseInput, nowMs = NOW): Netmap =>
  applyMapResponse(previous, response(input), nowMs)

const self: NodeInput = {
  id: '1',
  key: nodeKeyOf(1),
  name: 'me.tail.example.',
  addresses: ['100.64.0.1/32'],
  user: '7',
}
const peer = (id: number, more: NodeInput = {}): NodeInput => ({
  id: String(id),
  stableId: `n${id}`,
  key: nodeKeyOf(id),
  discoKey: discoKeyOf(id),
  name: `peer-${id}.tail.example.`,
  addresses: [`100.64.0.${id}/32`],
  user: '7',
  online: true,
  homeDerp: 900,
  endpoints: [`192.0.2.${id}:41641`],
  ...more,
})
const start = apply(undefined, {
  node: self,
  peers: [peer(2), peer(3), peer(4)],
  derpMap: { regions: new Map([[900, { regionId: 900, nodes: [{ name: '900a', hostName: 'derp.example' }] }]]) },
  dnsConfig: { domains: ['tail.example'], proxied: true },
  domain: 'tail.example',
  packetFilters: new Map([['base', [rule('*')]]]),
  userProfiles: [{ id: '7', loginName: 'alice', displayName: 'Alice' }],
  controlTimeMs: NOW,
})
const ids = (netmap: Netmap): string[] => [...netmap.peers.keys()].sort()
const peerOf = (netmap: Netmap, id: number): Node => netmap.peers.get(String(id)) ?? assert.fail(`no peer ${id}`)

test('a first response without ourselves is refused', () => {
  assert.throws(
    () => apply(undefined, { peers: [peer(2)] }),
    (error) => isCoded(error, 'control/bad-map'),
  )
})

/** Each row: what the response holds, and what becomes of peers 2, 3 and 4. */
const PEER_CASES: readonly (readonly [string, MapResponseInput, (netmap: Netmap) => void])[] = [
  ['nothing about peers changes nothing', { domain: 'tail.example' }, (now) => assert.equal(now, start)],
  ['an empty full list changes nothing', { peers: [] }, (now) => assert.equal(now, start)],
  ['a full list is the list', { peers: [peer(3), peer(9)] }, (now) => assert.deepEqual(ids(now), ['3', '9'])],
  [
    'beside a full list all other peer members are ignored',
    {
      peers: [peer(2), peer(3)],
      peersRemoved: ['2'],
      peersChanged: [peer(9)],
      onlineChange: new Map([['3', false]]),
      peersChangedPatch: [{ nodeId: '3', derpRegion: 5 }],
    },
    (now) => {
      assert.deepEqual(ids(now), ['2', '3'])
      assert.equal(peerOf(now, 3), peerOf(start, 3))
    },
  ],
  ['removed by number', { peersRemoved: ['3'] }, (now) => assert.deepEqual(ids(now), ['2', '4'])],
  ['removing an unknown one changes nothing', { peersRemoved: ['99'] }, (now) => assert.equal(now, start)],
  [
    'a changed one that is new is added',
    { peersChanged: [peer(5)] },
    (now) => assert.deepEqual(ids(now), ['2', '3', '4', '5']),
  ],
  [
    'removed and changed in one response: removed first, so it is there',
    { peersRemoved: ['3'], peersChanged: [peer(3, { name: 'new.tail.example.' })] },
    (now) => assert.equal(peerOf(now, 3).name, 'new.tail.example.'),
  ],
  [
    'changed and patched in one response: the patch last',
    { peersChanged: [peer(3, { homeDerp: 901 })], peersChangedPatch: [{ nodeId: '3', derpRegion: 902 }] },
    (now) => assert.equal(peerOf(now, 3).homeDerp, 902),
  ],
  [
    'a changed one that is the same changes nothing',
    { peersChanged: [peer(2), peer(3)] },
    (now) => assert.equal(now, start),
  ],
  [
    'a changed one that differs in more than a patch can say replaces the node whole',
    { peersChanged: [peer(3, { name: 'new.tail.example.', online: undefined })] },
    (now) => assert.equal(peerOf(now, 3).online, undefined),
  ],
  [
    'a changed one that a patch could say leaves an unset online as it was',
    { peersChanged: [peer(3, { homeDerp: 5, online: undefined })] },
    (now) => {
      assert.equal(peerOf(now, 3).online, true)
      assert.equal(peerOf(now, 3).homeDerp, 5)
    },
  ],
  [
    'seen, and seen no more',
    {
      peerSeenChange: new Map([
        ['2', true],
        ['99', true],
      ]),
    },
    (now) => {
      assert.equal(peerOf(now, 2).lastSeenMs, NOW)
      const forgotten = apply(now, { peerSeenChange: new Map([['2', false]]) })
      assert.equal(peerOf(forgotten, 2).lastSeenMs, undefined)
    },
  ],
  [
    'online by dictionary, then by patch',
    {
      onlineChange: new Map([
        ['2', false],
        ['3', false],
      ]),
      peersChangedPatch: [{ nodeId: '3', online: true }],
    },
    (now) => {
      assert.equal(peerOf(now, 2).online, false)
      assert.equal(peerOf(now, 3), peerOf(start, 3), 'off and on again is no change')
    },
  ],
  [
    'a patch of an unknown node is for someone else',
    { peersChangedPatch: [{ nodeId: '99', online: true }] },
    (now) => assert.equal(now, start),
  ],
  [
    'a patch changes what it names and nothing else',
    {
      peersChangedPatch: [
        {
          nodeId: '3',
          endpoints: ['198.51.100.1:1'],
          key: nodeKeyOf(33),
          discoKey: discoKeyOf(34),
          cap: 119,
          capMap: new Map([['a', []]]),
          keyExpiryMs: NOW + HOUR,
          lastSeenMs: NOW,
          keySignature: Uint8Array.of(1),
        },
      ],
    },
    (now) => {
      const expected = {
        ...peerOf(start, 3),
        endpoints: ['198.51.100.1:1'],
        key: nodeKeyOf(33),
        discoKey: discoKeyOf(34),
        cap: 119,
        capMap: new Map([['a', []]]),
        keyExpiryMs: NOW + HOUR,
        lastSeenMs: NOW,
        keySignature: Uint8Array.of(1),
      }
      assert.deepEqual(peerOf(now, 3), expected)
      const never = apply(now, { peersChangedPatch: [{ nodeId: '3', keyExpiryMs: 'never', lastSeenMs: 'never' }] })
      assert.equal(peerOf(never, 3).keyExpiryMs, undefined)
      assert.equal(peerOf(never, 3).lastSeenMs, undefined)
    },
  ],
  [
    'region 0, capability version 0 and no endpoints in a patch mean unchanged',
    { peersChangedPatch: [{ nodeId: '3', derpRegion: 0, cap: 0, endpoints: [] }] },
    (now) => assert.equal(now, start),
  ],
]

for (const [name, input, check] of PEER_CASES) {
  test(`peers: ${name}`, () => {
    const now = apply(start, input)
    check(now)
    assert.equal(now.self, start.self)
    assert.equal(now.derpMap, start.derpMap)
    assert.equal(now.packetFilter, start.packetFilter)
    if (now.peers.has('4')) assert.equal(peerOf(now, 4), peerOf(start, 4), 'an untouched peer keeps its identity')
  })
}

test('an offline report older than what is known leaves the disco key alone', () => {
  const seen = apply(start, { peersChangedPatch: [{ nodeId: '3', online: false, lastSeenMs: NOW }] })
  const stale = { nodeId: '3', online: false, lastSeenMs: NOW - 1, discoKey: discoKeyOf(66) }
  assert.equal(apply(seen, { peersChangedPatch: [stale] }), seen)
  const fresh = apply(seen, { peersChangedPatch: [{ ...stale, lastSeenMs: NOW + 1 }] })
  assert.equal(peerOf(fresh, 3).discoKey?.text, discoKeyOf(66).text)
  const list = apply(seen, { peers: [peer(3, { online: false, lastSeenMs: NOW - 1, discoKey: discoKeyOf(66) })] })
  assert.equal(peerOf(list, 3).discoKey?.text, discoKeyOf(3).text)
})

test('older forms of a node are brought to the present one', () => {
  const now = apply(undefined, {
    node: { ...self, capabilities: ['a', 'b'], capMap: new Map([['b', [1]]]) },
    peers: [
      peer(2, { homeDerp: 0, legacyDerp: '127.3.3.40:17', allowedIps: undefined }),
      peer(3, { unsignedPeerApiOnly: true, allowedIps: ['100.64.0.3/32', '10.0.0.0/8'] }),
      peer(4, { allowedIps: [] }),
    ],
  })
  assert.deepEqual(
    [...now.self.capMap],
    [
      ['b', [1]],
      ['a', []],
    ],
  )
  assert.equal(peerOf(now, 2).homeDerp, 17)
  assert.deepEqual(peerOf(now, 2).allowedIps, ['100.64.0.2/32'])
  assert.deepEqual(peerOf(now, 3).allowedIps, ['100.64.0.3/32'])
  assert.deepEqual(peerOf(now, 4).allowedIps, [], 'empty is not absent')
  assert.deepEqual(nodeAddresses(peerOf(now, 2)), ['100.64.0.2'])
})

/** Each row: filter members of successive responses, and the sources of the rules at the end. */
const FILTER_CASES: readonly (readonly [string, readonly MapResponseInput[], readonly string[]])[] = [
  ['absent stays', [{ domain: 'x' }], ['*']],
  ['an empty filter blocks everything', [{ packetFilter: [] }], []],
  ['the unnamed filter is the chunk "base"', [{ packetFilter: [rule('a')] }], ['a']],
  ['a second chunk adds', [{ packetFilters: new Map([['more', [rule('b')]]]) }], ['*', 'b']],
  [
    'chunks come in the order of their names',
    [
      {
        packetFilters: new Map([
          ['zz', [rule('z')]],
          ['aa', [rule('a')]],
        ]),
      },
    ],
    ['a', '*', 'z'],
  ],
  ['null deletes a chunk', [{ packetFilters: new Map([['base', undefined]]) }], []],
  [
    'null under * clears what was there, also "base" of the same response',
    [
      {
        packetFilter: [rule('x')],
        packetFilters: new Map([
          ['new', [rule('n')]],
          ['*', undefined],
        ]),
      },
    ],
    ['n'],
  ],
  ['a chunk of that name with rules is only a chunk', [{ packetFilters: new Map([['*', [rule('s')]]]) }], ['s', '*']],
  [
    'both members may be mixed over time',
    [{ packetFilters: new Map([['base', [rule('1')]]]) }, { packetFilter: [rule('2')] }],
    ['2'],
  ],
]

for (const [name, responses, sources] of FILTER_CASES) {
  test(`packet filter: ${name}`, () => {
    let now = start
    for (const input of responses) now = apply(now, input)
    assert.deepEqual(
      now.packetFilter.flatMap(({ srcIps }) => srcIps),
      sources,
    )
    assert.equal(now.peers, start.peers)
  })
}

test('without any filter nothing comes in', () => {
  assert.deepEqual(apply(undefined, { node: self }).packetFilter, [])
})

test('the DERP map is replaced by regions and by scores, each as a whole', () => {
  const region = { regionId: 901, nodes: [{ name: '901a', hostName: 'other.example' }] }
  const scored = apply(start, { derpMap: { homeParams: { regionScore: new Map([[900, 2]]) } } })
  assert.deepEqual([...(scored.derpMap.regions?.keys() ?? [])], [900])
  assert.equal(scored.derpMap.homeParams?.regionScore?.get(900), 2)
  const moved = apply(scored, { derpMap: { regions: new Map([[901, region]]) } })
  assert.deepEqual([...(moved.derpMap.regions?.keys() ?? [])], [901])
  assert.equal(moved.derpMap.homeParams?.regionScore?.get(900), 2)
  const reset = apply(moved, { derpMap: { homeParams: { regionScore: new Map() } } })
  assert.equal(reset.derpMap.homeParams?.regionScore?.size, 0)
  assert.equal(apply(reset, { derpMap: { homeParams: {} } }), reset)
})

test('DNS is replaced whole, profiles are merged, an empty domain is no change', () => {
  const now = apply(start, {
    dnsConfig: { domains: ['other.example'] },
    userProfiles: [{ id: '8', loginName: 'bob' }],
  })
  assert.equal(now.dns?.proxied, false)
  assert.deepEqual(
    [...now.userProfiles.values()].map(({ loginName }) => loginName),
    ['alice', 'bob'],
  )
  assert.equal(now.domain, 'tail.example')
  assert.equal(apply(now, { userProfiles: [{ id: '7', loginName: 'alice', displayName: 'Alice' }] }), now)
})

test('health and messages: absent, empty, and patched', () => {
  const sick = apply(start, {
    health: ['bad'],
    displayMessages: new Map([
      ['a', { title: 'A' }],
      ['b', { title: 'B' }],
    ]),
  })
  assert.deepEqual(apply(sick, {}).health, ['bad'])
  assert.deepEqual(apply(sick, { health: [] }).health, [])
  const less = apply(sick, { displayMessages: new Map([['a', undefined]]) })
  assert.deepEqual([...less.displayMessages.keys()], ['b'])
  const cleared = apply(sick, {
    displayMessages: new Map([
      ['*', undefined],
      ['c', { title: 'C' }],
    ]),
  })
  assert.deepEqual([...cleared.displayMessages.keys()], ['c'])
})

test('an SSH policy stays until another comes', () => {
  const now = apply(start, { sshPolicy: { rules: [{ action: { accept: true } }] } })
  assert.equal(apply(now, { domain: 'x' }).sshPolicy, now.sshPolicy)
  assert.deepEqual(apply(now, { sshPolicy: { rules: [] } }).sshPolicy?.rules, [])
})

test('a keep-alive changes nothing, whatever it carries, but the clock', () => {
  assert.equal(apply(start, { keepAlive: true, domain: 'x', peersRemoved: ['2'] }), start)
  const late = apply(start, { keepAlive: true, controlTimeMs: NOW + HOUR })
  assert.equal(late.clockOffsetMs, HOUR)
  assert.equal(late.peers, start.peers)
})

test('expiry goes by the clock of the server when ours is off by more than a minute', () => {
  const mortal = apply(start, { peersChanged: [peer(3, { keyExpiryMs: NOW + HOUR })], controlTimeMs: NOW + 30_000 })
  assert.equal(mortal.clockOffsetMs, 0)
  assert.equal(isExpired(mortal, peerOf(mortal, 3), NOW + HOUR - 1), false)
  assert.equal(isExpired(mortal, peerOf(mortal, 3), NOW + HOUR), true)
  assert.equal(isExpired(mortal, peerOf(mortal, 2), NOW + 1000 * HOUR), false)
  const ahead = apply(mortal, { controlTimeMs: NOW + HOUR })
  assert.equal(isExpired(ahead, peerOf(ahead, 3), NOW), true)
  const dead = expiredNode(peerOf(ahead, 3))
  assert.deepEqual([dead.endpoints, dead.homeDerp, dead.expired], [[], 0, true])
  assert.match(Buffer.from(dead.key.bytes).toString('base64'), /^bad01/)
})

test('the first response of the next session says everything, and the same parts are the same objects', () => {
  const first: MapResponseInput = { node: self, peers: [peer(2), peer(4)], domain: 'tail.example' }
  const again = firstMapResponse(start, response(first), NOW)
  assert.deepEqual(ids(again), ['2', '4'])
  assert.equal(peerOf(again, 2), peerOf(start, 2))
  assert.equal(again.self, start.self)
  assert.deepEqual(again.packetFilter, [], 'a filter that is not repeated is gone')
  assert.equal(firstMapResponse(again, response(first), NOW), again)
  const alone = firstMapResponse(again, response({ node: self, domain: 'tail.example' }), NOW)
  assert.equal(alone.peers.size, 0, 'here an absent list means none')
})

test('any order of changes ends in the set a plain model has', () => {
  const id = fc.integer({ min: 2, max: 6 })
  const change = fc.oneof(
    fc.record({ kind: fc.constant('removed' as const), id }),
    fc.record({ kind: fc.constant('changed' as const), id, derp: fc.integer({ min: 1, max: 9 }) }),
    fc.record({ kind: fc.constant('patched' as const), id, derp: fc.integer({ min: 1, max: 9 }) }),
  )
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
      let now = start
      const model = new Map([2, 3, 4].map((n) => [n, 900]))
      for (const step of changes) {
        switch (step.kind) {
          case 'removed':
            now = apply(now, { peersRemoved: [String(step.id)] })
            model.delete(step.id)
            break
          case 'changed':
            now = apply(now, { peersChanged: [peer(step.id, { homeDerp: step.derp })] })
            model.set(step.id, step.derp)
            break
          case 'patched':
            now = apply(now, { peersChangedPatch: [{ nodeId: String(step.id), derpRegion: step.derp }] })
            if (model.has(step.id)) model.set(step.id, step.derp)
            break
        }
      }
      const found = new Map([...now.peers].map(([peerId, { homeDerp }]) => [Number(peerId), homeDerp]))
      assert.deepEqual(found, model)
    }),
  )
})

test('a node read twice is the same value', () => {
  const raw = JSON.parse(Buffer.from(encodeMessage(node, peer(2))).toString()) as unknown
  assert.deepEqual(readMessage(node, raw), readMessage(node, raw))
})
