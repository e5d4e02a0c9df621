// The policy compiled for the tailnet as it is now. Compiling is put off until somebody needs it, so that a burst of
// changes costs one; and whoever is as before to all rules need not be told of anybody.

import type { Logger } from '../../base/log.ts'
import type { FilterRuleInput } from '../../wire/tailcfg/filter-rule.ts'
import { sshPolicy } from '../../wire/tailcfg/ssh-policy.ts'
import { messageOf } from '../../base/errors.ts'
import type { NodeId } from '../model.ts'
import { CompiledPolicy } from '../policy/compile.ts'
import type { Policy } from '../policy/document.ts'
import { wireRule } from '../policy/node-filter.ts'
import { readPolicy } from '../policy/read-policy.ts'
import { factsOf, topologyOf } from '../policy/server-topology.ts'
import type { Registry } from '../registry.ts'
import { CAP_RELAY } from './relay-rules.ts'
import { routeDecisions } from '../routes/decisions.ts'

/** Lets clients serve SSH by policy at all (control.md §5.7). */
const SSH = 'https://tailscale.com/cap/ssh'

/** In force while the stored policy cannot be read: a damaged rule must not open what it closed. */
const DENY_ALL = '{"acls": []}'

export interface PolicyChange {
  /** Nodes that see, or are seen, otherwise than before, each with all those at the other end. */
  readonly seen: 'all' | ReadonlyMap<NodeId, ReadonlySet<NodeId>>
  /** Nodes that must be told of their own rules again. */
  readonly touched: 'all' | ReadonlySet<NodeId>
}

const NO_CHANGE: PolicyChange = { seen: new Map(), touched: new Set() }

/** SSH rules, capabilities and rules for routers name others than those who see each other. */
const reachesBeyondPeers = ({ policy, flows }: CompiledPolicy): boolean =>
  policy.ssh.length > 0 || flows.some(({ kind, via }) => kind === 'capabilities' || via !== undefined)

export class PolicyView {
  readonly #registry: Registry
  readonly #log: Logger
  #policy: Policy | undefined
  #compiled: CompiledPolicy | undefined
  #isStale = false
  #isNew = false
  /** A person has another role, name or address than the rules were compiled with. */
  #areUsersNew = false
  /** What of each node the compiled rules were made of. */
  #facts = new Map<NodeId, string>()
  readonly #filters = new Map<NodeId, string>()
  readonly #ssh = new Map<NodeId, string>()

  constructor(registry: Registry, log: Logger) {
    this.#registry = registry
    this.#log = log
    this.touchPolicy()
    this.refresh()
  }

  /** Whether `refresh` has something to do. */
  get isStale(): boolean {
    return this.#isStale
  }

  touchPolicy(): void {
    this.#policy = this.#read()
    this.#isStale = true
    this.#isNew = true
  }

  touchNode(id: NodeId): void {
    if (!this.#policy || this.#isStale) return
    const node = this.#registry.node(id)
    if (this.#facts.get(id) !== (node && factsOf(node, this.#registry.kept(routeDecisions)))) this.#isStale = true
  }

  touchUser(): void {
    if (!this.#policy) return
    this.#isStale = true
    this.#areUsersNew = true
  }

  /** Brings the rules up to date. */
  refresh(): PolicyChange {
    if (!this.#isStale) return NO_CHANGE
    const [before, oldFacts] = [this.#compiled, this.#facts]
    const isNew = this.#isNew
    const isWide = isNew || this.#areUsersNew
    this.#isStale = false
    this.#isNew = false
    this.#areUsersNew = false
    const now = this.#policy && new CompiledPolicy(this.#policy, topologyOf(this.#registry, this.#policy))
    this.#compiled = now
    this.#facts = new Map()
    const decisions = this.#registry.kept(routeDecisions)
    if (now) for (const node of this.#registry.nodes()) this.#facts.set(node.id, factsOf(node, decisions))
    if (!before || !now || isNew) {
      this.#filters.clear()
      this.#ssh.clear()
      return { seen: 'all', touched: 'all' }
    }
    const seen = new Map<NodeId, ReadonlySet<NodeId>>()
    const touched = new Set<NodeId>()
    for (const id of new Set([...oldFacts.keys(), ...this.#facts.keys()])) {
      const key = String(id)
      const isSeenOtherwise = before.signature(key) !== now.signature(key)
      if (!isSeenOtherwise && oldFacts.get(id) === this.#facts.get(id)) continue
      const viewers = new Set([...before.peersOf(key), ...now.peersOf(key)].map(Number))
      if (isSeenOtherwise) seen.set(id, viewers)
      for (const one of [id, ...viewers]) touched.add(one)
    }
    if (isWide || reachesBeyondPeers(now)) {
      this.#filters.clear()
      this.#ssh.clear()
      return { seen, touched: 'all' }
    }
    // A rule names those who may send, and they are peers: nobody else's rules can be other than before.
    for (const id of touched) this.#filters.delete(id)
    return { seen, touched }
  }

  /** Undefined while no policy speaks of packets: then the default holds. JSON. */
  filter(id: NodeId): string | undefined {
    const compiled = this.#compiled
    if (!compiled || compiled.allowsAll) return undefined
    return kept(this.#filters, id, () => JSON.stringify(rulesFor(compiled, id).map(wireRule)))
  }

  /** Undefined while there is no policy. JSON. */
  sshPolicy(id: NodeId): string | undefined {
    const compiled = this.#compiled
    if (!compiled || compiled.policy.ssh.length === 0) return undefined
    return kept(this.#ssh, id, () => JSON.stringify(sshPolicy.write({ rules: compiled.sshRules(String(id)) })))
  }

  /** In the order of their numbers; undefined where everyone sees everyone. */
  peersOf(viewer: NodeId): readonly NodeId[] | undefined {
    return this.#compiled
      ?.peersOf(String(viewer))
      .map(Number)
      .toSorted((a, b) => a - b)
  }

  sees(viewer: NodeId, other: NodeId): boolean {
    return !this.#compiled || this.#compiled.sees(String(viewer), String(other))
  }

  /** Whether the client may ask that node to relay for it: without rules everybody may. */
  mayAskRelay(client: NodeId, relay: NodeId): boolean {
    const compiled = this.#compiled
    if (!compiled || compiled.allowsAll) return true
    return compiled.grants(String(client), String(relay), CAP_RELAY)
  }

  /** Whether the rules let the viewer reach what is behind this router, or be reached from there. */
  reaches(viewer: NodeId, router: NodeId, route: string): boolean {
    return !this.#compiled || this.#compiled.reaches(String(viewer), String(router), route)
  }

  /** Tags of routers through which alone the viewer gets at this network; undefined where any may serve it. */
  steering(viewer: NodeId, route: string): readonly string[] | undefined {
    return this.#compiled?.steering(String(viewer), route)
  }

  /** Whether the policy approves this route of the node by itself. */
  approves(id: NodeId, route: string): boolean {
    return this.#compiled?.approves(String(id), route) === true
  }

  capabilities(id: NodeId): readonly string[] {
    if (!this.#compiled) return []
    const hasSsh = this.#compiled.policy.ssh.length > 0
    return [...this.#compiled.capabilities(String(id)), ...(hasSsh ? [SSH] : [])]
  }

  #read(): Policy | undefined {
    const stored = this.#registry.policy
    if (!stored) return undefined
    try {
      return readPolicy(stored.text)
    } catch (error) {
      this.#log.error('the stored policy cannot be used; everything is denied until it is set anew', {
        revision: stored.revision,
        problem: messageOf(error),
      })
      return readPolicy(DENY_ALL)
    }
  }
}

const rulesFor = (compiled: CompiledPolicy, id: NodeId): readonly FilterRuleInput[] => compiled.filter(String(id))

function kept(known: Map<NodeId, string>, id: NodeId, make: () => string): string {
  const text = known.get(id) ?? make()
  known.set(id, text)
  return text
}
