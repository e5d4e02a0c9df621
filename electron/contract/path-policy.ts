// What a person allows or prefers for the paths to other machines, as asked for and as shown.

import { type Check, oneOf, optional, shape, text, yesNo } from './check.ts'

export const pathModes = ['automatic', 'only-direct', 'prefer-relay', 'only-relay'] as const
export type PathMode = (typeof pathModes)[number]
export type PathFamily = 'ipv4' | 'ipv6'

/** Sets the whole policy, for one machine or as the default for all. */
export interface PathWish {
  /** Name, address or id of a machine; undefined for the default. */
  readonly peer: string | undefined
  /** 'default' makes the machine follow the default again. */
  readonly mode: PathMode | 'default'
  /** Name, address or id of the machine that relays; only and always for the modes with a relay. */
  readonly relay: string | undefined
  readonly family: PathFamily | undefined
  /** Undefined is yes. */
  readonly derpData: boolean | undefined
}

export const pathWish: Check<PathWish> = shape({
  peer: optional(text(253)),
  mode: oneOf(...pathModes, 'default'),
  relay: optional(text(253)),
  family: optional(oneOf('ipv4', 'ipv6')),
  derpData: optional(yesNo),
})

export interface PathPolicyView {
  readonly mode: PathMode
  /** The relay's name, or its id while it is not in the network. */
  readonly relay: string | undefined
  readonly relayId?: string | undefined
  readonly family: PathFamily | undefined
  readonly derpData: boolean
  /** The machine has no policy of its own. */
  readonly isDefault: boolean
}
