import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Netmap } from '../control/netmap.ts'
import { dataplanePeers, filterRules, hostConfig, livePeers, localPrefixes, pathDerpMap } from './netmap-config.ts'
import { netmapViews } from './netmap-views.ts'
import { PeerIds } from './peer-ids.ts'
import { NO_NETWORKS } from './routing/network-use.ts'
import { netmapOf, nodeOf, NOW } from './test-netmap.ts'

test('only addresses of its own lead to a peer, whatever routes it is given', () => {
  const netmap = netmapOf({
    peers: [
      nodeOf(2, {
        allowedIps: ['100.64.0.2/32', '0.0.0.0/0', '10.0.0.0/8'],
        addresses: ['100.64.0.2/32', '192.168.0.1/32', '100.64.0.0/10'],
      }),
    ],
  })
  const peers = livePeers(netmap, NOW)
  assert.deepEqual(dataplanePeers(peers, new PeerIds(), new Map())[0]?.allowedIps, ['100.64.0.2/32'])
  assert.deepEqual(hostConfig(netmap, peers, { name: 'pw0', mtuBytes: 1280 }, 0, NO_NETWORKS), {
    tunName: 'pw0',
    mtuBytes: 1280,
    addresses: ['100.64.0.1/32', 'fd7a:115c:a1e0::1/128'],
    routes: ['100.64.0.2/32'],
    serviceAddresses: [],
    excluded: [],
    served: undefined,
    firewallMark: 0,
  })
})

test('a peer whose key has run out is cut off, by the clock of the server', () => {
  const peers = [
    nodeOf(2, { keyExpiryMs: NOW - 1 }),
    nodeOf(3, { keyExpiryMs: NOW + 3_600_000 }),
    nodeOf(4, { expired: true }),
    nodeOf(5),
  ]
  const names = (netmap: Netmap): string[] => livePeers(netmap, NOW).map((peer) => peer.stableId)
  assert.deepEqual(names(netmapOf({ peers })), ['n3', 'n5'])
  assert.deepEqual(names(netmapOf({ peers, controlTimeMs: NOW + 7_200_000 })), ['n5'])
})

test('a jailed peer is left out, since it could open connections otherwise', () => {
  assert.deepEqual(livePeers(netmapOf({ peers: [nodeOf(2, { isJailed: true })] }), NOW), [])
})

test('no filter from the server means that nothing comes in', () => {
  assert.deepEqual(filterRules(netmapOf({})), [])
})

test('rules are handed on, capabilities of peers become their addresses', () => {
  const ports = { first: 22, last: 22 }
  const netmap = netmapOf({
    peers: [nodeOf(2, { capMap: new Map([['example.com/cap/x', []]]) }), nodeOf(3)],
    packetFilter: [
      { srcIps: ['*'], dstPorts: [{ ip: '*', ports: { first: 0, last: 65_535 } }] },
      { srcIps: ['cap:example.com/cap/x'], dstPorts: [{ ip: '100.64.0.1', ports }], ipProto: [6, 999] },
      { srcIps: ['*'], capGrant: [{ dsts: ['100.64.0.1/32'] }] },
    ],
  })
  assert.deepEqual(filterRules(netmap), [
    { sources: ['*'], destinations: [{ ip: '*', firstPort: 0, lastPort: 65_535 }], protocols: [] },
    {
      sources: ['100.64.0.2/32', 'fd7a:115c:a1e0::2/128'],
      destinations: [{ ip: '100.64.0.1', firstPort: 22, lastPort: 22 }],
      protocols: [6],
    },
  ])
  const own = ['100.64.0.1/32', 'fd7a:115c:a1e0::1/128']
  assert.deepEqual(localPrefixes(netmap, { routes: [], isExit: false }), own)
  const served = { routes: ['10.1.0.0/16'], isExit: true }
  assert.deepEqual(localPrefixes(netmap, served), [...own, '10.1.0.0/16', '0.0.0.0/0', '::/0'])
})

test('one rule of the obsolete form denies everything', () => {
  const all = { srcIps: ['*'], dstPorts: [{ ip: '*', ports: { first: 0, last: 65_535 } }] }
  assert.deepEqual(filterRules(netmapOf({ packetFilter: [all, { ...all, srcBits: [8] }] })), [])
})

test('the DERP map keeps order, scores and what is not to be measured', () => {
  const node = { name: '900a', regionId: 900, hostName: 'derp.example', stunPort: -1 }
  const netmap = netmapOf({
    derpMap: {
      regions: new Map([[900, { regionId: 900, regionCode: 'own', nodes: [node], noMeasureNoHome: true }]]),
      homeParams: { regionScore: new Map([[900, 0.5]]) },
    },
  })
  const [region] = pathDerpMap(netmap.derpMap).regions
  assert.equal(region?.score, 0.5)
  assert.equal(region?.noMeasureNoHome, true)
  assert.equal(region?.nodes[0]?.stunPort, -1)
})

test('views name machines by their first label, owners by their profile, and tell mine from others', () => {
  const netmap = netmapOf({
    domain: 'tail.example',
    peers: [
      nodeOf(2),
      nodeOf(3, { user: '2', online: false, lastSeenMs: NOW - 1000 }),
      nodeOf(4, { tags: ['tag:ci'] }),
    ],
    userProfiles: [
      { id: '1', loginName: 'ines', displayName: 'Ines' },
      { id: '2', loginName: 'jonas', displayName: '' },
    ],
  })
  const { self, peers, tailnet } = netmapViews(netmap, {
    serverUrl: 'https://home.example',
    tunName: 'pw0',
    endpoints: [],
    homeRegion: undefined,
    paths: new Map(),
    doctor: new Map(),
    nowWallMs: NOW,
  })
  assert.equal(self.dnsName, 'host1.tail.example')
  assert.deepEqual(tailnet, {
    name: 'tail.example',
    serverUrl: 'https://home.example',
    account: 'ines',
    accountName: 'Ines',
  })
  const short = Object.values(peers).map(({ name, ownerName, mine, lastSeenAt }) => [name, ownerName, mine, lastSeenAt])
  assert.deepEqual(short, [
    ['host2', 'Ines', true, undefined],
    ['host3', 'jonas', false, NOW - 1000],
    ['host4', 'Ines', false, undefined],
  ])
})
