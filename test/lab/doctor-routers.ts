// Networks that the path doctor has to tell apart and that nobody else in the lab needs: carriers, routers that promise a port
// and keep it shut, machines with IPv6 alone.

import { Router, LAN_IF, WAN_IF, type NatKind } from './nat.ts'
import type { Lab, Machine } from './lab.ts'

/** Puts one router between these sites' and the wan: a carrier's, or the box of a provider. `net` is what lies between. */
export async function putBehind(lab: Lab, sites: readonly number[], kind: NatKind, net: string): Promise<Router> {
  const [first = 0] = sites
  const wanAddress = `10.77.2.${first + 1}`
  const ns = await lab.nets.create(`carrier-${first}`)
  await lab.nets.veth(
    { ns, name: WAN_IF, cidrs: [`${wanAddress}/16`] },
    { ns: lab.wan, name: `carrier${first}`, bridge: 'br0' },
  )
  await lab.nets.bridge(ns, LAN_IF, [`${net}.1/24`])
  await ns.ip('link set lo up')
  await ns.sysctl({ 'net/ipv4/ip_forward': 1 })
  for (const [index, site] of sites.entries()) {
    const near = lab.site(site).router.ns
    await lab.wan.ip(`link set site${site} nomaster`, `link set site${site} netns ${ns.name}`)
    await ns.ip(`link set site${site} master ${LAN_IF} up`)
    const own = `addr add ${net}.${index + 2}/24 dev ${WAN_IF}`
    await near.ip(`addr flush dev ${WAN_IF}`, own, `route add default via ${net}.1`)
  }
  const router = new Router(ns, wanAddress, kind)
  await router.setUp()
  return router
}

/** The world sees what is behind this router at the address that its port mapper names, and not at another of the same router. */
export async function showOneAddress({ ns }: Router, address: string, isHard: boolean): Promise<void> {
  await ns.nft(`table ip oneaddress {
  chain source {
    type nat hook postrouting priority 95
    oifname "${WAN_IF}" meta l4proto { tcp, udp } snat to ${address}${isHard ? ':1024-65535 fully-random' : ''}
  }
}
`)
}

/** The same for the router that a site was put behind, at an address that is public in the real internet; the wan's are not. */
export async function showPublic(lab: Lab, site: number, router: Router, address: string): Promise<void> {
  await router.ns.ip(`addr add ${address}/32 dev ${WAN_IF}`)
  const others = lab.sites.filter((_, index) => index !== site).map((one) => one.router)
  for (const { ns } of [...lab.hosts.values(), ...others])
    await ns.ip(`route replace ${address}/32 via ${router.wanAddress} dev ${WAN_IF}`)
  await showOneAddress(router, address, true)
}

/** Passes TCP on, one port to one port. Prints a line when it listens. */
const FORWARD = `const net = require('node:net')
const [from, to, ...ports] = process.argv.slice(1)
let open = 0
for (const port of ports)
  net.createServer((near) => {
    const far = net.connect({ host: to, port: Number(port) })
    for (const [one, other] of [[near, far], [far, near]]) one.on('error', () => other.destroy()).on('close', () => other.destroy()).pipe(other)
  }).listen({ host: from, port: Number(port), ipv6Only: true }, () => { if (++open === ports.length) console.log('forwards') })`

const forwardCommand = (from: string, to: string, ports: readonly number[]) => [
  process.execPath,
  '-e',
  FORWARD,
  from,
  to,
  ...ports.map(String),
]

/** The translator's end at the server: for all machines that have IPv6 alone. */
export async function startTranslator(lab: Lab, ports: readonly number[]): Promise<void> {
  const { address, address6, ns } = lab.coord
  if (address6 === undefined) throw new Error('the lab has no IPv6')
  await ns.start(forwardCommand(address6, address, ports), { name: 'forward-coord' }).waitForOutput(/forwards/)
}

/**
 * Takes IPv4 from a machine. Its TCP to the server goes over IPv6 all the same, as in networks whose translator carries only that:
 * the server's address is led into a program here, and `startTranslator` takes it from there.
 */
export async function translateTcp(lab: Lab, { ns, address: own }: Machine, ports: readonly number[]): Promise<void> {
  const { address, address6 } = lab.coord
  if (address6 === undefined) throw new Error('the lab has no IPv6')
  await ns.ip(`addr del ${own}/24 dev eth0`, 'link set lo up', `addr add ${address}/32 dev lo`)
  await ns.start(forwardCommand(address, address6, ports), { name: `forward-${ns.role}` }).waitForOutput(/forwards/)
}

/** Both for the only machine of a lab that has IPv6 alone. */
export async function leaveOnlyV6(lab: Lab, machine: Machine, ports: readonly number[]): Promise<void> {
  await startTranslator(lab, ports)
  await translateTcp(lab, machine, ports)
}

/** Takes IPv6 from a machine. */
export async function leaveOnlyV4({ ns }: Machine): Promise<void> {
  await ns.run(['ip', '-6', 'addr', 'flush', 'dev', 'eth0', 'scope', 'global'])
}
