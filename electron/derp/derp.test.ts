import assert from 'node:assert/strict'
import test, { type TestContext } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { concat, utf8 } from '../base/bytes.ts'
import { NodePrivate, NodePublic } from '../crypto/keys.ts'
import { type DerpConnection, openDerpConnection, type DerpConnectionEvents } from './derp-connection.ts'
import { rawLogin, startServer, WAIT_MS } from './derp-fixture.ts'
import type { DerpNode, DerpRegion } from './derp-map.ts'

/** A connection whose events can be waited for. */
class Client {
  readonly key = NodePrivate.generate()
  readonly packets: { from: NodePublic; data: Uint8Array }[] = []
  readonly gone: { peer: NodePublic; reason: number }[] = []
  closedWith: string | undefined
  #connection: DerpConnection | undefined
  readonly #wakes = new Set<() => void>()

  get connection(): DerpConnection {
    return this.#connection ?? assert.fail('not connected')
  }

  async open(t: TestContext, region: DerpRegion, key = this.key): Promise<this> {
    const events: DerpConnectionEvents = {
      onPackets: (chunk, spans) => {
        for (let i = 0; i < spans.length; i += 2) {
          const start = spans[i] ?? 0
          this.packets.push({
            from: new NodePublic(chunk.subarray(start - 32, start)),
            data: chunk.slice(start, start + (spans[i + 1] ?? 0)),
          })
        }
        this.#wake()
      },
      onPeerGone: (peer, reason) => {
        this.gone.push({ peer, reason })
        this.#wake()
      },
      onHealth: () => {},
      onRestarting: () => {},
      onSilent: () => {},
      onClosed: (error) => {
        this.closedWith = error.code
        this.#wake()
      },
    }
    const signal = AbortSignal.timeout(WAIT_MS)
    this.#connection = await openDerpConnection(region, { nodeKey: key, clock: systemClock, events }, signal)
    t.after(() => this.#connection?.close(undefined))
    return this
  }

  send(to: Client, data: Uint8Array, kind: 'disco' | 'wireguard' = 'wireguard'): void {
    this.connection.send(to.key.public.bytes, data, kind)
  }

  /** Resolves when `isTrue`; it is asked after each event. */
  async until(what: string, isTrue: () => boolean): Promise<void> {
    if (isTrue()) return
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`waited too long for ${what}`)), WAIT_MS)
      const look = (): void => {
        if (!isTrue()) return
        clearTimeout(timer)
        this.#wakes.delete(look)
        resolve()
      }
      this.#wakes.add(look)
    })
  }

  #wake(): void {
    for (const wake of this.#wakes) wake()
  }
}

const discoPacket = concat(utf8('TS💬'), new Uint8Array(80))

test('carries packets between two clients, in order and whole', async (t) => {
  const { region, server } = await startServer(t)
  const [a, b] = [await new Client().open(t, region), await new Client().open(t, region)]
  const sizes = [0, 1, 62, 1500, 65_536]
  for (const size of sizes) a.send(b, new Uint8Array(size).fill(size & 0xff))
  await b.until('all packets', () => b.packets.length === sizes.length)
  for (const [i, size] of sizes.entries()) {
    assert.equal(b.packets[i]?.data.length, size)
    assert.ok(b.packets[i]?.data.every((byte) => byte === (size & 0xff)))
    assert.ok(b.packets[i]?.from.equals(a.key.public))
  }
  b.send(a, utf8('back'))
  await a.until('the answer', () => a.packets.length === 1)
  assert.equal(server.counters().packets, sizes.length + 1)
  assert.equal(server.counters().clients, 2)
})

test('answers pings of a client', async (t) => {
  const { region } = await startServer(t)
  const a = await new Client().open(t, region)
  const rttMs = await a.connection.ping(WAIT_MS)
  assert.ok(rttMs !== undefined && rttMs < WAIT_MS)
})

test('says that a peer is not here only for disco, three times at once', async (t) => {
  const { region, server } = await startServer(t)
  const a = await new Client().open(t, region)
  const absent = new Client()
  a.send(absent, new Uint8Array(100))
  for (let i = 0; i < 10; i++) a.send(absent, discoPacket, 'disco')
  await a.connection.ping(WAIT_MS)
  assert.equal(a.gone.length, 3)
  assert.ok(a.gone.every(({ peer, reason }) => reason === 1 && peer.equals(absent.key.public)))
  assert.equal(server.counters().droppedUnknown, 11)
})

test('tells those who heard from a peer when its last connection ends', async (t) => {
  const { region } = await startServer(t)
  const [a, b, c] = [
    await new Client().open(t, region),
    await new Client().open(t, region),
    await new Client().open(t, region),
  ]
  a.send(b, utf8('hello'))
  await b.until('the packet', () => b.packets.length === 1)
  const again = await new Client().open(t, region, a.key)
  a.connection.close(undefined)
  again.connection.notePreferred(true)
  await again.connection.ping(WAIT_MS)
  await b.connection.ping(WAIT_MS)
  assert.equal(b.gone.length, 0, 'one connection of the key is left')
  again.connection.close(undefined)
  await b.until('the notice', () => b.gone.length === 1)
  assert.ok(b.gone[0]?.peer.equals(a.key.public))
  assert.equal(b.gone[0]?.reason, 0)
  await c.connection.ping(WAIT_MS)
  assert.equal(c.gone.length, 0, 'never heard from it')
})

test('of two connections with one key, the one that wrote last gets the packets', async (t) => {
  const { region } = await startServer(t)
  const sender = await new Client().open(t, region)
  const first = await new Client().open(t, region)
  const second = await new Client().open(t, region, first.key)
  sender.send(first, utf8('1'))
  await second.until('the newest connection to get it', () => second.packets.length === 1)
  await first.connection.ping(WAIT_MS)
  sender.send(first, utf8('2'))
  await first.until('the last writer to get it', () => first.packets.length === 1)
  assert.equal(second.packets.length, 1)
})

test('refuses a node that the admission check does not want, and one it fails for', async (t) => {
  const wanted = new Client()
  const asked: string[] = []
  const { region, server } = await startServer(t, {
    admit: (key, source) => {
      asked.push(source)
      if (key.equals(wanted.key.public)) return Promise.resolve(true)
      if (asked.length > 2) throw new Error('cannot tell')
      return false
    },
  })
  await wanted.open(t, region)
  await assert.rejects(new Client().open(t, region), { code: 'derp/refused' })
  await assert.rejects(new Client().open(t, region), { code: 'derp/refused' })
  assert.deepEqual(asked, ['127.0.0.1', '127.0.0.1', '127.0.0.1'])
  assert.equal(server.counters().refused, 2)
  assert.ok(server.isConnected(wanted.key.public))
  server.disconnect(wanted.key.public)
  await wanted.until('the end', () => wanted.closedWith === 'derp/closed')
  assert.ok(!server.isConnected(wanted.key.public))
})

test('refuses connections past the bound of one source', async (t) => {
  const { region, server } = await startServer(t, { maxConnectionsPerSource: 1 })
  await new Client().open(t, region)
  await assert.rejects(new Client().open(t, region), { code: 'derp/protocol' })
  assert.equal(server.counters().refusedBusy, 1)
})

test('takes no other certificate than the pinned one, for no other name, and without a pin only a trusted one', async (t) => {
  const { node } = await startServer(t)
  const withNode = (change: Partial<DerpNode>): DerpRegion => ({ RegionID: 900, Nodes: [{ ...node, ...change }] })
  const wrong = { code: 'derp/wrong-certificate' }
  await assert.rejects(new Client().open(t, withNode({ CertName: `sha256-raw:${'00'.repeat(32)}` })), wrong)
  await assert.rejects(new Client().open(t, withNode({ HostName: 'other.test' })), wrong)
  await assert.rejects(new Client().open(t, withNode({ CertName: undefined })), wrong)
  await new Client().open(t, withNode({ HostName: '127.0.0.1' }))
  await new Client().open(t, withNode({ CertName: undefined, InsecureForTests: true }))
})

test('goes on to the next node of the region when the first does not answer', async (t) => {
  const { node } = await startServer(t)
  const closedPort = { ...node, Name: '900b', DERPPort: 1 }
  const client = await new Client().open(t, { RegionID: 900, Nodes: [{ ...node, STUNOnly: true }, closedPort, node] })
  assert.equal(client.connection.node.Name, '900a')
})

test('a client that takes nothing is cut off, and others do not notice', async (t) => {
  const { region, server, node } = await startServer(t, { writeDeadlineMs: 50 })
  const [sender, healthy] = [await new Client().open(t, region), await new Client().open(t, region)]
  const stuck = new Client()
  const raw = await rawLogin(t, node, stuck.key)
  // Nothing reads its socket any more: the kernel's buffers fill, then the server's.
  raw.pause()
  let sent = 0
  while (server.counters().closedStuck === 0) {
    for (let i = 0; i < 50; i++) sender.send(stuck, new Uint8Array(60_000))
    sender.send(healthy, utf8(String(++sent)))
    await healthy.until('a packet past the stuck client', () => healthy.packets.length === sent)
    assert.ok(sent < 2_000, 'the stuck client is still connected')
  }
  assert.equal(server.counters().clients, 2)
})
