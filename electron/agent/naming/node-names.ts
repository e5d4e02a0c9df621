// Names and this node: how its own programs find them, by whom while an exit node is in use, and that it looks them up for
// others while it is one itself.

import type { Clock } from '../../base/clock.ts'
import type { CodedError } from '../../base/errors.ts'
import type { Logger } from '../../base/log.ts'
import type { DnsView } from '../../contract/dns-view.ts'
import type { Netmap } from '../../control/netmap.ts'
import type { FilterRule } from '../../dataplane/dataplane.ts'
import type { SystemDns } from '../../os/system-dns.ts'
import type { HostinfoInput } from '../../wire/tailcfg/hostinfo.ts'
import type { RoutingSettings } from '../routing/routing-settings.ts'
import { exitNames } from './exit-names.ts'
import { ExitService } from './exit-service.ts'
import { Naming } from './naming.ts'
import { planOf } from './plan.ts'

export interface NodeNamesOptions {
  readonly clock: Clock
  readonly log: Logger
  /** The coordination server's. */
  readonly serverUrl: string
  readonly system: SystemDns
}

export class NodeNames {
  readonly #options: NodeNamesOptions
  readonly #exitService: ExitService
  #naming: Naming | undefined
  #systemServers: readonly string[] = []
  #isUsed = false

  constructor(options: NodeNamesOptions) {
    this.#options = options
    const { clock, log } = options
    this.#exitService = new ExitService({ clock, log, systemServers: () => this.#systemServers })
  }

  /** Name servers of the system, which are asked by this node itself. */
  get serversAsked(): readonly string[] {
    return this.#isUsed ? this.#systemServers : []
  }

  /** Where names are looked up for others; 0 for nowhere. */
  get port(): number {
    return this.#exitService.port ?? 0
  }

  get problems(): readonly CodedError[] {
    return [this.#naming?.problem, this.#exitService.problem].filter((problem) => problem !== undefined)
  }

  /** Before the machine is made to look like the netmap: what that has to take into account. */
  async look(netmap: Netmap, { acceptDns, advertiseExitNode }: RoutingSettings): Promise<void> {
    this.#isUsed = acceptDns
    this.#systemServers = await this.#options.system.servers()
    this.#exitService.allow(netmap, advertiseExitNode)
  }

  /** Once the machine looks like the netmap. Never rejects: a network without names is a network all the same. */
  async apply(netmap: Netmap, routing: RoutingSettings, tunName: string): Promise<void> {
    const { clock, log, serverUrl, system } = this.#options
    const { acceptDns, exitNode, advertiseExitNode } = routing
    const nowWallMs = clock.wallNow()
    const plan = acceptDns ? planOf(netmap, nowWallMs, exitNames(netmap, exitNode, serverUrl, nowWallMs)) : undefined
    if (acceptDns) this.#naming ??= new Naming({ clock, log, tunName, system })
    await this.#naming?.apply(plan)
    await this.#exitService.apply(netmap, advertiseExitNode, plan)
  }

  /** What lets others in beside the policy. */
  rules(netmap: Netmap): readonly FilterRule[] {
    return this.#exitService.rules(netmap)
  }

  /** What the server and the other nodes are told. */
  services(): NonNullable<HostinfoInput['services']> {
    const { port, addresses } = this.#exitService
    if (port === undefined) return []
    const families = new Set(addresses.map((address) => (address.includes(':') ? 'peerapi6' : 'peerapi4')))
    return [...[...families].sort().map((proto) => ({ proto, port })), { proto: 'peerapi-dns-proxy', port: 1 }]
  }

  /** Whoever else writes the system's settings may have taken ours away, or asks others since. */
  async check(): Promise<void> {
    if (this.#isUsed || this.port !== 0) this.#systemServers = await this.#options.system.servers()
    await this.#naming?.check()
  }

  /** Undefined before names were asked for at all. */
  view(): DnsView | undefined {
    return this.#naming?.view()
  }

  async close(): Promise<void> {
    this.#exitService.close()
    await this.#naming?.close()
  }
}
