// Router kinds, in the words of RFC 4787, as nftables rules in the router's namespace. What each does was measured;
// `easy` needs its input drop: without it a packet from the peer that comes before ours makes a conntrack entry for the
// router itself, and our own mapping to that peer then moves to another port (that is `easy-racy`).

import type { Namespace } from './netns.ts'

export type NatKind =
  /** Routed, public addresses, nothing filtered. */
  | 'open'
  /** Endpoint-independent mapping, port kept; filtering by address and port. Most home routers. */
  | 'easy'
  /** `easy` as a router without an input filter does it: hole punching fails now and then. */
  | 'easy-racy'
  /** A new random port for each destination. Carrier NAT. */
  | 'hard'
  /** `easy` for TCP; UDP does not pass, except to port 53. A company network. */
  | 'blk'

/** The router's interface towards the wan, and towards its clients. */
export const WAN_IF = 'eth0'
export const LAN_IF = 'lan0'

const TABLE = 'lab'

/**
 * Chains hooked before the counting one see each forwarded packet first, so the counter holds what really passed.
 * DNS keeps working both ways when UDP is blocked, as it does in the networks that block UDP.
 */
const UDP_BLOCK = 'meta l4proto udp udp dport != 53 udp sport != 53 drop'

const masquerade: Readonly<Record<NatKind, string>> = {
  open: '',
  easy: `oifname "${WAN_IF}" masquerade`,
  'easy-racy': `oifname "${WAN_IF}" masquerade`,
  hard: `oifname "${WAN_IF}" masquerade fully-random`,
  blk: `oifname "${WAN_IF}" masquerade`,
}

/** The whole rule set of one router. A pure function, so that a failing test can print it. */
export function routerRules(kind: NatKind): string {
  const filtersInput = kind !== 'open' && kind !== 'easy-racy'
  const natted = kind !== 'open'
  // IPv6 has no NAT here; a home router's stateful filter stands for the same behaviour.
  const v6Filter = natted ? `iifname "${WAN_IF}" meta nfproto ipv6 ct state new meta l4proto != ipv6-icmp drop` : ''
  return `table ip ${TABLE}nat {
  chain source {
    type nat hook postrouting priority 100
    ${masquerade[kind]}
  }
}
table inet ${TABLE} {
  counter udpOut { }
  counter udpIn { }
  chain block {
    type filter hook forward priority -20
    ${kind === 'blk' ? UDP_BLOCK : ''}
  }
  chain extra {
    type filter hook forward priority -10
  }
  chain stateful {
    type filter hook forward priority 0
    ${v6Filter}
  }
  chain count {
    type filter hook forward priority 10
    oifname "${WAN_IF}" meta l4proto udp counter name udpOut
    iifname "${WAN_IF}" meta l4proto udp counter name udpIn
  }
  chain toRouter {
    type filter hook input priority 0
    ${filtersInput ? `iifname "${WAN_IF}" ct state established,related accept` : ''}
    ${filtersInput ? `iifname "${WAN_IF}" meta l4proto != { icmp, ipv6-icmp } drop` : ''}
  }
}
`
}

export interface UdpCount {
  readonly packets: number
  readonly bytes: number
}

/** A site's router. Everything can be changed while traffic flows. */
export class Router {
  readonly ns: Namespace
  readonly wanAddress: string
  #kind: NatKind

  constructor(ns: Namespace, wanAddress: string, kind: NatKind) {
    this.ns = ns
    this.wanAddress = wanAddress
    this.#kind = kind
  }

  get kind(): NatKind {
    return this.#kind
  }

  async setUp(): Promise<void> {
    await this.ns.nft(routerRules(this.#kind))
  }

  /** Another kind of router from now on; mappings are forgotten, or the old rules would go on for known flows. */
  async become(kind: NatKind): Promise<void> {
    this.#kind = kind
    await this.ns.nft(`delete table ip ${TABLE}nat\ndelete table inet ${TABLE}\n${routerRules(kind)}`)
    await this.forgetMappings()
  }

  /** Drops all forwarded UDP both ways, except DNS; known flows too. */
  async blockUdp(): Promise<void> {
    await this.ns.nft(`flush chain inet ${TABLE} block\nadd rule inet ${TABLE} block ${UDP_BLOCK}`)
  }

  async unblockUdp(): Promise<void> {
    await this.ns.nft(`flush chain inet ${TABLE} block`)
  }

  /** Adds a rule for forwarded packets ("ip daddr 10.77.0.10 drop", "udp length > 1300 drop"); `clearRules` undoes all. */
  async addRule(rule: string): Promise<void> {
    await this.ns.nft(`add rule inet ${TABLE} extra ${rule}`)
  }

  async clearRules(): Promise<void> {
    await this.ns.nft(`flush chain inet ${TABLE} extra`)
  }

  /**
   * As after a reboot: every mapping is gone, the next outbound packet makes a new one. The kernel drops masquerade
   * entries when the address they use goes away, so the wan address is taken off and put back.
   */
  async forgetMappings(): Promise<void> {
    const cidr = `${this.wanAddress}/16`
    const routes = await this.ns.run(['ip', '-4', 'route', 'show', 'dev', WAN_IF, 'scope', 'global'])
    await this.ns.ip(
      `addr del ${cidr} dev ${WAN_IF}`,
      `addr add ${cidr} dev ${WAN_IF}`,
      ...routes
        .split('\n')
        .filter((line) => line.trim() !== '')
        .map((line) => `route replace ${line.trim()} dev ${WAN_IF}`),
    )
  }

  /** How long an idle mapping lives from its next packet on: before an answer came, and after. */
  async setUdpTimeouts(seconds: { readonly unreplied: number; readonly stream: number }): Promise<void> {
    await this.ns.sysctl({
      'net/netfilter/nf_conntrack_udp_timeout': seconds.unreplied,
      'net/netfilter/nf_conntrack_udp_timeout_stream': seconds.stream,
    })
  }

  /** UDP that passed this router since it was made. */
  async udpPassed(): Promise<{ out: UdpCount; in: UdpCount }> {
    const text = await this.ns.run(['nft', '-j', 'list', 'counters', 'table', 'inet', TABLE])
    const counts = new Map<string, UdpCount>()
    for (const entry of parseNftCounters(text)) counts.set(entry.name, entry)
    const none = { packets: 0, bytes: 0 }
    return { out: counts.get('udpOut') ?? none, in: counts.get('udpIn') ?? none }
  }
}

interface NamedCount extends UdpCount {
  readonly name: string
}

function parseNftCounters(json: string): NamedCount[] {
  const document = JSON.parse(json) as { nftables: { counter?: NamedCount }[] }
  return document.nftables.flatMap((entry) => (entry.counter ? [entry.counter] : []))
}
