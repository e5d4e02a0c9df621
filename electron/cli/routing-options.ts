// Options of `up` and `set` about networks: which of others are used, and which are offered.

import type { RoutingWish } from '../contract/routing-wish.ts'
import { type CommandCall, type OptionSpecs, stringOption } from './command.ts'

const SWITCHES = [
  'accept-dns',
  'accept-routes',
  'advertise-exit-node',
  'exit-node-allow-lan-access',
  'shields-up',
] as const
const TEXTS = ['advertise-routes', 'advertise-tags', 'exit-node'] as const

export const routingOptions: OptionSpecs = Object.fromEntries([
  ...SWITCHES.flatMap((name) => [
    [name, { type: 'boolean' }],
    [`no-${name}`, { type: 'boolean' }],
  ]),
  ...TEXTS.map((name) => [name, { type: 'string' }]),
]) as OptionSpecs

export const routingHelp: Readonly<Record<string, string>> = {
  'accept-dns': '--accept-dns=false         do not find names of the network (it does, unless told so)',
  'accept-routes': '--accept-routes            reach networks behind other machines through them',
  'advertise-routes': "--advertise-routes CIDR,…  let others reach these networks through this machine; '' for none",
  'advertise-exit-node': '--advertise-exit-node      let others go out to the internet through this machine',
  'advertise-tags': "--advertise-tags TAG,…     ask for these tags, such as tag:server; '' for none",
  'exit-node': "--exit-node NODE           go out to the internet through this machine; '' for none",
  'exit-node-allow-lan-access':
    '--exit-node-allow-lan-access   and reach the networks this machine stands in all the same',
  'shields-up': '--shields-up               let nobody open connections to this machine',
}

/** Undefined when nothing of it is asked for. */
export function routingWishOf(call: CommandCall): RoutingWish | undefined {
  const wish: RoutingWish = {
    acceptDns: flagOption(call, 'accept-dns'),
    acceptRoutes: flagOption(call, 'accept-routes'),
    advertiseExitNode: flagOption(call, 'advertise-exit-node'),
    exitNode: stringOption(call, 'exit-node'),
    exitNodeAllowLan: flagOption(call, 'exit-node-allow-lan-access'),
    shieldsUp: flagOption(call, 'shields-up'),
    advertiseRoutes: listOption(call, 'advertise-routes'),
    advertiseTags: listOption(call, 'advertise-tags'),
  }
  return Object.values(wish).every((value) => value === undefined) ? undefined : wish
}

function listOption(call: CommandCall, name: string): string[] | undefined {
  return stringOption(call, name)
    ?.split(',')
    .map((text) => text.trim())
    .filter((text) => text !== '')
}

/** Undefined when it is not named at all: then it stays as it is. */
function flagOption(call: CommandCall, name: string): boolean | undefined {
  if (call.values[`no-${name}`] === true) return false
  return call.values[name] === true ? true : undefined
}
