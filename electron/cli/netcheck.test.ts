import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NetcheckView } from '../contract/netcheck-view.ts'
import { netcheckJson, netcheckText } from './netcheck.ts'

const home: NetcheckView = {
  at: Date.UTC(2026, 0, 2, 3, 4, 5),
  udp: true,
  ipv4: true,
  ipv6: false,
  ipv4CanSend: true,
  ipv6CanSend: false,
  osHasIpv6: true,
  mappingVariesByDestIp: false,
  captivePortal: undefined,
  publicEndpoints: [
    { endpoint: '198.51.100.7:41641', seen: 2 },
    { endpoint: '[2001:db8::7]:41641', seen: 1 },
  ],
  portMapping: { upnp: true, pmp: false, pcp: false, endpoint: '198.51.100.7:5000', via: 'upnp', refusal: undefined },
  regions: [
    { id: 1, code: 'ams', name: 'Amsterdam', latencyMs: 80.4, v4Ms: 80.4, v6Ms: undefined },
    { id: 900, code: 'own', name: 'Own', latencyMs: 1.25, v4Ms: 1.25, v6Ms: undefined },
    { id: 7, code: 'tok', name: 'Tokyo', latencyMs: undefined, v4Ms: undefined, v6Ms: undefined },
  ],
  home: 900,
  endpoints: ['198.51.100.7:5000', '192.168.1.2:41641'],
}
const office: NetcheckView = {
  ...home,
  udp: false,
  ipv4: false,
  osHasIpv6: false,
  mappingVariesByDestIp: undefined,
  publicEndpoints: [],
  portMapping: { ...home.portMapping, upnp: undefined, pmp: undefined, pcp: undefined, endpoint: undefined },
}

test('the JSON has the names and units of this field', () => {
  assert.deepEqual(netcheckJson(home), {
    Now: '2026-01-02T03:04:05.000Z',
    UDP: true,
    IPv6: false,
    IPv4: true,
    IPv6CanSend: false,
    IPv4CanSend: true,
    OSHasIPv6: true,
    MappingVariesByDestIP: false,
    UPnP: true,
    PMP: false,
    PCP: false,
    PreferredDERP: 900,
    RegionLatency: { 1: 80_400_000, 900: 1_250_000 },
    RegionV4Latency: { 1: 80_400_000, 900: 1_250_000 },
    RegionV6Latency: {},
    GlobalV4Counters: { '198.51.100.7:41641': 2 },
    GlobalV6Counters: { '[2001:db8::7]:41641': 1 },
    GlobalV4: '198.51.100.7:41641',
    GlobalV6: '[2001:db8::7]:41641',
    CaptivePortal: null,
    PortMapping: { Endpoint: '198.51.100.7:5000', Via: 'upnp', Refusal: '' },
    Regions: {
      1: { Code: 'ams', Name: 'Amsterdam' },
      900: { Code: 'own', Name: 'Own' },
      7: { Code: 'tok', Name: 'Tokyo' },
    },
    Endpoints: ['198.51.100.7:5000', '192.168.1.2:41641'],
  })
  const json = netcheckJson(office)
  assert.deepEqual(
    [json['UDP'], json['UPnP'], json['MappingVariesByDestIP'], json['GlobalV4']],
    [false, null, null, ''],
  )
})

test('a person reads what works, the nearest region first', () => {
  assert.equal(
    netcheckText(home),
    [
      'UDP           works',
      'IPv4          yes, seen from outside as 198.51.100.7:41641',
      'IPv6          yes, seen from outside as [2001:db8::7]:41641',
      'NAT           easy: one port for all destinations',
      'Port mapping  198.51.100.7:5000 by UPnP (router offers UPnP)',
      'DERP',
      '  own  1.3 ms     Own        home',
      '  ams  80 ms      Amsterdam',
      '  tok  no answer  Tokyo',
    ].join('\n'),
  )
})

test('a person reads what does not work', () => {
  const text = netcheckText(office)
  assert.match(text, /^UDP +no answer/m)
  assert.match(text, /^IPv6 +no, this system has none$/m)
  assert.match(text, /^NAT +not known without UDP/m)
  assert.match(text, /^Port mapping +no home router found to ask$/m)
  assert.match(netcheckText({ ...home, mappingVariesByDestIp: true }), /^NAT +hard: another port/m)
  const { portMapping } = home
  const refused = { ...portMapping, endpoint: undefined, refusal: 'port mapping is turned off in the router' }
  assert.match(
    netcheckText({ ...home, portMapping: refused }),
    /^Port mapping +none, though the router offers UPnP: port mapping is turned off in the router$/m,
  )
  assert.match(
    netcheckText({ ...home, portMapping: { ...refused, upnp: false } }),
    /^Port mapping +the router offers none/m,
  )
  assert.match(netcheckText({ ...home, regions: [] }), /no region/)
  assert.match(netcheckText({ ...office, captivePortal: true }), /^Sign-in +this network wants/m)
})
