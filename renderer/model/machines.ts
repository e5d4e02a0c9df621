// The machines of a list: groups, order, search. A row never moves because its path changed.

import type { AgentSnapshot, NodeId, PeerView } from '../../electron/contract/snapshot.ts'
import { words } from '../words.ts'

export interface MachineGroup {
  readonly name: string
  readonly peers: readonly PeerView[]
}

const byName = new Intl.Collator('en', { numeric: true, sensitivity: 'base' })

export function groupsOf(peers: AgentSnapshot['peers'], search: string): readonly MachineGroup[] {
  const wanted = search.trim().toLowerCase()
  const found = Object.values(peers)
    .filter((peer) => wanted === '' || matches(peer, wanted))
    .toSorted((a, b) => byName.compare(a.name, b.name) || (a.id < b.id ? -1 : 1))
  const groups: MachineGroup[] = [
    { name: words.list.mine, peers: found.filter((peer) => peer.mine) },
    { name: words.list.shared, peers: found.filter((peer) => !peer.mine && peer.tags.length === 0) },
    { name: words.list.tagged, peers: found.filter((peer) => !peer.mine && peer.tags.length > 0) },
  ]
  return groups.filter((group) => group.peers.length > 0)
}

function matches(peer: PeerView, wanted: string): boolean {
  const texts = [peer.name, peer.dnsName, peer.hostName, peer.ownerName, peer.ownerLogin, osName(peer.os)]
  return [...texts, ...peer.addresses, ...peer.tags].some((text) => text.toLowerCase().includes(wanted))
}

/** The second line of a row: whose it is, or what it is. */
export function subtitleOf(peer: PeerView): string {
  if (peer.tags.length > 0) return peer.tags.join(', ')
  if (!peer.mine && peer.ownerName !== '') return words.list.owner(peer.ownerName)
  return osName(peer.os)
}

const OS_NAMES: Readonly<Record<string, string>> = {
  linux: 'Linux',
  windows: 'Windows',
  macos: 'macOS',
  ios: 'iOS',
  android: 'Android',
  freebsd: 'FreeBSD',
  openbsd: 'OpenBSD',
  tvos: 'tvOS',
  js: 'Browser',
}

export const osName = (os: string): string => OS_NAMES[os.toLowerCase()] ?? os

export type DeviceKind = 'desktop' | 'laptop' | 'phone' | 'server' | 'nas' | 'board' | 'tv' | 'printer' | 'terminal'

const NAME_HINTS: readonly [DeviceKind, RegExp][] = [
  ['nas', /(^|[^a-z])(nas|synology|truenas|diskstation)/],
  ['printer', /print/],
  ['board', /(^|[^a-z])(r?pi\d?|raspberrypi|esp|jetson)([^a-z]|$)/],
  ['tv', /(^|[^a-z])(tv|media|kodi|htpc)/],
  ['phone', /phone|pixel|galaxy|ipad|tablet/],
  ['laptop', /laptop|book|thinkpad|xps|framework/],
  ['terminal', /(^|[^a-z])(ci|runner|ctr|container|build)([^a-z]|$)/],
  ['server', /(^|[^a-z])(server|srv|vps|host|web|db|rack)/],
]

/** Nobody says what a machine is; its system and its name give a good guess. */
export function deviceKind({ name, os, tags }: { name: string; os: string; tags: readonly string[] }): DeviceKind {
  const system = os.toLowerCase()
  if (system === 'android' || system === 'ios') return 'phone'
  if (system === 'tvos') return 'tv'
  const hinted = NAME_HINTS.find(([, pattern]) => pattern.test(name.toLowerCase()))
  if (hinted) return hinted[0]
  if (tags.length > 0 || system.endsWith('bsd')) return 'server'
  return system === 'macos' ? 'laptop' : 'desktop'
}

export interface Presence {
  readonly all: number
  readonly online: number
  readonly direct: number
}

export function presenceOf(peers: Readonly<Record<NodeId, PeerView>>): Presence {
  const all = Object.values(peers)
  return {
    all: all.length,
    online: all.filter((peer) => peer.online !== false && !peer.expired).length,
    direct: all.filter(({ path }) => path.kind === 'direct' && !path.idle).length,
  }
}
