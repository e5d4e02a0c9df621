import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import test, { type TestContext } from 'node:test'
import { concat, fromUtf8, utf8 } from '../base/bytes.ts'
import { VirtualClock } from '../base/clock.ts'
import { NodePrivate } from '../crypto/keys.ts'
import { listenDerp } from './derp-listener.ts'
import type { DerpMap, DerpRegion } from './derp-map.ts'
import { DerpPool, type DerpRegionStatus } from './derp-pool.ts'
import { DerpServer } from './derp-server.ts'
import { makeTlsIdentity } from './tls-identity.ts'

const WAIT_MS = 5_000
const identity = makeTlsIdentity(['127.0.0.1'])

function regionAt(id: number, port: number): DerpRegion {
  const node = { Name: `${id}a`, RegionID: id, HostName: '127.0.0.1', DERPPort: port, CertName: identity.sha256Raw }
  return { RegionID: id, Nodes: [node] }
}

const mapOf = (...regions: readonly DerpRegion[]): DerpMap => ({
  Regions: Object.fromEntries(regions.map((region) => [region.RegionID, region])),
})

async function startRegion(t: TestContext, id: number, port = 0) {
  const server = new DerpServer()
  const listener = await listenDerp({ server, identity, address: '127.0.0.1', port })
  t.after(() => listener.close())
  return { server, region: regionAt(id, listener.port), port: listener.port, stop: () => listener.close() }
}

/** A way to a port that can be frozen: bytes stop, connections stay. */
async function startProxy(t: TestContext, to: number) {
  const sockets: Socket[] = []
  const proxy = createServer((near) => {
    const far = connect(to, '127.0.0.1')
    for (const socket of [near, far]) {
      sockets.push(socket)
      socket.on('error', () => {})
    }
    near.pipe(far).pipe(near)
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    proxy.close()
  })
  return {
    port: (proxy.address() as AddressInfo).port,
    freeze: () => {
      for (const socket of sockets.splice(0)) {
        socket.unpipe()
        socket.pause()
      }
    },
  }
}

function startPool(t: TestContext, map: DerpMap) {
  const clock = new VirtualClock()
  const nodeKey = NodePrivate.generate()
  const disco: string[] = []
  const data: string[] = []
  const pool = new DerpPool({
    nodeKey,
    clock,
    random: () => 0.5,
    onDisco: (region, from) => disco.push(`${region} ${from.text}`),
    onWireGuard: (region, chunk, spans) => {
      for (let i = 0; i < spans.length; i += 2) {
        const start = spans[i] ?? 0
        data.push(`${region} ${fromUtf8(chunk.subarray(start, start + (spans[i + 1] ?? 0)))}`)
      }
    },
  })
  t.after(() => pool.close())
  pool.setMap(map)
  const statusOf = (region: number): DerpRegionStatus | undefined =>
    pool.status().find((status) => status.region === region)
  return {
    pool,
    clock,
    disco,
    data,
    key: nodeKey.public,
    statusOf,
    connected: (region: number) => until(`region ${region}`, () => statusOf(region)?.connected === true),
  }
}

/** Lets real sockets work until something is so; the pools' own time stands still meanwhile. */
async function until(what: string, isTrue: () => boolean): Promise<void> {
  const end = Date.now() + WAIT_MS
  while (!isTrue()) {
    if (Date.now() > end) throw new Error(`waited too long for ${what}`)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

test('keeps home, and leaves other regions after a minute without a packet sent there', async (t) => {
  const [home, other] = [await startRegion(t, 901), await startRegion(t, 902)]
  const a = startPool(t, mapOf(home.region, other.region))
  a.pool.setHome(901)
  a.pool.send(902, NodePrivate.generate().public.bytes, utf8('x'), 'wireguard')
  await a.connected(901)
  await a.connected(902)
  // Someone there keeps talking to us, so that silence is not what ends it; only what we send counts as use.
  const b = startPool(t, mapOf(home.region, other.region))
  const hear = async (): Promise<void> => {
    for (const region of [901, 902]) {
      const before = a.data.length
      b.pool.send(region, a.key.bytes, utf8('x'), 'wireguard')
      await until('a packet', () => a.data.length > before)
    }
  }
  for (let s = 0; s < 60; s += 5) {
    assert.equal(a.statusOf(902)?.state, 'connected')
    await hear()
    a.clock.advance(5_000)
  }
  assert.equal(a.statusOf(902)?.state, 'idle')
  await until('the server to see it', () => other.server.counters().clients === 1)
  assert.equal(a.statusOf(901)?.state, 'connected')
})

test('delivers what was sent while the connection was made, the newest of too much', async (t) => {
  const { region } = await startRegion(t, 901)
  const [a, b] = [startPool(t, mapOf(region)), startPool(t, mapOf(region))]
  b.pool.setHome(901)
  await b.connected(901)
  for (let i = 0; i < 40; i++) a.pool.send(901, b.key.bytes, utf8(String(i)), 'wireguard')
  a.pool.send(901, b.key.bytes, concat(utf8('TS💬'), new Uint8Array(80)), 'disco')
  await until('the last', () => b.data.at(-1) === '901 39')
  assert.deepEqual(
    b.data,
    Array.from({ length: 32 }, (_, i) => `901 ${i + 8}`),
  )
  assert.deepEqual(b.disco, [`901 ${a.key.text}`])
  assert.equal(a.statusOf(901)?.droppedPackets, 8)
})

test('answers a peer of unknown home where it was heard, until it is gone from there', async (t) => {
  const { region } = await startRegion(t, 901)
  const [a, b] = [startPool(t, mapOf(region)), startPool(t, mapOf(region))]
  b.pool.setHome(901)
  await b.connected(901)
  assert.equal(b.pool.send(0, a.key.bytes, utf8('x'), 'wireguard'), false)
  a.pool.send(901, b.key.bytes, utf8('hello'), 'wireguard')
  await until('the packet', () => b.data.length === 1)
  assert.equal(b.pool.learnedRegionOf(a.key.bytes), 901)
  assert.equal(b.pool.send(0, a.key.bytes, utf8('back'), 'wireguard'), true)
  await until('the answer', () => a.data.includes('901 back'))
  await a.pool.close()
  await until('the notice', () => b.pool.learnedRegionOf(a.key.bytes) === undefined)
  assert.equal(b.pool.send(0, a.key.bytes, utf8('x'), 'wireguard'), false)
  assert.equal(b.pool.unroutable, 2)
})

test('prefers the connected region where a peer was heard over dialling its home', async (t) => {
  const [one, two] = [await startRegion(t, 901), await startRegion(t, 902)]
  const map = mapOf(one.region, two.region)
  const [a, b] = [startPool(t, map), startPool(t, map)]
  b.pool.setHome(901)
  await b.connected(901)
  a.pool.send(901, b.key.bytes, utf8('hello'), 'wireguard')
  await until('the packet', () => b.data.length === 1)
  b.pool.send(902, a.key.bytes, utf8('back'), 'wireguard')
  await until('the answer', () => a.data.includes('901 back'))
  assert.equal(b.statusOf(902), undefined)
})

test('leaves a region that the new map lacks or reaches otherwise, and keeps one that is the same', async (t) => {
  const [one, two, three] = [await startRegion(t, 901), await startRegion(t, 902), await startRegion(t, 903)]
  const a = startPool(t, mapOf(one.region, two.region))
  a.pool.setHome(901)
  a.pool.send(902, a.key.bytes, utf8('x'), 'wireguard')
  await a.connected(901)
  await a.connected(902)
  const sinceMs = a.statusOf(901)?.sinceMs
  a.clock.advance(1_000)
  a.pool.setMap(mapOf({ ...one.region, RegionName: 'renamed' }))
  assert.equal(a.statusOf(901)?.sinceMs, sinceMs)
  assert.equal(a.statusOf(902), undefined)
  await until('the server to see it', () => two.server.counters().clients === 0)
  a.pool.setMap(mapOf({ ...three.region, RegionID: 901 }))
  await until('home at its new place', () => three.server.counters().clients === 1)
  assert.equal(a.statusOf(901)?.isHome, true)
})

test('comes back to a server that restarts, with growing delays while it is away', async (t) => {
  const first = await startRegion(t, 901)
  const a = startPool(t, mapOf(first.region))
  a.pool.setHome(901)
  await a.connected(901)
  await first.stop()
  const delays: number[] = []
  for (let i = 0; i < 4; i++) {
    await until('an attempt to end', () => a.statusOf(901)?.state === 'waiting')
    let waited = 0
    while (a.statusOf(901)?.state === 'waiting') {
      a.clock.advance(10)
      waited += 10
    }
    delays.push(waited)
  }
  assert.deepEqual(delays, [10, 40, 90, 160])
  await until('the last attempt to end', () => a.statusOf(901)?.state === 'waiting')
  assert.equal(a.statusOf(901)?.errorCode, 'derp/unreachable')
  await startRegion(t, 901, first.port)
  a.clock.advance(5_000)
  await a.connected(901)
  assert.equal(a.statusOf(901)?.errorCode, undefined)
})

test('gives up a server that holds the connection but is frozen: within 25 s idle', async (t) => {
  const { port } = await startRegion(t, 901)
  const proxy = await startProxy(t, port)
  const a = startPool(t, mapOf(regionAt(901, proxy.port)))
  a.pool.setHome(901)
  await a.connected(901)
  proxy.freeze()
  a.clock.advance(24_000)
  assert.equal(a.statusOf(901)?.state, 'connected')
  a.clock.advance(1_000)
  assert.equal(a.statusOf(901)?.state, 'waiting')
  assert.equal(a.statusOf(901)?.errorCode, 'derp/timeout')
})

test('suspects a frozen server within 2 s while packets are sent, and sends by way of home as well', async (t) => {
  const [frozen, home] = [await startRegion(t, 901), await startRegion(t, 902)]
  const proxy = await startProxy(t, frozen.port)
  const map = mapOf(regionAt(901, proxy.port), home.region)
  const [a, b] = [startPool(t, map), startPool(t, map)]
  a.pool.setHome(902)
  b.pool.setHome(901)
  await a.connected(902)
  await b.connected(901)
  const send = (text: string): void => void a.pool.send(901, b.key.bytes, utf8(text), 'wireguard')
  send('first')
  await until('the packet', () => b.data.includes('901 first'))
  proxy.freeze()
  b.pool.setHome(902)
  await b.connected(902)
  for (let i = 0; i < 20; i++) {
    assert.equal(a.pool.isSilent(901), false)
    send('lost')
    a.clock.advance(100)
  }
  assert.equal(a.pool.isSilent(901), true)
  assert.equal(a.statusOf(901)?.silent, true)
  send('twice')
  await until('the packet', () => b.data.includes('902 twice'))
  for (let i = 0; i < 40; i++) {
    send('x')
    a.clock.advance(100)
  }
  assert.equal(a.statusOf(901)?.errorCode, 'derp/timeout')
})

test('says whether a region can be reached', async (t) => {
  const { region } = await startRegion(t, 901)
  const silent = createServer((socket) => socket.on('error', () => {}))
  silent.listen(0, '127.0.0.1')
  await once(silent, 'listening')
  t.after(() => silent.close())
  const a = startPool(t, mapOf(region, regionAt(902, (silent.address() as AddressInfo).port)))
  assert.equal(await a.pool.reach(901, 1_000), true)
  assert.equal(await a.pool.reach(901, 1_000), true)
  const other = a.pool.reach(902, 1_000)
  a.clock.advance(1_000)
  assert.equal(await other, false)
  assert.equal(await a.pool.reach(903, 1_000), false)
  const late = a.pool.reach(902, 60_000)
  await a.pool.close()
  assert.equal(await late, false)
})

test('a server that only keeps alive is asked now and then, and stays', async (t) => {
  const { region } = await startRegion(t, 901)
  const a = startPool(t, mapOf(region))
  a.pool.setHome(901)
  await a.connected(901)
  const sinceMs = a.statusOf(901)?.sinceMs
  let heardMs = a.statusOf(901)?.lastFrameMs
  for (let i = 0; i < 5; i++) {
    a.clock.advance(20_000)
    await until('the pong', () => a.statusOf(901)?.lastFrameMs !== heardMs)
    heardMs = a.statusOf(901)?.lastFrameMs
  }
  assert.equal(a.statusOf(901)?.sinceMs, sinceMs)
})

test('after a change of network, a server that does not answer is left within 3 s', async (t) => {
  const { port, server } = await startRegion(t, 901)
  const proxy = await startProxy(t, port)
  const a = startPool(t, mapOf(regionAt(901, proxy.port)))
  a.pool.setHome(901)
  await a.connected(901)
  proxy.freeze()
  a.pool.linkChanged()
  a.clock.advance(3_000)
  await until('it to leave', () => a.statusOf(901)?.state !== 'connected')
  a.clock.advance(20)
  await a.connected(901)
  assert.equal(server.counters().accepted, 2)
})

test('a change of network begins an attempt that hangs anew', async (t) => {
  let accepted = 0
  const sockets: Socket[] = []
  const hanging = createServer((socket) => {
    accepted++
    sockets.push(socket)
    socket.on('error', () => {})
  })
  hanging.listen(0, '127.0.0.1')
  await once(hanging, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    hanging.close()
  })
  const a = startPool(t, mapOf(regionAt(901, (hanging.address() as AddressInfo).port)))
  a.pool.setHome(901)
  await until('the first attempt', () => accepted === 1)
  a.pool.linkChanged()
  await until('it to end', () => a.statusOf(901)?.state === 'waiting')
  a.clock.advance(20)
  await until('the second attempt', () => accepted === 2)
})
