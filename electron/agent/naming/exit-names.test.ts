import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VirtualClock } from '../../base/clock.ts'
import { silentLogger } from '../../base/log.ts'
import type { NodeId } from '../../contract/snapshot.ts'
import { responsibleFor } from '../../dns/dns-plan.ts'
import type { SystemDns, SystemDnsConfig } from '../../os/system-dns.ts'
import type { MapResponseInput } from '../../wire/tailcfg/map-response.ts'
import type { NodeInput } from '../../wire/tailcfg/node.ts'
import { NO_ROUTING } from '../routing/routing-settings.ts'
import { netmapOf, nodeOf, NOW } from '../test-netmap.ts'
import { exitNames } from './exit-names.ts'
import { portsOf, whoMayGoOut } from './exit-service.ts'
import { NodeNames } from './node-names.ts'
import { planOf } from './plan.ts'

const EXIT = 'n2' as NodeId
const SERVER = 'https://Coord.example:8443'
const derpMap = {
  regions: new Map([
    [900, { regionId: 900, nodes: [{ name: 'a', regionId: 900, hostName: 'derp.example', ipv4: '', ipv6: '' }] }],
  ]),
}

const exitNode = (more: NodeInput = {}): NodeInput =>
  nodeOf(2, {
    cap: 121,
    allowedIps: ['100.64.0.2/32', '0.0.0.0/0', '::/0'],
    hostinfo: { services: [{ proto: 'peerapi4', port: 40_000 }] },
    ...more,
  })

const netmapWith = (exit: NodeInput, more: MapResponseInput = {}) =>
  netmapOf({ derpMap, dnsConfig: { proxied: true, domains: ['tail.example'] }, peers: [exit], ...more })

const namesBy = (exit: NodeInput, wanted: NodeId | undefined = EXIT) => exitNames(netmapWith(exit), wanted, SERVER, NOW)

test('the exit node is asked where it answers', () => {
  assert.deepEqual(namesBy(exitNode())?.servers, ['http://100.64.0.2:40000/dns-query'])
  assert.deepEqual([...(namesBy(exitNode())?.beside ?? [])], ['coord.example', 'derp.example'])
  const over6 = exitNode({ hostinfo: { services: [{ proto: 'peerapi6', port: 40_001 }] } })
  assert.deepEqual(namesBy(over6)?.servers, ['http://[fd7a:115c:a1e0::2]:40001/dns-query'])
  const old = { proto: 'peerapi-dns-proxy', port: 1 }
  const told = exitNode({ cap: 20, hostinfo: { services: [{ proto: 'peerapi4', port: 40_000 }, old] } })
  assert.deepEqual(namesBy(told)?.servers, ['http://100.64.0.2:40000/dns-query'])
})

test('without an exit node, or with one that looks up no names, names are found as before', () => {
  assert.equal(exitNames(netmapWith(exitNode()), undefined, SERVER, NOW), undefined)
  assert.equal(namesBy(exitNode({ cap: 20 })), undefined)
  assert.equal(namesBy(exitNode({ hostinfo: {} })), undefined)
})

test('an exit node that is gone, expired or refuses has nobody asked', () => {
  assert.deepEqual(namesBy(exitNode(), 'n9' as NodeId)?.servers, [])
  assert.deepEqual(namesBy(exitNode({ allowedIps: ['100.64.0.2/32'] }))?.servers, [])
  assert.deepEqual(namesBy(exitNode({ keyExpiryMs: NOW - 1 }))?.servers, [])
})

test('names of the network and domains with servers of their own stay; servers for those behind an exit node do too', () => {
  const dnsConfig = {
    proxied: true,
    routes: new Map([['corp.example', [{ addr: '10.0.0.53' }]]]),
    resolvers: [{ addr: '9.9.9.9' }],
  }
  const exit = namesBy(exitNode())
  const plan = planOf(netmapWith(exitNode(), { dnsConfig }), NOW, exit)
  assert.ok(plan)
  assert.equal(responsibleFor('host2.tail.example', plan).kind, 'here')
  assert.deepEqual(responsibleFor('wiki.corp.example', plan), { kind: 'servers', servers: ['10.0.0.53'] })
  assert.deepEqual(responsibleFor('www.example', plan), { kind: 'servers', servers: exit?.servers })
  for (const name of ['coord.example', 'derp.example']) assert.equal(responsibleFor(name, plan).kind, 'system')
  const resolvers = [{ addr: '9.9.9.9' }, { addr: '1.1.1.1', useWithExitNode: true }]
  assert.deepEqual(planOf(netmapWith(exitNode(), { dnsConfig: { ...dnsConfig, resolvers } }), NOW, exit)?.servers, [
    '1.1.1.1',
  ])
})

test('who may go out may ask: the own machines, and whom the policy lets out', () => {
  const rule = (srcs: string[], ip: string, port = { first: 0, last: 65_535 }) => ({
    srcIps: srcs,
    dstPorts: [{ ip, ports: port }],
  })
  const may = (response: MapResponseInput): string[] =>
    whoMayGoOut(
      netmapOf({ ...response, peers: [nodeOf(2), nodeOf(3, { user: '2' }), nodeOf(4, { tags: ['tag:x'] })] }),
      NOW,
    )
      .map(({ stableId }) => stableId)
      .sort()
  assert.deepEqual(may({}), ['n2'])
  assert.deepEqual(may({ packetFilter: [rule(['100.64.0.3'], '0.0.0.0/0')] }), ['n2', 'n3'])
  assert.deepEqual(may({ packetFilter: [rule(['*'], '*')] }), ['n2', 'n3', 'n4'])
  assert.deepEqual(may({ packetFilter: [rule(['*'], '*', { first: 80, last: 80 })] }), ['n2'])
  assert.deepEqual(may({ packetFilter: [rule(['*'], '100.64.0.1/32')] }), ['n2'])
})

test('others look at the ports where the field looks', () => {
  assert.equal(portsOf('100.64.0.1')[0], 58_436)
  assert.equal(portsOf('100.64.0.12')[0], 39_161)
  assert.equal(portsOf('100.95.136.121')[0], 60_228)
  assert.equal(portsOf('100.64.0.1').length, 5)
})

class OwnDns implements SystemDns {
  readonly formerServers = ['9.9.9.9']
  readonly told: SystemDnsConfig[] = []
  set(want: SystemDnsConfig): Promise<void> {
    this.told.push(want)
    return Promise.resolve()
  }
  readonly servers = () => Promise.resolve(this.formerServers)
  readonly isLost = () => Promise.resolve(false)
  readonly close = () => Promise.resolve()
}

test('the system’s own servers are known before the machine first sends everything through the exit node', async () => {
  const names = new NodeNames({ clock: new VirtualClock(), log: silentLogger, serverUrl: SERVER, system: new OwnDns() })
  const netmap = netmapWith(exitNode())
  await names.look(netmap, { ...NO_ROUTING, exitNode: EXIT })
  assert.deepEqual(names.serversAsked, ['9.9.9.9'])
  await names.look(netmap, { ...NO_ROUTING, exitNode: EXIT, acceptDns: false })
  assert.deepEqual(names.serversAsked, [], 'this node asks nobody then')
  await names.close()
})

test('a node that is an exit node looks up names for those who may go out, and is found', async (t) => {
  const names = new NodeNames({ clock: new VirtualClock(), log: silentLogger, serverUrl: SERVER, system: new OwnDns() })
  t.after(() => names.close())
  const netmap = netmapWith(exitNode(), { node: nodeOf(1, { addresses: ['127.0.0.1/32'] }) })
  const routing = { ...NO_ROUTING, acceptDns: false, advertiseExitNode: true }
  await names.look(netmap, routing)
  assert.deepEqual([names.rules(netmap), names.services()], [[], []])
  await names.apply(netmap, routing, 'pw0')
  const { port } = names
  assert.ok(port > 32_768)
  assert.deepEqual(names.rules(netmap), [
    {
      sources: ['100.64.0.2', 'fd7a:115c:a1e0::2'],
      destinations: [{ ip: '127.0.0.1', firstPort: port, lastPort: port }],
      protocols: [6],
    },
  ])
  assert.deepEqual(
    names.services().map(({ proto }) => proto),
    ['peerapi4', 'peerapi-dns-proxy'],
  )
  const answer = await fetch(`http://127.0.0.1:${port}/dns-query?dns=AAAA`)
  assert.equal(answer.status, 403, 'this machine is no peer')
  await names.look(netmap, NO_ROUTING)
  assert.deepEqual([names.port, names.services()], [0, []])
})
