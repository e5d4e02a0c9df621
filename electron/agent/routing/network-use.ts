// Which networks this machine reaches through others, what of that stays outside of the tunnel, and what it serves.

import type { NetworkInterfaceInfo } from 'node:os'
import type { Clock } from '../../base/clock.ts'
import { CodedError } from '../../base/errors.ts'
import type { Logger } from '../../base/log.ts'
import { isDefaultRoute } from '../../base/prefix.ts'
import type { Netmap } from '../../control/netmap.ts'
import type { HostConfig } from '../../os/host-network.ts'
import type { Node } from '../../wire/tailcfg/node.ts'
import { BUILT_IN_SERVER } from '../../wire/dns/built-in.ts'
import { nodeIdOf } from '../netmap-views.ts'
import { Bypass } from './bypass.ts'
import { acceptedRoutes, excluded, localNetworks, ON_THIS_LINK } from './networks.ts'
import type { RoutingSettings } from './routing-settings.ts'

export interface NetworkUseOptions {
  readonly clock: Clock
  readonly log: Logger
  /** The coordination server's. */
  readonly serverUrl: string
  readonly resolve: (host: string) => Promise<readonly string[]>
  readonly gateway: () => string | undefined
  /** Name servers that the system had before us. */
  readonly systemServers: () => readonly string[]
}

export interface Networks extends Pick<HostConfig, 'excluded' | 'served' | 'serviceAddresses'> {
  /** What a peer leads to beyond itself, by node key. */
  readonly accepted: ReadonlyMap<string, readonly string[]>
  readonly problem: CodedError | undefined
}

export const NO_NETWORKS: Networks = {
  accepted: new Map(),
  excluded: [],
  served: undefined,
  serviceAddresses: [],
  problem: undefined,
}

export class NetworkUse {
  readonly #options: NetworkUseOptions
  readonly #bypass: Bypass

  constructor(options: NetworkUseOptions) {
    this.#options = options
    this.#bypass = new Bypass(options)
  }

  async look(
    netmap: Netmap,
    peers: readonly Node[],
    settings: RoutingSettings,
    interfaces: () => NodeJS.Dict<NetworkInterfaceInfo[]>,
  ): Promise<Networks> {
    const served = { routes: settings.advertiseRoutes, isExit: settings.advertiseExitNode }
    const serviceAddresses = settings.acceptDns && netmap.dns ? [`${BUILT_IN_SERVER}/32`] : []
    // At every change of the netmap: the system is asked only where its answer counts.
    if (!settings.acceptRoutes && settings.exitNode === undefined) return { ...NO_NETWORKS, served, serviceAddresses }
    const locals = localNetworks(interfaces())
    const accepted = settings.acceptRoutes ? acceptedRoutes(peers, locals) : new Map<string, readonly string[]>()
    const outside = excluded(locals, [...accepted.values()].flat())
    if (settings.exitNode === undefined)
      return { accepted, excluded: outside, served, serviceAddresses, problem: undefined }
    const exit = peers.find((peer) => nodeIdOf(peer) === settings.exitNode)
    const ways = exit?.allowedIps?.filter(isDefaultRoute) ?? []
    if (exit && ways.length > 0) accepted.set(exit.key.text, [...(accepted.get(exit.key.text) ?? []), ...ways])
    // Nothing goes out beside the tunnel, whether or not somebody is at its other end.
    else accepted.set('', ['0.0.0.0/0', '::/0'])
    return {
      accepted,
      excluded: [
        ...new Set([...outside, ...(await this.#around(netmap)), ...(settings.exitNodeAllowLan ? locals : [])]),
      ],
      served,
      serviceAddresses,
      problem: exitProblem(exit, ways),
    }
  }

  /** What keeps the tunnel itself alive. */
  async #around({ derpMap }: Netmap): Promise<readonly string[]> {
    const { serverUrl, gateway, systemServers } = this.#options
    const nodes = [...(derpMap.regions?.values() ?? [])].flatMap((region) => region.nodes)
    const hosts = nodes.flatMap(({ hostName, ipv4, ipv6 }) => {
      const known = [ipv4, ipv6].filter((address) => address !== '' && address !== 'none')
      return known.length > 0 ? known : [hostName]
    })
    const router = gateway()
    const addresses = await this.#bypass.addressesOf([
      new URL(serverUrl).hostname.replace(/^\[|\]$/g, ''),
      ...hosts,
      ...(router === undefined ? [] : [router]),
      ...systemServers(),
    ])
    return [...addresses.map((address) => `${address}/${address.includes(':') ? 128 : 32}`), ...ON_THIS_LINK]
  }
}

function exitProblem(exit: Node | undefined, ways: readonly string[]): CodedError | undefined {
  const rest = 'Nothing leaves this machine meanwhile. Without it: peerway set --exit-node='
  if (!exit) return new CodedError('agent/exit-node-gone', `The exit node is not in this network any more. ${rest}`)
  const name = exit.name.split('.')[0] ?? ''
  if (ways.length === 0)
    return new CodedError('agent/exit-node-refused', `${name} does not lead to the internet any more. ${rest}`)
  if (exit.online === false) return new CodedError('agent/exit-node-away', `The exit node ${name} is away. ${rest}`)
  return undefined
}
