// What a mesh is opened with, and whom it tells.

import type { Clock } from '../base/clock.ts'
import type { CodedError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { Netmap } from '../control/netmap.ts'
import type { NodePrivate } from '../crypto/keys.ts'
import type { Dataplane, DataplaneOptions, FilterRule } from '../dataplane/dataplane.ts'
import type { RelayForwarder, RelayForwarderOptions } from '../dataplane/relay-forwarder.ts'
import type { DerpRegionStatus } from '../derp/derp-pool.ts'
import type { HostNetwork } from '../os/host-network.ts'
import type { OwnEndpoint } from '../path/endpoints.ts'
import type { PathView } from '../path/path-view.ts'
import type { NetInfo } from '../path/report.ts'
import type { PortmapIo } from '../portmap/portmap-io.ts'
import type { RelaySurroundings } from './relay-manners.ts'
import type { RelaySettings } from './relay-settings.ts'
import type { RoutingSettings } from './routing/routing-settings.ts'

export interface MeshOptions {
  readonly nodeKey: NodePrivate
  readonly tunName: string
  readonly udpPort: number
  readonly clock: Clock
  readonly log: Logger
  readonly openDataplane: (options: DataplaneOptions) => Dataplane
  readonly openRelayForwarder: (options: RelayForwarderOptions) => RelayForwarder
  readonly relay: RelaySettings | undefined
  readonly relaySurroundings: RelaySurroundings
  /** Whether the home router is asked to forward ports. */
  readonly portMapping: boolean
  readonly routing: RoutingSettings
  /** What lets others in beside the policy. */
  readonly moreRules: (netmap: Netmap) => readonly FilterRule[]
  /** Where this node answers requests of others in the tunnel; 0 for nowhere. */
  readonly peerApiPort: () => number
  /** Name servers that the system had before us. */
  readonly systemServers: () => readonly string[]
  readonly hostNetwork: HostNetwork
  /** The coordination server's. */
  readonly serverUrl: string
  readonly listener: MeshListener
  /** How the home router is asked for a mapping; the system's sockets when left out. */
  readonly portmapIo?: PortmapIo
}

export interface MeshListener {
  onEndpoints(endpoints: readonly OwnEndpoint[]): void
  onNetInfo(netInfo: NetInfo): void
  /** A peer's path changed; the key is the node key's text. */
  onPath(nodeKey: string, path: PathView): void
  onDerpStatus(status: readonly DerpRegionStatus[]): void
  /** This node began or stopped relaying for others, or what is known of its relay changed. */
  onRelay(): void
  /** The data plane died; the mesh must be closed and opened anew. */
  onFatal(problem: CodedError): void
  controlConnected(): boolean
}
