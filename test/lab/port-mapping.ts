// A router that maps ports: Debian's miniupnpd on a lab's router, with rules of its own in nftables. It speaks UPnP,
// NAT-PMP and PCP, and refuses to when its external address is private, as those of the lab's wan are: so the router gets
// one more, from a range that is public in the real internet.

import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Lab } from './lab.ts'
import { LAN_IF, WAN_IF } from './nat.ts'
import type { LabProcess } from './process.ts'

const PROGRAM = 'miniupnpd'
const TABLE = 'mapping'
const HTTP_PORT = 49_152

export function portMappingUnavailable(): string | undefined {
  const found = spawnSync(PROGRAM, ['--version'], { stdio: 'ignore' })
  return found.error ? 'miniupnpd is not installed (package miniupnpd-nftables)' : undefined
}

export interface PortMappingOptions {
  /** All three when left out. */
  readonly upnp?: boolean
  /** NAT-PMP and PCP: the program has one switch for both. */
  readonly pmp?: boolean
  /** UPnP IGD 1 instead of 2. */
  readonly igd1?: boolean
  /** The one on its wan interface, whatever that is, when 'own'; else one that is added, from a range that is public. */
  readonly external?: 'own'
}

export class PortMappingRouter {
  readonly externalAddress: string
  readonly #lab: Lab
  readonly #site: number
  readonly #options: PortMappingOptions
  #process: LabProcess | undefined

  constructor(lab: Lab, site: number, options: PortMappingOptions) {
    this.#lab = lab
    this.#site = site
    this.#options = options
    this.externalAddress = `20.77.1.${site + 1}`
  }

  /** Gives the router its address and makes the chains that the program fills. */
  async setUp(): Promise<void> {
    if (this.#options.external === 'own') return
    const { router } = this.#lab.site(this.#site)
    const subnet = '20.77.1.0/24'
    await router.ns.ip(`addr add ${this.externalAddress}/32 dev ${WAN_IF}`)
    const others = [...this.#lab.hosts.values()].map((host) => host.ns)
    for (const ns of [...others, ...this.#lab.sites.map((site) => site.router.ns)])
      await ns.ip(`route replace ${subnet} dev ${WAN_IF}`)
  }

  async start(): Promise<void> {
    const { router } = this.#lab.site(this.#site)
    // After a restart nothing is left of what was mapped: this is a router that was switched off.
    await router.ns.nft(`table inet ${TABLE}\ndelete table inet ${TABLE}\n${CHAINS}`)
    const config = join(this.#lab.dir, `miniupnpd-${this.#site}.conf`)
    const { upnp = true, pmp = true, igd1 = false } = this.#options
    writeFileSync(
      config,
      [
        `ext_ifname=${WAN_IF}`,
        ...(this.#options.external === 'own' ? [] : [`ext_ip=${this.externalAddress}`]),
        `listening_ip=${LAN_IF}`,
        `http_port=${HTTP_PORT}`,
        `enable_upnp=${yesNo(upnp)}`,
        `enable_natpmp=${yesNo(pmp)}`,
        `force_igd_desc_v1=${yesNo(igd1)}`,
        'min_lifetime=10',
        'max_lifetime=86400',
        'secure_mode=yes',
        'system_uptime=no',
        'clean_ruleset_interval=600',
        `upnp_table_name=${TABLE}`,
        `upnp_nat_table_name=${TABLE}`,
        'upnp_forward_chain=mapped',
        'upnp_nat_chain=mapped_in',
        'upnp_nat_postrouting_chain=mapped_out',
        `uuid=5f0c0f1e-6d1b-4a8e-9f0a-0000000000${String(this.#site).padStart(2, '0')}`,
        'allow 1024-65535 192.168.0.0/16 1024-65535',
        'deny 0-65535 0.0.0.0/0 0-65535',
        '',
      ].join('\n'),
    )
    const pid = join(this.#lab.dir, `miniupnpd-${this.#site}.pid`)
    this.#process = router.ns.start([PROGRAM, '-d', '-f', config, '-P', pid], { name: `miniupnpd-${this.#site}` })
    await this.#process.waitForOutput(/Listening for NAT-PMP|HTTP listening on port/i)
  }

  async stop(): Promise<void> {
    await this.#process?.stop()
  }

  /** Power off and on again. */
  async restart(): Promise<void> {
    await this.stop()
    await this.start()
  }

  get log(): string {
    return this.#process?.output ?? ''
  }

  /** What the kernel maps now, as nft shows it. */
  async rules(): Promise<string> {
    return this.#lab.site(this.#site).router.ns.run(['nft', 'list', 'chain', 'inet', TABLE, 'mapped_in'])
  }
}

const yesNo = (value: boolean): string => (value ? 'yes' : 'no')

const CHAINS = `table inet ${TABLE} {
  chain mapped { }
  chain forward {
    type filter hook forward priority 5
    jump mapped
  }
  chain mapped_in { }
  chain mapped_out { }
  chain prerouting {
    type nat hook prerouting priority -100
    jump mapped_in
  }
  chain postrouting {
    type nat hook postrouting priority 90
    jump mapped_out
  }
}
`

export async function startPortMapping(
  lab: Lab,
  site: number,
  options: PortMappingOptions = {},
): Promise<PortMappingRouter> {
  const router = new PortMappingRouter(lab, site, options)
  await router.setUp()
  await router.start()
  return router
}
