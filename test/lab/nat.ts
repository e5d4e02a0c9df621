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
  /** A public address for each client, ports kept, nothing filtered. A cloud's elastic addresses. */
  | 'one-to-one'
  /** Endpoint-independent mapping and filtering: once a port is mapped, everyone gets in. Two clients must not share ports. */
  | 'full-cone'
  /** Endpoint-independent mapping, filtering by address. Two clients must not share ports. */
  | 'address-restricted'

/** The router's interface towards the wan, and towards its clients. */
export const WAN_IF = 'eth0'
export const LAN_IF = 'lan0'

const TABLE = 'lab'

/**
 * Chains hooked before the counting one see each forwarded packet first, so the counter holds what really passed.
 * DNS keeps working both ways when UDP is blocked, as it does in the networks that block UDP.
 */
const UDP_BLOCK = 'meta l4proto udp udp dport != 53 udp sport != 53 drop'

/** How long a client's port stays open to all, or to those it wrote to: RFC 4787 REQ-5 asks for at least 120 s. */
const KEPT_SECONDS = 300

const masquerade: Readonly<Record<NatKind, string>> = {
  open: '',
  easy: `oifname "${WAN_IF}" masquerade`,
  'easy-racy': `oifname "${WAN_IF}" masquerade`,
  hard: `oifname "${WAN_IF}" masquerade fully-random`,
  blk: `oifname "${WAN_IF}" masquerade`,
  'one-to-one': `oifname "${WAN_IF}" snat to ip saddr map @ownAddress`,
  'full-cone': `oifname "${WAN_IF}" masquerade`,
  'address-restricted': `oifname "${WAN_IF}" masquerade`,
}

/** Which of what comes in goes on to a client that has not written to exactly its sender. */
const letIn: Readonly<Partial<Record<NatKind, string>>> = {
  'one-to-one': `iifname "${WAN_IF}" dnat to ip daddr map @whoseAddress`,
  'full-cone': `iifname "${WAN_IF}" meta l4proto udp dnat ip to udp dport map @kept`,
  'address-restricted': `iifname "${WAN_IF}" ip saddr . udp dport @known dnat ip to udp dport map @kept`,
}

/** A client and its own address on the wan, which only the kind `one-to-one` uses. */
export interface Mapped {
  readonly lan: string
  readonly wan: string
}

/** The whole rule set of one router. A pure function, so that a failing test can print it. */
export function routerRules(kind: NatKind, clients: readonly Mapped[] = []): string {
  const filtersInput = kind !== 'open' && kind !== 'easy-racy'
  const elements = (from: keyof Mapped, to: keyof Mapped) =>
    clients.length === 0 ? '' : `elements = { ${clients.map((one) => `${one[from]} : ${one[to]}`).join(', ')} }`
  // IPv6 has no NAT here; a home router's stateful filter stands for the same behaviour.
  const v6Filter =
    kind !== 'open' && kind !== 'one-to-one'
      ? `iifname "${WAN_IF}" meta nfproto ipv6 ct state new meta l4proto != ipv6-icmp drop`
      : ''
  return `table ip ${TABLE}nat {
  map ownAddress {
    type ipv4_addr : ipv4_addr
    ${elements('lan', 'wan')}
  }
  map whoseAddress {
    type ipv4_addr : ipv4_addr
    ${elements('wan', 'lan')}
  }
  map kept {
    type inet_service : ipv4_addr . inet_service
    flags dynamic
    timeout ${KEPT_SECONDS}s
  }
  set known {
    type ipv4_addr . inet_service
    flags dynamic
    timeout ${KEPT_SECONDS}s
  }
  chain learn {
    type filter hook forward priority -5
    oifname "${WAN_IF}" meta l4proto udp update @kept { udp sport : ip saddr . udp sport }
    oifname "${WAN_IF}" meta l4proto udp update @known { ip daddr . udp sport }
  }
  chain in {
    type nat hook prerouting priority -100
    ${letIn[kind] ?? ''}
  }
  chain source {
    type nat hook postrouting priority 100
    ${masquerade[kind]}
  }
}
table inet ${TABLE} {
  counter udpOut { }
  counter udpIn { }
  set went {
    type ipv4_addr . ipv4_addr
    flags dynamic
    counter
    size 4096
  }
  set went6 {
    type ipv6_addr . ipv6_addr
    flags dynamic
    counter
    size 4096
  }
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
    oifname "${WAN_IF}" meta l4proto udp update @went { ip saddr . ip daddr }
    oifname "${WAN_IF}" meta l4proto udp update @went6 { ip6 saddr . ip6 daddr }
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
  readonly #clients: readonly Mapped[]
  #kind: NatKind

  constructor(ns: Namespace, wanAddress: string, kind: NatKind, clients: readonly Mapped[] = []) {
    this.ns = ns
    this.wanAddress = wanAddress
    this.#kind = kind
    this.#clients = clients
  }

  get kind(): NatKind {
    return this.#kind
  }

  async setUp(): Promise<void> {
    await this.ns.nft(routerRules(this.#kind, this.#clients))
  }

  /** Another kind of router from now on; mappings are forgotten, or the old rules would go on for known flows. */
  async become(kind: NatKind): Promise<void> {
    this.#kind = kind
    await this.ns.nft(`delete table ip ${TABLE}nat\ndelete table inet ${TABLE}\n${routerRules(kind, this.#clients)}`)
    // Flows of the former kind would keep the addresses and ports that it gave them.
    await this.ns.run(['conntrack', '-F'])
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

  /** Who sent how much UDP to whom; before the router's NAT, so that its clients can be told apart. */
  async udpSent(): Promise<readonly Sent[]> {
    const text = await this.ns.run(['nft', '-j', 'list', 'table', 'inet', TABLE])
    return parseSent(text)
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

/** UDP packets that left a router since it was set up: who of its clients sent how many to whom. */
export interface Sent {
  readonly from: string
  readonly to: string
  readonly packets: number
}

interface NamedCount extends UdpCount {
  readonly name: string
}

function parseNftCounters(json: string): NamedCount[] {
  const document = JSON.parse(json) as { nftables: { counter?: NamedCount }[] }
  return document.nftables.flatMap((entry) => (entry.counter ? [entry.counter] : []))
}

interface NftElement {
  readonly elem: { readonly val: { readonly concat: readonly [string, string] }; readonly counter: { packets: number } }
}

function parseSent(json: string): Sent[] {
  const document = JSON.parse(json) as { nftables: { set?: { name: string; elem?: NftElement[] } }[] }
  return document.nftables
    .flatMap(({ set }) => (set && /^went6?$/.test(set.name) ? (set.elem ?? []) : []))
    .map(({ elem }) => ({ from: elem.val.concat[0], to: elem.val.concat[1], packets: elem.counter.packets }))
}
