// A network in virtual time for the tests of path discovery: hosts behind NATs of the kinds of RFC 4787, STUN servers, and
// a DERP that always works. Not part of the product.

import type { NetworkInterfaceInfo } from 'node:os'
import { VirtualClock } from '../base/clock.ts'
import { isPrivate, joinEndpoint, splitEndpoint, type Endpoint } from '../base/endpoint.ts'
import { silentLogger } from '../base/log.ts'
import { DiscoPrivate, NodePrivate, type NodePublic } from '../crypto/keys.ts'
import { SharedBox } from '../crypto/box.ts'
import { concat } from '../base/bytes.ts'
import { discoSender, looksLikeDisco, openDisco } from '../wire/disco/envelope.ts'
import type { DiscoKind } from '../wire/disco/message.ts'
import { GENEVE_BYTES, geneveHeader, readGeneve } from '../wire/geneve/header.ts'
import { SimRelay } from './simulated-relay.ts'
import { looksLikeStun } from '../wire/stun/attributes.ts'
import { readStunRequest } from '../wire/stun/request.ts'
import { stunResponse } from '../wire/stun/response.ts'
import type { DerpMap } from './derp-map.ts'
import type { OwnEndpoint } from './endpoints.ts'
import type { PathSpec } from './leg.ts'
import { PathFinder } from './path-finder.ts'
import type { PathIo, PathPeer } from './path-io.ts'
import type { PathView } from './path-view.ts'
import type { NetInfo } from './report.ts'

const PORT = 41641
const UDP_MS = 10
const DERP_MS = 20

/** easy: one mapping for all destinations; hard: a new one for each. Both let in only what was sent to. */
export type NatKind = 'easy' | 'hard'

export class SimNat {
  readonly address: string
  readonly kind: NatKind
  #nextPort = 50_000
  /** Outside port by what asked for it, and back; and whom each outside port may hear. */
  readonly #ports = new Map<string, number>()
  readonly #inside = new Map<number, Endpoint>()
  readonly #open = new Set<string>()

  constructor(address: string, kind: NatKind) {
    this.address = address
    this.kind = kind
  }

  out(from: Endpoint, to: Endpoint): Endpoint {
    const asker = this.kind === 'easy' ? from : `${from} ${to}`
    let port = this.#ports.get(asker)
    if (port === undefined) {
      port = this.#nextPort++
      this.#ports.set(asker, port)
      this.#inside.set(port, from)
    }
    this.#open.add(`${port} ${to}`)
    return joinEndpoint(this.address, port)
  }

  in(from: Endpoint, to: Endpoint): Endpoint | undefined {
    const port = splitEndpoint(to)?.port ?? 0
    return this.#open.has(`${port} ${from}`) ? this.#inside.get(port) : undefined
  }

  /** As after a power cut: all mappings are gone. */
  reboot(): void {
    this.#ports.clear()
    this.#inside.clear()
    this.#open.clear()
  }
}

export interface Packet {
  readonly over: 'udp' | 'derp'
  readonly from: Endpoint | undefined
  readonly to: Endpoint | undefined
  readonly kind: DiscoKind | undefined
  /** Inside a relay's header. */
  readonly relayed: boolean
  readonly bytes: number
}

export class SimNetwork {
  readonly clock = new VirtualClock()
  readonly hosts: SimHost[] = []
  readonly stunServers: string[] = []
  readonly relays: SimRelay[] = []
  /** True loses the packet. */
  lose: (packet: Packet) => boolean = () => false
  /** Extra milliseconds to an endpoint. */
  slow: (to: Endpoint) => number = () => 0
  /** The DERP map: one region for each STUN server. */
  get derpMap(): DerpMap {
    return {
      regions: this.stunServers.map((ip, index) => ({
        id: index + 1,
        nodes: [{ name: `${index + 1}a`, hostName: `derp${index + 1}.example.org`, ipv4: ip, ipv6: 'none' }],
      })),
    }
  }

  send(host: SimHost, to: Endpoint, bytes: Uint8Array): string | undefined {
    const from = joinEndpoint(host.address, PORT)
    if (to.startsWith('[')) return 'ENETUNREACH'
    if (host.udpBlocked) return undefined
    const target = splitEndpoint(to)?.address ?? ''
    const outside = host.nat && !isPrivate(target) ? host.nat.out(from, to) : from
    const packet = bytes.slice()
    this.clock.after(UDP_MS + this.slow(to), () => this.#arrive(host.nat, outside, to, packet))
    return undefined
  }

  #arrive(fromNat: SimNat | undefined, from: Endpoint, to: Endpoint, bytes: Uint8Array): void {
    const target = splitEndpoint(to)
    if (!target || this.#isLost('udp', from, to, bytes)) return
    const relay = this.relays.find(({ endpoint }) => endpoint === to)
    const header = readGeneve(bytes)
    if (relay) {
      if (header) relay.receive(from, header, bytes.subarray(GENEVE_BYTES))
      return
    }
    if (this.stunServers.includes(target.address)) return this.#answerStun(from, to, bytes)
    for (const host of this.hosts) {
      let inside: Endpoint | undefined
      if (isPrivate(target.address)) inside = host.nat === fromNat ? to : undefined
      else if (host.nat) inside = host.nat.address === target.address ? host.nat.in(from, to) : undefined
      else inside = to
      if (inside === joinEndpoint(host.address, PORT) && !host.udpBlocked) host.receive(from, bytes)
    }
  }

  #answerStun(from: Endpoint, server: Endpoint, bytes: Uint8Array): void {
    const { txId } = readStunRequest(bytes)
    const answer = stunResponse({ txId, endpoint: from })
    this.clock.after(UDP_MS, () => {
      for (const host of this.hosts) {
        const inside = host.nat ? host.nat.in(server, from) : from
        if (inside === joinEndpoint(host.address, PORT) && !host.udpBlocked) host.receive(server, answer)
      }
    })
  }

  #isLost(over: Packet['over'], from: Endpoint | undefined, to: Endpoint | undefined, bytes: Uint8Array): boolean {
    const header = over === 'udp' ? readGeneve(bytes) : undefined
    const kindOf = (): DiscoKind | undefined => this.#kindOf(header ? bytes.subarray(GENEVE_BYTES) : bytes)
    return this.lose({
      over,
      from,
      to,
      // Opening boxes is slow, and most tests do not ask.
      get kind() {
        return kindOf()
      },
      relayed: header !== undefined,
      bytes: bytes.length,
    })
  }

  readonly #boxes = new Map<string, SharedBox>()

  /** With the keys of all who are there. */
  #kindOf(bytes: Uint8Array): DiscoKind | undefined {
    const sender = discoSender(bytes)
    if (!sender) return undefined
    for (const { discoKey } of [...this.hosts, ...this.relays]) {
      const name = `${discoKey.public.text} ${sender.text}`
      const box = this.#boxes.get(name) ?? new SharedBox(discoKey.secretBytes(), sender.bytes)
      this.#boxes.set(name, box)
      const message = openDisco(bytes, box)
      if (message) return message.kind
    }
    return undefined
  }

  /** A relay on `host`, at a public address of its own. */
  addRelay(host: SimHost, endpoint: Endpoint): SimRelay {
    const relay = new SimRelay(endpoint, {
      now: () => this.clock.now(),
      send: (from, to, header, bytes) => {
        const packet = concat(geneveHeader(header), bytes)
        this.clock.after(UDP_MS, () => this.#arrive(undefined, from, to, packet))
      },
    })
    this.relays.push(relay)
    host.relay = relay
    return relay
  }

  derp(from: SimHost, region: number, to: NodePublic, bytes: Uint8Array): void {
    const packet = bytes.slice()
    if (this.#isLost('derp', undefined, undefined, bytes)) return
    this.clock.after(DERP_MS, () => {
      for (const host of this.hosts)
        if (host.nodeKey.text === to.text) host.finder.handleDerpDisco(region, from.nodeKey, packet)
    })
  }

  /** Lets `ms` pass without traffic; promises are served only once a second. */
  async rest(ms: number): Promise<void> {
    await this.clock.advanceAsync(ms, 1_000)
  }

  /** Lets `ms` pass; with `activeEveryMs`, every host sends data to every peer that often. */
  async run(ms: number, activeEveryMs?: number): Promise<void> {
    let leftMs = ms
    while (leftMs > 0) {
      if (activeEveryMs !== undefined)
        for (const host of this.hosts) for (const peer of host.known) host.finder.noteActive(peer.id)
      const stepMs = Math.min(leftMs, activeEveryMs ?? leftMs)
      await this.clock.advanceAsync(stepMs, 5)
      leftMs -= stepMs
    }
  }

  /** Tells every host of all others what control would. */
  publish(): void {
    for (const host of this.hosts) {
      host.known = this.hosts
        .filter((other) => other !== host)
        .map((other) => ({
          id: other.id,
          nodeKey: other.nodeKey,
          discoKey: other.discoKey.public,
          endpoints: other.endpoints.map(({ endpoint }) => endpoint),
          homeRegion: other.home,
          relayCapable: true,
        }))
      host.finder.setPeers(host.known)
      host.finder.setRelayServers(
        this.hosts.flatMap((other) => (other.relay ? [{ nodeKey: other.nodeKey, isSelf: other === host }] : [])),
      )
    }
  }

  close(): void {
    for (const host of this.hosts) host.finder.close()
  }
}

export class SimHost {
  readonly id: number
  readonly net: SimNetwork
  readonly nodeKey: NodePublic = NodePrivate.generate().public
  address: string
  nat: SimNat | undefined
  udpBlocked = false
  /** What every send over UDP fails with. */
  errno: string | undefined
  discoKey = DiscoPrivate.generate()
  finder: PathFinder
  /** The relay that this node runs. */
  relay: SimRelay | undefined
  known: readonly PathPeer[] = []
  endpoints: readonly OwnEndpoint[] = []
  home: number | undefined
  /** Called for each question in the tunnel. */
  onAsk: (peer: number) => void = () => {}
  netInfo: NetInfo | undefined
  /** What the data plane was told. */
  readonly specs = new Map<number, PathSpec>()
  readonly views: { readonly peer: number; readonly view: PathView }[] = []
  /** All that was sent, by UDP and by DERP. */
  readonly udpSent: { readonly to: Endpoint; readonly bytes: Uint8Array }[] = []
  readonly derpSent: { readonly to: NodePublic; readonly bytes: Uint8Array }[] = []

  constructor(net: SimNetwork, id: number, address: string, nat?: SimNat) {
    this.net = net
    this.id = id
    this.address = address
    this.nat = nat
    net.hosts.push(this)
    this.finder = this.#begin()
  }

  get io(): PathIo {
    return {
      sendUdp: (to, bytes, geneve) => {
        if (this.errno !== undefined) return this.errno
        this.udpSent.push({ to, bytes })
        return this.net.send(this, to, geneve ? concat(geneveHeader({ ...geneve, protocol: 'disco' }), bytes) : bytes)
      },
      allocateOwnRelay: (pair) => Promise.resolve(this.relay?.allocate(pair)),
      sendDerp: (region, to, bytes) => {
        this.derpSent.push({ to, bytes })
        this.net.derp(this, region, to, bytes)
      },
      setPath: (peer, spec) => void this.specs.set(peer, spec),
      trust: (peer, untilMs) => {
        const spec = this.specs.get(peer)
        if (spec) this.specs.set(peer, { ...spec, trustedUntilMs: untilMs })
      },
      askInTunnel: (peer) => this.onAsk(peer),
      interfaces: () => ({ eth0: [ipv4(this.address)] }),
      ports: () => ({ v4: PORT, v6: undefined }),
      resolve: () => Promise.resolve([]),
    }
  }

  /** A new process: new disco key, nothing remembered. */
  restart(): void {
    this.finder.close()
    this.discoKey = DiscoPrivate.generate()
    this.specs.clear()
    this.finder = this.#begin()
  }

  #begin(): PathFinder {
    const finder = new PathFinder({
      clock: this.net.clock,
      log: silentLogger,
      nodeKey: this.nodeKey,
      discoKey: this.discoKey,
      io: this.io,
      random: () => 0.5,
      events: {
        onEndpoints: (list) => void (this.endpoints = list),
        onNetInfo: (_, info) => void (this.netInfo = info),
        onHomeRegion: (region) => void (this.home = region),
        onPath: (peer, view) => void this.views.push({ peer, view }),
        onRelayRequest: (from, _, { clientDisco, generation }) => {
          const relay = this.relay?.allocate(clientDisco)
          if (relay) finder.sendRelayResponse(from, { generation, relay })
        },
      },
    })
    finder.setDerpMap(this.net.derpMap)
    finder.start()
    return finder
  }

  receive(from: Endpoint, bytes: Uint8Array): void {
    const receivedAtMs = this.net.clock.now()
    const header = readGeneve(bytes)
    if (header) {
      const packet = { from, vni: header.vni, bytes: bytes.subarray(GENEVE_BYTES), receivedAtMs }
      if (header.control) this.finder.handleRelayControl(packet)
      else this.finder.handleDisco(packet)
      return
    }
    if (looksLikeStun(bytes) && bytes[1] === 1) this.finder.handleStun({ from, bytes, receivedAtMs })
    else if (looksLikeDisco(bytes)) this.finder.handleDisco({ from, vni: undefined, bytes, receivedAtMs })
  }
}

const ipv4 = (address: string): NetworkInterfaceInfo => ({
  address,
  netmask: '255.255.255.0',
  family: 'IPv4',
  mac: '02:00:00:00:00:01',
  internal: false,
  cidr: `${address}/24`,
})
