// A node as others are told of it (control.md §5.6). One value per node, shared by all who see it, with its text made
// once: a thousand streams then cost a thousand concatenations, not a thousand serialisations.

import { node as nodeShape, peerChange, type NodeInput, type PeerChangeInput } from '../../wire/tailcfg/node.ts'
import type { HostinfoInput } from '../../wire/tailcfg/hostinfo.ts'
import { SERVES_NOTHING, type ServedRoutes } from '../routes/route-table.ts'
import { isExpired, type HostFacts, type Node, type NodeId, type UserId } from '../model.ts'

/** What a PeerChange can say; the rest needs the whole node. */
type Live = Pick<
  NodeInput,
  'key' | 'keyExpiryMs' | 'discoKey' | 'endpoints' | 'homeDerp' | 'legacyDerp' | 'cap' | 'online' | 'lastSeenMs'
>

export interface NodeView {
  readonly id: NodeId
  readonly userId: UserId
  readonly fixed: NodeInput
  readonly live: Live
  /** JSON of the whole node, and of `fixed` alone. */
  readonly text: string
  readonly fixedText: string
  readonly served: ServedRoutes
  /** The same node with fewer of its routes, by those it has left. */
  readonly variants: Map<string, NodeView>
}

export function viewNode(
  node: Node,
  isOnline: boolean,
  domain: string,
  nowMs: number,
  served: ServedRoutes = SERVES_NOTHING,
  isApproved = true,
): NodeView {
  const { report } = node
  const addresses = [`${node.addressV4}/32`, `${node.addressV6}/128`]
  const fixed: NodeInput = {
    id: String(node.id),
    stableId: node.stableId,
    name: `${node.name}.${domain}.`,
    user: String(node.userId),
    addresses,
    // Clients before capability 112 do not take these from the addresses.
    allowedIps: [...addresses, ...served.subnets, ...served.exits],
    primaryRoutes: served.subnets,
    hostinfo: viewHost(report.hostinfo),
    createdMs: node.createdAtMs,
    machineAuthorized: isApproved,
    tags: node.tags,
    expired: isExpired(node, nowMs),
  }
  const live: Live = {
    key: node.nodeKey,
    keyExpiryMs: node.expiresAtMs,
    discoKey: report.discoKey,
    endpoints: report.endpoints,
    homeDerp: report.homeDerp,
    // Clients before capability 111 know the home region as an address only.
    legacyDerp: report.homeDerp > 0 ? `127.3.3.40:${report.homeDerp}` : '',
    cap: report.capVersion,
    online: isOnline,
    // Clients show a node with LastSeen as offline, whatever Online says (control.md §11.4, 19).
    lastSeenMs: isOnline ? undefined : report.lastSeenAtMs,
  }
  return withTexts({ id: node.id, userId: node.userId, fixed, live, served })
}

const withTexts = (view: Omit<NodeView, 'text' | 'fixedText' | 'variants'>): NodeView => ({
  ...view,
  text: JSON.stringify(nodeShape.write({ ...view.fixed, ...view.live })),
  fixedText: JSON.stringify(nodeShape.write(view.fixed)),
  variants: new Map(),
})

/** The node as it is to somebody who has business with some of its routes only, or with some that others serve else. */
export function withRoutes(view: NodeView, subnets: readonly string[], exits: readonly string[]): NodeView {
  const { served } = view
  if (subnets.join() === served.subnets.join() && exits.join() === served.exits.join()) return view
  const left: ServedRoutes = { subnets, exits, standby: [] }
  const key = [...left.subnets, ...left.exits].join()
  const known = view.variants.get(key)
  if (known) return known
  const addresses = view.fixed.addresses ?? []
  const allowedIps = [...addresses, ...left.subnets, ...left.exits]
  const made = withTexts({ ...view, fixed: { ...view.fixed, allowedIps, primaryRoutes: left.subnets }, served: left })
  view.variants.set(key, made)
  return made
}

function viewHost(host: HostFacts): HostinfoInput {
  const { os, hostname, services, sshHostKeys, shieldsUp, peerRelay, network } = host
  return { os, hostname, services, sshHostKeys, shieldsUp, peerRelay, ...(network && { netInfo: network }) }
}

/** The node itself is told of its machine key and capabilities too. */
export function selfText(view: NodeView, node: Node, capabilities: readonly string[]): string {
  const capMap = new Map(capabilities.map((name) => [name, []]))
  return JSON.stringify(nodeShape.write({ ...view.fixed, ...view.live, machine: node.machineKey, capMap }))
}

/** What changed as the text of a patch, 'whole' when a patch cannot say it, undefined when nothing did. */
export function difference(before: NodeView, now: NodeView): { readonly patch: string } | 'whole' | undefined {
  if (before === now || before.text === now.text) return undefined
  if (before.fixedText !== now.fixedText) return 'whole'
  const [a, b] = [before.live, now.live]
  // In a patch these cannot be taken away. LastSeen may stay behind on a node that came online: clients ask Online first.
  const isCleared =
    (a.discoKey && !b.discoKey) || (count(a) > 0 && count(b) === 0) || (a.homeDerp && !b.homeDerp) || (a.cap && !b.cap)
  if (isCleared) return 'whole'
  const patch: PeerChangeInput = {
    nodeId: String(now.id),
    ...(a.key?.text !== b.key?.text && { key: b.key }),
    ...(a.keyExpiryMs !== b.keyExpiryMs && { keyExpiryMs: b.keyExpiryMs ?? 'never' }),
    ...(a.discoKey?.text !== b.discoKey?.text && { discoKey: b.discoKey }),
    ...(a.endpoints?.join() !== b.endpoints?.join() && { endpoints: b.endpoints }),
    ...(a.homeDerp !== b.homeDerp && { derpRegion: b.homeDerp }),
    ...(a.cap !== b.cap && { cap: b.cap }),
    ...(a.online !== b.online && { online: b.online }),
    ...(b.lastSeenMs !== undefined && a.lastSeenMs !== b.lastSeenMs && { lastSeenMs: b.lastSeenMs }),
  }
  return { patch: JSON.stringify(peerChange.write(patch)) }
}

const count = (live: Live): number => live.endpoints?.length ?? 0
