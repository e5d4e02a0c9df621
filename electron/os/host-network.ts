// What the agent wants of the system it runs on, as one declarative picture.

import type { CodedError } from '../base/errors.ts'
import type { Served } from './forwarding.ts'

export interface HostConfig {
  readonly tunName: string
  readonly mtuBytes: number
  /** Our own addresses with prefix length: "100.64.0.1/32", "fd7a:115c:a1e0::1/128". */
  readonly addresses: readonly string[]
  /** Addresses of services of our own; nothing is sent from them to others. */
  readonly serviceAddresses: readonly string[]
  /** CIDRs that go into the tunnel. */
  readonly routes: readonly string[]
  /** CIDRs inside those that stay outside of it: the networks this machine stands in. */
  readonly excluded: readonly string[]
  /** Networks that others may reach through this machine. */
  readonly served: Served | undefined
  /** Packets with this mark never take the tunnel routes: our own UDP and TCP. 0 for none. */
  readonly firewallMark: number
}

export interface HostNetwork {
  /**
   * Makes the system look like `want`, whatever it looks like now; calling it again changes nothing. Returns what could not
   * be had while the rest works; rejects when nothing does.
   */
  set(want: HostConfig): Promise<readonly CodedError[]>
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
