// What an agent and its sessions work on.

import type { Clock } from '../base/clock.ts'
import type { Listeners } from '../base/lifetime.ts'
import type { Logger } from '../base/log.ts'
import type { AgentEvent } from '../contract/snapshot.ts'
import type { MachinePrivate } from '../crypto/keys.ts'
import type { Dataplane, DataplaneOptions } from '../dataplane/dataplane.ts'
import type { RelayForwarder, RelayForwarderOptions } from '../dataplane/relay-forwarder.ts'
import type { HostFacts } from '../os/host.ts'
import type { HostNetwork } from '../os/host-network.ts'
import type { Metered } from '../os/metered.ts'
import type { PowerSource } from '../os/power.ts'
import type { SystemDns } from '../os/system-dns.ts'
import type { PathLog } from './path-log.ts'
import type { RelaySurroundings } from './relay-manners.ts'
import type { SnapshotStore } from './snapshot-store.ts'
import type { Profile } from './state-file.ts'

/** What of the machine an agent and its sessions work on. */
export interface AgentSurroundings {
  readonly tunName: string
  readonly udpPort: number
  readonly clock: Clock
  readonly log: Logger
  readonly facts: HostFacts
  readonly openDataplane: (options: DataplaneOptions) => Dataplane
  readonly openRelayForwarder: (options: RelayForwarderOptions) => RelayForwarder
  readonly openHostNetwork: () => HostNetwork
  /** How the system is told who finds names; left out where that is not known. */
  readonly openSystemDns?: () => SystemDns
  /** Whether it runs on battery, and in a network that costs by volume. What is left out is not known. */
  readonly power?: () => Promise<PowerSource>
  readonly metered?: () => Promise<Metered>
}

export interface SessionOptions extends AgentSurroundings {
  readonly profile: Profile
  readonly machineKey: MachinePrivate
  readonly authKey: string | undefined
  readonly forceReauth: boolean
  readonly store: SnapshotStore
  readonly events: Listeners<AgentEvent>
  readonly relaySurroundings: RelaySurroundings
  readonly pathLog: PathLog
  readonly saveProfile: (profile: Profile) => Promise<void>
}
