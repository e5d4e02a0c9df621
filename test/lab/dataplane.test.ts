// Two of our data planes in two namespaces, without an agent: the test itself chooses the paths.

import assert from 'node:assert/strict'
import test from 'node:test'
import { fileURLToPath } from 'node:url'

import { DataplaneNode, newKeyPair } from './dataplane-node.ts'
import { labUnavailable, Namespaces, runOrSkip } from './netns.ts'
import { until } from './process.ts'

import type { TestContext } from 'node:test'
import type { DataplaneRecord, Leg } from '../../electron/dataplane/dataplane.ts'

const options = runOrSkip(labUnavailable(), 60_000)

const LIFECYCLE = fileURLToPath(new URL('dataplane-lifecycle.ts', import.meta.url))
const PORT = 41_641
const LINK_A = `10.9.0.1:${PORT}`
const LINK_B = `10.9.0.2:${PORT}`
/** What a calls b, and b calls a. */
const B = 1
const A = 7

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
    DataplaneNode.start(nets, { name, ns, keys, addresses: [`100.64.0.${n}/24`, `fd7a::${n}/64`], udpPort: PORT })
  const [nodeA, nodeB] = await Promise.all([start('a', a, aKeys, 1), start('b', b, bKeys, 2)])
  const peer = (id: number, keys: typeof aKeys, n: number) => ({
    id,
    publicKey: keys.publicKey,
    allowedIps: [`100.64.0.${n}/32`, `fd7a::${n}/128`],
    persistentKeepaliveSeconds: 0,
  })
  await nodeA.call('setPeers', [peer(B, bKeys, 2)])
  await nodeB.call('setPeers', [peer(A, aKeys, 1)])
  await Promise.all([nodeA.allowAll(), nodeB.allowAll()])
  return [nodeA, nodeB]
}

const canPing = (from: DataplaneNode, address: string, seconds = 3) => from.options.ns.canPing(address, seconds)

/** Carries what `from` gives to DERP over to `to`, as two DERP clients would. */
function derp(from: DataplaneNode, to: DataplaneNode): { count: number } {
  const carried = { count: 0 }
  from.onRecord = (record) => {
    if (record.kind !== 'derp-out') return
    carried.count += 1
    void to.call('injectDerp', record.region, record.bytes)
  }
  return carried
}

test('two data planes ping each other over IPv4 and IPv6', options, async (t) => {
  const [a, b] = await pair(t)
  await a.setDirect(B, LINK_B)
  await b.setDirect(A, LINK_A)
  assert.ok(await canPing(a, '100.64.0.2'))
  assert.ok(await canPing(b, 'fd7a::1'))
  await a.record('handshake', (record) => record.peer === B)
  await b.record('handshake', (record) => record.peer === A)
  const { peers, totals } = await a.call('counters')
  const now = await a.call('now')
  assert.equal(peers[0]?.id, B)
  assert.ok((peers[0]?.rxBytes ?? 0) > 0 && (peers[0]?.txBytes ?? 0) > 0)
  assert.ok(Math.abs((peers[0]?.lastHandshakeAt ?? 0) - Date.now()) < 10_000)
  for (const at of [peers[0]?.lastReceiveMs ?? 0, peers[0]?.lastSendMs ?? 0]) assert.ok(at > 0 && at <= now)
  assert.equal(totals['rx.wrong-source'], 0)
  assert.equal(totals['tun.write-error'], 0)
})

test('packets wait for a path, ask for it, and go out when it comes', options, async (t) => {
  const [a, b] = await pair(t)
  await b.setDirect(A, LINK_A)
  const ping = canPing(a, '100.64.0.2', 5)
  await a.record('need-path', (record) => record.peer === B)
  await a.record('peer-active', (record) => record.peer === B)
  await a.setDirect(B, LINK_B)
  assert.ok(await ping)
})

test('traffic over DERP alone passes through the records in both directions', options, async (t) => {
  const [a, b] = await pair(t)
  const [out, back] = [derp(a, b), derp(b, a)]
  const leg: Leg = { kind: 'derp', region: 9 }
  await a.setDirect(B, undefined, { leg })
  await b.setDirect(A, undefined, { leg })
  assert.ok(await canPing(a, '100.64.0.2'))
  assert.ok(out.count >= 2 && back.count >= 2)
  assert.equal(
    a.records.some((record) => record.kind === 'peer-seen'),
    false,
  )
})

test('a doubtful path sends twice and tells once, trust ends both', options, async (t) => {
  const [a, b] = await pair(t)
  const carried = derp(a, b)
  await b.setDirect(A, LINK_A)
  const fallback: Leg = { kind: 'derp', region: 9 }
  await a.setDirect(B, LINK_B, { fallback, trustedUntilMs: (await a.call('now')) + 60_000 })
  assert.ok(await canPing(a, '100.64.0.2'))
  assert.equal(carried.count, 0)

  await a.call('trust', B, (await a.call('now')) - 1)
  assert.ok(await canPing(a, '100.64.0.2'))
  assert.ok(await canPing(a, '100.64.0.2'))
  await until(async () => carried.count >= 2, { what: 'packets over DERP', timeoutMs: 3_000 })
  assert.equal(a.records.filter((record) => record.kind === 'path-stale').length, 1)
  // The other side drops the second of two equal packets.
  assert.ok(((await b.call('counters')).totals['rx.replayed'] ?? 0) > 0)

  await a.call('trust', B, (await a.call('now')) + 60_000)
  const before = carried.count
  assert.ok(await canPing(a, '100.64.0.2'))
  assert.equal(carried.count, before)
})

test('a dead path in doubt keeps working over its fallback', options, async (t) => {
  const [a, b] = await pair(t)
  derp(a, b)
  await b.setDirect(A, LINK_A)
  // Nobody has this address: packets vanish.
  await a.setDirect(B, '10.9.0.77:41641', { fallback: { kind: 'derp', region: 9 }, trustedUntilMs: 1 })
  assert.ok(await canPing(a, '100.64.0.2'))
})

test('a relayed leg wraps WireGuard in Geneve, and the other side sees the VNI', options, async (t) => {
  const [a, b] = await pair(t)
  const leg = (endpoint: string): Leg => ({ kind: 'relay', endpoint, vni: 0x0a0b0c })
  await a.setDirect(B, undefined, { leg: leg(LINK_B) })
  await b.setDirect(A, LINK_A)
  assert.ok(await canPing(a, '100.64.0.2'))
  const seen = await b.record('peer-seen')
  assert.deepEqual([seen.endpoint, seen.vni], [LINK_A, 0x0a0b0c])
  await b.setDirect(A, undefined, { leg: leg(LINK_A) })
  const server = b.options.ns.start(['iperf3', '-s', '-1', '--forceflush'], { name: 'iperf' })
  await server.waitForOutput(/listening/)
  await a.options.ns.run(['iperf3', '-c', '100.64.0.2', '-n', '20M'])
  const { totals } = await b.call('counters')
  assert.equal(totals['rx.undecryptable'], 0)
})

test('disco, STUN and Geneve control come up as records, strangers’ noise does not', options, async (t) => {
  const [a, b] = await pair(t)
  const disco = Buffer.concat([Buffer.from('5453f09f92ac', 'hex'), Buffer.alloc(74, 3)])
  const stun = Buffer.concat([Buffer.from('0101000c2112a442', 'hex'), Buffer.alloc(24, 4)])
  const before = await b.call('now')
  assert.equal(await a.call('sendRaw', LINK_B, disco), undefined)
  await a.call('sendRaw', LINK_B, disco, { vni: 77, control: false })
  await a.call('sendRaw', LINK_B, disco, { vni: 78, control: true })
  await a.call('sendRaw', LINK_B, stun)
  await a.call('sendRaw', `[fd09::2]:${PORT}`, stun)
  await a.call('sendRaw', LINK_B, Buffer.from('noise that is nothing'))
  const naked = await b.record('disco', (record) => record.vni === undefined)
  assert.deepEqual([naked.from, Buffer.from(naked.bytes)], [LINK_A, disco])
  const after = await b.call('now')
  const times = [before, naked.receivedAtMs, after]
  assert.deepEqual(
    times.toSorted((x, y) => x - y),
    times,
  )
  const relayed = await b.record('disco', (record) => record.vni === 77)
  assert.deepEqual(Buffer.from(relayed.bytes), disco)
  const control = await b.record('geneve-control')
  assert.deepEqual([control.vni, Buffer.from(control.bytes)], [78, disco])
  await b.record('stun', (record) => record.from === LINK_A)
  await b.record('stun', (record) => record.from === `[fd09::1]:${PORT}`)
  assert.ok(((await b.call('counters')).totals['rx.refused'] ?? 0) > 0)
})

test('sending to where nothing leads names the error', options, async (t) => {
  const [a] = await pair(t)
  assert.equal(await a.call('sendRaw', '203.0.113.1:1', Buffer.alloc(4)), 'ENETUNREACH')
  await a.setDirect(B, '203.0.113.1:1')
  const ping = canPing(a, '100.64.0.2', 1)
  const error = await a.record('send-error')
  assert.deepEqual([error.endpoint, error.errno], ['203.0.113.1:1', 'ENETUNREACH'])
  assert.equal(await ping, false)
})

test('TSMP goes from program to program and never to the host', options, async (t) => {
  const [a, b] = await pair(t)
  await a.setDirect(B, LINK_B)
  await b.setDirect(A, LINK_A)
  await b.call('setFilter', [], ['100.64.0.2'])
  const header = '4500001d00000000406300006440000164400002'
  const packet = Buffer.from(`${header}700102030405060708`, 'hex')
  await a.call('sendTunnel', B, packet)
  const tsmp = await b.record('tsmp')
  assert.deepEqual([tsmp.peer, Buffer.from(tsmp.bytes)], [A, packet])
})

test('without rules only answers come in', options, async (t) => {
  const [a, b] = await pair(t)
  await a.setDirect(B, LINK_B)
  await b.setDirect(A, LINK_A)
  await b.call('setFilter', [], ['100.64.0.2', 'fd7a::2'])
  assert.equal(await canPing(a, '100.64.0.2', 1), false)
  assert.ok(await canPing(b, '100.64.0.1'))
  assert.ok(((await b.call('counters')).totals['filter.dropped'] ?? 0) > 0)
  const one = { sources: ['100.64.0.1'], destinations: [{ ip: '*', firstPort: 0, lastPort: 65_535 }], protocols: [1] }
  await b.call('setFilter', [one], ['100.64.0.2', 'fd7a::2'])
  assert.ok(await canPing(a, '100.64.0.2'))
  assert.equal(await canPing(a, 'fd7a::2', 1), false)
})

test('a peer that is taken away and comes back has a new session', options, async (t) => {
  const [a, b] = await pair(t)
  await a.setDirect(B, LINK_B)
  await b.setDirect(A, LINK_A)
  assert.ok(await canPing(a, '100.64.0.2'))
  const peer = {
    id: 99,
    publicKey: b.options.keys.publicKey,
    allowedIps: ['100.64.0.2/32'],
    persistentKeepaliveSeconds: 0,
  }
  await a.call('setPeers', [])
  assert.equal(await canPing(a, '100.64.0.2', 1), false)
  await a.call('setPeers', [peer])
  await a.setDirect(99, LINK_B)
  assert.ok(await canPing(a, '100.64.0.2'))
  const handshake = (record: DataplaneRecord) => record.kind === 'handshake' && record.peer === 99
  await a.record('handshake', handshake)
})

test('closing frees port and TUN, and may be done twice', options, async (t) => {
  const [a] = await pair(t)
  await a.call('close')
  await a.call('close')
  assert.equal((await a.options.ns.tryRun(['ip', 'link', 'show', 'tun0'])).status, 1)
  await assert.rejects(a.call('counters'), /closed/)
  const script = `require('dgram').createSocket('udp4').bind(${PORT}, () => process.exit(0))`
  await a.options.ns.run([process.execPath, '-e', script])
})

test('a TUN that is deleted ends the data plane with an event', options, async (t) => {
  const [a] = await pair(t)
  await a.options.ns.ip('link del tun0')
  const fatal = await a.record('fatal')
  assert.match(fatal.message, /peerway-tx/)
  await a.call('close')
})

test('two in one process work, and an environment that dies takes its own along', options, async (t) => {
  const nets = new Namespaces()
  t.after(() => nets.close())
  const ns = await nets.create('a')
  const out = await ns.run([process.execPath, '--import', 'tsx', LIFECYCLE], { timeoutMs: 20_000 })
  assert.equal(out, 'two open\nworker gone with its threads\nall closed\n')
})

test('what cannot be opened says why', options, async (t) => {
  const nets = new Namespaces()
  t.after(() => nets.close())
  const ns = await nets.create('a')
  const keys = newKeyPair()
  const start = (name: string, udpPort: number) => DataplaneNode.start(nets, { name, ns, keys, addresses: [], udpPort })
  await start('first', PORT)
  await assert.rejects(start('same-tun', PORT + 1), /device tun0[^]*tun-busy/)
  await assert.rejects(start('same-port', PORT), /port 41641[^]*port-in-use/)
})
