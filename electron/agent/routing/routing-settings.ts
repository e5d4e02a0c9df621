// Which networks of others this machine uses, and which it offers: what a wish makes of the settings, and how they are kept.

import { CodedError } from '../../base/errors.ts'
import { isDefaultRoute, networkOf } from '../../base/prefix.ts'
import type { RoutingView } from '../../contract/routing-view.ts'
import type { RoutingWish } from '../../contract/routing-wish.ts'
import type { NodeId } from '../../contract/snapshot.ts'
import { machineNamed, type Machine } from '../path-settings.ts'
import { isReserved } from './networks.ts'

export interface RoutingSettings {
  /** Whether networks behind other machines are reached through them. */
  readonly acceptRoutes: boolean
  /** Whether names of the network are found by the programs of this machine. */
  readonly acceptDns: boolean
  /** Networks that others may reach through this machine; the server has to approve them. */
  readonly advertiseRoutes: readonly string[]
  /** Whether others may go out to the internet through this machine. */
  readonly advertiseExitNode: boolean
  readonly advertiseTags: readonly string[]
  /** Through which machine everything goes that is not in the network; undefined for none. */
  readonly exitNode: NodeId | undefined
  /** Whether the networks that this machine stands in are reached all the same. */
  readonly exitNodeAllowLan: boolean
  /** Nobody opens connections to this machine, or through it. */
  readonly shieldsUp: boolean
}

export const NO_ROUTING: RoutingSettings = {
  acceptRoutes: false,
  acceptDns: true,
  advertiseRoutes: [],
  advertiseExitNode: false,
  advertiseTags: [],
  exitNode: undefined,
  exitNodeAllowLan: false,
  shieldsUp: false,
}

const MOST_ROUTES = 256
const MOST_TAGS = 32
const TAG = /^tag:[a-z][a-z0-9-]{0,62}$/

/** Throws 'agent/bad-route', 'agent/bad-tag' or 'agent/unknown-node' for what cannot be. `machines`: those of the network. */
export function changedRouting(
  before: RoutingSettings,
  wish: RoutingWish,
  machines: readonly Machine[] = [],
): RoutingSettings {
  return {
    acceptRoutes: wish.acceptRoutes ?? before.acceptRoutes,
    acceptDns: wish.acceptDns ?? before.acceptDns,
    advertiseRoutes: wish.advertiseRoutes ? wish.advertiseRoutes.map(offered) : before.advertiseRoutes,
    advertiseExitNode: wish.advertiseExitNode ?? before.advertiseExitNode,
    advertiseTags: wish.advertiseTags ? [...new Set(wish.advertiseTags.map(checkedTag))] : before.advertiseTags,
    exitNode: wish.exitNode === undefined ? before.exitNode : exitNamed(wish.exitNode, machines),
    exitNodeAllowLan: wish.exitNodeAllowLan ?? before.exitNodeAllowLan,
    shieldsUp: wish.shieldsUp ?? before.shieldsUp,
  }
}

const exitNamed = (name: string, machines: readonly Machine[]): NodeId | undefined =>
  name === '' ? undefined : machineNamed(name, machines).id

function offered(text: string): string {
  const network = networkOf(text)
  if (network === undefined)
    throw new CodedError('agent/bad-route', `"${text}" is no network. Write it like 192.168.1.0/24.`)
  if (network !== text && !(text.includes('/') ? false : network.startsWith(`${text}/`)))
    throw new CodedError('agent/bad-route', `"${text}" is an address with a network's length. Did you mean ${network}?`)
  if (isDefaultRoute(network))
    throw new CodedError('agent/bad-route', `${network} is the whole internet: use --advertise-exit-node.`)
  if (isReserved(network))
    throw new CodedError('agent/bad-route', `${network} cannot be offered: it means something else on every machine.`)
  return network
}

function checkedTag(tag: string): string {
  if (!TAG.test(tag)) throw new CodedError('agent/bad-tag', `"${tag}" is no tag. Write it like tag:server.`)
  return tag
}

/** What a person sees of it. */
export const routingView = ({
  acceptRoutes,
  acceptDns,
  exitNode,
  exitNodeAllowLan,
  advertiseRoutes,
  advertiseExitNode,
}: RoutingSettings): RoutingView => ({
  acceptRoutes,
  acceptDns,
  exitNode,
  exitNodeAllowLan,
  advertiseRoutes,
  advertiseExitNode,
})

export const encodeRouting = (settings: RoutingSettings): unknown => settings

/** Total; what does not fit is as if it had never been set. */
export function decodeRouting(value: unknown): RoutingSettings | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const entry = value as Record<string, unknown>
  const routes = texts(entry['advertiseRoutes'], MOST_ROUTES).flatMap((text) => networkOf(text) ?? [])
  return {
    acceptRoutes: entry['acceptRoutes'] === true,
    acceptDns: entry['acceptDns'] !== false,
    advertiseRoutes: routes.filter((route) => !isDefaultRoute(route) && !isReserved(route)),
    advertiseExitNode: entry['advertiseExitNode'] === true,
    advertiseTags: texts(entry['advertiseTags'], MOST_TAGS).filter((tag) => TAG.test(tag)),
    exitNode: typeof entry['exitNode'] === 'string' ? (entry['exitNode'] as NodeId) : undefined,
    exitNodeAllowLan: entry['exitNodeAllowLan'] === true,
    shieldsUp: entry['shieldsUp'] === true,
  }
}

const texts = (value: unknown, most: number): string[] =>
  Array.isArray(value) ? value.slice(0, most).filter((one): one is string => typeof one === 'string') : []
