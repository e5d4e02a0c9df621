// Two of our data planes in two namespaces, without an agent: the test itself chooses the paths.

import assert from 'node:assert/strict'
import test from 'node:test'

import { DataplaneNode, newKeyPair } from './dataplane-node.ts'
import { labUnavailable, Namespaces, runOrSkip } from './netns.ts'

import type { TestContext } from 'node:test'

const options = runOrSkip(labUnavailable(), 60_000)

async function pair(t: TestContext): Promise<[DataplaneNode, DataplaneNode]> {
  const nets = new Namespaces()
  t.after(() => nets.close())
  const [a, b] = [await nets.create('a'), await nets.create('b')]
  await nets.veth(
    { ns: a, name: 'eth0', cidrs: ['10.9.0.1/24', 'fd09::1/64'] },
    { ns: b, name: 'eth0', cidrs: ['10.9.0.2/24', 'fd09::2/64'] },
  )
  const [aKeys, bKeys] = [newKeyPair(), newKeyPair()]
  const start = (name: string, ns: typeof a, keys: typeof aKeys, n: number) =>
    DataplaneNode.start(nets, { name, ns, keys, addresses: [`100.64.0.${n}/24`, `fd7a::${n}/64`], udpPort: 41_641 })
  const [nodeA, nodeB] = await Promise.all([start('a', a, aKeys, 1), start('b', b, bKeys, 2)])
  const peer = (id: number, keys: typeof aKeys, n: number) => ({
    id,
    publicKey: keys.publicKey,
    allowedIps: [`100.64.0.${n}/32`, `fd7a::${n}/128`],
    persistentKeepaliveSeconds: 0,
  })
  await nodeA.call('setPeers', [peer(1, bKeys, 2)])
  await nodeB.call('setPeers', [peer(7, aKeys, 1)])
  return [nodeA, nodeB]
}

test('two data planes ping each other over IPv4 and IPv6', options, async (t) => {
  const [a, b] = await pair(t)
  await Promise.all([a.allowAll(), b.allowAll()])
  await a.setDirect(1, '10.9.0.2:41641')
  await b.setDirect(7, '10.9.0.1:41641')
  assert.ok(await a.options.ns.canPing('100.64.0.2', 3))
  assert.ok(await b.options.ns.canPing('fd7a::1', 3))
  await a.record('handshake', (record) => record.peer === 1)
  await b.record('handshake', (record) => record.peer === 7)
  const { peers, totals } = await a.call('counters')
  assert.equal(peers[0]?.id, 1)
  assert.ok((peers[0]?.rxBytes ?? 0) > 0 && (peers[0]?.txBytes ?? 0) > 0)
  assert.ok(Math.abs((peers[0]?.lastHandshakeAt ?? 0) - Date.now()) < 10_000)
  assert.equal(totals['rx.wrong-source'], 0)
})
