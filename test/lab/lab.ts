// The internet in small: a wan with hosts on it, and sites behind routers.
//
//   client-0-0 ─┐                                       ┌─ client-1-0
//   client-0-1 ─┴─ lan0 router-0 eth0 ── wan ── eth0 router-1 lan0 ┘
//                                         └── hosts: coord, derp, …
//
// The wan is 10.77.0.0/16: stock clients keep plain http and the port of a control URL only for private addresses, and
// every implementation takes 100.64.0.0/10 for tailnet addresses. Lans do not know each other: a lan's addresses are
// not routed on the wan, except behind an `open` router.

import { Router, LAN_IF, WAN_IF, type Mapped, type NatKind } from './nat.ts'
import { Namespaces, type Namespace } from './netns.ts'
import type { LabProcess, StartOptions } from './process.ts'

export interface SiteOptions {
  readonly nat: NatKind
  /** 1 when left out. */
  readonly clients?: number
}

export interface LabOptions {
  readonly sites: readonly SiteOptions[]
  /** Hosts on the wan besides "coord"; each is a namespace with two addresses. */
  readonly hosts?: readonly string[]
  /** Global IPv6 (2001:db8::/32) beside IPv4, behind stateful filters. Off when left out. */
  readonly ipv6?: boolean
}

/** A folder for state and logs: a lab, or bare namespaces. */
export interface Place {
  readonly dir: string
}

/** A machine: on the wan, or a client on a lan. */
export interface Machine {
  readonly ns: Namespace
  readonly address: string
  readonly address6: string | undefined
}

/** A host on the wan. STUN wants two addresses: with one, a hard NAT cannot be told from an easy one. */
export interface WanHost extends Machine {
  readonly secondAddress: string
}

export interface Site {
  readonly router: Router
  readonly clients: readonly Machine[]
}

export class Lab {
  readonly nets: Namespaces
  readonly wan: Namespace
  readonly sites: readonly Site[]
  readonly hosts: ReadonlyMap<string, WanHost>

  constructor(nets: Namespaces, wan: Namespace, sites: readonly Site[], hosts: ReadonlyMap<string, WanHost>) {
    this.nets = nets
    this.wan = wan
    this.sites = sites
    this.hosts = hosts
  }

  /** Where the lab's programs keep state; goes with the lab. */
  get dir(): string {
    return this.nets.dir
  }

  get coord(): WanHost {
    return this.host('coord')
  }

  host(name: string): WanHost {
    const host = this.hosts.get(name)
    if (!host) throw new Error(`the lab has no host ${name}`)
    return host
  }

  site(index: number): Site {
    const site = this.sites[index]
    if (!site) throw new Error(`the lab has no site ${index}`)
    return site
  }

  client(site: number, index = 0): Machine {
    const client = this.site(site).clients[index]
    if (!client) throw new Error(`site ${site} has no client ${index}`)
    return client
  }

  async blockUdp(): Promise<void> {
    for (const site of this.sites) await site.router.blockUdp()
  }

  async unblockUdp(): Promise<void> {
    for (const site of this.sites) await site.router.unblockUdp()
  }

  /**
   * Packets that cross the wan, one line each as tcpdump prints them, in the `stdout` of the returned process. `flags` are
   * tcpdump's: "-A" for what is in them.
   */
  async capture(filter: string, options: StartOptions = {}, flags: readonly string[] = []): Promise<LabProcess> {
    const command = ['tcpdump', '-i', 'br0', '-n', '-l', '--immediate-mode', ...flags, filter]
    const tcpdump = this.wan.start(command, { name: 'tcpdump', ...options })
    await tcpdump.waitForOutput(/listening on/)
    return tcpdump
  }

  async close(): Promise<void> {
    await this.nets.close()
  }
}

/** Builds it all; on failure nothing is left. The caller closes it: `t.after(() => lab.close())`. */
export async function createLab(options: LabOptions): Promise<Lab> {
  const nets = new Namespaces()
  try {
    return await build(nets, options)
  } catch (error) {
    await nets.close()
    throw error
  }
}

async function build(nets: Namespaces, options: LabOptions): Promise<Lab> {
  const ipv6 = options.ipv6 ?? false
  const wan = await nets.create('wan')
  await nets.bridge(wan, 'br0', ['10.77.255.254/16', ...(ipv6 ? ['2001:db8::fffe/64'] : [])])

  const hosts = new Map<string, WanHost>()
  for (const [index, name] of ['coord', ...(options.hosts ?? [])].entries()) {
    hosts.set(name, await addHost(nets, wan, name, index, ipv6))
  }
  const sites: Site[] = []
  for (const [index, site] of options.sites.entries()) sites.push(await addSite(nets, wan, site, index, ipv6))

  // Everyone on the wan knows the way to the public lans; private ones stay unknown, as on the internet.
  const onWan = [wan, ...[...hosts.values()].map((host) => host.ns), ...sites.map((site) => site.router.ns)]
  for (const [index, site] of options.sites.entries()) {
    const routes = [
      ...(site.nat === 'open' ? [`route add ${lan(index, 'open').subnet} via ${routerAddress(index)}`] : []),
      ...(ipv6 ? [`route add ${lan6(index).subnet} via ${routerAddress6(index)}`] : []),
    ]
    if (routes.length === 0) continue
    for (const ns of onWan) {
      if (ns === sites[index]?.router.ns) continue
      await ns.ip(...routes)
    }
  }
  return new Lab(nets, wan, sites, hosts)
}

const routerAddress = (site: number) => `10.77.1.${site + 1}`
const routerAddress6 = (site: number) => `2001:db8::1:${site + 1}`

/** Public lans are part of 10.78.0.0/16; the others are 192.168.x.0/24 and all differ, so that no test passes by luck. */
function lan(site: number, nat: NatKind): { prefix: string; subnet: string } {
  const prefix = nat === 'open' ? `10.78.${site + 1}` : `192.168.${site + 11}`
  return { prefix, subnet: `${prefix}.0/24` }
}

function lan6(site: number): { prefix: string; subnet: string } {
  const prefix = `2001:db8:${site + 1}:`
  return { prefix, subnet: `${prefix}:/64` }
}

async function addHost(nets: Namespaces, wan: Namespace, name: string, index: number, ipv6: boolean): Promise<WanHost> {
  const ns = await nets.create(name)
  const address = `10.77.0.${10 + index * 10}`
  const secondAddress = `10.77.0.${11 + index * 10}`
  const address6 = ipv6 ? `2001:db8::${10 + index * 10}` : undefined
  await nets.veth(
    { ns, name: 'eth0', cidrs: [`${address}/16`, `${secondAddress}/16`, ...(address6 ? [`${address6}/64`] : [])] },
    { ns: wan, name: `host${index}`, bridge: 'br0' },
  )
  // A machine without a default route counts as offline for many programs. This one leads nowhere.
  await ns.ip('route add default via 10.77.255.254')
  return { ns, address, secondAddress, address6 }
}

async function addSite(
  nets: Namespaces,
  wan: Namespace,
  options: SiteOptions,
  index: number,
  ipv6: boolean,
): Promise<Site> {
  const ns = await nets.create(`router-${index}`)
  const { prefix } = lan(index, options.nat)
  const { prefix: prefix6 } = lan6(index)
  await nets.veth(
    { ns, name: WAN_IF, cidrs: [`${routerAddress(index)}/16`, ...(ipv6 ? [`${routerAddress6(index)}/64`] : [])] },
    { ns: wan, name: `site${index}`, bridge: 'br0' },
  )
  await nets.bridge(ns, LAN_IF, [`${prefix}.1/24`, ...(ipv6 ? [`${prefix6}:1/64`] : [])])
  await ns.sysctl({ 'net/ipv4/ip_forward': 1, ...(ipv6 ? { 'net/ipv6/conf/all/forwarding': 1 } : {}) })
  const mapped: Mapped[] = Array.from({ length: options.clients ?? 1 }, (_, i) => {
    return { lan: `${prefix}.${i + 2}`, wan: i === 0 ? routerAddress(index) : `10.77.${i + 1}.${index + 1}` }
  })
  // A network of their own, or they would go with the router's first address when that is taken off and put back.
  await ns.ip(...mapped.slice(1).map(({ wan: own }) => `addr add ${own}/32 dev ${WAN_IF}`), 'link set lo up')
  const router = new Router(ns, routerAddress(index), options.nat, mapped)
  await router.setUp()

  const clients: Machine[] = []
  for (let i = 0; i < (options.clients ?? 1); i += 1) {
    const client = await nets.create(`client-${index}-${i}`)
    const address = `${prefix}.${i + 2}`
    const address6 = ipv6 ? `${prefix6}:${i + 2}` : undefined
    await nets.veth(
      { ns: client, name: 'eth0', cidrs: [`${address}/24`, ...(address6 ? [`${address6}/64`] : [])] },
      { ns, name: `client${i}`, bridge: LAN_IF },
    )
    await client.ip(`route add default via ${prefix}.1`, ...(address6 ? [`route add default via ${prefix6}:1`] : []))
    clients.push({ ns: client, address, address6 })
  }
  return { router, clients }
}
