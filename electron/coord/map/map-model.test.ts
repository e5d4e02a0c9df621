// Whatever happens to a tailnet, in whatever order: what a machine has put together from its stream is what a stream that
// begins now would be told.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import fc from 'fast-check'
import { VirtualClock } from '../../base/clock.ts'
import { silentLogger } from '../../base/log.ts'
import { MachinePublic, NodePublic, randomScalar } from '../../crypto/keys.ts'
import { MapFrameDecoder } from '../../wire/tailcfg/map-frame.ts'
import { fromUtf8 } from '../../base/bytes.ts'
import { NO_HOST_FACTS, NO_REPORT, type Node, type NodeId } from '../model.ts'
import { ServerRegistry } from '../server-registry.ts'
import { SqliteStore } from '../store/sqlite-store.ts'
import { MapHub } from './map-hub.ts'

type Json = Readonly<Record<string, unknown>>

/** One of each kind of rule that reaches differently far. */
const POLICIES = [
  '{"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}]}',
  '{"acls": []}',
  '{"tagOwners": {"tag:a": [], "tag:b": []}, "acls": [{"action": "accept", "src": ["tag:a"], "dst": ["tag:b:22"]}]}',
  '{"acls": [{"action": "accept", "src": ["autogroup:member"], "dst": ["autogroup:self:*"]}]}',
  '{"groups": {"group:g": ["anna@"]}, "tagOwners": {"tag:a": []}, "acls": [{"action": "accept", "src": ["group:g"], "dst": ["tag:a:*", "ben@:80"]}]}',
  '{"tagOwners": {"tag:a": [], "tag:b": []}, "grants": [{"src": ["tag:a"], "dst": ["tag:b"], "app": {"example.com/cap/x": [{}]}}]}',
  '{"tagOwners": {"tag:a": []}, "acls": [{"action": "accept", "src": ["ben@"], "dst": ["anna@:*"]}], "ssh": [{"action": "accept", "src": ["anna@"], "dst": ["tag:a"], "users": ["root"]}]}',
]
const TAGS = [[], ['tag:a'], ['tag:b'], ['tag:a', 'tag:b']] as const

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('join' as const), user: fc.nat(1), tags: fc.nat(TAGS.length - 1) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('tag' as const), node: fc.nat(20), tags: fc.nat(TAGS.length - 1) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('report' as const),
      node: fc.nat(20),
      port: fc.integer({ min: 1, max: 9 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('policy' as const), which: fc.nat(POLICIES.length - 1) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('move' as const), node: fc.nat(20), user: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('delete' as const), node: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('expire' as const), node: fc.nat(20) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('role' as const),
      user: fc.nat(1),
      role: fc.constantFrom('admin' as const, 'member' as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(10, 100, 1_000) }) },
)

/** A stream put together the way clients do it. */
class Client {
  readonly state: Record<string, unknown> = {}
  readonly peers = new Map<number, Json>()
  readonly #frames = new MapFrameDecoder()

  take(chunk: Uint8Array): void {
    for (const payload of this.#frames.push(chunk)) this.#apply(JSON.parse(fromUtf8(payload)) as Json)
  }

  #apply(message: Json): void {
    for (const name of ['Node', 'PacketFilter', 'SSHPolicy'] as const)
      if (message[name] !== undefined) this.state[name] = message[name]
    const nodes = (name: string): readonly Json[] => (message[name] as readonly Json[] | undefined) ?? []
    if (message['Peers']) this.peers.clear()
    for (const node of [...nodes('Peers'), ...nodes('PeersChanged')]) this.peers.set(Number(node['ID']), node)
    for (const id of (message['PeersRemoved'] as readonly number[] | undefined) ?? []) this.peers.delete(id)
    for (const { NodeID, ...change } of nodes('PeersChangedPatch')) {
      const known = this.peers.get(Number(NodeID))
      // Clients leave out a patch for a node they do not know: one must never be sent.
      assert.ok(known, `a patch for a stranger: ${String(NodeID)}`)
      this.peers.set(Number(NodeID), { ...known, ...change })
    }
  }

  /** LastSeen may stay behind on a node that came online: clients ask Online first. */
  get shown(): unknown {
    const peers = [...this.peers.values()]
      .toSorted((a, b) => Number(a['ID']) - Number(b['ID']))
      .map(({ LastSeen, ...peer }) => (peer['Online'] === true ? peer : { ...peer, LastSeen }))
    return { ...this.state, SSHPolicy: this.state['SSHPolicy'] ?? { rules: [] }, peers }
  }
}

test('a stream’s deltas add up to what a new stream is told, whatever happens', { timeout: 110_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const folder = mkdtempSync(join(tmpdir(), 'peerway-model-'))
      const clock = new VirtualClock()
      const server = await ServerRegistry.load(SqliteStore.open(join(folder, 'coord.db')), clock, silentLogger)
      const registry = server.first
      const hub = new MapHub({
        registry,
        domain: 'home.example',
        derpMap: { regions: new Map() },
        clock,
        log: silentLogger,
      })
      try {
        const users = [0, 1].map((i) =>
          registry.transaction((tx) =>
            tx.insertUser({
              name: ['anna', 'ben'][i] ?? '',
              displayName: '',
              email: undefined,
              role: 'member',
              createdAtMs: 0,
            }),
          ),
        )
        const [anna, ben] = await Promise.all(users)
        const userAt = (i: number): number => (i === 0 ? anna?.id : ben?.id) ?? 0
        const ids: NodeId[] = []
        const clients = new Map<NodeId, Client>()
        let revision = 0
        const settle = async (ms: number): Promise<void> => {
          clock.advance(ms)
          await new Promise((done) => setImmediate(done))
        }
        const join_ = async (user: number, tags: readonly string[]): Promise<void> => {
          const number = ids.length + 1
          const made = await registry.transaction((tx) =>
            tx.insertNode(
              {
                stableId: `n${number}`,
                userId: userAt(user),
                machineKey: new MachinePublic(randomScalar()),
                nodeKey: new NodePublic(randomScalar()),
                name: `n${number}`,
                nameIsFixed: false,
                addressV4: `100.64.0.${number}`,
                addressV6: `fd7a:115c:a1e0::${number}`,
                tags,
                expiresAtMs: undefined,
                createdAtMs: 0,
                ephemeral: false,
                authKeyId: undefined,
              },
              { ...NO_REPORT, hostinfo: { ...NO_HOST_FACTS, hostname: `n${number}` } },
            ),
          )
          ids.push(made.id)
          const client = new Client()
          const out = new PassThrough({ highWaterMark: 1 << 22 })
          out.on('data', (chunk: Uint8Array) => client.take(chunk))
          clients.set(made.id, client)
          hub.open(made, out, { compression: '', wantsKeepAlive: false })
        }
        const nodeAt = (i: number): Node | undefined => registry.node(ids[i % Math.max(ids.length, 1)] ?? 0)
        for (const one of steps) {
          if (one.do === 'join') await join_(one.user, TAGS[one.tags] ?? [])
          else if (one.do === 'policy')
            await registry.transaction((tx) =>
              tx.setPolicy({ revision: ++revision, text: POLICIES[one.which] ?? '', savedAtMs: 0, by: 'test' }),
            )
          else if (one.do === 'role')
            await registry.transaction((tx) => tx.updateUser(userAt(one.user), { role: one.role }))
          else if (one.do === 'wait') await settle(one.ms)
          else {
            const node = nodeAt(one.node)
            if (!node) continue
            if (one.do === 'report') registry.report(node.id, { ...node.report, endpoints: [`192.0.2.1:${one.port}`] })
            else
              await registry.transaction(async (tx) => {
                if (one.do === 'delete') await tx.deleteNode(node.id)
                else if (one.do === 'tag') await tx.updateNode(node.id, { tags: TAGS[one.tags] ?? [] })
                else if (one.do === 'move') await tx.updateNode(node.id, { userId: userAt(one.user) })
                else await tx.updateNode(node.id, { expiresAtMs: clock.wallNow() - 1 })
              })
          }
        }
        await settle(1_000)
        await settle(1_000)
        for (const [id, client] of clients) {
          const fresh = hub.once(id, '')
          if (!fresh) continue
          const now = new Client()
          now.take(fresh)
          assert.deepEqual(client.shown, now.shown, `node ${id}`)
        }
      } finally {
        hub.close()
        await server.close()
        rmSync(folder, { recursive: true, force: true })
      }
    }),
    { numRuns: 150 },
  )
})
