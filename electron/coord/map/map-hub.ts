// All map streams of the server, and what turns changes of the tailnet into messages on them.

import type { Writable } from 'node:stream'
import { concat } from '../../base/bytes.ts'
import type { Clock } from '../../base/clock.ts'
import { Listeners } from '../../base/lifetime.ts'
import type { Logger } from '../../base/log.ts'
import type { NodePublic } from '../../crypto/keys.ts'
import type { DerpMapInput } from '../../wire/tailcfg/derp-map.ts'
import { mapFrameChunks, type MapCompression } from '../../wire/tailcfg/map-frame.ts'
import { isExpired, type Node, type NodeId } from '../model.ts'
import type { Change, Registry } from '../registry.ts'
import { deviceApproval } from '../nodes/device-approval.ts'
import { dueForRenewal, nodeKeys } from '../nodes/node-keys.ts'
import { approvedRoutes, routeDecisions, undecidedRoutes, withBothExits } from '../routes/decisions.ts'
import { primaryRoutes, RouteTable, type ServedRoutes } from '../routes/route-table.ts'
import { RouterWatch } from '../routes/router-watch.ts'
import { MapSession } from './map-session.ts'
import { Presence } from './presence.ts'
import { SendGate } from './send-gate.ts'
import { TailnetView } from './tailnet-view.ts'
import { Told } from './told.ts'

/** Changes that come together travel together; the first does not wait long. */
const FIRST_DELAY_MS = 20
/** Between two rounds of messages. */
const ROUND_GAP_MS = 300
/** How often expiries and idle ephemeral nodes are looked for. */
const SWEEP_MS = 5_000
/** An ephemeral node without a stream lives this long. */
export const EPHEMERAL_IDLE_MS = 120_000
/** … and one that has not had its first stream, or of which a restarted server does not know when it had. */
export const EPHEMERAL_FIRST_MS = 600_000

/** After a start of the server, routers have this long to come back before another serves their routes. */
const SETTLE_MS = 15_000

export interface MapHubOptions {
  readonly registry: Registry
  readonly domain: string
  readonly derpMap: DerpMapInput
  readonly clock: Clock
  readonly log: Logger
}

export class MapHub {
  /** A node key that counts no more: deleted, rotated or expired. DERP servers drop its connection. */
  readonly keysGone = new Listeners<NodePublic>()
  readonly #registry: Registry
  readonly #clock: Clock
  readonly #log: Logger
  readonly #presence: Presence
  readonly #view: TailnetView
  readonly #routes: RouteTable
  readonly #routers: RouterWatch
  /** Were primary when the server ended, and may not have come back yet. */
  #awaited: ReadonlySet<NodeId>
  /** With routes that the policy may approve once it is up to date. */
  readonly #undecided = new Set<NodeId>()
  readonly #sessions = new Map<NodeId, MapSession>()
  readonly #gate: SendGate
  readonly #keys = new Map<NodeId, NodePublic>()
  /** Expired, or waiting for approval. */
  readonly #shut = new Set<NodeId>()
  /** When an ephemeral node was last seen to live, and how long it may be idle from then. */
  readonly #idleSince = new Map<NodeId, { readonly atMs: number; readonly allowedMs: number }>()
  #lastRoundMs = Number.NEGATIVE_INFINITY
  #savedPrimaries = '{}'
  #cancelRound: (() => void) | undefined
  #cancelSweep: (() => void) | undefined
  readonly #cancelSettle: () => void
  readonly #stopListening: () => void

  constructor(options: MapHubOptions) {
    this.#registry = options.registry
    this.#clock = options.clock
    this.#log = options.log
    this.#gate = new SendGate({ clock: options.clock })
    this.#presence = new Presence(
      options.clock,
      (id, isOnline) => this.#onPresence(id, isOnline),
      (id, isHere) => options.registry.sayHere(id, isHere),
    )
    const formerPrimaries = options.registry.kept(primaryRoutes)
    this.#awaited = new Set(formerPrimaries.values())
    this.#routes = new RouteTable({
      routesOf: (id) => this.#routesOf(id),
      tagsOf: (id) => this.#registry.node(id)?.tags ?? [],
      isOnline: (id) => this.#presence.isOnline(id) || this.#awaited.has(id),
      formerPrimaries,
    })
    this.#routers = new RouterWatch({
      clock: options.clock,
      routers: () => this.#routes.replaceable(),
      onSilent: (id) => {
        this.#log.info('a subnet router does not answer', { node: id })
        this.#sessions.get(id)?.cut()
        this.#presence.lose(id)
      },
    })
    for (const node of options.registry.nodes()) this.#routes.touch(node.id)
    this.#view = new TailnetView({
      registry: options.registry,
      isOnline: (id) => this.#presence.isOnline(id),
      servedBy: (id) => this.#routes.served(id),
      steeredTo: (route, via) => this.#routes.steered(route, via),
      domain: options.domain,
      derpMap: options.derpMap,
      wallNow: () => options.clock.wallNow(),
      log: options.log,
    })
    for (const node of options.registry.nodes()) {
      this.#keys.set(node.id, node.nodeKey)
      if (this.#isShut(node)) this.#shut.add(node.id)
      this.#touchEphemeral(node, EPHEMERAL_FIRST_MS)
      this.#noteUndecided(node)
    }
    for (const { id } of options.registry.nodes())
      if (options.registry.isElsewhere(id)) this.#presence.setElsewhere(id, true)
    this.#cancelSettle = options.clock.after(SETTLE_MS, () => this.#settle())
    this.#stopListening = options.registry.changes.add((change) => this.#onChange(change))
    this.#scheduleSweep()
  }

  /** Begins a stream; an older one of the same node ends. */
  open(
    node: Node,
    out: Writable,
    options: {
      readonly compression: MapCompression
      readonly wantsKeepAlive: boolean
      /** Whether the client at the other end still answers. */
      readonly probe?: (() => Promise<boolean>) | undefined
    },
  ): void {
    const release = this.#presence.connect(node.id)
    const unwatch = options.probe && this.#routers.watch(node.id, options.probe)
    const former = this.#sessions.get(node.id)
    const session = new MapSession({
      nodeId: node.id,
      nodeKey: node.nodeKey,
      out,
      view: this.#view,
      clock: this.#clock,
      gate: this.#gate,
      // Until then the rules may not know the node.
      isHeld: this.#view.policy.isStale,
      ...options,
      onEnd: (ended) => {
        if (this.#sessions.get(node.id) === ended) this.#sessions.delete(node.id)
        unwatch?.()
        release()
      },
    })
    if (!out.destroyed) this.#sessions.set(node.id, session)
    former?.end()
    if (this.#view.policy.isStale || this.#undecided.size > 0) this.#scheduleRound()
  }

  /** One message for a request that does not stay; undefined for a node that is not there. */
  once(nodeId: NodeId, compression: MapCompression): Uint8Array | undefined {
    this.#applyPolicy()
    const sight = this.#view.sight(nodeId)
    return sight && concat(...mapFrameChunks(new Told().full(sight, this.#clock.wallNow()), compression))
  }

  isOnline(id: NodeId): boolean {
    return this.#presence.isOnline(id)
  }

  /** Whether the policy shows the one to the other. */
  sees(viewer: NodeId, other: NodeId): boolean {
    this.#applyPolicy()
    return (
      viewer !== other &&
      !this.#view.isWaiting(viewer) &&
      !this.#view.isWaiting(other) &&
      this.#view.policy.sees(viewer, other)
    )
  }

  mayAskRelay(client: NodeId, relay: NodeId): boolean {
    this.#applyPolicy()
    return this.#view.policy.mayAskRelay(client, relay)
  }

  /** What the node serves now: of several that could, one does. */
  servedBy(id: NodeId): ServedRoutes {
    return this.#routes.served(id)
  }

  get streamCount(): number {
    return this.#sessions.size
  }

  setDerpMap(map: DerpMapInput): void {
    if (this.#view.setDerpMap(map)) this.#tellAll()
  }

  /** Of what all are told alike. */
  #tellAll(): void {
    for (const session of this.#sessions.values()) session.markOwn()
    this.#scheduleRound()
  }

  close(): void {
    this.#stopListening()
    this.#cancelRound?.()
    this.#cancelSweep?.()
    this.#cancelSettle()
    this.#routers.close()
    for (const session of this.#sessions.values()) session.end()
    const lastSeenAtMs = this.#clock.wallNow()
    for (const node of this.#registry.nodes())
      if (this.#presence.isOnline(node.id)) this.#registry.report(node.id, { ...node.report, lastSeenAtMs })
    this.#presence.close()
  }

  /** Whom the policy shows otherwise than before is looked at again by all, and looks at all again. */
  #applyPolicy(): void {
    if (!this.#view.policy.isStale) return
    const { seen, touched } = this.#view.policy.refresh()
    if (seen === 'all') for (const session of this.#sessions.values()) session.markAll()
    else
      for (const [id, viewers] of seen) {
        for (const viewer of viewers) this.#sessions.get(viewer)?.markNode(id)
        this.#sessions.get(id)?.markAll()
      }
    if (touched === 'all') for (const session of this.#sessions.values()) session.markOwn()
    else for (const id of touched) this.#sessions.get(id)?.markOwn()
  }

  #onChange(change: Change): void {
    if (change.type === 'policy') {
      this.#view.policy.touchPolicy()
      this.#routes.forgetSteering()
      for (const node of this.#registry.nodes()) this.#noteUndecided(node)
      this.#scheduleRound()
      return
    }
    if (change.type === 'setting') {
      if (change.name === 'dns' && this.#view.refreshDns()) this.#tellAll()
      if (change.name === 'derp-map' && this.#view.refreshDerpMap()) this.#tellAll()
      if (change.name === deviceApproval.name) this.#noteShut()
      if (change.name === 'route-decisions')
        for (const node of this.#registry.nodes()) if (this.#hasRoutes(node)) this.#refreshNode(node.id)
      return
    }
    if (change.type === 'presence') {
      this.#presence.setElsewhere(change.id, this.#registry.isElsewhere(change.id))
      return
    }
    if (change.type === 'notices') {
      for (const node of this.#registry.nodes()) if (node.userId === change.id) this.#sessions.get(node.id)?.markOwn()
      this.#scheduleRound()
      return
    }
    if (change.type === 'user') {
      this.#view.policy.touchUser()
      if (this.#view.refreshUser(change.id)) for (const session of this.#sessions.values()) session.markUser(change.id)
      // A new role changes what the nodes of the user are told about themselves.
      for (const node of this.#registry.nodes()) if (node.userId === change.id) this.#sessions.get(node.id)?.markOwn()
      this.#scheduleRound()
      return
    }
    this.#refreshNode(change.id)
  }

  #refreshNode(id: NodeId): void {
    const node = this.#registry.node(id)
    const key = this.#keys.get(id)
    if (key && (!node || !node.nodeKey.equals(key))) this.keysGone.emit(key)
    if (node) {
      this.#keys.set(id, node.nodeKey)
      this.#touchEphemeral(node, EPHEMERAL_IDLE_MS)
    } else {
      this.#keys.delete(id)
      this.#idleSince.delete(id)
      this.#presence.forget(id)
    }
    this.#noteShutNode(id, node)
    const own = this.#sessions.get(id)
    if (own && (!node || !node.nodeKey.equals(own.nodeKey))) own.end()
    this.#view.policy.touchNode(id)
    if (node) this.#noteUndecided(node)
    else this.#undecided.delete(id)
    if (this.#view.policy.isStale || this.#undecided.size > 0) this.#scheduleRound()
    this.#showAnew(new Set([id, ...this.#routes.touch(id)]))
  }

  /** Looks again at nodes of which others may have to hear. */
  #showAnew(ids: Iterable<NodeId>): void {
    for (const id of ids) {
      if (!this.#view.refreshNode(id)) continue
      this.#sessions.get(id)?.markOwn()
      const viewers = this.#view.policy.peersOf(id)
      if (!viewers) for (const session of this.#sessions.values()) session.markNode(id)
      else for (const viewer of viewers) this.#sessions.get(viewer)?.markNode(id)
      this.#scheduleRound()
    }
    this.#rememberPrimaries()
  }

  #routesOf(id: NodeId): readonly string[] {
    const node = this.#registry.node(id)
    if (!node || this.#isShut(node)) return []
    return approvedRoutes(node, this.#registry.kept(routeDecisions))
  }

  #hasRoutes({ id, report }: Node): boolean {
    return report.hostinfo.routableIps.length > 0 || this.#routes.served(id).subnets.length > 0
  }

  #noteUndecided(node: Node): void {
    if (this.#registry.policy && undecidedRoutes(node, this.#registry.kept(routeDecisions)).length > 0)
      this.#undecided.add(node.id)
    else this.#undecided.delete(node.id)
  }

  /** What the policy approves is approved for good: a later policy does not take it back. */
  #approveByPolicy(): void {
    const waiting = [...this.#undecided]
    this.#undecided.clear()
    const mayApprove = (id: NodeId): string[] => {
      const node = this.#registry.node(id)
      const undecided = node ? undecidedRoutes(node, this.#registry.kept(routeDecisions)) : []
      return undecided.filter((route) => this.#view.policy.approves(id, route))
    }
    const approved = waiting.filter((id) => mayApprove(id).length > 0)
    if (approved.length === 0) return
    this.#registry
      .transaction(async (tx) => {
        for (const id of approved) {
          const routes = mayApprove(id)
          if (routes.length === 0) continue
          await tx.decideRoutes(id, withBothExits(routes), 'approved')
          await tx.audit('policy', 'route.approve', `node:${id}`, routes.join(' '))
        }
      })
      .catch((error: unknown) => this.#log.error('routes stay without approval', { error }))
  }

  #settle(): void {
    const awaited = this.#awaited
    this.#awaited = new Set()
    for (const id of awaited) this.#showAnew(this.#routes.touch(id))
  }

  /** A restart then moves nobody to another router. */
  #rememberPrimaries(): void {
    const now = JSON.stringify(Object.fromEntries([...this.#routes.primaries()].sort(([a], [b]) => (a < b ? -1 : 1))))
    if (now === this.#savedPrimaries) return
    this.#savedPrimaries = now
    this.#registry
      .transaction((tx) => tx.setKept('primary-routes', now))
      .catch((error: unknown) => this.#log.warn('primary routers not saved', { error }))
  }

  #isShut(node: Node): boolean {
    return isExpired(node, this.#clock.wallNow()) || this.#registry.kept(deviceApproval).waiting.has(node.id)
  }

  #noteShut(): void {
    for (const node of this.#registry.nodes())
      if (this.#isShut(node) !== this.#shut.has(node.id)) this.#refreshNode(node.id)
  }

  /** A node that expires or waits, or does so no more, sees nothing or everything from then on. */
  #noteShutNode(id: NodeId, node: Node | undefined): void {
    const was = this.#shut.has(id)
    const is = node !== undefined && this.#isShut(node)
    if (was === is) return
    if (is) this.#shut.add(id)
    else this.#shut.delete(id)
    if (!node) return
    if (is) this.keysGone.emit(node.nodeKey)
    this.#sessions.get(id)?.markAll()
    this.#scheduleRound()
  }

  #onPresence(id: NodeId, isOnline: boolean): void {
    const node = this.#registry.node(id)
    if (!node) return
    this.#touchEphemeral(node, EPHEMERAL_IDLE_MS)
    if (!isOnline) this.#registry.report(id, { ...node.report, lastSeenAtMs: this.#clock.wallNow() })
    this.#refreshNode(id)
  }

  #scheduleRound(): void {
    if (this.#cancelRound) return
    const delayMs = Math.max(FIRST_DELAY_MS, this.#lastRoundMs + ROUND_GAP_MS - this.#clock.now())
    this.#cancelRound = this.#clock.after(delayMs, () => {
      this.#cancelRound = undefined
      this.#lastRoundMs = this.#clock.now()
      this.#applyPolicy()
      if (this.#undecided.size > 0) this.#approveByPolicy()
      for (const session of this.#sessions.values()) session.pump()
    })
  }

  #scheduleSweep(): void {
    this.#cancelSweep = this.#clock.after(SWEEP_MS, () => {
      this.#scheduleSweep()
      const nowMs = this.#clock.wallNow()
      this.#noteShut()
      this.#renewKeys(nowMs)
      for (const [id, idle] of this.#idleSince) {
        if (this.#presence.isOnline(id) || this.#clock.now() - idle.atMs < idle.allowedMs) continue
        this.#idleSince.delete(id)
        this.#removeIdle(id).catch((error: unknown) => this.#log.error('ephemeral node stays', { node: id, error }))
      }
    })
  }

  /** A key that is put off is a patch to those who see the node, and nothing that its person notices. */
  #renewKeys(nowMs: number): void {
    const settings = this.#registry.kept(nodeKeys)
    const { lifetimeMs } = settings
    const due = dueForRenewal(settings, this.#registry.nodes(), (id) => this.#presence.isOnline(id), nowMs)
    if (lifetimeMs === undefined || due.length === 0) return
    this.#registry
      .transaction(async (tx) => {
        for (const { id } of due) {
          const node = this.#registry.node(id)
          if (node && !isExpired(node, nowMs)) await tx.updateNode(id, { expiresAtMs: nowMs + lifetimeMs })
        }
      })
      .catch((error: unknown) => this.#log.warn('node keys not renewed', { error }))
  }

  async #removeIdle(id: NodeId): Promise<void> {
    await this.#registry.transaction(async (tx) => {
      const node = this.#registry.node(id)
      if (!node || this.#presence.isOnline(id)) return
      await tx.deleteNode(id)
      await tx.audit('coord', 'node.delete', `node:${id}`, `${node.name}: ephemeral and idle`)
    })
  }

  #touchEphemeral(node: Node, allowedMs: number): void {
    if (!node.ephemeral) this.#idleSince.delete(node.id)
    else {
      // The longer allowance stays until there has been a stream.
      const former = this.#idleSince.get(node.id)
      const isFirst =
        former === undefined || (former.allowedMs === EPHEMERAL_FIRST_MS && !this.#presence.isOnline(node.id))
      this.#idleSince.set(node.id, { atMs: this.#clock.now(), allowedMs: isFirst ? EPHEMERAL_FIRST_MS : allowedMs })
    }
  }
}
