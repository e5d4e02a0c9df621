import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DiscoPrivate } from '../crypto/keys.ts'
import { hostinfo } from '../wire/tailcfg/hostinfo.ts'
import { mapRequest } from '../wire/tailcfg/map-request.ts'
import { readMessage } from '../wire/tailcfg/schema.ts'
import { hostFacts, updatedReport, usableEndpoints } from './host-facts.ts'
import { NO_REPORT } from './model.ts'

const nodeKey = `nodekey:${'01'.repeat(32)}`
const request = (members: Record<string, unknown>) =>
  readMessage(mapRequest, { Version: 130, NodeKey: nodeKey, ...members })

test('endpoints that nobody could dial are dropped', () => {
  const given = [
    '192.0.2.1:1',
    '[2001:db8::1]:2',
    '[fe80::1%eth0]:3',
    '[fe80::1]:3',
    '169.254.1.1:4',
    '192.0.2.1:0',
    'x',
    '192.0.2.1:1',
  ]
  assert.deepEqual(usableEndpoints(given), ['192.0.2.1:1', '[2001:db8::1]:2'])
})

test('no node makes its peers hold more than a bounded number of anything', () => {
  const many = Array.from({ length: 5_000 }, (_, i) => `192.0.${i >> 8}.${i & 255}:1`)
  assert.equal(usableEndpoints(many).length, 64)
  const facts = hostFacts(
    readMessage(hostinfo, {
      Hostname: 'x'.repeat(100_000),
      Services: many.map(() => ({ Proto: 'tcp', Port: 80 })),
      RoutableIPs: many.map((_, i) => `10.${i >> 8}.${i & 255}.0/24`),
      sshHostKeys: [...many, 'y'.repeat(100_000)],
    }),
  )
  assert.ok(JSON.stringify(facts).length < 100_000)
})

test('nothing a machine says about itself can write into a terminal', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (name) => {
      const { hostname } = hostFacts(readMessage(hostinfo, { Hostname: name }))
      assert.doesNotMatch(hostname, /[\p{Cc}\p{Bidi_Control}]/u)
    }),
  )
})

test('a report that says nothing new is the same value', () => {
  const disco = DiscoPrivate.generate().public.text
  const members = {
    DiscoKey: disco,
    Endpoints: ['192.0.2.1:1'],
    Hostinfo: { Hostname: 'pc', NetInfo: { PreferredDERP: 900 } },
  }
  const once = updatedReport(NO_REPORT, request(members))
  assert.notEqual(once, NO_REPORT)
  assert.equal(updatedReport(once, request(members)), once)
  const { NetInfo: _, ...shorter } = members.Hostinfo
  assert.equal(updatedReport(once, request({ ...members, Hostinfo: shorter })), once, 'NetInfo is kept')
  assert.equal(updatedReport(once, request({ ...members, Hostinfo: undefined })), once)
})

test('what a node found out about its network is kept for its peers, without the latencies', () => {
  const NetInfo = { WorkingUDP: true, MappingVariesByDestIP: true, HavePortMap: true, DERPLatency: { '900-v4': 0.02 } }
  const known = updatedReport(NO_REPORT, request({ Hostinfo: { Hostname: 'pc', NetInfo } }))
  const network = { mappingVariesByDestIp: true, workingUdp: true, workingIpv6: undefined, havePortMap: true }
  assert.deepEqual(known.hostinfo.network, network)
  const later = { ...NetInfo, DERPLatency: { '900-v4': 0.04 } }
  assert.equal(updatedReport(known, request({ Hostinfo: { Hostname: 'pc', NetInfo: later } })), known)
  assert.deepEqual(updatedReport(known, request({ Hostinfo: { Hostname: 'pc 2' } })).hostinfo.network, network)
})

test('a home region that is no region changes nothing', () => {
  const known = { ...NO_REPORT, homeDerp: 900 }
  for (const region of [0, -1])
    assert.equal(updatedReport(known, request({ Hostinfo: { NetInfo: { PreferredDERP: region } } })).homeDerp, 900)
})
