// The add-ons of the matrix (paths.md §10.2): networks that are more than one router at each end. Each with what the rules of
// its routers allow without a relay, and with one that has both families and a public address.

import { leaveOnlyV4, putBehind, startTranslator, translateTcp } from './doctor-routers.ts'
import type { Lab, Machine } from './lab.ts'
import type { Ground, Reached } from './matrix.ts'
import { LAN_IF, type NatKind } from './nat.ts'
import { startPortMapping } from './port-mapping.ts'

export interface PlaceCase {
  readonly says: string
  readonly ground: Ground
  readonly without: Reached
  readonly withRelay: Reached
  /** The cells that are part of the short form. */
  readonly short?: 'without' | 'withRelay'
}

const SHARED = '100.127.0'
const PRIVATE = '192.168.200'
/** Of our server: control and DERP. */
const TCP_PORTS = [8_480, 8_481]

const sites = (a: NatKind, b: NatKind, more: { readonly ipv6?: boolean } = {}): Ground['lab'] => ({
  sites: [
    { nat: a, clients: 2 },
    { nat: b, clients: 2 },
  ],
  ...more,
})

const machinesOf = (lab: Lab, ...ends: readonly number[]): Machine[] => ends.flatMap((site) => lab.site(site).clients)

/** What a desktop's own firewall does: answers come in, questions do not. */
async function hostFirewall({ ns }: Machine): Promise<void> {
  await ns.nft(`table inet hostfirewall {
  chain in {
    type filter hook input priority 0
    iifname "eth0" meta l4proto udp ct state new drop
  }
}
`)
}

async function firewalls(lab: Lab, ...ends: readonly number[]): Promise<void> {
  for (const machine of machinesOf(lab, ...ends)) await hostFirewall(machine)
}

/** Packets from within to a mapped port of this router go in again, as if they came from its outside (RFC 4787 REQ-9). */
async function behindHairpin(lab: Lab): Promise<void> {
  const { ns, wanAddress } = await putBehind(lab, [0, 1], 'full-cone', SHARED)
  await ns.nft(`table ip labnat {
  chain hairpin {
    type nat hook prerouting priority -101
    iifname "${LAN_IF}" ip daddr ${wanAddress} meta l4proto udp dnat ip to udp dport map @kept
  }
  chain hairpinSource {
    type nat hook postrouting priority 99
    oifname "${LAN_IF}" ct original ip daddr ${wanAddress} snat to ${wanAddress}
  }
}
`)
}

/** Two networks that know each other behind one router to the outside. */
async function routedBehind(lab: Lab): Promise<void> {
  const { ns } = await putBehind(lab, [0, 1], 'hard', SHARED)
  for (const site of [0, 1]) {
    const subnet = lab.client(site).address.replace(/\d+$/, '0/24')
    await ns.ip(`route add ${subnet} via ${SHARED}.${site + 2}`)
    // What the wan knew while the site was there.
    for (const host of [lab.wan, ...[...lab.hosts.values()].map((one) => one.ns)]) await host.ip(`route del ${subnet}`)
  }
}

async function onlyV6(lab: Lab, ...ends: readonly number[]): Promise<void> {
  await startTranslator(lab, TCP_PORTS)
  for (const machine of machinesOf(lab, ...ends)) await translateTcp(lab, machine, TCP_PORTS)
}

export const PLACES: readonly PlaceCase[] = [
  {
    says: 'a hard router that maps ports, and a hard one',
    ground: { lab: sites('hard', 'hard'), make: (lab) => startPortMapping(lab, 0) },
    without: 'direct',
    withRelay: 'direct',
    short: 'without',
  },
  {
    says: 'two routers that map ports',
    ground: {
      lab: sites('hard', 'easy'),
      make: async (lab) => {
        for (const site of [0, 1]) await startPortMapping(lab, site)
      },
    },
    without: 'direct',
    withRelay: 'direct',
  },
  {
    says: 'public addresses, and a firewall on each machine',
    ground: { lab: sites('open', 'open'), make: (lab) => firewalls(lab, 0, 1) },
    without: 'direct',
    withRelay: 'direct',
  },
  {
    says: 'a public address with a firewall on the machine, and a hard router',
    ground: { lab: sites('open', 'hard'), make: (lab) => firewalls(lab, 0) },
    without: 'derp',
    withRelay: 'peer-relay',
  },
  {
    says: 'an easy router behind an easy one, and an easy one',
    ground: { lab: sites('easy', 'easy'), make: (lab) => putBehind(lab, [0], 'easy', PRIVATE) },
    without: 'direct',
    withRelay: 'direct',
  },
  {
    says: 'an easy router behind a hard one, and an easy one',
    ground: { lab: sites('easy', 'easy'), make: (lab) => putBehind(lab, [0], 'hard', SHARED) },
    without: 'derp',
    withRelay: 'peer-relay',
  },
  {
    says: 'an easy router that maps ports behind a hard one, and an easy one',
    ground: {
      lab: sites('easy', 'easy'),
      make: async (lab) => {
        await putBehind(lab, [0], 'hard', SHARED)
        await startPortMapping(lab, 0, { external: 'own' })
      },
    },
    without: 'derp',
    withRelay: 'peer-relay',
  },
  {
    says: 'two sites behind one router that hairpins',
    ground: { lab: sites('easy', 'easy'), make: behindHairpin },
    without: 'direct',
    withRelay: 'direct',
  },
  {
    says: 'two sites behind one router that does not hairpin',
    ground: { lab: sites('easy', 'easy'), make: (lab) => putBehind(lab, [0, 1], 'easy', SHARED) },
    without: 'derp',
    withRelay: 'peer-relay',
    short: 'withRelay',
  },
  {
    says: 'two networks that know each other behind one hard router',
    ground: { lab: sites('open', 'open'), make: routedBehind },
    without: 'direct',
    withRelay: 'direct',
  },
  {
    says: 'one network behind a hard router',
    ground: {
      lab: { sites: [{ nat: 'hard', clients: 4 }] },
      machines: (lab, end) => ({ ours: lab.client(0, end), stock: lab.client(0, 2 + end) }),
    },
    without: 'direct',
    withRelay: 'direct',
  },
  {
    says: 'IPv4 through hard routers, IPv6 through firewalls',
    ground: { lab: sites('hard', 'hard', { ipv6: true }) },
    without: 'direct',
    withRelay: 'direct',
  },
  {
    says: 'IPv6 alone at both ends, through firewalls',
    ground: { lab: sites('hard', 'hard', { ipv6: true }), make: (lab) => onlyV6(lab, 0, 1) },
    without: 'direct',
    withRelay: 'direct',
  },
  {
    says: 'IPv6 alone here, IPv4 alone there',
    ground: {
      lab: sites('easy', 'easy', { ipv6: true }),
      make: async (lab) => {
        await onlyV6(lab, 0)
        for (const machine of machinesOf(lab, 1)) await leaveOnlyV4(machine)
      },
    },
    without: 'derp',
    withRelay: 'peer-relay',
  },
  {
    says: 'IPv6 alone here, both there',
    ground: { lab: sites('hard', 'hard', { ipv6: true }), make: (lab) => onlyV6(lab, 0) },
    without: 'direct',
    withRelay: 'direct',
  },
]
