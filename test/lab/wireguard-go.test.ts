// Our data plane against a plain WireGuard of others: handshakes and traffic in both roles, and that only the caller
// of our data plane moves a path.

import assert from 'node:assert/strict'
import test from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import { stockUnavailable } from '../stock/binaries.ts'
import { startWireguardGo, type WireguardGo } from '../stock/wireguard-go.ts'
import { DataplaneNode, newKeyPair, type KeyPair } from './dataplane-node.ts'
import { labUnavailable, Namespaces, runOrSkip, type Namespace } from './netns.ts'

import type { TestContext } from 'node:test'

const unavailable = labUnavailable() ?? stockUnavailable('wireguard-go')
const options = runOrSkip(unavailable, 60_000)

const OURS = { tunnel: '100.64.0.1', tunnel6: 'fd7a::1', link: '10.9.0.1', port: 41_641 }
const THEIRS = { tunnel: '100.64.0.2', tunnel6: 'fd7a::2', link: '10.9.0.2', port: 51_820 }
const PEER = 5

interface Setting {
  readonly nets: Namespaces
  readonly ours: DataplaneNode
  readonly theirs: WireguardGo
  readonly theirNs: Namespace
  readonly ourKeys: KeyPair
}

async function setUp(t: TestContext, persistentKeepaliveSeconds = 0): Promise<Setting> {
  const nets = new Namespaces()
  t.after(() => nets.close())
  const [ourNs, theirNs] = [await nets.create('ours'), await nets.create('theirs')]
  await nets.veth(
    { ns: ourNs, name: 'eth0', cidrs: [`${OURS.link}/24`, 'fd09::1/64'] },
    { ns: theirNs, name: 'eth0', cidrs: [`${THEIRS.link}/24`, 'fd09::2/64'] },
  )
  const [ourKeys, theirKeys] = [newKeyPair(), newKeyPair()]
  const ours = await DataplaneNode.start(nets, {
    name: 'ours',
    ns: ourNs,
    keys: ourKeys,
    addresses: [`${OURS.tunnel}/24`, `${OURS.tunnel6}/64`],
    udpPort: OURS.port,
  })
  const allowedIps = [`${THEIRS.tunnel}/32`, `${THEIRS.tunnel6}/128`]
  await ours.call('setPeers', [{ id: PEER, publicKey: theirKeys.publicKey, allowedIps, persistentKeepaliveSeconds }])
  await ours.allowAll()

  const tun = `pwg${process.pid}`
  const theirs = await startWireguardGo(theirNs, { tun, privateKey: theirKeys.privateKey, listenPort: THEIRS.port })
  await theirNs.ip(
    `addr add ${THEIRS.tunnel}/24 dev ${tun}`,
    `addr add ${THEIRS.tunnel6}/64 dev ${tun}`,
    `link set ${tun} mtu 1280 up`,
  )
  return { nets, ours, theirs, theirNs, ourKeys }
}

const theirEndpoint = `${THEIRS.link}:${THEIRS.port}`
const ourAllowedIps = [`${OURS.tunnel}/32`, `${OURS.tunnel6}/128`]

/** Bytes per second as iperf3 measured them at the receiving end. */
async function transfer(
  from: Namespace,
  to: Namespace,
  address: string,
  args: readonly string[] = [],
): Promise<number> {
  const server = to.start(['iperf3', '-s', '-1', '--forceflush'], { name: `iperf-${to.role}-${Math.random()}` })
  await server.waitForOutput(/listening/)
  const out = await from.run(['iperf3', '-c', address, '-n', '50M', '-J', ...args], { timeoutMs: 30_000 })
  const { end } = JSON.parse(out) as { end: { sum_received: { bits_per_second: number; bytes: number } } }
  await server.stop()
  return end.sum_received.bits_per_second / 8
}

test('handshake and traffic with ours as the initiator', options, async (t) => {
  const { ours, theirs, theirNs, ourKeys } = await setUp(t)
  // Without an endpoint the other side cannot begin.
  await theirs.setPeer({ publicKey: ourKeys.publicKey, allowedIps: ourAllowedIps })
  await ours.setDirect(PEER, theirEndpoint)
  assert.ok(await ours.options.ns.canPing(THEIRS.tunnel, 3))
  assert.ok(await ours.options.ns.canPing(THEIRS.tunnel6, 3))
  await ours.record('handshake')
  assert.ok((await transfer(ours.options.ns, theirNs, THEIRS.tunnel)) > 1e6)
  assert.ok((await transfer(ours.options.ns, theirNs, THEIRS.tunnel, ['-R'])) > 1e6)
  assert.ok((await transfer(ours.options.ns, theirNs, THEIRS.tunnel6)) > 1e6)
  const { totals } = await ours.call('counters')
  assert.equal(totals['rx.undecryptable'], 0)
  assert.equal(totals['tun.write-error'], 0)
})

test(
  'handshake and traffic with ours as the responder, which answers to the source while it has no path',
  options,
  async (t) => {
    const { ours, theirs, theirNs, ourKeys } = await setUp(t)
    await theirs.setPeer({
      publicKey: ourKeys.publicKey,
      allowedIps: ourAllowedIps,
      endpoint: `${OURS.link}:${OURS.port}`,
    })
    const ping = theirNs.canPing(OURS.tunnel, 5)
    const seen = await ours.record('peer-seen')
    assert.deepEqual(
      { peer: seen.peer, endpoint: seen.endpoint, region: seen.region, vni: seen.vni },
      { peer: PEER, endpoint: theirEndpoint, region: undefined, vni: undefined },
    )
    // The session stands, but data waits until there is a path.
    await ours.record('need-path')
    await ours.setDirect(PEER, theirEndpoint)
    assert.ok(await ping)
    await ours.record('handshake')
    assert.ok((await transfer(theirNs, ours.options.ns, OURS.tunnel)) > 1e6)
    assert.ok((await transfer(theirNs, ours.options.ns, OURS.tunnel, ['-R'])) > 1e6)
  },
)

test('ours stays on its path when the peer moves, until it is told to follow', options, async (t) => {
  const { ours, theirs, theirNs, ourKeys } = await setUp(t)
  await theirs.setPeer({
    publicKey: ourKeys.publicKey,
    allowedIps: ourAllowedIps,
    endpoint: `${OURS.link}:${OURS.port}`,
  })
  await ours.setDirect(PEER, theirEndpoint)
  assert.ok(await theirNs.canPing(OURS.tunnel, 3))
  // The peer sends from another port from now on; what ours answers to the old one is lost.
  await theirs.request('set=1\nlisten_port=51999')
  const moved = `${THEIRS.link}:51999`
  assert.equal(await theirNs.canPing(OURS.tunnel, 1), false)
  await ours.record('peer-seen', (record) => record.endpoint === moved)
  assert.equal(await theirNs.canPing(OURS.tunnel, 1), false)
  await ours.setDirect(PEER, moved)
  assert.ok(await theirNs.canPing(OURS.tunnel, 3))
})

// Not the other way: this wireguard-go cuts an IPv6 address to four bytes when it sent to an IPv4 one before.
test('a path moved by its caller from IPv6 to IPv4 keeps the session', options, async (t) => {
  const { ours, theirs, ourKeys } = await setUp(t)
  await theirs.setPeer({ publicKey: ourKeys.publicKey, allowedIps: ourAllowedIps })
  await ours.setDirect(PEER, `[fd09::2]:${THEIRS.port}`)
  assert.ok(await ours.options.ns.canPing(THEIRS.tunnel, 3))
  const before = await theirs.peerState(ourKeys.publicKey)
  assert.equal(before?.endpoint, `[fd09::1]:${OURS.port}`)
  await ours.setDirect(PEER, theirEndpoint)
  assert.ok(await ours.options.ns.canPing(THEIRS.tunnel, 3))
  const after = await theirs.peerState(ourKeys.publicKey)
  assert.equal(after?.endpoint, `${OURS.link}:${OURS.port}`)
  assert.equal(after?.lastHandshakeSeconds, before?.lastHandshakeSeconds)
})

test('rebinding moves our port and the peer follows', options, async (t) => {
  const { ours, theirs, ourKeys } = await setUp(t)
  await theirs.setPeer({ publicKey: ourKeys.publicKey, allowedIps: ourAllowedIps })
  await ours.setDirect(PEER, theirEndpoint)
  assert.ok(await ours.options.ns.canPing(THEIRS.tunnel, 3))
  for (const port of [40_001, 40_001]) {
    await ours.call('rebind', port)
    assert.deepEqual(await ours.call('ports'), { v4: port, v6: port })
    assert.ok(await ours.options.ns.canPing(THEIRS.tunnel, 3))
    assert.equal((await theirs.peerState(ourKeys.publicKey))?.endpoint, `${OURS.link}:${port}`)
  }
})

// Not a matter of what the machine can do, so it is skipped under CI as well.
const long = process.env['PEERWAY_LONG']
  ? runOrSkip(unavailable, 400_000)
  : { skip: 'takes five minutes: PEERWAY_LONG=1' }

test('keys are renewed under traffic without a lost packet', long, async (t) => {
  const { ours, theirs, ourKeys } = await setUp(t)
  await theirs.setPeer({ publicKey: ourKeys.publicKey, allowedIps: ourAllowedIps })
  await ours.setDirect(PEER, theirEndpoint)
  assert.ok(await ours.options.ns.canPing(THEIRS.tunnel, 3))
  const out = await ours.options.ns.run(['ping', '-n', '-q', '-i', '0.05', '-w', '300', THEIRS.tunnel], {
    timeoutMs: 320_000,
  })
  await sleep(100)
  const handshakes = ours.records.filter((record) => record.kind === 'handshake').length
  assert.ok(handshakes >= 3, `${handshakes} handshakes`)
  const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(out) ?? []
  assert.ok(Number(sent) - Number(received) <= 1, out)
})
