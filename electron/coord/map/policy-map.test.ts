import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { test, type TestContext } from 'node:test'
import { VirtualClock } from '../../base/clock.ts'
import { silentLogger } from '../../base/log.ts'
import { MachinePublic, NodePublic, randomScalar } from '../../crypto/keys.ts'
import { MapFrameDecoder, parseMapPayload } from '../../wire/tailcfg/map-frame.ts'
import type { MapResponse } from '../../wire/tailcfg/map-response.ts'
import { NO_HOST_FACTS, NO_REPORT, type Node, type User } from '../model.ts'
import { ServerRegistry } from '../server-registry.ts'
import { SqliteStore } from '../store/sqlite-store.ts'
import { MapHub } from './map-hub.ts'

const CAP_SSH = 'https://tailscale.com/cap/ssh'

async function setUp(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'peerway-policy-map-'))
  const clock = new VirtualClock()
  const server = await ServerRegistry.load(SqliteStore.open(join(folder, 'coord.db')), clock, silentLogger)
  const registry = server.first
  const newHub = () =>
    new MapHub({ registry, domain: 'home.example', derpMap: { regions: new Map() }, clock, log: silentLogger })
  const hub = newHub()
  t.after(async () => {
    hub.close()
    await server.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const addUser = (name: string): Promise<User> =>
    registry.transaction((tx) =>
      tx.insertUser({ name, displayName: name, email: undefined, role: 'member', createdAtMs: 0 }),
    )
  const [anna, ben] = [await addUser('anna'), await addUser('ben')]
  let count = 0
  const addNode = (name: string, owner: User, more: Partial<Node> = {}, routableIps: string[] = []): Promise<Node> => {
    count++
    const node = {
      stableId: `n${count}`,
      userId: owner.id,
      machineKey: new MachinePublic(randomScalar()),
      nodeKey: new NodePublic(randomScalar()),
      name,
      nameIsFixed: false,
      addressV4: `100.64.0.${2 * count}`,
      addressV6: `fd7a:115c:a1e0::${2 * count}`,
      tags: [],
      expiresAtMs: undefined,
      createdAtMs: clock.wallNow(),
      ephemeral: false,
      authKeyId: undefined,
      ...more,
    }
    return registry.transaction((tx) =>
      tx.insertNode(node, { ...NO_REPORT, hostinfo: { ...NO_HOST_FACTS, hostname: name, routableIps } }),
    )
  }
  let revision = 0
  const setPolicy = (text: string): Promise<void> =>
    registry.transaction((tx) => tx.setPolicy({ revision: ++revision, text, savedAtMs: 0, by: 'test' }))
  return { clock, registry, hub, newHub, anna, ben, addNode, setPolicy }
}

/** What one node knows from its stream. */
class Client {
  readonly peers = new Map<string, string>()
  /** By name of the peer. */
  readonly routes = new Map<string, readonly string[]>()
  last: MapResponse | undefined
  filter: MapResponse['packetFilter']
  ssh: MapResponse['sshPolicy']
  capabilities: string[] = []
  messages = 0
  readonly #out = new PassThrough({ highWaterMark: 1 << 20 })
  readonly #clock: VirtualClock

  constructor(hub: MapHub, node: Node, clock: VirtualClock) {
    this.#clock = clock
    const frames = new MapFrameDecoder()
    this.#out.on('data', (chunk: Uint8Array) => {
      for (const payload of frames.push(chunk)) this.#take(parseMapPayload(payload, ''))
    })
    hub.open(node, this.#out, { compression: '', wantsKeepAlive: false })
  }

  async settled(): Promise<this> {
    this.#clock.advance(1_000)
    await new Promise((done) => setImmediate(done))
    return this
  }

  get sees(): string[] {
    return [...this.peers.values()].toSorted()
  }

  #take(message: MapResponse): void {
    this.messages++
    this.last = message
    for (const peer of [...(message.peers ?? []), ...(message.peersChanged ?? [])]) {
      const name = peer.name.split('.')[0] ?? ''
      this.peers.set(peer.id, name)
      this.routes.set(name, peer.primaryRoutes)
    }
    for (const id of message.peersRemoved ?? []) this.peers.delete(id)
    this.filter = message.packetFilter ?? this.filter
    this.ssh = message.sshPolicy ?? this.ssh
    if (message.node) this.capabilities = [...message.node.capMap.keys()]
  }
}

const ONLY_22 = `{"tagOwners": {"tag:server": []}, "acls": [{"action": "accept", "src": ["anna@"], "dst": ["tag:server:22"]}]}`

test('a new policy reaches connected nodes as a change: whom they see no more, and what they let in', async (t) => {
  const { clock, hub, anna, ben, addNode, setPolicy } = await setUp(t)
  const other = await addNode('pc', ben)
  const laptop = new Client(hub, await addNode('laptop', anna), clock)
  const pc = new Client(hub, other, clock)
  const server = new Client(hub, await addNode('server', anna, { tags: ['tag:server'] }), clock)
  const clients = [laptop, pc, server]
  await laptop.settled()
  assert.deepEqual(
    clients.map(({ sees }) => sees.length),
    [2, 2, 2],
  )
  await setPolicy(ONLY_22)
  await laptop.settled()
  assert.deepEqual(
    clients.map(({ sees }) => sees),
    [['server'], [], ['laptop']],
  )
  assert.equal(laptop.last?.peers, undefined)
  assert.deepEqual(laptop.last?.peersRemoved, [String(other.id)])
  assert.deepEqual([laptop.filter, pc.filter], [[], []])
  assert.deepEqual(
    server.filter?.map(({ srcIps, dstPorts }) => [srcIps, dstPorts.map(({ ip, ports }) => `${ip} ${ports.first}`)]),
    [
      [
        ['100.64.0.4', 'fd7a:115c:a1e0::4'],
        ['100.64.0.6 22', 'fd7a:115c:a1e0::6 22'],
      ],
    ],
  )
  assert.equal(server.ssh, undefined, 'a policy without SSH says nothing of it')
})

test('a node that joins is known to the rules in its first message, and to those it concerns', async (t) => {
  const { clock, hub, anna, ben, addNode, setPolicy } = await setUp(t)
  await setPolicy(ONLY_22)
  const server = new Client(hub, await addNode('server', anna, { tags: ['tag:server'] }), clock)
  const pc = new Client(hub, await addNode('pc', ben), clock)
  await pc.settled()
  const before = pc.messages
  const laptop = await new Client(hub, await addNode('laptop', anna), clock).settled()
  assert.deepEqual([laptop.sees, server.sees, pc.sees], [['server'], ['laptop'], []])
  assert.deepEqual(server.filter?.[0]?.srcIps, ['100.64.0.6', 'fd7a:115c:a1e0::6'])
  assert.equal(pc.messages, before, 'no word to whom it does not concern')
})

test('a tag, an owner and a name of a user change what rules mean, at once', async (t) => {
  const { clock, hub, registry, anna, ben, addNode, setPolicy } = await setUp(t)
  await setPolicy(ONLY_22)
  const [laptop, pc] = [await addNode('laptop', anna), await addNode('pc', ben)]
  const client = await new Client(hub, laptop, clock).settled()
  assert.deepEqual(client.sees, [])
  await registry.transaction((tx) => tx.updateNode(pc.id, { tags: ['tag:server'] }))
  assert.deepEqual((await client.settled()).sees, ['pc'])
  await registry.transaction((tx) => tx.updateUser(anna.id, { name: 'anne' }))
  assert.deepEqual((await client.settled()).sees, [])
  await registry.transaction((tx) => tx.updateUser(anna.id, { name: 'anna' }))
  assert.deepEqual((await client.settled()).sees, ['pc'])
})

test('capabilities, SSH rules and routes that the policy approves arrive, and go with it', async (t) => {
  const { clock, hub, anna, ben, addNode, setPolicy } = await setUp(t)
  const router = await addNode('router', anna, { tags: ['tag:router'] }, ['10.1.0.0/16', '10.9.0.0/16'])
  const client = new Client(hub, router, clock)
  const pc = new Client(hub, await addNode('pc', ben), clock)
  await setPolicy(`{
    "tagOwners": {"tag:router": []},
    "autoApprovers": {"routes": {"10.1.0.0/16": ["tag:router"]}},
    "acls": [{"action": "accept", "src": ["ben@"], "dst": ["10.0.0.0/8:443"]}],
    "nodeAttrs": [{"target": ["tag:router"], "attr": ["magicdns-aaaa"]}],
    "ssh": [{"action": "accept", "src": ["ben@"], "dst": ["tag:router"], "users": ["root"]}],
  }`)
  await client.settled()
  assert.deepEqual(
    client.filter?.[0]?.dstPorts.map(({ ip }) => ip),
    ['10.0.0.0/8'],
  )
  assert.deepEqual(pc.sees, ['router'])
  assert.ok(client.capabilities.includes('magicdns-aaaa') && client.capabilities.includes(CAP_SSH))
  assert.deepEqual(
    client.ssh?.rules[0]?.principals.map(({ nodeIp }) => nodeIp),
    ['100.64.0.4', 'fd7a:115c:a1e0::4'],
  )
  await setPolicy('{"acls": []}')
  await client.settled()
  assert.deepEqual([client.ssh?.rules, client.filter, client.sees, pc.sees], [[], [], [], []])
  assert.ok(!client.capabilities.includes(CAP_SSH))
})

test('a rule with "via" shows a network at the router it names, and to others at the one that serves it', async (t) => {
  const { clock, hub, anna, ben, addNode, setPolicy, registry } = await setUp(t)
  const first = await addNode('first', ben, { tags: ['tag:a'] }, ['10.1.0.0/16'])
  const second = await addNode('second', ben, { tags: ['tag:b'] }, ['10.1.0.0/16'])
  for (const node of [first, second]) {
    await registry.transaction((tx) => tx.decideRoutes(node.id, ['10.1.0.0/16'], 'approved'))
    await new Client(hub, node, clock).settled()
  }
  const pc = new Client(hub, await addNode('pc', ben), clock)
  const laptop = new Client(hub, await addNode('laptop', anna), clock)
  const rules = (via: string): string => `{
    "tagOwners": {"tag:a": [], "tag:b": [], "tag:c": []},
    "grants": [
      {"src": ["*"], "dst": ["10.0.0.0/8", "tag:a", "tag:b"], "ip": ["*"]},
      {"src": ["anna@"], "dst": ["10.1.0.0/16"], "ip": ["*"], "via": ["${via}"]},
    ],
  }`
  const networks = (client: Client): Record<string, readonly string[]> =>
    Object.fromEntries([...client.routes].filter(([, routes]) => routes.length > 0))
  await setPolicy(rules('tag:b'))
  for (const client of [pc, laptop]) await client.settled()
  assert.deepEqual([networks(pc), networks(laptop)], [{ first: ['10.1.0.0/16'] }, { second: ['10.1.0.0/16'] }])
  await registry.transaction((tx) => tx.updateNode(second.id, { tags: ['tag:a'] }))
  for (const client of [pc, laptop]) await client.settled()
  assert.deepEqual([networks(pc), networks(laptop)], [{ first: ['10.1.0.0/16'] }, { first: ['10.1.0.0/16'] }])
  await setPolicy(rules('tag:c'))
  await registry.transaction((tx) => tx.updateNode(second.id, { tags: ['tag:c'] }))
  await laptop.settled()
  assert.deepEqual(networks(laptop), { second: ['10.1.0.0/16'] })
})

test('after a restart the policy holds, and one that cannot be read denies everything', async (t) => {
  const { clock, hub, newHub, anna, addNode, setPolicy } = await setUp(t)
  const node = await addNode('laptop', anna)
  await addNode('server', anna, { tags: ['tag:server'] })
  await setPolicy(ONLY_22)
  hub.close()
  const again = newHub()
  const client = await new Client(again, node, clock).settled()
  assert.deepEqual([client.sees, client.filter], [['server'], []])
  await setPolicy('{"acls": [{"action": "a kind of a later version"}]}')
  await client.settled()
  assert.deepEqual([client.sees, client.filter], [[], []])
  again.close()
})
