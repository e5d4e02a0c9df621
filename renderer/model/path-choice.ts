// The path policy of one machine as choices of a person.

import type { PathFamily, PathMode, PathPolicyView, PathWish } from '../../electron/contract/path-policy.ts'
import type { AgentSnapshot, NodeId } from '../../electron/contract/snapshot.ts'
import { words } from '../words.ts'

export type Choice = readonly [value: string, text: string]

const FAMILIES: readonly (PathFamily | undefined)[] = [undefined, 'ipv4', 'ipv6']
const MODES: readonly PathMode[] = ['automatic', 'only-direct', 'prefer-relay', 'only-relay']

/** What is in force, or just chosen, comes first where it is nobody's own choice. */
export function modeChoices({ isDefault }: PathPolicyView): readonly Choice[] {
  const text = words.peer.policy
  const own: readonly Choice[] = MODES.map((mode) => [mode, text.modes[mode]])
  return isDefault ? [['default', text.asForAll], ...own] : [...own, ['default', text.asForAll]]
}

export const modeOf = ({ mode, isDefault }: PathPolicyView): string => (isDefault ? 'default' : mode)

export const needsRelay = (mode: string): mode is 'prefer-relay' | 'only-relay' =>
  mode === 'prefer-relay' || mode === 'only-relay'

export const familyChoices = (): readonly Choice[] =>
  FAMILIES.map((family) => [family ?? 'any', words.peer.policy.families[family ?? 'any']])

/** Machines that could relay to `peer`: first those that do, then the others, which may once do so. */
export function relayChoices(agent: AgentSnapshot, peer: NodeId, now: PathPolicyView): readonly Choice[] {
  const text = words.peer.policy
  const others = Object.values(agent.peers)
    .filter(({ id }) => id !== peer)
    .toSorted((a, b) => a.name.localeCompare(b.name))
  const own: readonly Choice[] = agent.self
    ? [[agent.self.id, agent.relay?.isWanted === true ? text.thisComputer : text.notRelaying(text.thisComputer)]]
    : []
  const relaying: readonly Choice[] = others.filter(({ relays }) => relays).map(({ id, name }) => [id, name])
  const ownRelays = agent.relay?.isWanted === true
  const known = [
    ...relaying,
    ...(ownRelays ? own : []),
    ...others.filter(({ relays }) => !relays).map(({ id, name }): Choice => [id, text.notRelaying(name)]),
    ...(ownRelays ? [] : own),
  ]
  const chosen = now.relayId ?? now.relay
  // It left the network, and is still what was asked for.
  if (chosen !== undefined && !known.some(([id]) => id === chosen)) return [[chosen, now.relay ?? chosen], ...known]
  return known
}

/** The machine that is taken when a person asks for a relay and says not which; undefined when nobody relays. */
export function likelyRelay(agent: AgentSnapshot, peer: NodeId): string | undefined {
  const relaying = Object.values(agent.peers).filter(({ id, relays }) => relays === true && id !== peer)
  const best = relaying.toSorted(
    (a, b) => Number(b.online === true) - Number(a.online === true) || a.name.localeCompare(b.name),
  )[0]
  return best?.id ?? (agent.relay?.isWanted === true ? agent.self?.id : undefined)
}

/** The whole policy with one thing changed, as the agent takes it. */
export function pathWishFrom(
  peer: string,
  now: PathPolicyView,
  change: {
    readonly mode?: string
    readonly relay?: string | undefined
    readonly family?: string
    readonly derpData?: boolean
  },
): PathWish {
  const wanted = change.mode ?? now.mode
  const mode = wanted === 'default' ? 'default' : (MODES.find((one) => one === wanted) ?? now.mode)
  const family = change.family === undefined ? now.family : FAMILIES.find((one) => one === change.family)
  return {
    peer,
    mode,
    relay: needsRelay(mode) ? (change.relay ?? now.relayId ?? now.relay) : undefined,
    family,
    derpData: change.derpData ?? now.derpData,
  }
}
