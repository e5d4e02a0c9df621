// The mesh of a session: how it is opened, and what of it the doctor is asked with.

import type { NodePrivate } from '../crypto/keys.ts'
import type { Doctor } from './doctor/doctor.ts'
import { Mesh } from './mesh.ts'
import type { MeshListener } from './mesh-options.ts'
import type { NodeNames } from './naming/node-names.ts'
import { NO_ROUTING } from './routing/routing-settings.ts'
import type { SessionOptions } from './session-options.ts'
import type { Profile } from './state-file.ts'

export interface SessionMesh {
  readonly profile: Profile
  readonly nodeKey: NodePrivate
  readonly names: NodeNames | undefined
  readonly listener: MeshListener
}

/** Throws the data plane's CodedError when it cannot be opened. */
export function openMesh(options: SessionOptions, { profile, nodeKey, names, listener }: SessionMesh): Mesh {
  return new Mesh({
    nodeKey,
    tunName: options.tunName,
    udpPort: options.udpPort,
    clock: options.clock,
    log: options.log,
    openDataplane: options.openDataplane,
    openRelayForwarder: options.openRelayForwarder,
    relay: profile.relay,
    relaySurroundings: options.relaySurroundings,
    portMapping: profile.portMapping ?? true,
    routing: profile.routing ?? NO_ROUTING,
    moreRules: (netmap) => names?.rules(netmap) ?? [],
    peerApiPort: () => names?.port ?? 0,
    systemServers: () => names?.serversAsked ?? [],
    hostNetwork: options.openHostNetwork(),
    serverUrl: profile.serverUrl,
    listener,
  })
}

type Facts = Parameters<Doctor['look']>[0]

export function doctorFacts(
  mesh: Mesh,
  { netmap, paths, controlConnected }: Pick<Facts, 'netmap' | 'paths' | 'controlConnected'>,
): Facts {
  const { report, portMapping, interfaces } = mesh
  return {
    netmap,
    paths,
    controlConnected,
    report,
    portMapping,
    derpStatus: mesh.derpStatus(),
    interfaces,
    counters: () => mesh.counters(),
    relayFailure: (nodeKey) => mesh.relayFailures(nodeKey).at(-1),
    contact: (nodeKey) => mesh.contactOf(nodeKey),
    check: () => mesh.checkNetwork(),
    pathPolicy: (nodeKey) => mesh.pathPolicyOf(nodeKey),
    pathFlaws: (nodeKey) => mesh.pathFlaws(nodeKey),
  }
}
