import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { DoctorCause } from '../../contract/doctor.ts'
import { diagnose } from './diagnose.ts'
import type { OwnFacts, OwnNetworkFacts, PeerFacts, PeerNetworkFacts } from './facts.ts'

// Two homes behind easy routers, both with UDP over IPv4, traffic for a minute and still no direct path.

const ownNetwork: OwnNetworkFacts = {
  checkedAgoMs: 10_000,
  udp: true,
  udpLostMs: undefined,
  ipv4: true,
  ipv6: false,
  ipv4CanSend: true,
  ipv6CanSend: false,
  mappingVariesByDestIp: false,
  observed: ['198.51.100.1:41641'],
  portMapping: undefined,
  routerIsBehindNat: undefined,
  isMappingSettled: true,
}
const home: OwnFacts = {
  problemCode: undefined,
  controlConnected: true,
  derp: { connected: true, awayMs: 0, badCertificateDate: false, udpSince: undefined },
  network: ownNetwork,
  hasStunServer: true,
  addresses: ['192.168.1.5'],
  networks: ['192.168.1.5/24'],
  vpnInterface: undefined,
  captivePortal: undefined,
  clockOffsetMs: 0,
  somePeerHasUdp: true,
}
const peerNetwork: PeerNetworkFacts = {
  mappingVariesByDestIp: false,
  workingUdp: true,
  workingIpv6: false,
  havePortMap: false,
}
const nas: PeerFacts = {
  name: 'nas',
  pathKind: 'derp',
  expired: false,
  online: true,
  accessDenied: false,
  homeRegion: 1,
  homeRegionConnected: true,
  endpoints: ['203.0.113.9:41641', '192.168.7.4:41641'],
  network: peerNetwork,
  unchangedMs: 60_000,
  udpLostMs: undefined,
  searchingMs: 60_000,
  goneFromHomeMs: undefined,
  unansweredMs: undefined,
  talkingMs: 60_000,
  heardAgoMs: 500,
  directAnsweredAgoMs: undefined,
  directForbidden: false,
  largePacketsLost: undefined,
  dataDropped: undefined,
  failingRelay: undefined,
}

type OwnChange = Partial<Omit<OwnFacts, 'network'>> & { readonly network?: Partial<OwnNetworkFacts> | undefined }
type PeerChange = Partial<Omit<PeerFacts, 'network'>> & { readonly network?: Partial<PeerNetworkFacts> | undefined }

const ownFacts = (change: OwnChange): OwnFacts => ({
  ...home,
  ...change,
  network: 'network' in change && change.network === undefined ? undefined : { ...ownNetwork, ...change.network },
})
const peerFacts = (change: PeerChange): PeerFacts => ({
  ...nas,
  ...change,
  network: 'network' in change && change.network === undefined ? undefined : { ...peerNetwork, ...change.network },
})

const hard = { network: { mappingVariesByDestIp: true } }
const noUdp = { network: { udp: false, ipv4: false, observed: [] } }
const away = { connected: false, awayMs: 60_000, badCertificateDate: false, udpSince: undefined }
const derpAway = { derp: away }
const cutOff = { controlConnected: false, ...derpAway, ...noUdp }
const sameHome = { endpoints: ['198.51.100.1:50000', '192.168.1.9:41641'] }
const v6Only = { endpoints: ['[2001:db8:2::4]:41641'], network: { workingIpv6: true } }
const mapped = { network: { mappingVariesByDestIp: true, portMapping: '198.51.100.1:40000' } }

/** What differs from the two homes above, here and there, and what it is called. */
const table: readonly (readonly [cause: DoctorCause | undefined, says: string, own: OwnChange, peer: PeerChange])[] = [
  [undefined, 'a direct path needs no doctor', hard, { pathKind: 'direct', ...hard }],

  ['udp-port-in-use', 'the port is taken', { problemCode: 'dataplane/port-in-use' }, {}],
  ['firewall-suspected', 'another problem is no port in use', { problemCode: 'dataplane/no-rights' }, {}],

  ['peer-key-expired', 'the key ran out', {}, { expired: true }],

  ['peer-offline', 'the server counts it as offline', {}, { online: false, heardAgoMs: undefined }],
  [
    'unknown',
    'it has only just logged in',
    {},
    { online: false, heardAgoMs: undefined, homeRegion: undefined, unchangedMs: 2_000 },
  ],
  ['peer-offline', 'it logged in and never came', {}, { online: false, heardAgoMs: undefined, homeRegion: undefined }],
  ['peer-offline', 'and nothing was heard for long', {}, { online: false, heardAgoMs: 60_000 }],
  ['hard-there', 'heard a moment ago, it is not off', {}, { online: false, ...hard }],
  ['firewall-suspected', 'a server that does not say is no "offline"', {}, { online: undefined }],

  ['peer-asleep', 'nothing comes back', {}, { unansweredMs: 20_000, heardAgoMs: 40_000 }],
  ['looking', 'too early to call it asleep', {}, { unansweredMs: 9_000, searchingMs: 9_000 }],
  [
    'firewall-suspected',
    'its DERP region is away, so it may be awake',
    {},
    { unansweredMs: 20_000, heardAgoMs: 40_000, homeRegionConnected: false },
  ],

  ['peer-no-home', 'it is at no DERP server', {}, { homeRegion: undefined }],
  ['unknown', 'it has only just come', {}, { homeRegion: undefined, unchangedMs: 3_000 }],
  ['access-denied', 'the policy forbids', {}, { accessDenied: true }],
  ['access-denied', 'a direct path is of no use then', {}, { accessDenied: true, pathKind: 'direct' }],
  ['path-rule', 'the own rule rules direct out', {}, { directForbidden: true }],
  ['path-rule', 'and goes before the routers', hard, { directForbidden: true, ...hard }],

  ['offline-here', 'no server, no DERP, no UDP', { ...cutOff, derp: { ...away, udpSince: false } }, {}],
  ['unknown', 'nothing was asked since the DERP server fell silent', cutOff, {}],
  ['derp-unreachable', 'STUN servers answer', { ...cutOff, derp: { ...away, udpSince: true } }, {}],
  [
    'unknown',
    'the control connection may be dead as well, unnoticed',
    { derp: { ...away, awayMs: 30_000, udpSince: false }, ...noUdp },
    {},
  ],
  [
    'peer-offline',
    'only the coordination server is away',
    { controlConnected: false },
    { online: false, heardAgoMs: undefined },
  ],
  ['captive-portal', 'a web page stands before the network', { captivePortal: true, ...noUdp, ...derpAway }, {}],
  ['derp-unreachable', 'the DERP server is away', derpAway, {}],
  ['derp-unreachable', 'and with it the STUN server', { ...derpAway, ...noUdp }, {}],
  ['hard-here', 'a DERP server away for two seconds is coming back', { derp: { ...away, awayMs: 2_000 }, ...hard }, {}],
  [
    'clock-off',
    'the clock is off',
    { derp: { ...away, badCertificateDate: true }, clockOffsetMs: 40 * 86_400_000 },
    {},
  ],
  ['firewall-suspected', 'a clock that is off alone stops nothing', { clockOffsetMs: 40 * 86_400_000 }, {}],
  [
    'derp-unreachable',
    'a certificate that ran out is not our clock',
    { derp: { ...away, badCertificateDate: true } },
    {},
  ],

  ['udp-blocked-here', 'others have UDP and we have not', noUdp, {}],
  ['unknown', 'the cable may just have been pulled', { ...noUdp, derp: { ...away, awayMs: 2_000 } }, {}],
  ['udp-blocked-here', 'the peer has none, but others have', noUdp, { network: { workingUdp: false } }],
  [
    'stun-unanswered',
    'nobody has UDP: it may be the server',
    { ...noUdp, somePeerHasUdp: false },
    { network: { workingUdp: false } },
  ],
  [
    'stun-unanswered',
    'a peer that says nothing proves nothing',
    { ...noUdp, somePeerHasUdp: false },
    { network: undefined },
  ],
  [
    'udp-blocked-here',
    'it worked before, and the peer still has it',
    { network: { ...noUdp.network, udpLostMs: 60_000 } },
    {},
  ],
  [
    'unknown',
    'it worked before, and the peer may not have looked again',
    { network: { ...noUdp.network, udpLostMs: 20_000 } },
    {},
  ],
  [
    'unknown',
    'it worked before, and the peer sends nothing, so it does not look',
    { network: { ...noUdp.network, udpLostMs: 600_000 } },
    { talkingMs: undefined },
  ],
  [
    'stun-unanswered',
    'it worked before, at both ends',
    { network: { ...noUdp.network, udpLostMs: 60_000 } },
    { network: { workingUdp: false } },
  ],
  ['unknown', 'without a STUN server nobody was asked', { ...noUdp, hasStunServer: false }, {}],
  ['unknown', 'before the first check', { network: undefined }, {}],
  ['udp-blocked-there', 'the peer has no UDP', {}, { network: { workingUdp: false } }],
  ['unknown', 'it had, and nobody has looked here since', {}, { udpLostMs: 5_000, network: { workingUdp: false } }],
  ['udp-blocked-there', 'it had, and we have still', {}, { udpLostMs: 15_000, network: { workingUdp: false } }],
  ['udp-blocked-there', 'which goes before our router', hard, { network: { workingUdp: false } }],
  [
    'unknown',
    'in one network neither end needs the world',
    noUdp,
    { endpoints: ['192.168.1.9:41641'], network: { workingUdp: false } },
  ],

  ['vpn-default-route', 'a VPN that lets no UDP through', { vpnInterface: 'wg0', ...noUdp }, {}],
  ['vpn-default-route', 'a VPN with a hard exit', { vpnInterface: 'tun0', ...hard }, hard],
  ['hard-there', 'a VPN with an easy exit is not to blame', { vpnInterface: 'wg0' }, hard],
  ['udp-blocked-there', 'nor for what is blocked there', { vpnInterface: 'wg0' }, { network: { workingUdp: false } }],

  ['no-common-family', 'IPv4 here, IPv6 there', {}, v6Only],
  [
    'no-common-family',
    'an address that ends at the link is none',
    { addresses: ['192.168.1.5', 'fe80::5', 'fd00::5'], networks: ['192.168.1.5/24', 'fe80::5/64', 'fd00::5/64'] },
    v6Only,
  ],
  [
    'no-common-family',
    'IPv6 here, IPv4 there',
    {
      addresses: ['2001:db8:1::5'],
      networks: ['2001:db8:1::5/64'],
      network: { ipv4: false, ipv6: true, ipv4CanSend: false, ipv6CanSend: true, observed: ['[2001:db8:1::5]:41641'] },
    },
    {},
  ],
  [
    'hard-there',
    'a peer with both families shares one',
    {},
    { endpoints: [...nas.endpoints, ...v6Only.endpoints], ...hard },
  ],
  ['unknown', 'a peer without endpoints has not said', hard, { endpoints: [], ...hard }],
  [
    'firewall-suspected',
    'IPv6 at both ends: no router of IPv4 is to blame',
    {
      addresses: ['192.168.1.5', '2001:db8:1::5'],
      network: { mappingVariesByDestIp: true, ipv6: true, ipv6CanSend: true },
    },
    { endpoints: [...nas.endpoints, ...v6Only.endpoints], network: { mappingVariesByDestIp: true, workingIpv6: true } },
  ],

  [
    'hairpin-missing',
    'one public address, two local networks',
    {},
    { endpoints: ['198.51.100.1:50000', '192.168.7.4:41641'] },
  ],
  [
    'hairpin-missing',
    'also behind a hard router',
    hard,
    { endpoints: ['198.51.100.1:50000', '192.168.7.4:41641'], ...hard },
  ],
  ['firewall-suspected', 'one local network', {}, sameHome],
  [
    'double-nat',
    'two houses behind one carrier',
    { network: { routerIsBehindNat: true } },
    { endpoints: ['198.51.100.1:50000', '192.168.7.4:41641'] },
  ],
  [
    'vpn-default-route',
    'two machines behind the exit of one VPN',
    { vpnInterface: 'wg0' },
    { endpoints: ['198.51.100.1:50000', '192.168.7.4:41641'] },
  ],
  ['looking', 'two machines at home have only begun', hard, { ...sameHome, ...hard, searchingMs: 1_000 }],

  ['both-hard', 'both routers are hard', hard, hard],
  ['both-hard', 'which needs no trying', hard, { ...hard, searchingMs: undefined }],
  ['hard-here', 'the router here is hard', hard, {}],
  ['hard-there', 'the router there is hard', {}, hard],
  ['unknown', 'nobody knows our router', { network: { mappingVariesByDestIp: undefined } }, hard],
  ['unknown', 'nobody knows their router', hard, { network: { mappingVariesByDestIp: undefined } }],
  ['unknown', 'the peer says nothing of its network', hard, { network: undefined }],
  [
    'firewall-suspected',
    'a public machine is reached from behind a hard router',
    hard,
    { endpoints: ['203.0.113.9:41641'] },
  ],
  [
    'double-nat',
    'the near router has no public address',
    { network: { mappingVariesByDestIp: true, routerIsBehindNat: true } },
    hard,
  ],
  [
    'double-nat',
    'the port is mapped at another address than the world sees',
    { network: { mappingVariesByDestIp: true, portMapping: '10.0.0.7:40000' } },
    hard,
  ],
  ['hard-there', 'two easy routers in a row are as one', { network: { routerIsBehindNat: true } }, hard],
  ['mapping-broken', 'a mapped port lets nothing in', mapped, hard],
  ['mapping-broken', 'a hard router needs its mapping with an easy one, too', mapped, {}],
  ['mapping-broken', 'an easy one needs it with a hard one', { network: { portMapping: '198.51.100.1:40000' } }, hard],
  [
    'firewall-suspected',
    'two easy routers need no mapping',
    { network: { portMapping: '198.51.100.1:40000' } },
    { network: { havePortMap: true } },
  ],
  [
    'both-hard',
    'a port there at another address than the world sees is none',
    hard,
    {
      endpoints: ['20.9.0.2:41641', '203.0.113.9:7000', '192.168.7.4:41641'],
      network: { mappingVariesByDestIp: true, havePortMap: true },
    },
  ],
  [
    'looking',
    'the router here may yet open a port',
    { network: { mappingVariesByDestIp: true, isMappingSettled: false } },
    { searchingMs: 3_000 },
  ],
  [
    'hard-here',
    'nobody knows whether it would',
    { network: { mappingVariesByDestIp: true, isMappingSettled: false } },
    {},
  ],
  ['unknown', 'the router there may yet open a port', {}, { ...hard, unchangedMs: 2_000 }],
  ['direct-poor', 'a direct path answers and is not used', {}, { directAnsweredAgoMs: 800 }],
  ['direct-poor', 'whatever the routers are', hard, { ...hard, directAnsweredAgoMs: 800 }],
  ['firewall-suspected', 'it answers no more', {}, { directAnsweredAgoMs: 20_000 }],
  ['mapping-broken', 'nor the one there', hard, { network: { mappingVariesByDestIp: true, havePortMap: true } }],
  ['looking', 'a mapped port has only begun', mapped, { ...hard, searchingMs: 1_000 }],
  ['firewall-suspected', 'all allows it and nothing passes', {}, {}],
  ['looking', 'for a few seconds that means nothing', {}, { searchingMs: 3_000 }],
  ['idle', 'nobody has tried', {}, { searchingMs: undefined }],

  ['mtu-black-hole', 'large packets vanish', {}, { largePacketsLost: true, pathKind: 'direct' }],
  ['data-dropped', 'pings pass and data does not', {}, { dataDropped: true, pathKind: 'derp' }],
  [undefined, 'large packets pass', {}, { largePacketsLost: false, pathKind: 'direct' }],
  [
    'relay-fails',
    'the relay would have helped',
    hard,
    { ...hard, failingRelay: { name: 'box', step: 'its port is closed' } },
  ],
  [
    'both-hard',
    'a relay that carries the pair does not fail',
    hard,
    { ...hard, pathKind: 'peer-relay', failingRelay: { name: 'box', step: 'x' } },
  ],
  ['udp-blocked-here', 'no relay helps without UDP', noUdp, { failingRelay: { name: 'box', step: 'x' } }],
]

for (const [cause, says, own, peer] of table)
  test(`${cause ?? 'nothing'}: ${says}`, () => {
    assert.equal(diagnose(ownFacts(own), peerFacts(peer))?.cause, cause)
  })

/** What can be made a trouble of its own, from near to far, without undoing another. */
const NEAR_TO_FAR: readonly (readonly [cause: DoctorCause, own: OwnChange, peer: PeerChange])[] = [
  ['udp-port-in-use', { problemCode: 'dataplane/port-in-use' }, {}],
  ['captive-portal', { captivePortal: true }, {}],
  ['derp-unreachable', derpAway, {}],
  ['peer-key-expired', {}, { expired: true }],
  ['peer-offline', {}, { online: false, heardAgoMs: undefined }],
  ['access-denied', {}, { accessDenied: true }],
  ['path-rule', {}, { directForbidden: true }],
  ['peer-no-home', {}, { homeRegion: undefined }],
  ['peer-asleep', {}, { unansweredMs: 20_000, heardAgoMs: 40_000 }],
  ['mtu-black-hole', {}, { largePacketsLost: true }],
  ['data-dropped', {}, { dataDropped: true }],
  ['direct-poor', {}, { directAnsweredAgoMs: 500 }],
  ['udp-blocked-here', noUdp, {}],
  ['udp-blocked-there', {}, { network: { workingUdp: false } }],
  ['no-common-family', {}, v6Only],
  ['hairpin-missing', {}, { endpoints: ['198.51.100.1:50000', '192.168.7.4:41641'] }],
  ['both-hard', hard, hard],
  ['firewall-suspected', {}, {}],
]

test('of any two troubles the nearer one is named', () => {
  for (const [index, [near, nearOwn, nearPeer]] of NEAR_TO_FAR.entries())
    for (const [far, farOwn, farPeer] of NEAR_TO_FAR.slice(index)) {
      const own = { ...farOwn, ...nearOwn, network: { ...farOwn.network, ...nearOwn.network } }
      const peer = { ...farPeer, ...nearPeer, network: { ...farPeer.network, ...nearPeer.network } }
      assert.equal(diagnose(ownFacts(own), peerFacts(peer))?.cause, near, `${near} and ${far}`)
    }
})

test('every cause is in the table, and so are at least fifteen', () => {
  const named = new Set(table.map(([cause]) => cause))
  named.delete(undefined)
  assert.ok(named.size >= 28, `${named.size}`)
})

test('a cause comes with one sentence and a next step, in plain words', () => {
  for (const [cause, , own, peer] of table) {
    const found = diagnose(ownFacts(own), peerFacts(peer))
    if (cause === undefined) continue
    assert.ok(found)
    assert.match(found.text, /^[A-Za-z].*\.$/s)
    assert.match(found.nextStep, /^[A-Z].*\.$|^[A-Z].*relay test\.$/s)
    assert.doesNotMatch(`${found.text} ${found.nextStep}`, /\b(node|peer|endpoint|tailnet|undefined)\b|!/i, cause)
  }
})

const maybe = (): fc.Arbitrary<boolean | undefined> => fc.constantFrom(true, false, undefined)

test('no facts at all are no cause', () => {
  const nothing = { network: undefined, derp: undefined, hasStunServer: false, addresses: [], networks: [] }
  fc.assert(
    fc.property(fc.option(fc.integer({ min: 0, max: 1e6 }), { nil: undefined }), (searchingMs) => {
      const told = diagnose(
        ownFacts({ ...nothing, somePeerHasUdp: false }),
        peerFacts({ network: undefined, endpoints: [], homeRegionConnected: undefined, searchingMs }),
      )
      assert.ok(['idle', 'looking', 'unknown'].includes(told?.cause ?? ''))
    }),
  )
})

test('a router is blamed only when both ends have told of theirs and of UDP', () => {
  const routers: readonly string[] = ['both-hard', 'hard-here', 'hard-there', 'double-nat', 'mapping-broken']
  fc.assert(
    fc.property(maybe(), maybe(), maybe(), maybe(), (here, there, udpHere, udpThere) => {
      const own = ownFacts({ network: { mappingVariesByDestIp: here, udp: udpHere === true, ipv4: udpHere === true } })
      const peer = peerFacts({ network: { mappingVariesByDestIp: there, workingUdp: udpThere } })
      const cause = diagnose(own, peer)?.cause ?? ''
      if (routers.includes(cause)) {
        assert.ok(here !== undefined && there !== undefined && udpHere === true && udpThere === true)
        assert.equal(cause, here && there ? 'both-hard' : here ? 'hard-here' : 'hard-there')
      }
    }),
  )
})
