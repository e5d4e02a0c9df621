// The path policy of one machine as choices of a person.

import type { PathFamily, PathPolicyView, PathWish } from '../../electron/contract/path-policy.ts'
import { words } from '../words.ts'

export type Choice = readonly [value: string, text: string]

const FAMILIES: readonly (PathFamily | undefined)[] = [undefined, 'ipv4', 'ipv6']

/** A mode that names a relay is offered only where it is in force: nobody here knows who could relay. */
export function modeChoices({ mode, relay = '', isDefault }: PathPolicyView): readonly Choice[] {
  const text = words.peer.policy
  const withRelay: Choice[] = mode === 'prefer-relay' || mode === 'only-relay' ? [[mode, text.modes[mode](relay)]] : []
  const plain: Choice[] = [
    ['automatic', text.modes.automatic],
    ['only-direct', text.modes['only-direct']],
  ]
  return isDefault ? [['default', text.asForAll], ...plain] : [...plain, ...withRelay, ['default', text.asForAll]]
}

export const modeOf = ({ mode, isDefault }: PathPolicyView): string => (isDefault ? 'default' : mode)

export const familyChoices = (): readonly Choice[] =>
  FAMILIES.map((family) => [family ?? 'any', words.peer.policy.families[family ?? 'any']])

/** The whole policy with one thing changed, as the agent takes it. */
export function pathWishFrom(
  peer: string,
  now: PathPolicyView,
  change: { readonly mode?: string; readonly family?: string; readonly derpData?: boolean },
): PathWish {
  const mode = change.mode === 'default' ? 'default' : modeNamed(change.mode ?? now.mode, now)
  const family = change.family === undefined ? now.family : FAMILIES.find((one) => one === change.family)
  return {
    peer,
    mode,
    relay: mode === 'prefer-relay' || mode === 'only-relay' ? now.relay : undefined,
    family,
    derpData: change.derpData ?? now.derpData,
  }
}

const modeNamed = (mode: string, now: PathPolicyView): PathPolicyView['mode'] =>
  mode === 'automatic' || mode === 'only-direct' ? mode : now.mode
