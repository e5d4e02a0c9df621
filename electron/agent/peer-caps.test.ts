import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyMapResponse, type Netmap } from '../control/netmap.ts'
import { DiscoPrivate, NodePrivate } from '../crypto/keys.ts'
import type { FilterRuleInput } from '../wire/tailcfg/filter-rule.ts'
import { mapResponse } from '../wire/tailcfg/map-response.ts'
import type { NodeInput } from '../wire/tailcfg/node.ts'
import { readMessage } from '../wire/tailcfg/schema.ts'
import { capsFrom, CAP_RELAY, CAP_RELAY_TARGET, relayServers } from './peer-caps.ts'

const nodeOf = (id: number, more: NodeInput = {}): NodeInput => ({
  id: String(id),
  stableId: `n${id}`,
  name: `host${id}.tail.example.`,
  user: '1',
  key: NodePrivate.generate().public,
  discoKey: DiscoPrivate.generate().public,
  cap: 121,
  addresses: [`100.64.0.${id}/32`, `fd7a:115c:a1e0::${id}/128`],
  ...more,
})

/** Through the codec, so that what is tested is what a server can send. */
function netmapOf(packetFilter: readonly FilterRuleInput[], ...peers: NodeInput[]): Netmap {
  const response = { node: nodeOf(1), peers, packetFilter: [...packetFilter] }
  const json: unknown = JSON.parse(JSON.stringify(mapResponse.write(response)))
  return applyMapResponse(undefined, readMessage(mapResponse, json), 0)
}

const target = (sources: string[], dsts = ['100.64.0.1/32'], caps = { caps: [CAP_RELAY_TARGET] }) => ({
  srcIps: sources,
  capGrant: [{ dsts, ...caps }],
})
const names = (netmap: Netmap): string[] =>
  relayServers(netmap, [...netmap.peers.values()]).map(({ stableId }) => stableId)

test('a relay is a peer that the filter gives the capability on us, whatever form its source has', () => {
  for (const source of ['100.64.0.2', '100.64.0.2/32', '100.64.0.2-100.64.0.2', 'fd7a:115c:a1e0::2', 'cap:relays'])
    assert.deepEqual(
      names(netmapOf([target([source])], nodeOf(2, { capMap: new Map([['relays', []]]) }), nodeOf(3))),
      ['n2'],
      source,
    )
  assert.deepEqual(names(netmapOf([target(['*'])], nodeOf(2), nodeOf(3))), ['n2', 'n3'])
})

test('no relay: another destination, another source, another capability, too old, or without a disco key', () => {
  assert.deepEqual(names(netmapOf([target(['*'], ['100.64.0.9/32'])], nodeOf(2))), [])
  assert.deepEqual(names(netmapOf([target(['100.64.0.9', 'junk', '1-2', ''])], nodeOf(2))), [])
  assert.deepEqual(names(netmapOf([target(['*'], undefined, { caps: [CAP_RELAY] })], nodeOf(2))), [])
  assert.deepEqual(names(netmapOf([target(['*'])], nodeOf(2, { cap: 120 }))), [])
  assert.deepEqual(names(netmapOf([target(['*'])], nodeOf(2, { discoKey: undefined }))), [])
  assert.deepEqual(names(netmapOf([], nodeOf(2))), [])
})

test('capabilities come as names and as names with values', () => {
  const grant = { dsts: ['fd7a:115c:a1e0::1/128'], caps: ['a'], capMap: new Map([[CAP_RELAY, []]]) }
  const netmap = netmapOf([{ srcIps: ['*'], capGrant: [grant] }], nodeOf(2))
  const [peer] = netmap.peers.values()
  assert.ok(peer)
  assert.deepEqual([...capsFrom(netmap, peer)].sort(), ['a', CAP_RELAY].sort())
})

test('a grant that names every one of a thousand machines is quickly judged for all of them', () => {
  const ids = Array.from({ length: 1_000 }, (_, index) => [index >> 8, index & 255].join('.'))
  const sources = ids.flatMap((id) => [`100.65.${id}`, `fd7a:115c:a1e0:1::${id.replace('.', ':')}`])
  const peers = ids.map((id, index) => nodeOf(index + 2, { addresses: [`100.65.${id}/32`] }))
  const netmap = netmapOf([target(sources)], ...peers)
  const startedMs = performance.now()
  assert.equal(names(netmap).length, 1_000)
  // Looked through one by one it was more than a second.
  assert.ok(performance.now() - startedMs < 300)
})
