// The same policies through a stock server and through our compiler, for the same nodes: the same packet filters, as the
// map responses give them to each node, and the same peers. Loopback only; no data plane takes part.
//
// Compared is what a filter does, not how it is written: for each protocol, port and destination that can come to the node
// at all the set of sources. Version 0.27.1 writes a rule without protocol as TCP and UDP (clients treat ICMP alike), and
// `icmp` as both ICMP protocols; its `*` as a source is the whole of both families.

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { ControlClient } from '../../electron/control/control-client.ts'
import type { NodeState } from '../../electron/control/map-stream.ts'
import type { Netmap } from '../../electron/control/netmap.ts'
import { CompiledPolicy } from '../../electron/coord/policy/compile.ts'
import { INTERNET, IpSet, parseIpSet, TAILNET } from '../../electron/coord/policy/ip-set.ts'
import { readPolicy } from '../../electron/coord/policy/read-policy.ts'
import type { Topology } from '../../electron/coord/policy/topology.ts'
import { DiscoPrivate, MachinePrivate, NodePrivate } from '../../electron/crypto/keys.ts'
import type { FilterRuleInput } from '../../electron/wire/tailcfg/filter-rule.ts'
import { runOrSkip } from '../lab/netns.ts'
import { stockUnavailable } from '../stock/binaries.ts'
import { LocalHeadscale } from '../stock/local-headscale.ts'
import { CASES, type CaseNode, NODES, type PolicyCase, policyText, USERS } from './policy-cases.ts'

const options = runOrSkip(stockUnavailable('headscale'), 120_000)
/** From a new policy to the filters of all nodes. */
const ARRIVE_MS = 15_000

/** The stock server takes half a second for a change, and is idle meanwhile. */
const SERVERS = 4

const MARKED: PolicyCase = { name: 'a mark', acls: [], comparesPeers: false }

/** Sources of a rule that tells one policy's filters from another's; no node has such an address (RFC 2544). */
const MARKERS = '198.18.'

/** Gives the server another policy. */
type SetPolicy = (policy: string) => Promise<void>

async function startHeadscale(t: TestContext): Promise<{ server: LocalHeadscale; setPolicy: SetPolicy }> {
  const server = await LocalHeadscale.create({
    log: { level: 'info' },
    policy: { mode: 'database' },
    tuning: { batch_change_delay: '20ms' },
  })
  t.after(() => server.close())
  await server.start()
  const token = await server.cli<string>('apikeys', 'create')
  const setPolicy = async (policy: string): Promise<void> => {
    const response = await fetch(`${server.url}/api/v1/policy`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ policy }),
      signal: AbortSignal.timeout(ARRIVE_MS),
    })
    assert.equal(response.status, 200, `${await response.text()}\n${policy}`)
  }
  return { server, setPolicy }
}

/** A node without a data plane: what the server tells it. */
class Member {
  readonly spec: CaseNode
  netmap: Netmap | undefined
  readonly #client: ControlClient
  readonly #onChange: () => void
  #state: NodeState | undefined
  #stop = new AbortController()

  constructor(t: TestContext, url: string, spec: CaseNode, onChange: () => void) {
    this.spec = spec
    this.#onChange = onChange
    this.#client = new ControlClient({ serverUrl: url, machineKey: MachinePrivate.generate() })
    t.after(() => {
      this.#stop.abort()
      this.#client.close()
    })
  }

  async join(authKey: string): Promise<void> {
    const nodeKey = NodePrivate.generate().public
    const hostinfo = {
      hostname: this.spec.name,
      os: 'linux',
      ipnVersion: '1.0-peerway',
      routableIps: [...this.spec.routes],
    }
    const registration = { nodeKey, nlKey: `nlpub:${'a1'.repeat(32)}`, hostinfo, authKey }
    const outcome = await this.#client.register(registration, this.#stop.signal)
    assert.equal(outcome.kind, 'registered')
    this.#state = { nodeKey, discoKey: DiscoPrivate.generate().public, hostinfo, endpoints: [] }
    this.poll()
  }

  /** A new stream, which begins with everything. */
  poll(): void {
    this.#stop.abort()
    this.#stop = new AbortController()
    const { signal } = this.#stop
    this.netmap = undefined
    const take = (netmap: Netmap): void => {
      if (signal.aborted) return
      this.netmap = netmap
      this.#onChange()
    }
    if (this.#state) this.#client.poll(this.#state, take, () => {}, signal).catch(() => {})
  }

  get addresses(): string[] {
    return (this.netmap?.self.addresses ?? []).map((prefix) => prefix.split('/')[0] ?? '')
  }

  get peers(): string[] {
    return [...(this.netmap?.peers.values() ?? [])].map(({ name }) => name.split('.')[0] ?? '').toSorted()
  }

  /** Whether the filter is the one that a policy with this marker made; without one, of a policy that has no rules. */
  isMarked(marker: string | undefined): boolean {
    const all = this.netmap?.packetFilter ?? []
    const isMarker = (text: string): boolean => text.startsWith(MARKERS)
    if (marker === undefined) return !all.some(({ srcIps }) => srcIps.some(isMarker))
    return all.some(({ srcIps }) => srcIps.includes(`${marker}/32`))
  }
}

async function joinAll(t: TestContext, server: LocalHeadscale, onChange: () => void): Promise<Member[]> {
  const ids = new Map<string, number>()
  for (const { name, email } of USERS) {
    const more = email === undefined ? [] : ['--email', email]
    ids.set(name, (await server.cli<{ id: number }>('users', 'create', name, ...more)).id)
  }
  const members: Member[] = []
  for (const spec of NODES) {
    const tags = spec.tags.length > 0 ? ['--tags', spec.tags.join(',')] : []
    const user = String(ids.get(spec.user))
    const { key } = await server.cli<{ key: string }>('preauthkeys', 'create', '--user', user, ...tags)
    const member = new Member(t, server.url, spec, onChange)
    members.push(member)
    await member.join(key)
  }
  for (const { id, name } of await server.cli<{ id: number; name: string }[]>('nodes', 'list')) {
    const routes = NODES.find((one) => one.name === name)?.routes ?? []
    if (routes.length > 0) await server.cli('nodes', 'approve-routes', '-i', String(id), '-r', routes.join(','))
  }
  return members
}

/** Who lets whom in, piece by piece: protocol, destination and ports to the sources. */
type Canonical = ReadonlyMap<string, string>

interface Piece {
  readonly protocol: string
  readonly first: number
  readonly last: number
  readonly src: IpSet
  readonly dst: IpSet
}

function pieces(filter: readonly FilterRuleInput[], sources: IpSet, reach: IpSet): Piece[] {
  const setOf = (text: string): IpSet => parseIpSet(text) ?? assert.fail(`"${text}" is no set of addresses`)
  return filter.flatMap(({ srcIps, dstPorts, ipProto }) => {
    const src = IpSet.union((srcIps ?? []).map(setOf)).intersect(sources)
    return (dstPorts ?? []).flatMap(({ ip, ports }) => {
      const dst = setOf(ip ?? '').intersect(reach)
      if (src.isEmpty || dst.isEmpty) return []
      return protocolsOf(ipProto ?? []).map((protocol) => ({
        protocol,
        first: ports?.first ?? 0,
        last: ports?.last ?? 0,
        src,
        dst,
      }))
    })
  })
}

function protocolsOf(numbers: readonly number[]): string[] {
  const text = numbers.join()
  if (text === '' || text === '6,17') return ['default']
  return text === '1,58' ? ['1'] : numbers.map(String)
}

function canonical(
  all: readonly Piece[],
  atoms: { readonly dst: readonly IpSet[]; readonly ports: readonly number[] },
): Canonical {
  const found = new Map<string, string>()
  for (const protocol of new Set(all.map((piece) => piece.protocol)))
    for (const dst of atoms.dst)
      for (const [i, first] of atoms.ports.entries()) {
        const open = all.filter(
          (piece) =>
            piece.protocol === protocol && piece.first <= first && first <= piece.last && piece.dst.overlaps(dst),
        )
        if (open.length === 0) continue
        const last = (atoms.ports[i + 1] ?? 65_536) - 1
        const sources = IpSet.union(open.map(({ src }) => src)).toTexts()
        found.set(`${protocol} ${dst.toTexts().join()} ${first}-${last}`, sources.join())
      }
  return found
}

/** The smallest parts that both filters speak of. */
function atomsOf(all: readonly Piece[]): { dst: IpSet[]; ports: number[] } {
  let dst: IpSet[] = []
  for (const piece of all) {
    const rest = piece.dst.subtract(IpSet.union(dst))
    dst = [...dst.flatMap((one) => [one.intersect(piece.dst), one.subtract(piece.dst)]), rest].filter(
      (one) => !one.isEmpty,
    )
  }
  const ports = [...new Set(all.flatMap(({ first, last }) => [first, last + 1]))].toSorted((a, b) => a - b)
  return { dst, ports: ports.filter((port) => port <= 65_535) }
}

/** How many filters there were that let something in. */
async function compare(t: TestContext, cases: readonly PolicyCase[]): Promise<number> {
  const { server, setPolicy } = await startHeadscale(t)
  const waiting = new Set<() => void>()
  const members = await joinAll(t, server, () => {
    for (const look of waiting) look()
  })
  const until = (what: string, isSo: () => boolean): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (!isSo()) return
        clearTimeout(timer)
        waiting.delete(look)
        resolve()
      }
      const timer = setTimeout(() => {
        waiting.delete(look)
        reject(new Error(`waited ${ARRIVE_MS} ms in vain for ${what}`))
      }, ARRIVE_MS)
      waiting.add(look)
      look()
    })
  await until('all nodes to be there', () => members.every(({ peers }) => peers.length === NODES.length - 1))

  const topology: Topology = {
    users: USERS.map(({ name, email }) => ({ key: name, name, email })),
    nodes: members.map(({ spec, addresses }) => ({
      key: spec.name,
      userKey: spec.user,
      tags: spec.tags,
      addresses,
      routes: spec.routes,
    })),
  }
  assert.deepEqual(topology.nodes[2]?.addresses, ['100.64.0.3', 'fd7a:115c:a1e0::3'])

  const putInForce = async (one: PolicyCase, marker: string | undefined): Promise<void> => {
    await setPolicy(policyText(one, marker))
    await until(`the filters of "${one.name}"`, () => members.every((member) => member.isMarked(marker)))
  }

  let filters = 0
  for (const [i, one] of cases.entries()) {
    const marker = one.acls === undefined || one.acls.length === 0 ? undefined : `${MARKERS}${i >> 8}.${i & 255}`
    // One without a mark of its own is known by the mark of another going away.
    if (marker === undefined) await putInForce(MARKED, `${MARKERS}255.255`)
    await putInForce(one, marker)
    const ours = new CompiledPolicy(readPolicy(policyText(one, marker)), topology)
    const { places } = ours.resolver
    const sources = IpSet.union([TAILNET, ...places.map(({ behind }) => behind)])
    for (const { spec, netmap } of members) {
      const place = places.find(({ node }) => node.key === spec.name) ?? assert.fail(spec.name)
      const reach = IpSet.union([place.reach, ...(place.isExit ? [INTERNET] : [])])
      const [a, b] = [
        pieces(ours.filter(spec.name), sources, reach),
        pieces(netmap?.packetFilter ?? [], sources, reach),
      ]
      const atoms = atomsOf([...a, ...b])
      assert.deepEqual(canonical(a, atoms), canonical(b, atoms), `${one.name}: filter of ${spec.name}`)
      filters += canonical(b, atoms).size > 0 ? 1 : 0
    }
    if (one.comparesPeers) {
      for (const member of members) member.poll()
      await until(`the peers of "${one.name}"`, () => members.every(({ netmap }) => netmap !== undefined))
      for (const { spec, peers } of members)
        assert.deepEqual(ours.peersOf(spec.name).toSorted(), peers, `${one.name}: peers of ${spec.name}`)
    }
  }
  return filters
}

test(`${CASES.length} policies give the same packet filters as the stock server gives`, options, async (t) => {
  const shards = Array.from({ length: SERVERS }, (_, shard) => CASES.filter((_case, i) => i % SERVERS === shard))
  const filters = (await Promise.all(shards.map((cases) => compare(t, cases)))).reduce((sum, one) => sum + one, 0)
  t.diagnostic(`${CASES.length} policies, ${NODES.length} nodes, ${filters} filters that let something in`)
  // Else the comparison would be one of nothing with nothing.
  assert.ok(filters > 2 * CASES.length)
})
