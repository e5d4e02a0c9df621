// Where this run keeps things. The environment decides for tests and for people who run two side by side.

import { join } from 'node:path'
import { CodedError } from '../base/errors.ts'
import { defaultSocketPath, defaultStateDir } from '../os/host.ts'

export interface Places {
  readonly stateDir: string
  readonly socketPath: string
  readonly tunName: string
  /** 0 lets the system pick one. */
  readonly udpPort: number
}

export function placesFrom(env: NodeJS.ProcessEnv): Places {
  const stateDir = env['PEERWAY_STATE_DIR'] || defaultStateDir()
  const ownSocket = env['PEERWAY_STATE_DIR'] ? join(stateDir, 'agent.sock') : defaultSocketPath()
  return {
    stateDir,
    socketPath: env['PEERWAY_SOCKET'] || ownSocket,
    tunName: env['PEERWAY_TUN'] || 'peerway0',
    udpPort: portFrom(env['PEERWAY_PORT']),
  }
}

function portFrom(text: string | undefined): number {
  if (text === undefined || text === '') return 0
  const port = Number(text)
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port
  throw new CodedError('shell/bad-environment', `PEERWAY_PORT must be a port number, not "${text}".`)
}
