import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Writable } from 'node:stream'
import { test, type TestContext } from 'node:test'
import { VirtualClock } from '../../base/clock.ts'
import { silentLogger } from '../../base/log.ts'
import { MachinePublic, NodePublic, randomScalar } from '../../crypto/keys.ts'
import { MapFrameDecoder, parseMapPayload } from '../../wire/tailcfg/map-frame.ts'
import type { MapResponse } from '../../wire/tailcfg/map-response.ts'
import { NO_HOST_FACTS, NO_REPORT, type Node, type User } from '../model.ts'
import { ServerRegistry } from '../server-registry.ts'
import { SqliteStore } from '../store/sqlite-store.ts'
import { EPHEMERAL_FIRST_MS, EPHEMERAL_IDLE_MS, MapHub } from './map-hub.ts'
import { STALL_MS } from './map-session.ts'
import { OFFLINE_GRACE_MS } from './presence.ts'

const derpMap = { regions: new Map() }

async function setUp(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'peerway-hub-'))
  const clock = new VirtualClock()
  const server = await ServerRegistry.load(SqliteStore.open(join(folder, 'coord.db')), clock, silentLogger)
  const registry = server.first
  const startHub = () => new MapHub({ registry, domain: 'home.example', derpMap, clock, log: silentLogger })
  const hub = startHub()
  const user = await registry.transaction((tx) =>
    tx.insertUser({ name: 'anna', displayName: 'Anna', email: undefined, role: 'owner', createdAtMs: 0 }),
  )
  t.after(async () => {
    hub.close()
    await server.close()
    rmSync(folder, { recursive: true, force: true })
  })
  let count = 0
  const addNode = (name: string, more: Partial<Node> = {}, owner: User = user): Promise<Node> => {
    count++
    return registry.transaction((tx) =>
      tx.insertNode(
        {
          stableId: `n${count}`,
          userId: owner.id,
          machineKey: new MachinePublic(randomScalar()),
          nodeKey: new NodePublic(randomScalar()),
          name,
          nameIsFixed: false,
          addressV4: `100.64.0.${count}`,
          addressV6: `fd7a:115c:a1e0::${count}`,
          tags: [],
          expiresAtMs: undefined,
          createdAtMs: clock.wallNow(),
          ephemeral: false,
          authKeyId: undefined,
          ...more,
        },
        { ...NO_REPORT, hostinfo: { ...NO_HOST_FACTS, hostname: name } },
      ),
    )
  }
  return { clock, registry, hub, user, addNode, startHub, settle: () => new Promise((done) => setImmediate(done)) }
}

/** The reading end of a stream. */
class Reader {
  readonly out = new PassThrough({ highWaterMark: 1 << 20 })
  readonly messages: MapResponse[] = []
  ended = false

  constructor(hub: MapHub, node: Node) {
    const frames = new MapFrameDecoder()
    this.out.on('data', (chunk: Uint8Array) => {
      for (const payload of frames.push(chunk)) this.messages.push(parseMapPayload(payload, 'zstd'))
    })
    this.out.on('end', () => (this.ended = true))
    hub.open(node, this.out, { compression: 'zstd', wantsKeepAlive: true })
  }

  /** What came since the last call. */
  take(): MapResponse[] {
    return this.messages.splice(0)
  }
}

test('a stream begins with everything, and hears of newcomers soon', async (t) => {
  const { clock, hub, addNode, settle } = await setUp(t)
  const reader = new Reader(hub, await addNode('one'))
  await settle()
  const [first] = reader.take()
  assert.equal(first?.node?.name, 'one.home.example.')
  assert.deepEqual(first.peers, [])
  await addNode('two')
  clock.advance(1_000)
  await settle()
  const [second] = reader.take()
  assert.deepEqual(
    second?.peersChanged?.map(({ name }) => name),
    ['two.home.example.'],
  )
})

test('many changes at once are one message', async (t) => {
  const { clock, hub, registry, addNode, settle } = await setUp(t)
  const [one, two] = [await addNode('one'), await addNode('two')]
  const reader = new Reader(hub, one)
  clock.advance(2_000)
  await settle()
  reader.take()
  for (let i = 1; i <= 50; i++) registry.report(two.id, { ...two.report, endpoints: [`192.0.2.${i}:1`] })
  clock.advance(1_000)
  await settle()
  const messages = reader.take()
  assert.equal(messages.length, 1)
  assert.deepEqual(messages[0]?.peersChanged?.[0]?.endpoints ?? messages[0]?.peersChangedPatch?.[0]?.endpoints, [
    '192.0.2.50:1',
  ])
})

test('a silent stream is kept alive well inside the minute, for hours', async (t) => {
  const { clock, hub, addNode, settle } = await setUp(t)
  const reader = new Reader(hub, await addNode('one'))
  await settle()
  reader.take()
  for (let minute = 0; minute < 180; minute++) {
    for (let i = 0; i < 6; i++) {
      clock.advance(10_000)
      await settle()
    }
    const messages = reader.take()
    assert.ok(messages.length >= 1 && messages.every(({ keepAlive }) => keepAlive), `minute ${minute}`)
  }
  assert.ok(!reader.ended)
})

test('a node is online at once and offline a little after its stream ends', async (t) => {
  const { clock, hub, addNode, settle } = await setUp(t)
  const [one, two] = [await addNode('one'), await addNode('two')]
  const watcher = new Reader(hub, one)
  await settle()
  assert.equal(watcher.take()[0]?.peers?.[0]?.online, false)
  const other = new Reader(hub, two)
  clock.advance(1_000)
  await settle()
  assert.equal(watcher.take()[0]?.peersChangedPatch?.[0]?.online, true)
  other.out.destroy()
  await settle()
  clock.advance(OFFLINE_GRACE_MS - 1)
  await settle()
  assert.deepEqual(watcher.take(), [])
  const endMs = clock.wallNow() + 1
  clock.advance(1_000)
  await settle()
  const [change] = watcher.take()[0]?.peersChangedPatch ?? []
  assert.equal(change?.online, false)
  assert.equal(change.lastSeenMs, endMs)
})

test('a reconnect within the grace is no news, and the old stream ends', async (t) => {
  const { clock, hub, addNode, settle } = await setUp(t)
  const [one, two] = [await addNode('one'), await addNode('two')]
  const watcher = new Reader(hub, one)
  const first = new Reader(hub, two)
  clock.advance(1_000)
  await settle()
  watcher.take()
  const second = new Reader(hub, two)
  await settle()
  assert.ok(first.ended)
  first.out.destroy()
  await settle()
  clock.advance(60_000)
  await settle()
  assert.ok(watcher.take().every(({ keepAlive }) => keepAlive))
  assert.ok(hub.isOnline(two.id) && !second.ended)
})

test('random connects and disconnects leave each node as online as it is', async (t) => {
  const { clock, hub, addNode, settle } = await setUp(t)
  const nodes = [await addNode('a'), await addNode('bb'), await addNode('ccc')]
  const watcher = new Reader(hub, await addNode('watcher'))
  const open = new Map<number, Reader[]>(nodes.map(({ id }) => [id, []]))
  let seed = 7
  const random = (below: number): number => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) % below
  for (let i = 0; i < 400; i++) {
    const node = nodes[random(nodes.length)]
    const readers = open.get(node?.id ?? 0)
    if (!node || !readers) continue
    if (random(2) === 0) readers.push(new Reader(hub, node))
    else readers.splice(random(Math.max(readers.length, 1)), 1)[0]?.out.destroy()
    await settle()
    if (random(4) === 0) clock.advance(random(6_000))
  }
  clock.advance(60_000)
  await settle()
  for (const node of nodes) {
    const isConnected = (open.get(node.id) ?? []).some(({ out, ended }) => !ended && !out.destroyed)
    assert.equal(hub.isOnline(node.id), isConnected, node.name)
  }
  const told = new Map<number, boolean | undefined>()
  for (const message of watcher.take()) {
    for (const peer of [...(message.peers ?? []), ...(message.peersChanged ?? [])])
      told.set(Number(peer.id), peer.online)
    for (const patch of message.peersChangedPatch ?? [])
      if (patch.online !== undefined) told.set(Number(patch.nodeId), patch.online)
  }
  for (const node of nodes) assert.equal(told.get(node.id), hub.isOnline(node.id))
})

/** Takes nothing until told to. */
class StuckReader extends Writable {
  readonly waiting: (() => void)[] = []
  bytes = 0

  constructor() {
    super({ highWaterMark: 1 })
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: () => void): void {
    this.bytes += chunk.length
    this.waiting.push(done)
  }
}

test('a reader that stops reading has one message waiting, whatever happens, and is cut', async (t) => {
  const { clock, hub, registry, addNode, settle } = await setUp(t)
  const [one, two] = [await addNode('one'), await addNode('two')]
  const stuck = new StuckReader()
  hub.open(one, stuck, { compression: '', wantsKeepAlive: true })
  const atFirst = stuck.bytes
  for (let i = 1; i < 200; i++) {
    registry.report(two.id, { ...two.report, endpoints: [`192.0.2.${i}:1`] })
    clock.advance(40)
    await settle()
  }
  assert.equal(stuck.bytes, atFirst)
  assert.ok(!stuck.destroyed)
  clock.advance(STALL_MS)
  assert.ok(stuck.destroyed)
  await settle()
  clock.advance(OFFLINE_GRACE_MS)
  assert.ok(!hub.isOnline(one.id))
})

test('a slow reader gets all it missed in one message', async (t) => {
  const { clock, hub, registry, addNode, settle } = await setUp(t)
  const [one, two] = [await addNode('one'), await addNode('two')]
  const slow = new StuckReader()
  hub.open(one, slow, { compression: '', wantsKeepAlive: true })
  const texts: string[] = []
  const write = slow._write.bind(slow)
  slow._write = (chunk: Uint8Array, encoding, done) => {
    texts.push(Buffer.from(chunk).toString('utf8', 4))
    write(chunk, encoding, done)
  }
  for (let i = 1; i < 9; i++) {
    registry.report(two.id, { ...two.report, endpoints: [`192.0.2.${i}:1`] })
    clock.advance(1_000)
  }
  await addNode('three')
  slow.waiting.shift()?.()
  await settle()
  assert.equal(texts.length, 1)
  assert.match(texts[0] ?? '', /three\.home\.example/)
  assert.match(texts[0] ?? '', /192\.0\.2\.8:1/)
})

test('a long map reaches a reader that takes a little of it now and then', async (t) => {
  const { clock, hub, addNode, settle } = await setUp(t)
  const one = await addNode('one')
  for (let i = 0; i < 400; i++) await addNode(`other-${i}`)
  const slow = new StuckReader()
  const sizes: number[] = []
  const write = slow._write.bind(slow)
  slow._write = (chunk: Uint8Array, encoding, done) => {
    sizes.push(chunk.length)
    write(chunk, encoding, done)
  }
  hub.open(one, slow, { compression: '', wantsKeepAlive: true })
  // All of it takes far longer than one piece may.
  for (let i = 0; i < 40; i++) {
    clock.advance(STALL_MS * 0.9)
    slow.waiting.shift()?.()
    await settle()
  }
  const bytes = sizes.reduce((all, size) => all + size, 0)
  assert.ok(bytes > 150_000 && sizes.length > 2, `${bytes} bytes in ${sizes.length} pieces`)
  assert.ok(!slow.destroyed)
})

test('a deleted node’s stream ends, its peers are told, and its key counts no more', async (t) => {
  const { clock, hub, registry, addNode, settle } = await setUp(t)
  const [one, two] = [await addNode('one'), await addNode('two')]
  const [watcher, victim] = [new Reader(hub, one), new Reader(hub, two)]
  const gone: string[] = []
  hub.keysGone.add((key) => gone.push(key.text))
  clock.advance(1_000)
  await settle()
  watcher.take()
  await registry.transaction((tx) => tx.deleteNode(two.id))
  clock.advance(1_000)
  await settle()
  assert.ok(victim.ended)
  assert.deepEqual(watcher.take()[0]?.peersRemoved, [String(two.id)])
  assert.deepEqual(gone, [two.nodeKey.text])
})

test('a rotated node key ends the stream of the old one', async (t) => {
  const { clock, hub, registry, addNode, settle } = await setUp(t)
  const [one, two] = [await addNode('one'), await addNode('two')]
  const [watcher, old] = [new Reader(hub, one), new Reader(hub, two)]
  await settle()
  watcher.take()
  const key = new NodePublic(randomScalar())
  await registry.transaction((tx) => tx.updateNode(two.id, { nodeKey: key }))
  clock.advance(1_000)
  await settle()
  assert.ok(old.ended)
  const patches = watcher.take().flatMap((message) => message.peersChangedPatch ?? [])
  assert.ok(patches.some((patch) => patch.key?.equals(key)))
})

test('an expired node sees itself expired and nobody else, until the expiry is put off', async (t) => {
  const { clock, hub, registry, addNode, settle } = await setUp(t)
  const one = await addNode('one', { expiresAtMs: clock.wallNow() + 60_000 })
  await addNode('two')
  const reader = new Reader(hub, one)
  clock.advance(50_000)
  await settle()
  assert.equal(reader.take()[0]?.peers?.length, 1)
  clock.advance(20_000)
  await settle()
  const [blind] = reader.take().filter(({ keepAlive }) => !keepAlive)
  assert.equal(blind?.node?.expired, true)
  assert.deepEqual([blind.peersRemoved, blind.packetFilter], [['2'], []])
  await registry.transaction((tx) => tx.updateNode(one.id, { expiresAtMs: undefined }))
  clock.advance(1_000)
  await settle()
  const [again] = reader.take().filter(({ keepAlive }) => !keepAlive)
  assert.equal(again?.node?.expired, false)
  assert.equal(again.peersChanged?.length, 1)
  assert.equal(again.packetFilter?.length, 1)
})

test('an ephemeral node goes two minutes after its last stream, and not while it has one', async (t) => {
  const { clock, hub, registry, addNode, settle } = await setUp(t)
  const node = await addNode('brief', { ephemeral: true })
  const reader = new Reader(hub, node)
  for (let i = 0; i < 60; i++) {
    clock.advance(60_000)
    await settle()
  }
  assert.ok(registry.node(node.id), 'an hour with a stream')
  reader.out.destroy()
  await settle()
  clock.advance(EPHEMERAL_IDLE_MS - 10_000)
  await settle()
  const back = new Reader(hub, node)
  await settle()
  back.out.destroy()
  await settle()
  clock.advance(EPHEMERAL_IDLE_MS - 10_000)
  await settle()
  assert.ok(registry.node(node.id), 'a reconnect starts the time anew')
  clock.advance(30_000)
  await registry.transaction(async () => {})
  assert.equal(registry.node(node.id), undefined)
})

test('an ephemeral node has time for its first stream, also after a restart of the server', async (t) => {
  const { clock, hub, registry, addNode, startHub } = await setUp(t)
  const node = await addNode('brief', { ephemeral: true })
  clock.advance(EPHEMERAL_IDLE_MS * 2)
  await registry.transaction(async () => {})
  assert.ok(registry.node(node.id))
  hub.close()
  const again = startHub()
  clock.advance(EPHEMERAL_FIRST_MS - 10_000)
  await registry.transaction(async () => {})
  assert.ok(registry.node(node.id))
  clock.advance(20_000)
  await registry.transaction(async () => {})
  assert.equal(registry.node(node.id), undefined)
  again.close()
})

test('a user who becomes an administrator is told so', async (t) => {
  const { clock, hub, registry, addNode, settle } = await setUp(t)
  const ben = await registry.transaction((tx) =>
    tx.insertUser({ name: 'ben', displayName: 'Ben', email: undefined, role: 'member', createdAtMs: 0 }),
  )
  const reader = new Reader(hub, await addNode('bens', {}, ben))
  await settle()
  const isAdmin = (message: MapResponse | undefined) => message?.node?.capMap.has('https://tailscale.com/cap/is-admin')
  assert.equal(isAdmin(reader.take()[0]), false)
  await registry.transaction((tx) => tx.updateUser(ben.id, { role: 'admin', displayName: 'Ben B.' }))
  clock.advance(1_000)
  await settle()
  const [message] = reader.take()
  assert.equal(isAdmin(message), true)
  assert.equal(message?.userProfiles?.[0]?.displayName, 'Ben B.')
})

test('who was online when the server ended is known afterwards to have been seen then', async (t) => {
  const { clock, hub, registry, addNode } = await setUp(t)
  const one = await addNode('one')
  const reader = new Reader(hub, one)
  clock.advance(5_000)
  assert.ok(!reader.ended)
  hub.close()
  assert.equal(registry.node(one.id)?.report.lastSeenAtMs, clock.wallNow())
})

test('a node that begins to relay is announced by capabilities in the filters, and taken back when it stops', async (t) => {
  const { clock, hub, registry, addNode, settle } = await setUp(t)
  const [relay, client] = [await addNode('relay'), await addNode('client')]
  const readers = [new Reader(hub, relay), new Reader(hub, client)]
  const capsNow = async (): Promise<(string[] | undefined)[]> => {
    clock.advance(1_000)
    await settle()
    return readers.map((reader) => {
      const filter = reader.take().findLast(({ packetFilter }) => packetFilter !== undefined)?.packetFilter
      return filter?.flatMap(({ capGrant }) => capGrant.flatMap(({ capMap }) => [...capMap.keys()]))
    })
  }
  assert.deepEqual(await capsNow(), [[], []])
  const report = (peerRelay: boolean): void => {
    registry.report(relay.id, { ...relay.report, hostinfo: { ...NO_HOST_FACTS, hostname: 'relay', peerRelay } })
  }
  report(true)
  assert.deepEqual(await capsNow(), [['tailscale.com/cap/relay'], ['tailscale.com/cap/relay-target']])
  report(true)
  assert.deepEqual(await capsNow(), [undefined, undefined], 'told once')
  report(false)
  assert.deepEqual(await capsNow(), [[], []])
})
