// How names are found on this machine.

import type { Problem } from './snapshot.ts'

export interface DnsView {
  /** Whether this machine's programs are answered by the built-in resolver. */
  readonly isOn: boolean
  readonly server: string
  /** How many names the network has. */
  readonly names: number
  /** A domain to the servers that answer for it; none is the built-in resolver itself. */
  readonly domains: Readonly<Record<string, readonly string[]>>
  /** For all other names; empty leaves them to the system's own. */
  readonly servers: readonly string[]
  readonly searchDomains: readonly string[]
  readonly systemServers: readonly string[]
  readonly problem?: Problem
}
