import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DiscoPublic, MachinePublic, NodePublic, randomScalar } from '../../crypto/keys.ts'
import { mapResponse, type MapResponse } from '../../wire/tailcfg/map-response.ts'
import { readMessage } from '../../wire/tailcfg/schema.ts'
import { NO_HOST_FACTS, type Node } from '../model.ts'
import { viewNode, type NodeView } from './node-view.ts'
import { Told, type Sight } from './told.ts'

const NOW = Date.UTC(2026, 0, 1)
const DOMAIN = 'home.example'

function node(id: number): Node {
  return {
    id,
    tailnetId: 1,
    stableId: `n${id}`,
    userId: 1 + (id % 3),
    machineKey: new MachinePublic(randomScalar()),
    nodeKey: new NodePublic(randomScalar()),
    name: `pc-${id}`,
    nameIsFixed: false,
    addressV4: `100.64.0.${id}`,
    addressV6: `fd7a:115c:a1e0::${id}`,
    tags: [],
    expiresAtMs: undefined,
    createdAtMs: NOW,
    ephemeral: false,
    authKeyId: undefined,
    report: {
      discoKey: new DiscoPublic(randomScalar()),
      endpoints: ['192.0.2.1:41641'],
      hostinfo: NO_HOST_FACTS,
      homeDerp: 900,
      capVersion: 130,
      lastSeenAtMs: NOW,
    },
  }
}

/** A tailnet that can be changed, seen by a viewer who is not in it. */
class World {
  readonly views = new Map<number, NodeView>()
  readonly profiles = new Map<number, string>()
  filter = '[]'
  ssh: string | undefined

  set(node: Node, isOnline = true): void {
    this.views.set(node.id, viewNode(node, isOnline, DOMAIN, NOW))
  }

  sight(): Sight {
    return {
      self: '{"ID":1000,"StableID":"self","Name":"me.","User":1}',
      selfUser: 1,
      domain: '"home.example"',
      dns: '{"Proxied":true}',
      derpMap: '{"Regions":{}}',
      packetFilter: this.filter,
      sshPolicy: this.ssh,
      health: undefined,
      profile: (id) => this.profiles.get(id) ?? `{"ID":${id},"LoginName":"u${id}","DisplayName":"U"}`,
      peer: (id) => this.views.get(id),
      peers: () => this.views.values(),
    }
  }
}

/** What a client makes of the stream, by the rules of control.md §5.4 and §5.5, on the raw members. */
class Client {
  readonly peers = new Map<number, Record<string, unknown>>()
  readonly profiles = new Map<number, string>()
  messages = 0

  take(text: string | undefined): MapResponse | undefined {
    if (text === undefined) return undefined
    this.messages++
    const raw = JSON.parse(text) as Record<string, Record<string, unknown>[] & number[]>
    if (raw['Peers'] && raw['Peers'].length > 0) {
      this.peers.clear()
      for (const peer of raw['Peers']) this.peers.set(Number(peer['ID']), peer)
    } else {
      for (const id of raw['PeersRemoved'] ?? []) this.peers.delete(Number(id))
      for (const peer of raw['PeersChanged'] ?? []) this.peers.set(Number(peer['ID']), peer)
      for (const patch of raw['PeersChangedPatch'] ?? []) this.#patch(patch)
    }
    for (const profile of raw['UserProfiles'] ?? []) this.profiles.set(Number(profile['ID']), JSON.stringify(profile))
    return readMessage(mapResponse, raw)
  }

  #patch(patch: Record<string, unknown>): void {
    const peer = this.peers.get(Number(patch['NodeID']))
    assert.ok(peer, 'a patch for a peer that was never told of')
    const { NodeID: _, DERPRegion, ...members } = patch
    assert.ok(Object.keys(patch).length > 1, 'a patch that says nothing')
    Object.assign(peer, members)
    if (DERPRegion !== undefined)
      Object.assign(peer, { HomeDERP: DERPRegion, DERP: `127.3.3.40:${Number(DERPRegion)}` })
    if (peer['KeyExpiry'] === '0001-01-01T00:00:00Z') delete peer['KeyExpiry']
  }

  /** LastSeen means nothing on a peer that is online. */
  seen(): unknown {
    return normal([...this.peers.values()])
  }
}

function normal(peers: Record<string, unknown>[]): unknown {
  return peers
    .map((peer) => (peer['Online'] === true ? { ...peer, LastSeen: undefined } : peer))
    .map(
      (peer) =>
        JSON.parse(JSON.stringify(Object.fromEntries(Object.entries(peer).sort(([a], [b]) => (a < b ? -1 : 1))))) as {
          ID: number
        },
    )
    .sort((a, b) => a.ID - b.ID)
}

test('the first message has all a client needs to run', () => {
  const world = new World()
  world.set(node(2))
  const message = new Client().take(new Told().full(world.sight(), NOW).join(''))
  assert.ok(message?.node && message.derpMap && message.dnsConfig && message.packetFilter && message.controlTimeMs)
  assert.equal(message.domain, DOMAIN)
  assert.equal(message.peers?.length, 1)
  assert.deepEqual(message.userProfiles?.map(({ id }) => id).sort(), ['1', '3'])
  assert.equal(message.debug?.disableLogTail, true)
  assert.equal(message.collectServices, false)
})

test('nothing changed, nothing said', () => {
  const world = new World()
  world.set(node(2))
  const told = new Told()
  told.full(world.sight(), NOW)
  assert.equal(told.delta(world.sight(), [2, 3], [1, 2], NOW), undefined)
})

test('endpoints, home region and presence travel as patches, names as whole nodes', () => {
  const world = new World()
  const peer = node(2)
  world.set(peer)
  const told = new Told()
  told.full(world.sight(), NOW)
  world.set({ ...peer, report: { ...peer.report, endpoints: ['198.51.100.9:1'], homeDerp: 901 } }, false)
  const patch = new Client()
  patch.peers.set(2, {})
  const message = patch.take(told.delta(world.sight(), [2], [], NOW))
  assert.equal(message?.peersChanged, undefined)
  const [change] = message?.peersChangedPatch ?? []
  assert.deepEqual(
    [change?.endpoints, change?.derpRegion, change?.online, change?.lastSeenMs],
    [['198.51.100.9:1'], 901, false, NOW],
  )
  world.set({ ...peer, name: 'desk' })
  const renamed = new Client().take(told.delta(world.sight(), [2], [], NOW))
  assert.equal(renamed?.peersChanged?.[0]?.name, 'desk.home.example.')
})

test('the last peer that goes is removed by its number, never by an empty list', () => {
  const world = new World()
  world.set(node(2))
  const told = new Told()
  told.full(world.sight(), NOW)
  world.views.clear()
  assert.match(told.delta(world.sight(), [2], [], NOW) ?? '', /^\{"PeersRemoved":\[2\],"ControlTime"/)
})

test('a filter that closes says so, and a profile comes before its owner is asked about', () => {
  const world = new World()
  world.filter = '[{"SrcIPs":["*"]}]'
  const told = new Told()
  told.full(world.sight(), NOW)
  world.filter = '[]'
  world.set(node(4))
  const message = new Client().take(told.delta(world.sight(), [4], [], NOW))
  assert.deepEqual(message?.packetFilter, [])
  assert.deepEqual(
    message?.userProfiles?.map(({ id }) => id),
    ['2'],
  )
})

const ids = fc.integer({ min: 2, max: 8 })
const operation = fc.oneof(
  fc.record({ op: fc.constant('remove' as const), id: ids }),
  fc.record({ op: fc.constant('send' as const), id: ids }),
  fc.record({
    op: fc.constant('set' as const),
    id: ids,
    change: fc.constantFrom(
      'fresh',
      'rotate',
      'endpoints',
      'no-endpoints',
      'derp',
      'no-derp',
      'disco',
      'no-disco',
      'expiry',
      'no-expiry',
      'offline',
      'name',
      'user',
      'cap',
      'no-cap',
      'profile',
    ),
    n: fc.nat(5),
  }),
)

test('whatever happens in whatever order, a client ends up knowing what a fresh one is told', () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
      const [world, told, client] = [new World(), new Told(), new Client()]
      const nodes = new Map<number, Node>()
      const dirty = { nodes: new Set<number>(), users: new Set<number>() }
      const send = (): void => {
        client.take(told.delta(world.sight(), dirty.nodes, dirty.users, NOW))
        dirty.nodes.clear()
        dirty.users.clear()
      }
      client.take(told.full(world.sight(), NOW).join(''))
      for (const operation of operations) {
        if (operation.op === 'send') {
          send()
          continue
        }
        const { id } = operation
        dirty.nodes.add(id)
        if (operation.op === 'remove') {
          nodes.delete(id)
          world.views.delete(id)
          continue
        }
        const { change, n } = operation
        if (change === 'profile') {
          world.profiles.set(1 + (id % 3), `{"ID":${1 + (id % 3)},"LoginName":"new${n}","DisplayName":"U"}`)
          dirty.users.add(1 + (id % 3))
        }
        const changed = changeNode(nodes.get(id) ?? node(id), change, n)
        nodes.set(id, changed)
        world.set(changed, change !== 'offline')
      }
      send()
      const fresh = new Client()
      fresh.take(new Told().full(world.sight(), NOW).join(''))
      assert.deepEqual(client.seen(), fresh.seen())
      for (const [id, profile] of fresh.profiles) assert.equal(client.profiles.get(id), profile)
    }),
    { numRuns: 400 },
  )
})

function changeNode(before: Node, change: string, n: number): Node {
  const report = { ...before.report }
  switch (change) {
    case 'rotate':
      return { ...before, nodeKey: new NodePublic(randomScalar()), expiresAtMs: NOW + n }
    case 'endpoints':
      return { ...before, report: { ...report, endpoints: [`192.0.2.${n}:1`, '192.0.2.7:2'] } }
    case 'no-endpoints':
      return { ...before, report: { ...report, endpoints: [] } }
    case 'derp':
      return { ...before, report: { ...report, homeDerp: 900 + n } }
    case 'no-derp':
      return { ...before, report: { ...report, homeDerp: 0 } }
    case 'disco':
      return { ...before, report: { ...report, discoKey: new DiscoPublic(randomScalar()) } }
    case 'no-disco':
      return { ...before, report: { ...report, discoKey: undefined } }
    case 'expiry':
      return { ...before, expiresAtMs: NOW + 1000 * n }
    case 'no-expiry':
      return { ...before, expiresAtMs: undefined }
    case 'offline':
      return { ...before, report: { ...report, lastSeenAtMs: NOW + n } }
    case 'name':
      return { ...before, name: `name-${n}-${before.id}` }
    case 'user':
      return { ...before, userId: 1 + n }
    case 'cap':
      return { ...before, report: { ...report, capVersion: 100 + n } }
    case 'no-cap':
      return { ...before, report: { ...report, capVersion: 0 } }
    default:
      return node(before.id)
  }
}

test('SSH rules are told once there are some, and taken back when there are none', () => {
  const [tailnet, told] = [new World(), new Told()]
  assert.ok(!told.full(tailnet.sight(), NOW).join('').includes('SSHPolicy'))
  tailnet.ssh = '{"rules":[{"principals":[],"sshUsers":{}}]}'
  assert.match(told.delta(tailnet.sight(), [], [], NOW) ?? '', /"SSHPolicy":\{"rules":\[\{/)
  assert.equal(told.delta(tailnet.sight(), [], [], NOW), undefined)
  tailnet.ssh = undefined
  assert.match(told.delta(tailnet.sight(), [], [], NOW) ?? '', /"SSHPolicy":\{"rules":\[\]\}/)
  assert.equal(told.delta(tailnet.sight(), [], [], NOW), undefined)
})
