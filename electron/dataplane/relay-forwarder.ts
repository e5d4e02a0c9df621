// The peer relay's sockets and forwarding loop, in Rust. TypeScript decides who may be relayed (allocation, bind handshake);
// bound traffic is forwarded unchanged without coming up. Protocol: paths.md §6.

/** What comes up from the relay's sockets. `bytes` are only valid during the call. */
export type RelayRecord =
  /** A Geneve packet with the control bit, of a VNI that `bind` was called for: header stripped, rate-limited per source. */
  | { readonly kind: 'control'; readonly from: string; readonly vni: number; readonly bytes: Uint8Array }
  /** A disco packet outside Geneve; relays get one only from a peer that was asked to knock. Rate-limited as well. */
  | { readonly kind: 'disco'; readonly from: string; readonly receivedAtMs: number; readonly bytes: Uint8Array }
  /** An answer to a STUN question that was sent from these sockets. */
  | { readonly kind: 'stun'; readonly from: string; readonly receivedAtMs: number; readonly bytes: Uint8Array }
  /** A loop ended; the forwarder is dead and must be opened anew. */
  | { readonly kind: 'fatal'; readonly message: string }

export interface RelayForwarderOptions {
  /** 0 lets the system pick; the same for both families where it can be had. */
  readonly udpPort: number
  readonly firewallMark: number
}

export interface RelaySessionCounters {
  readonly vni: number
  /** Per side, in the order of `bind`: monotonic ms of the last packet from it (0 = never), packets and bytes from it. */
  readonly sides: readonly { readonly lastSeenMs: number; readonly packets: number; readonly bytes: number }[]
}

export interface RelayForwarder {
  readonly ports: { readonly v4: number; readonly v6: number | undefined }
  /**
   * Forwards data packets of `vni` between the two endpoints from now on; called again it moves a side that roamed. An
   * endpoint that is undefined is a side not bound yet: nothing is forwarded then, but control packets come up.
   */
  bind(vni: number, sides: readonly [string | undefined, string | undefined]): void
  unbind(vni: number): void
  /** Sends one datagram from the relay's socket; `geneve` puts the header in front. Returns the errno name when it failed. */
  send(
    endpoint: string,
    bytes: Uint8Array,
    geneve?: { readonly vni: number; readonly control: boolean },
  ): string | undefined
  /** So many disco packets from that address come up beyond the limit for a source: it was asked for them. */
  expect(endpoint: string, packets: number): void
  /** Shapes all forwarding to this rate (token bucket with a bounded, aged queue); 0 for none. */
  setRate(bytesPerSecond: number): void
  onRecords(listener: (records: readonly RelayRecord[]) => void): void
  counters(): { readonly sessions: readonly RelaySessionCounters[]; readonly totals: Readonly<Record<string, number>> }
  close(): void
}
