// The path policies in the settings: what a wish makes of them, what the mesh is told, and what is shown. Machines are kept by
// their id in the network: names and keys change.

import { CodedError } from '../base/errors.ts'
import {
  type PathFamily,
  type PathMode,
  pathModes,
  type PathPolicyView,
  type PathWish,
} from '../contract/path-policy.ts'
import type { NodeId, PeerView, SelfView } from '../contract/snapshot.ts'
import { AUTOMATIC, type PathPolicy } from '../path/path-policy.ts'

export interface PathSetting {
  readonly mode: PathMode
  readonly relay: NodeId | undefined
  readonly family: PathFamily | undefined
  readonly derpData: boolean
}

export interface PathSettings {
  readonly common: PathSetting
  readonly peers: ReadonlyMap<NodeId, PathSetting>
}

const MOST_PEERS = 1_000
const NO_SETTING: PathSetting = { mode: 'automatic', relay: undefined, family: undefined, derpData: true }
export const NO_PATH_SETTINGS: PathSettings = { common: NO_SETTING, peers: new Map() }

export type Machine = Pick<PeerView | SelfView, 'id' | 'name' | 'dnsName' | 'addresses'>

/** The machine that a person means by name, address or id. */
export function machineNamed<M extends Machine>(target: string, machines: readonly M[]): M {
  const wanted = target.toLowerCase().replace(/\.$/, '')
  const found = machines.find(
    ({ id, name, dnsName, addresses }) =>
      id === target || name.toLowerCase() === wanted || dnsName.toLowerCase() === wanted || addresses.includes(wanted),
  )
  if (!found) throw new CodedError('agent/unknown-node', `There is no machine "${target}" in this network.`)
  return found
}

/** Throws 'agent/unknown-node' for names that are none, and 'agent/bad-policy' for what does not fit together. */
export function changedPaths(before: PathSettings, wish: PathWish, machines: readonly Machine[]): PathSettings {
  const peer = wish.peer === undefined ? undefined : machineNamed(wish.peer, machines).id
  if (wish.mode === 'default') {
    if (peer === undefined) return { ...before, common: NO_SETTING }
    const peers = new Map(before.peers)
    peers.delete(peer)
    return { ...before, peers }
  }
  const needsRelay = wish.mode === 'prefer-relay' || wish.mode === 'only-relay'
  if (needsRelay !== (wish.relay !== undefined))
    throw new CodedError(
      'agent/bad-policy',
      needsRelay
        ? `The path policy "${wish.mode}" needs the name of the machine that relays.`
        : `The path policy "${wish.mode}" takes no relay.`,
    )
  const relay = wish.relay === undefined ? undefined : machineNamed(wish.relay, machines).id
  if (relay !== undefined && relay === peer)
    throw new CodedError('agent/bad-policy', 'A machine cannot be its own relay.')
  const setting: PathSetting = { mode: wish.mode, relay, family: wish.family, derpData: wish.derpData ?? true }
  if (peer === undefined) return { ...before, common: setting }
  const peers = new Map(before.peers).set(peer, setting)
  if (peers.size > MOST_PEERS)
    throw new CodedError('agent/bad-policy', `At most ${MOST_PEERS} machines can have a path policy of their own.`)
  return { ...before, peers }
}

/** With node keys in place of ids. A relay that is not in the network gets a key that no node has. */
export function pathPolicies(
  { common, peers }: PathSettings,
  keyOf: (id: NodeId) => string | undefined,
): { policy: PathPolicy; exceptions: ReadonlyMap<string, PathPolicy> } {
  const policyOf = ({ relay, ...rest }: PathSetting): PathPolicy =>
    relay === undefined ? rest : { ...rest, relay: keyOf(relay) ?? '' }
  const exceptions = [...peers].flatMap(([id, setting]) => {
    const key = keyOf(id)
    return key === undefined ? [] : [[key, policyOf(setting)] as const]
  })
  return { policy: common === NO_SETTING ? AUTOMATIC : policyOf(common), exceptions: new Map(exceptions) }
}

export function pathPolicyView(
  { common, peers }: PathSettings,
  peer: NodeId,
  nameOf: (id: NodeId) => string | undefined,
): PathPolicyView {
  const own = peers.get(peer)
  const { relay, ...rest } = own ?? common
  return { ...rest, relay: relay && (nameOf(relay) ?? relay), relayId: relay, isDefault: own === undefined }
}

/** As JSON for the state file. */
export function encodePaths({ common, peers }: PathSettings): unknown {
  return { default: common, peers: Object.fromEntries(peers) }
}

/** Throws an Error that says what is wrong. */
export function decodePaths(value: unknown): PathSettings | undefined {
  if (value === undefined || value === null) return undefined
  const { default: common, peers } = objectOf(value)
  const entries = Object.entries(objectOf(peers ?? {}))
  return {
    common: decodeSetting(common),
    peers: new Map(entries.map(([id, setting]) => [id as NodeId, decodeSetting(setting)])),
  }
}

function decodeSetting(value: unknown): PathSetting {
  const { mode, relay, family, derpData } = objectOf(value)
  const known = pathModes.find((one) => one === mode)
  if (known === undefined) throw new Error('a path policy is unknown')
  return {
    mode: known,
    relay: typeof relay === 'string' ? (relay as NodeId) : undefined,
    family: family === 'ipv4' || family === 'ipv6' ? family : undefined,
    derpData: derpData !== false,
  }
}

function objectOf(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw new Error('the path policies are not an object')
  return value as Record<string, unknown>
}
