// What the agent wants of the system it runs on, as one declarative picture.

export interface HostConfig {
  readonly tunName: string
  readonly mtuBytes: number
  /** Our own addresses with prefix length: "100.64.0.1/32", "fd7a:115c:a1e0::1/128". */
  readonly addresses: readonly string[]
  /** CIDRs that go into the tunnel. */
  readonly routes: readonly string[]
  /** Packets with this mark never take the tunnel routes: our own UDP and TCP. 0 for none. */
  readonly firewallMark: number
}

export interface HostNetwork {
  /** Makes the system look like `want`, whatever it looks like now; calling it again changes nothing. */
  set(want: HostConfig): Promise<void>
  /** Leaves the system as it was found, also after a crash of an earlier run. Idempotent. */
  close(): Promise<void>
}

export type HostNetworkErrorCode =
  /** CAP_NET_ADMIN is missing. */
  | 'os/no-rights'
  /** The `ip` program is missing. */
  | 'os/no-tool'
  /** The system refused a change; the message carries its words. */
  | 'os/refused'
