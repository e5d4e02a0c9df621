// What is shown of the network while this machine is not connected.

import type { AgentSnapshot } from '../contract/snapshot.ts'

/** Nobody is reached, and nothing hinders it but that. */
export function withoutPaths(peers: AgentSnapshot['peers']): AgentSnapshot['peers'] {
  return Object.fromEntries(
    Object.entries(peers).map(([id, peer]) => [
      id,
      {
        ...peer,
        doctor: undefined,
        path: {
          ...peer.path,
          kind: 'none',
          via: undefined,
          latencyMs: undefined,
          looking: false,
          idle: true,
          reason: 'stopped',
          reasonText: 'this computer is not connected',
        },
      },
    ]),
  )
}
