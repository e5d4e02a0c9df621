import assert from 'node:assert/strict'
import { test } from 'node:test'
import { responsibleFor } from '../../dns/dns-plan.ts'
import type { DnsConfigInput } from '../../wire/tailcfg/dns-config.ts'
import { netmapOf, nodeOf, NOW } from '../test-netmap.ts'
import { planOf } from './plan.ts'

const netmap = (dnsConfig: DnsConfigInput, more = {}) =>
  netmapOf({ dnsConfig, peers: [nodeOf(2), nodeOf(3, { name: 'NAS.tail.example.' })], ...more })

test('machines have their names, both ways, and what is unknown in their domain does not exist', () => {
  const plan = planOf(netmap({ proxied: true, domains: ['tail.example', 'corp.example.'] }), NOW)
  assert.ok(plan)
  assert.deepEqual(plan.hosts.get('nas.tail.example'), ['100.64.0.3', 'fd7a:115c:a1e0::3'])
  assert.equal(plan.namesOf.get('100.64.0.1'), 'host1.tail.example')
  for (const name of ['gone.tail.example', 'tail.example', '9.0.64.100.in-addr.arpa', '9.0.127.100.in-addr.arpa'])
    assert.equal(responsibleFor(name, plan).kind, 'here', name)
  for (const name of ['example', 'www.example.org', '9.0.128.100.in-addr.arpa'])
    assert.equal(responsibleFor(name, plan).kind, 'system', name)
  assert.deepEqual(plan.searchDomains, ['tail.example', 'corp.example'])
})

test('without names for machines only what else is said counts', () => {
  const routes = new Map([
    ['corp.example.', [{ addr: '10.0.0.53' }]],
    ['web.example', [{ addr: 'https://dns.example/dns-query' }]],
  ])
  const extraRecords = [
    { name: 'Printer.home.', value: '192.168.9.9' },
    { name: 'printer.home', type: 'AAAA', value: 'fd00::9' },
    { name: 'text.home', type: 'TXT', value: 'x' },
    { name: 'bad.home', value: 'nowhere' },
  ]
  const resolvers = [{ addr: '9.9.9.9' }, { addr: '100.100.100.100' }, { addr: 'fd7a:115c:a1e0::53' }]
  const plan = planOf(netmap({ routes, extraRecords, resolvers }), NOW)
  assert.ok(plan)
  assert.deepEqual([...plan.hosts], [['printer.home', ['192.168.9.9', 'fd00::9']]])
  assert.deepEqual([...plan.routes], [['corp.example', ['10.0.0.53']]])
  assert.deepEqual(plan.servers, ['9.9.9.9'], 'nobody asks themselves')
})

test('a network that says nothing of names, and a key that has run out, leave names to the system', () => {
  assert.equal(planOf(netmap({}), NOW), undefined)
  assert.equal(planOf(netmapOf({}), NOW), undefined)
  const expired = netmap({ proxied: true }, { node: nodeOf(1, { keyExpiryMs: NOW - 1 }) })
  assert.equal(planOf(expired, NOW), undefined)
})
