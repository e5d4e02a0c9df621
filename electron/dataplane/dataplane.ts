// The native data plane as the rest of the program sees it. Data packets stay below this line; what comes up is control
// traffic in batches (disco, STUN, Geneve control), packets that must leave through DERP, and events.
//
// Peers are named by small integers that the agent gives out (`PeerId`), so that no key travels on the hot path.
// Times are milliseconds of the monotonic clock as `performance.now()` counts them in this process, unless a name says
// otherwise. Endpoints are text: "192.0.2.1:41641", "[2001:db8::1]:41641".

/** Names a peer between TypeScript and Rust: 1 to 65 535, given out by the agent, reused only after the peer is gone. */
export type PeerId = number

export interface DataplaneOptions {
  /** The WireGuard private key, 32 bytes. Copied and zeroed on close. */
  readonly privateKey: Uint8Array
  readonly tun: TunOptions
  /** UDP port for both families; 0 lets the system pick one (the same for v4 and v6 where it can be had). */
  readonly udpPort: number
  /** Firewall mark for our own UDP sockets, so that tunnel routes never catch them; 0 for none (SO_MARK needs privilege). */
  readonly firewallMark: number
}

/** How the TUN device is had. `fd` is one that a privileged helper opened with IFF_TUN | IFF_NO_PI | IFF_VNET_HDR. */
export type TunOptions =
  | { readonly kind: 'name'; readonly name: string; readonly mtuBytes: number }
  | { readonly kind: 'fd'; readonly fd: number; readonly mtuBytes: number }

export interface DataplanePeer {
  readonly id: PeerId
  /** WireGuard public key, 32 bytes. */
  readonly publicKey: Uint8Array
  /** CIDRs this peer may send from, and that are routed to it: "100.64.0.2/32", "fd7a:115c:a1e0::2/128", "10.0.0.0/8". */
  readonly allowedIps: readonly string[]
  /** 0 for none. */
  readonly persistentKeepaliveSeconds: number
}

/** One leg a packet can take to a peer. */
export type Leg =
  | { readonly kind: 'direct'; readonly endpoint: string }
  | { readonly kind: 'relay'; readonly endpoint: string; readonly vni: number }
  | { readonly kind: 'derp'; readonly region: number }

/**
 * The path of a peer. While `now` is past `trustedUntilMs`, every packet goes out on `leg` and also on `fallback` (the
 * doubtful state: paths.md §5.3, S3). Without a leg, packets are held (bounded) and `need-path` is raised.
 */
export interface PathSpec {
  readonly leg: Leg | undefined
  readonly fallback: Leg | undefined
  /** Monotonic ms; Infinity for a leg that needs no trust (DERP). */
  readonly trustedUntilMs: number
}

/** One inbound rule; nothing that no rule matches comes in. */
export interface FilterRule {
  /** CIDRs, single addresses, inclusive ranges "a-b", or "*". */
  readonly sources: readonly string[]
  readonly destinations: readonly { readonly ip: string; readonly firstPort: number; readonly lastPort: number }[]
  /** IP protocol numbers; empty means TCP, UDP, ICMP and ICMPv6. */
  readonly protocols: readonly number[]
}

/** What comes up from the data threads. `receivedAtMs` is taken by the kernel or at the receive call, not in JavaScript. */
export type DataplaneRecord =
  | {
      readonly kind: 'disco' | 'stun' | 'geneve-control'
      readonly from: string
      /** The relay's VNI when the packet came inside Geneve; the Geneve header itself is stripped. */
      readonly vni: number | undefined
      readonly receivedAtMs: number
      readonly bytes: Uint8Array
    }
  /** A WireGuard packet for `peer` that has to leave through DERP `region`. */
  | { readonly kind: 'derp-out'; readonly peer: PeerId; readonly region: number; readonly bytes: Uint8Array }
  /** A TSMP packet (IP protocol 99) from inside the tunnel, whole IP packet; paths.md §7.6. */
  | { readonly kind: 'tsmp'; readonly peer: PeerId; readonly bytes: Uint8Array }
  /** The filter turned this packet of `peer` away, which begins a TCP connection or asks for an echo; ten a second at most. */
  | { readonly kind: 'refused'; readonly peer: PeerId; readonly bytes: Uint8Array }
  | DataplaneEvent

export type DataplaneEvent =
  /** A packet waits for a peer that has no leg; raised at most once per second and peer. */
  | { readonly kind: 'need-path'; readonly peer: PeerId }
  /** The leg's trust ran out while traffic flows; raised once per trust period. */
  | { readonly kind: 'path-stale'; readonly peer: PeerId }
  /** First outbound data after at least a second of quiet: drives sessions and heartbeats. At most one a second and peer. */
  | { readonly kind: 'peer-active'; readonly peer: PeerId }
  /** An authenticated packet came from an endpoint that is not the peer's leg; at most one a second and peer. */
  | {
      readonly kind: 'peer-seen'
      readonly peer: PeerId
      readonly endpoint: string | undefined
      readonly region: number | undefined
      readonly vni: number | undefined
    }
  /** A WireGuard handshake with this peer completed. */
  | { readonly kind: 'handshake'; readonly peer: PeerId }
  /** Handshake attempts went unanswered for 90 s (Rekey-Attempt-Time). */
  | { readonly kind: 'handshake-failed'; readonly peer: PeerId }
  /** A send to this endpoint failed; `errno` is the system's name ("ENETUNREACH"). At most one a second and endpoint. */
  | { readonly kind: 'send-error'; readonly endpoint: string; readonly errno: string }
  /** A data thread ended; the data plane is dead and must be opened anew. */
  | { readonly kind: 'fatal'; readonly message: string }

export interface PeerCounters {
  readonly id: PeerId
  readonly rxBytes: number
  readonly txBytes: number
  /** Wall-clock ms since the epoch; 0 = never. */
  readonly lastHandshakeAt: number
  /** Monotonic ms of the last authenticated packet; 0 = never. */
  readonly lastReceiveMs: number
  /** Monotonic ms of the last data packet sent; 0 = never. */
  readonly lastSendMs: number
  /** Monotonic ms since when WireGuard handshakes have been asked for in vain; 0 = none is needed. */
  readonly askingSinceMs: number
}

export interface DataplaneCounters {
  readonly peers: readonly PeerCounters[]
  /** Named totals: "rx.undecryptable", "rx.replayed", "filter.dropped", "ring.dropped", "tun.write-error", … */
  readonly totals: Readonly<Record<string, number>>
}

export interface Dataplane {
  readonly tunName: string
  /** The bound UDP ports; v6 is undefined where the system has no IPv6. */
  readonly ports: { readonly v4: number; readonly v6: number | undefined }

  /** Makes the peer table look like `peers`. Sessions of peers that stay are kept; the others' keys are zeroed. */
  setPeers(peers: readonly DataplanePeer[]): void
  /** Replaces the inbound filter. `localAddresses` are the addresses (and served CIDRs) that packets may be for. */
  setFilter(rules: readonly FilterRule[], localAddresses: readonly string[]): void
  /** Takes effect at the next packet; never torn. Unknown peers are ignored. */
  setPath(peer: PeerId, path: PathSpec): void
  /** Extends the trust of the current leg; one atomic store. */
  trust(peer: PeerId, untilMs: number): void

  /** Sends one datagram now from the shared UDP socket. `vni` wraps it in Geneve. Returns the errno name when it failed. */
  sendRaw(endpoint: string, bytes: Uint8Array, geneve?: { vni: number; control: boolean }): string | undefined
  /**
   * Hands WireGuard packets that came through DERP `region` to the receive loop. `spans` holds start, length pairs
   * into `chunk`. Packets are copied before this returns; a full queue drops and counts.
   */
  injectDerp(region: number, chunk: Uint8Array, spans: Uint32Array): void
  /** Sends a whole IP packet through the tunnel to `peer` as if it came from the TUN (TSMP). */
  sendTunnel(peer: PeerId, ipPacket: Uint8Array): void

  /** Called on the JavaScript thread with each batch; `bytes` are only valid during the call. */
  onRecords(listener: (records: readonly DataplaneRecord[]) => void): void

  counters(): DataplaneCounters
  /** Binds new UDP sockets (after a network change); the old ones close when nothing uses them. */
  rebind(udpPort: number): void
  /** Stops the threads, closes sockets and TUN, zeroes keys. Idempotent. */
  close(): void
}

/** Errors of opening: what to do is in the message. */
export type DataplaneErrorCode =
  /** No /dev/net/tun: the kernel module is missing or the container does not pass the device. */
  | 'dataplane/no-tun-device'
  /** Opening the TUN needs CAP_NET_ADMIN. */
  | 'dataplane/no-rights'
  /** Another program has this TUN name. */
  | 'dataplane/tun-busy'
  /** The UDP port is taken. */
  | 'dataplane/port-in-use'
  /** The addon is not built, or for another system. */
  | 'dataplane/no-addon'
  | 'dataplane/failed'
