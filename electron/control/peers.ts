// How one map response changes the set of peers (control.md §5.5). Order matters and is the protocol's: full list, or
// removed, changed, seen, online, patched. Nodes that come out the same keep their identity.

import { isDeepStrictEqual } from 'node:util'
import type { IpAddress } from '../base/endpoint.ts'
import { NodePublic } from '../crypto/keys.ts'
import type { MapResponse } from '../wire/tailcfg/map-response.ts'
import type { Node, PeerChange } from '../wire/tailcfg/node.ts'
import type { NodeId, WallMs } from '../wire/tailcfg/scalars.ts'

export type Peers = ReadonlyMap<NodeId, Node>

/** The peer members of a response; `response` is in the form the server sent. */
export function applyPeers(previous: Peers, response: MapResponse, nowMs: WallMs): Peers {
  // An empty full list does not mean "no peers": servers that meant that have left clients without a network.
  if (response.peers && response.peers.length > 0) return fullList(previous, response.peers)

  const peers = new Map(previous)
  const replace = (id: NodeId, change: (node: Node) => Node): void => {
    const node = peers.get(id)
    // Changes of nodes we do not know are for peers we may not see.
    if (node) peers.set(id, change(node))
  }
  for (const id of response.peersRemoved ?? []) peers.delete(id)
  for (const node of response.peersChanged ?? []) {
    const fresh = upgradeNode(node)
    const known = peers.get(fresh.id)
    peers.set(fresh.id, known ? changed(known, fresh) : fresh)
  }
  for (const [id, seen] of response.peerSeenChange ?? [])
    replace(id, (node) => ({ ...node, lastSeenMs: seen ? nowMs : undefined }))
  for (const [id, online] of response.onlineChange ?? []) replace(id, (node) => ({ ...node, online }))
  for (const change of response.peersChangedPatch ?? []) replace(change.nodeId, (node) => patched(node, change))
  return keepPeers(previous, peers)
}

function fullList(previous: Peers, list: readonly Node[]): Peers {
  const peers = new Map<NodeId, Node>()
  for (const node of list) {
    const fresh = upgradeNode(node)
    const known = previous.get(fresh.id)
    if (!known) {
      peers.set(fresh.id, fresh)
      continue
    }
    // Peers also learn disco keys from each other, so an older report of an offline peer does not overwrite the key.
    const older =
      fresh.online === false &&
      fresh.lastSeenMs !== undefined &&
      known.lastSeenMs !== undefined &&
      fresh.lastSeenMs < known.lastSeenMs
    const merged = older ? { ...fresh, discoKey: known.discoKey } : fresh
    peers.set(fresh.id, merged)
  }
  return keepPeers(previous, peers)
}

/** The members a patch can express; a changed node that differs in nothing else is treated as a patch. */
const PATCHABLE: ReadonlySet<string> = new Set<keyof Node>([
  'key',
  'keyExpiryMs',
  'keySignature',
  'discoKey',
  'endpoints',
  'homeDerp',
  'cap',
  'capMap',
  'online',
  'lastSeenMs',
])

function changed(known: Node, fresh: Node): Node {
  const names = Object.keys(fresh) as (keyof Node)[]
  const isPatch = names.every((name) => PATCHABLE.has(name) || isDeepStrictEqual(known[name], fresh[name]))
  // In a patch, unset online and lastSeen are no differences.
  return isPatch
    ? { ...fresh, online: fresh.online ?? known.online, lastSeenMs: fresh.lastSeenMs ?? known.lastSeenMs }
    : fresh
}

function patched(node: Node, change: PeerChange): Node {
  if (isStaleDiscoReport(node, change)) return node
  const orNone = (value: WallMs | 'never'): WallMs | undefined => (value === 'never' ? undefined : value)
  return {
    ...node,
    ...(change.derpRegion !== 0 && { homeDerp: change.derpRegion }),
    ...(change.cap !== 0 && { cap: change.cap }),
    ...(change.capMap && { capMap: change.capMap }),
    ...(change.endpoints.length > 0 && { endpoints: change.endpoints }),
    ...(change.key && { key: change.key }),
    ...(change.keySignature.length > 0 && { keySignature: change.keySignature }),
    ...(change.discoKey && { discoKey: change.discoKey }),
    ...(change.online !== undefined && { online: change.online }),
    ...(change.lastSeenMs !== undefined && { lastSeenMs: orNone(change.lastSeenMs) }),
    ...(change.keyExpiryMs !== undefined && { keyExpiryMs: orNone(change.keyExpiryMs) }),
  }
}

/** "Went offline at T with disco key K" says nothing about a peer that was seen later than T. */
function isStaleDiscoReport(node: Node, change: PeerChange): boolean {
  return (
    change.online === false &&
    change.discoKey !== undefined &&
    typeof change.lastSeenMs === 'number' &&
    node.lastSeenMs !== undefined &&
    change.lastSeenMs <= node.lastSeenMs
  )
}

/** `next`, with each node that says the same as the one in `known` being that one; `known` itself when all do. */
export function keepPeers(known: Peers, next: Peers): Peers {
  const peers = new Map<NodeId, Node>()
  let same = known.size === next.size
  for (const [id, node] of next) {
    const before = known.get(id)
    const kept = before !== undefined && (before === node || isDeepStrictEqual(before, node)) ? before : node
    if (kept !== before) same = false
    peers.set(id, kept)
  }
  return same ? known : peers
}

/**
 * A node in today's form: the DERP string of servers before 111 becomes the home region, the list of capabilities a map,
 * absent AllowedIPs the addresses. A node that only serves its peer API routes nothing but its own addresses.
 */
export function upgradeNode(node: Node): Node {
  const legacyRegion = /^127\.3\.3\.40:(\d{1,5})$/.exec(node.legacyDerp)
  const capMap = new Map(node.capMap)
  for (const name of node.capabilities) if (!capMap.has(name)) capMap.set(name, [])
  const addresses = new Set(node.addresses)
  const allowedIps = node.allowedIps ?? node.addresses
  return {
    ...node,
    legacyDerp: '',
    homeDerp: node.homeDerp === 0 && legacyRegion ? Number(legacyRegion[1]) : node.homeDerp,
    capabilities: [],
    capMap,
    allowedIps: node.unsignedPeerApiOnly ? allowedIps.filter((prefix) => addresses.has(prefix)) : allowedIps,
  }
}

/** How a peer whose key has expired looks to the rest: unreachable, and with a key nobody holds. */
export function expiredNode(node: Node): Node {
  // Prints as "bad01" in short base64, so that a log shows why packets do not flow.
  const bytes = node.key.bytes.slice()
  bytes.set([109, 167, 116, 213, 215, 116])
  return { ...node, expired: true, endpoints: [], homeDerp: 0, key: new NodePublic(bytes) }
}

/** The single addresses of a node, without "/32". */
export function nodeAddresses(node: Node): IpAddress[] {
  return node.addresses.map((prefix) => prefix.slice(0, prefix.indexOf('/')))
}
