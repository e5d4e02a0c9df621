// Names of the network for the programs of this machine: the resolver, where it listens, and the system that is told of it.

import { isDeepStrictEqual } from 'node:util'
import type { Clock } from '../../base/clock.ts'
import { CodedError, isCoded, messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/log.ts'
import type { DnsView } from '../../contract/dns-view.ts'
import { DnsListener } from '../../dns/dns-listener.ts'
import type { DnsPlan } from '../../dns/dns-plan.ts'
import { Resolver } from '../../dns/resolver.ts'
import type { SystemDns, SystemDnsConfig } from '../../os/system-dns.ts'
import { BUILT_IN_SERVER } from '../../wire/dns/built-in.ts'

export interface NamingOptions {
  readonly clock: Clock
  readonly log: Logger
  readonly tunName: string
  readonly system: SystemDns
}

export class Naming {
  readonly #options: NamingOptions
  readonly #resolver: Resolver
  #listener: DnsListener | undefined
  #plan: DnsPlan | undefined
  /** What the system was last told: most changes of a netmap are none of names. */
  #told: SystemDnsConfig | undefined
  #isOver = false
  problem: CodedError | undefined

  constructor(options: NamingOptions) {
    this.#options = options
    this.#resolver = new Resolver({
      clock: options.clock,
      log: options.log.scoped('dns'),
      systemServers: () => options.system.formerServers,
    })
  }

  /** Undefined leaves names to the system. Never rejects: a network without names is a network all the same. */
  async apply(plan: DnsPlan | undefined): Promise<void> {
    if (this.#isOver) return
    this.#plan = plan
    this.#resolver.setPlan(plan)
    if (!plan) return this.#rest()
    const want: SystemDnsConfig = {
      tunName: this.#options.tunName,
      servers: [BUILT_IN_SERVER],
      searchDomains: plan.searchDomains,
      domains: [...plan.routes.keys()],
      isDefault: plan.servers.length > 0 || plan.beside !== undefined,
    }
    if (isDeepStrictEqual(want, this.#told)) return
    try {
      this.#listener ??= await DnsListener.open(this.#resolver, [BUILT_IN_SERVER])
      await this.#options.system.set(want)
      this.#told = want
      this.problem = undefined
    } catch (error) {
      this.problem = isCoded(error) ? error : new CodedError('internal/failed', messageOf(error))
      this.#options.log.warn('names of the network cannot be found', { error })
      await this.#rest()
    }
  }

  /** Whoever else writes the system's settings may have taken ours away. */
  async check(): Promise<void> {
    if (!this.#plan || !(await this.#options.system.isLost())) return
    this.#told = undefined
    await this.apply(this.#plan)
  }

  view(): DnsView {
    const plan = this.#plan
    return {
      isOn: this.#listener !== undefined,
      server: BUILT_IN_SERVER,
      names: plan?.hosts.size ?? 0,
      domains: Object.fromEntries([...(plan?.routes ?? [])].filter(([domain]) => !domain.endsWith('.arpa'))),
      servers: plan?.servers ?? [],
      searchDomains: plan?.searchDomains ?? [],
      systemServers: this.#options.system.formerServers,
      ...(this.problem && { problem: { code: this.problem.code, message: this.problem.message } }),
    }
  }

  async close(): Promise<void> {
    this.#isOver = true
    await this.#rest()
  }

  async #rest(): Promise<void> {
    this.#told = undefined
    await this.#options.system.close()
    this.#listener?.close()
    this.#listener = undefined
  }
}
