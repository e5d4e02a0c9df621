import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Endpoint } from '../base/endpoint.ts'
import { SharedBox } from '../crypto/box.ts'
import { DiscoPrivate, NodePrivate } from '../crypto/keys.ts'
import { openDisco, sealDisco } from '../wire/disco/envelope.ts'
import type { DiscoMessage } from '../wire/disco/message.ts'
import { PeerCaller } from './peer-caller.ts'
import { SimHost, SimNat, SimNetwork } from './simulated-network.ts'

const PEER: Endpoint = '192.0.2.2:1'
const ROUND_TRIP_MS = 20
const HEARTBEAT_MS = 3_000
const TRUST_MS = 6_500
const PING_AGAIN_MS = 5_000

/** A peer by the rules of stock clients (paths.md §5), at a public address, in touch with one host of ours. */
class StockPeer {
  readonly disco = DiscoPrivate.generate()
  readonly node = NodePrivate.generate()
  /** Whether UDP between the two passes. */
  isCut = false
  best: Endpoint | undefined
  readonly #net: SimNetwork
  readonly #host: SimHost
  readonly #box: SharedBox
  /** When each candidate was last pinged. */
  readonly #pingedAtMs = new Map<Endpoint, number>()
  readonly #called = new Set<Endpoint>()
  readonly #pings = new Map<string, Endpoint>()
  #trustedUntilMs = 0
  #udpRead = 0
  #derpRead = 0
  #beatAtMs = 0
  #txId = 0

  constructor(net: SimNetwork, host: SimHost) {
    this.#net = net
    this.#host = host
    this.#box = new SharedBox(this.disco.secretBytes(), host.discoKey.public.bytes)
  }

  /** Where data goes: to the best path alone while it is trusted. */
  sends(): 'direct' | 'derp' | 'both' {
    if (this.best === undefined) return 'derp'
    return this.#net.clock.now() <= this.#trustedUntilMs ? 'direct' : 'both'
  }

  /** Lets `ms` pass with data both ways. */
  async run(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 10) {
      if (passed % 500 === 0) this.#host.finder.noteActive(2)
      if (this.sends() !== 'direct') this.#discover()
      if (this.#net.clock.now() >= this.#beatAtMs) {
        this.#beatAtMs = this.#net.clock.now() + HEARTBEAT_MS
        if (this.best !== undefined) this.#ping(this.best)
      }
      await this.#net.clock.advanceAsync(10, 5)
      this.#read()
    }
  }

  #discover(): void {
    for (const [endpoint, atMs] of this.#pingedAtMs)
      if (this.#net.clock.now() - atMs >= PING_AGAIN_MS) {
        this.#pingedAtMs.set(endpoint, this.#net.clock.now())
        this.#ping(endpoint)
      }
  }

  #ping(endpoint: Endpoint): void {
    const txId = new Uint8Array(12).fill(this.#txId++ % 256)
    this.#pings.set(String(txId[0]), endpoint)
    this.#send({ kind: 'ping', txId, nodeKey: this.node.public, paddingBytes: 0 }, endpoint)
  }

  #send(message: DiscoMessage, to: Endpoint): void {
    if (this.isCut) return
    const bytes = sealDisco(this.disco.public, this.#box, message)
    const { nat } = this.#host
    this.#net.clock.after(ROUND_TRIP_MS / 2, () => {
      if (!this.isCut && nat?.in(PEER, to) !== undefined) this.#host.receive(PEER, bytes)
    })
  }

  #read(): void {
    for (const { to, bytes } of this.#host.udpSent.slice(this.#udpRead)) {
      if (to !== PEER || this.isCut) continue
      const from = this.#host.nat?.out(`${this.#host.address}:41641`, PEER) ?? PEER
      this.#take(openDisco(bytes, this.#box), from)
    }
    this.#udpRead = this.#host.udpSent.length
    for (const { bytes } of this.#host.derpSent.slice(this.#derpRead)) {
      const message = openDisco(bytes, this.#box)
      if (message?.kind === 'callMeMaybe') this.#takeCall(message.endpoints)
    }
    this.#derpRead = this.#host.derpSent.length
  }

  #take(message: DiscoMessage | undefined, from: Endpoint): void {
    if (message?.kind === 'ping') {
      if (!this.#pingedAtMs.has(from)) this.#pingedAtMs.set(from, -Infinity)
      this.#send({ kind: 'pong', txId: message.txId, source: from }, from)
    } else if (message?.kind === 'pong') {
      const endpoint = this.#pings.get(String(message.txId[0]))
      if (endpoint === undefined || !this.#pingedAtMs.has(endpoint)) return
      if (this.sends() !== 'direct') this.best = endpoint
      if (this.best === endpoint) this.#trustedUntilMs = this.#net.clock.now() + TRUST_MS
    }
  }

  #takeCall(endpoints: readonly Endpoint[]): void {
    for (const endpoint of endpoints) this.#called.add(endpoint)
    for (const gone of [...this.#called].filter((endpoint) => !endpoints.includes(endpoint))) {
      this.#called.delete(gone)
      this.#pingedAtMs.delete(gone)
      if (this.best === gone) this.best = undefined
    }
    for (const endpoint of endpoints) this.#pingedAtMs.set(endpoint, -Infinity)
    for (const endpoint of this.#pingedAtMs.keys()) this.#pingedAtMs.set(endpoint, -Infinity)
    this.#discover()
  }
}

/** Direct at both ends, with data flowing; the stock peer has just been confirmed, so that its trust is at its longest. */
async function meet(natKind: 'easy' | 'hard'): Promise<{ net: SimNetwork; host: SimHost; peer: StockPeer }> {
  const net = new SimNetwork()
  net.stunServers.push('203.0.113.1', '203.0.113.2')
  const host = new SimHost(net, 1, '192.168.1.2', new SimNat('198.51.100.1', natKind))
  await net.run(4_000)
  const peer = new StockPeer(net, host)
  const { node, disco } = peer
  host.finder.setPeers([{ id: 2, nodeKey: node.public, discoKey: disco.public, endpoints: [PEER], homeRegion: 1 }])
  await peer.run(9_000)
  assert.equal(host.finder.view(2)?.kind, 'direct')
  assert.equal(peer.sends(), 'direct')
  return { net, host, peer }
}

for (const natKind of ['easy', 'hard'] as const) {
  test(`a stock peer leaves a direct path that died through our ${natKind} router when we do, long before its trust runs out`, async () => {
    const { net, host, peer } = await meet(natKind)
    peer.isCut = true
    await peer.run(1_500)
    assert.equal(host.finder.view(2)?.kind, 'derp')
    assert.equal(peer.sends(), 'derp')
    net.close()
  })

  test(`it is back on the direct path through our ${natKind} router within a second of its return`, async () => {
    const { net, host, peer } = await meet(natKind)
    // Whatever the phase of the intervals.
    for (const awayMs of [9_000, 10_300, 11_700, 13_100]) {
      peer.isCut = true
      await peer.run(awayMs)
      assert.equal(peer.sends(), 'derp')
      peer.isCut = false
      await peer.run(1_000)
      assert.equal(host.finder.view(2)?.kind, 'direct')
      assert.equal(peer.sends(), 'direct', `after ${awayMs} ms`)
      await peer.run(4_000)
    }
    net.close()
  })
}

test('a stock peer follows at once when our address changes', async () => {
  const { net, host, peer } = await meet('easy')
  host.nat = new SimNat('198.51.100.77', 'easy')
  host.finder.linkChanged({ rebound: true })
  await peer.run(300)
  assert.equal(peer.best?.startsWith('198.51.100.77:'), true)
  assert.equal(peer.sends(), 'direct')
  net.close()
})

test('a withdrawal names all places where the peer may think us to be, then none, then where we are', () => {
  const sent: (readonly Endpoint[])[] = []
  const caller = new PeerCaller<object>({
    freshen: () => undefined,
    endpoints: () => ['198.51.100.1:1', '10.0.0.1:1'],
    send: (_, endpoints) => void sent.push(endpoints),
  })
  const peer = {}
  for (const port of [9, 8, 7, 6, 5, 8]) caller.noteSeen(peer, `198.51.100.9:${port}`)
  caller.withdraw(peer)
  const seen = [7, 6, 5, 8].map((port) => `198.51.100.9:${port}`)
  assert.deepEqual(sent, [[...seen, '198.51.100.1:1', '10.0.0.1:1'], [], ['198.51.100.1:1', '10.0.0.1:1']])
})
