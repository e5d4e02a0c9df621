// The tailnet in wire form, kept in step with the registry piece by piece. Who may see whom is decided here and nowhere
// else, so that patches, profiles and full maps cannot differ in it.

import type { Logger } from '../../base/log.ts'
import { CAP_PATH_REPORT } from '../../wire/path-report.ts'
import { mergedDerpMap, ownDerpMap } from '../derp-map/own-derp-map.ts'
import { derpMap as derpMapShape, type DerpMapInput } from '../../wire/tailcfg/derp-map.ts'
import { dnsConfig } from '../../wire/tailcfg/dns-config.ts'
import { filterRule, type FilterRuleInput } from '../../wire/tailcfg/filter-rule.ts'
import { userProfile } from '../../wire/tailcfg/user.ts'
import { dnsConfigOf, dnsSettings } from '../dns/dns-settings.ts'
import { isExpired, type Node, type NodeId, type User, type UserId } from '../model.ts'
import type { Registry } from '../registry.ts'
import { deviceApproval } from '../nodes/device-approval.ts'
import { selfText, viewNode, withRoutes, type NodeView } from './node-view.ts'
import { PolicyView } from './policy-view.ts'
import type { ServedRoutes } from '../routes/route-table.ts'
import { relayRules } from './relay-rules.ts'
import type { Sight } from './told.ts'

/** With no policy everyone may reach everyone (control.md §9.3). */
const ALLOW_ALL: readonly FilterRuleInput[] = [
  { srcIps: ['*'], dstPorts: [{ ip: '*', ports: { first: 0, last: 65_535 } }] },
]

const FILE_SHARING = 'https://tailscale.com/cap/file-sharing'
const IS_ADMIN = 'https://tailscale.com/cap/is-admin'
const IS_OWNER = 'https://tailscale.com/cap/is-owner'

export interface TailnetViewOptions {
  readonly registry: Registry
  readonly isOnline: (id: NodeId) => boolean
  readonly servedBy: (id: NodeId) => ServedRoutes
  /** Who serves the route for those that must go through routers with one of these tags. */
  readonly steeredTo: (route: string, via: readonly string[]) => NodeId | undefined
  readonly domain: string
  readonly derpMap: DerpMapInput
  readonly wallNow: () => number
  readonly log: Logger
}

export class TailnetView {
  /** Refreshed by whoever sends messages, before they are made. */
  readonly policy: PolicyView
  readonly #registry: Registry
  readonly #isOnline: (id: NodeId) => boolean
  readonly #servedBy: (id: NodeId) => ServedRoutes
  readonly #steeredTo: TailnetViewOptions['steeredTo']
  readonly #domain: string
  readonly #wallNow: () => number
  readonly #views = new Map<NodeId, NodeView>()
  readonly #selfTexts = new WeakMap<NodeView, { readonly made: string; readonly node: Node; readonly text: string }>()
  readonly #profiles = new Map<UserId, string>()
  #dns = ''
  /** Nodes that relay for others, with their addresses. */
  readonly #relays = new Map<NodeId, readonly string[]>()
  #derpMap = ''
  /** Without the regions that the tailnet has of its own. */
  #embeddedDerpMap: DerpMapInput

  constructor(options: TailnetViewOptions) {
    this.#registry = options.registry
    this.policy = new PolicyView(options.registry, options.log)
    this.#isOnline = options.isOnline
    this.#servedBy = options.servedBy
    this.#steeredTo = options.steeredTo
    this.#domain = options.domain
    this.#wallNow = options.wallNow
    this.refreshDns()
    this.#embeddedDerpMap = options.derpMap
    this.refreshDerpMap()
    for (const user of options.registry.users()) this.refreshUser(user.id)
    for (const node of options.registry.nodes()) this.refreshNode(node.id)
  }

  /** True when others, or the node itself, would see a difference. */
  refreshNode(id: NodeId): boolean {
    const node = this.#registry.node(id)
    if (node?.report.hostinfo.peerRelay && !isExpired(node, this.#wallNow()) && !this.isWaiting(id))
      this.#relays.set(id, addressesOf(node))
    else this.#relays.delete(id)
    if (!node) return this.#views.delete(id)
    const isApproved = !this.isWaiting(id)
    const view = viewNode(node, this.#isOnline(id), this.#domain, this.#wallNow(), this.#servedBy(id), isApproved)
    const before = this.#views.get(id)
    // A rule may steer some to its routes, which the text does not tell.
    if (before?.text === view.text && before.served === view.served) return false
    this.#views.set(id, view)
    return true
  }

  refreshUser(id: UserId): boolean {
    const user = this.#registry.user(id)
    if (!user) return this.#profiles.delete(id)
    const text = profileText(user)
    if (this.#profiles.get(id) === text) return false
    this.#profiles.set(id, text)
    return true
  }

  /** True when machines are told otherwise. */
  refreshDns(): boolean {
    const settings = this.#registry.kept(dnsSettings)
    const text = JSON.stringify(dnsConfig.write(dnsConfigOf(settings, this.#domain)))
    if (this.#dns === text) return false
    this.#dns = text
    return true
  }

  setDerpMap(map: DerpMapInput): boolean {
    this.#embeddedDerpMap = map
    return this.refreshDerpMap()
  }

  /** True when machines are told otherwise. */
  refreshDerpMap(): boolean {
    const map = mergedDerpMap(this.#embeddedDerpMap, this.#registry.kept(ownDerpMap))
    const text = JSON.stringify(derpMapShape.write(map))
    if (text === this.#derpMap) return false
    this.#derpMap = text
    return true
  }

  /** For somebody to approve it. */
  isWaiting(id: NodeId): boolean {
    return this.#registry.kept(deviceApproval).waiting.has(id)
  }

  nodeIds(): Iterable<NodeId> {
    return this.#views.keys()
  }

  /** The tailnet as this node should see it; undefined when there is no such node. */
  sight(viewerId: NodeId): Sight | undefined {
    const viewer = this.#registry.node(viewerId)
    const self = this.#views.get(viewerId)
    if (!viewer || !self) return undefined
    // A node that is expired, or waits for approval, learns that and nothing else.
    const isBlind = isExpired(viewer, this.#wallNow()) || this.isWaiting(viewerId)
    const sees = (view: NodeView): boolean =>
      !isBlind && view.id !== viewerId && !this.isWaiting(view.id) && this.policy.sees(viewerId, view.id)
    return {
      self: this.#selfText(self, viewer),
      selfUser: viewer.userId,
      domain: JSON.stringify(this.#domain),
      dns: this.#dns,
      derpMap: this.#derpMap,
      packetFilter: isBlind ? '[]' : (this.policy.filter(viewerId) ?? this.#filter(viewer)),
      sshPolicy: isBlind ? undefined : this.policy.sshPolicy(viewerId),
      health: this.#health(viewer),
      profile: (id) => this.#profiles.get(id),
      peer: (id) => {
        const view = this.#views.get(id)
        return view && sees(view) ? this.#forViewer(viewerId, view) : undefined
      },
      peers: () => (isBlind ? [] : this.#peersOf(viewerId)),
    }
  }

  #peersOf(viewerId: NodeId): NodeView[] {
    const ids = this.policy.peersOf(viewerId)
    const views = ids ? ids.flatMap((id) => this.#views.get(id) ?? []) : [...this.#views.values()]
    return views.flatMap((view) =>
      view.id === viewerId || this.isWaiting(view.id) ? [] : this.#forViewer(viewerId, view),
    )
  }

  /** With the routes that the rules let the viewer use. */
  #forViewer(viewerId: NodeId, view: NodeView): NodeView {
    const { subnets, exits, standby } = view.served
    if (subnets.length + exits.length + standby.length === 0) return view
    const goesThere = (route: string, isPrimary: boolean): boolean => {
      const via = this.policy.steering(viewerId, route)
      const router = via && this.#steeredTo(route, via)
      if (router !== undefined) return router === view.id
      return isPrimary && this.policy.reaches(viewerId, view.id, route)
    }
    return withRoutes(
      view,
      [...subnets.filter((route) => goesThere(route, true)), ...standby.filter((route) => goesThere(route, false))],
      exits.filter((route) => this.policy.reaches(viewerId, view.id, route)),
    )
  }

  #filter(viewer: Node): string {
    const rules = [...ALLOW_ALL, ...relayRules(viewer.id, addressesOf(viewer), this.#relays)]
    return JSON.stringify(rules.map((rule) => filterRule.write(rule)))
  }

  /** Machines with tags stand somewhere by themselves: nobody is before them. */
  #health(node: Node): string | undefined {
    const notices = node.tags.length > 0 ? [] : this.#registry.notices(node.userId)
    return notices.length > 0 ? JSON.stringify(notices) : undefined
  }

  /** Made anew only when something of it is: every message to the node looks at it. */
  #selfText(view: NodeView, node: Node): string {
    const capabilities = this.#capabilities(node)
    const made = capabilities.join(' ')
    const known = this.#selfTexts.get(view)
    if (known?.made === made && known.node === node) return known.text
    const text = selfText(view, node, capabilities)
    this.#selfTexts.set(view, { made, node, text })
    return text
  }

  #capabilities(node: Node): string[] {
    const role = node.tags.length > 0 ? undefined : this.#registry.user(node.userId)?.role
    return [
      FILE_SHARING,
      CAP_PATH_REPORT,
      ...(role === 'owner' || role === 'admin' ? [IS_ADMIN] : []),
      ...(role === 'owner' ? [IS_OWNER] : []),
      ...this.policy.capabilities(node.id),
    ]
  }
}

const addressesOf = (node: Node): readonly string[] => [`${node.addressV4}/32`, `${node.addressV6}/128`]

function profileText(user: User): string {
  return JSON.stringify(
    userProfile.write({ id: String(user.id), loginName: user.email ?? user.name, displayName: user.displayName }),
  )
}
