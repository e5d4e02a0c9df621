// Our DERP client against the DERP server that nobody here wrote, on loopback.

import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { connect, createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { concat, toHex, utf8 } from '../../electron/base/bytes.ts'
import { systemClock } from '../../electron/base/clock.ts'
import { NodePrivate, type NodePublic } from '../../electron/crypto/keys.ts'
import { openDerpConnection, type DerpConnectionEvents } from '../../electron/derp/derp-connection.ts'
import type { DerpRegion } from '../../electron/derp/derp-map.ts'
import { DerpPool, type DerpRegionStatus } from '../../electron/derp/derp-pool.ts'
import { measureHttpsLatency } from '../../electron/derp/https-latency.ts'
import { stunRequest } from '../../electron/wire/stun/request.ts'
import { readStunResponse } from '../../electron/wire/stun/response.ts'
import { LabProcess } from '../lab/process.ts'
import { stockBinary, stockUnavailable } from '../stock/binaries.ts'

const skip = stockUnavailable('tailscale-old')
const options = { timeout: 60_000, ...(skip === undefined ? {} : { skip }) }
const WAIT_MS = 10_000

interface Derper {
  readonly region: DerpRegion
  readonly process: LabProcess
  /** Again on the same ports with the same keys. */
  restart(): Promise<Derper>
}

async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function startDerper(t: TestContext, more: readonly string[] = []): Promise<Derper> {
  const dir = mkdtempSync(join(tmpdir(), 'peerway-derper-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const [port, stunPort] = [await freePort(), await freePort()]
  const addresses = ['-a', `127.0.0.1:${port}`, '-hostname', '127.0.0.1', '-stun-port', String(stunPort)]
  const files = ['-certmode', 'manual', '-certdir', dir, '-c', join(dir, 'derper.json'), '-http-port', '-1']
  const start = async (): Promise<Derper> => {
    const derper = new LabProcess([stockBinary('tailscale-old', 'derper'), ...addresses, ...files, ...more], {
      name: 'derper',
    })
    t.after(() => derper.stop())
    const [, certName = ''] = await derper.waitForOutput(/"(sha256-raw:[0-9a-f]{64})"/)
    await untilOpen(port) // it says "serving" before it listens
    const node = {
      Name: '900a',
      RegionID: 900,
      HostName: '127.0.0.1',
      IPv4: '127.0.0.1',
      IPv6: 'none',
      DERPPort: port,
      STUNPort: stunPort,
      CertName: certName,
    }
    return { region: { RegionID: 900, Nodes: [node] }, process: derper, restart: start }
  }
  return start()
}

async function untilOpen(port: number): Promise<void> {
  let isOpen = false
  const knock = (): void => {
    const socket = connect(port, '127.0.0.1', () => {
      isOpen = true
      socket.destroy()
    })
    socket.on('error', () => setTimeout(knock, 20))
  }
  knock()
  await until('the port to open', () => isOpen)
}

/** Asks now and then until `probe` says yes: the far side is another process. */
async function until(what: string, probe: () => boolean): Promise<void> {
  const end = Date.now() + WAIT_MS
  while (!probe()) {
    if (Date.now() > end) throw new Error(`waited too long for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

class PoolUnderTest {
  readonly key = NodePrivate.generate()
  readonly disco: string[] = []
  readonly data: Uint8Array[] = []
  status: readonly DerpRegionStatus[] = []
  readonly pool: DerpPool

  constructor(t: TestContext, region: DerpRegion) {
    this.pool = new DerpPool({
      nodeKey: this.key,
      onDisco: (_, from, bytes) => this.disco.push(`${from.text} ${toHex(bytes)}`),
      onWireGuard: (_, chunk, spans) => {
        for (let i = 0; i < spans.length; i += 2)
          this.data.push(chunk.slice(spans[i] ?? 0, (spans[i] ?? 0) + (spans[i + 1] ?? 0)))
      },
      onStatus: (status) => (this.status = status),
    })
    t.after(() => this.pool.close())
    this.pool.setMap({ Regions: { [region.RegionID]: region } })
    this.pool.setHome(region.RegionID)
  }

  get isConnected(): boolean {
    return this.status.some(({ connected }) => connected)
  }
}

test('two of our pools exchange packets of every size through a stock server', options, async (t) => {
  const { region } = await startDerper(t)
  const [a, b] = [new PoolUnderTest(t, region), new PoolUnderTest(t, region)]
  await until('both to connect', () => a.isConnected && b.isConnected)
  const disco = concat(utf8('TS💬'), new Uint8Array(100).fill(7))
  a.pool.send(900, b.key.public.bytes, disco, 'disco')
  const sizes = [0, 1, 1280, 1420, 65_536]
  for (const [i, size] of sizes.entries())
    a.pool.send(900, b.key.public.bytes, new Uint8Array(size).fill(i), 'wireguard')
  await until('the packets', () => b.data.length === sizes.length && b.disco.length === 1)
  assert.deepEqual(
    b.data.map((data) => data.length),
    sizes,
  )
  assert.ok(b.data.every((data, i) => data.every((byte) => byte === i)))
  assert.equal(b.disco[0], `${a.key.public.text} ${toHex(disco)}`)
  b.pool.send(0, a.key.public.bytes, utf8('where you were heard'), 'wireguard')
  await until('the answer by the learned route', () => a.data.length === 1)
})

test('a pool comes back to a stock server that was killed and started again', options, async (t) => {
  const derper = await startDerper(t)
  const a = new PoolUnderTest(t, derper.region)
  await until('it to connect', () => a.isConnected)
  await derper.process.stop()
  await until('it to notice', () => !a.isConnected)
  await until('it to say why', () => a.status.some(({ errorCode }) => errorCode === 'derp/unreachable'))
  await derper.restart()
  await until('it to connect again', () => a.isConnected)
  a.pool.send(900, a.key.public.bytes, utf8('to myself'), 'wireguard')
  await until('the packet', () => a.data.length === 1)
})

test('a stock server answers our pings and says who is not here and who has left', options, async (t) => {
  const { region } = await startDerper(t)
  const gone: string[] = []
  let heard = 0
  const events: DerpConnectionEvents = {
    onSilent: () => {},
    onPackets: () => {
      heard++
    },
    onPeerGone: (peer: NodePublic, reason: number) => gone.push(`${peer.text} ${reason}`),
    onHealth: () => {},
    onRestarting: () => {},
    onClosed: () => {},
  }
  const signal = AbortSignal.timeout(WAIT_MS)
  const open = async (nodeKey: NodePrivate) => {
    const connection = await openDerpConnection(region, { nodeKey, clock: systemClock, events }, signal)
    t.after(() => connection.close(undefined))
    return connection
  }
  const [aKey, bKey, absent] = [NodePrivate.generate(), NodePrivate.generate(), NodePrivate.generate().public]
  const [a, b] = [await open(aKey), await open(bKey)]
  a.notePreferred(true)
  assert.notEqual(await a.ping(WAIT_MS), undefined)
  a.send(absent.bytes, concat(utf8('TS💬'), new Uint8Array(100)), 'disco')
  await until('"not here"', () => gone.length === 1)
  assert.equal(gone[0], `${absent.text} 1`)
  b.send(aKey.public.bytes, utf8('hello'), 'wireguard')
  await until('the packet', () => heard === 1)
  b.close(undefined)
  await until('"disconnected"', () => gone.length === 2)
  assert.equal(gone[1], `${bKey.public.text} 0`)
})

test('a stock server that asks a verify URL turns us away, and the reason is named', options, async (t) => {
  const asked: string[] = []
  const verifier = createHttpServer((request, response) => {
    request.on('data', (chunk: Buffer) => asked.push(chunk.toString()))
    request.on('end', () => response.end('{"Allow":false}'))
  })
  verifier.listen(0, '127.0.0.1')
  await once(verifier, 'listening')
  t.after(() => verifier.close())
  const url = `http://127.0.0.1:${(verifier.address() as AddressInfo).port}/verify`
  const { region } = await startDerper(t, ['-verify-client-url', url])
  const a = new PoolUnderTest(t, region)
  await until('the refusal', () => a.status.some(({ errorCode }) => errorCode === 'derp/refused'))
  assert.ok(asked[0]?.includes(a.key.public.text))
})

test('a stock server answers our latency probe and our STUN request', options, async (t) => {
  const { region } = await startDerper(t)
  assert.ok((await measureHttpsLatency(region)) < 1_000)
  const socket = createSocket('udp4')
  t.after(() => socket.close())
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const answer = once(socket, 'message', { signal: AbortSignal.timeout(WAIT_MS) })
  socket.send(stunRequest(new Uint8Array(12).fill(3)), region.Nodes?.[0]?.STUNPort ?? 0, '127.0.0.1')
  const [bytes] = (await answer) as [Uint8Array]
  assert.equal(readStunResponse(bytes).endpoint, `127.0.0.1:${socket.address().port}`)
})
