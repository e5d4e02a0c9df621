// Whether the coordination server answers, since when it does not, and why.

import { CodedError } from '../base/errors.ts'
import type { Problem } from '../contract/snapshot.ts'
import type { PollStatus } from '../control/control-client.ts'

export class ServerContact {
  isConnected = false
  /** Wall-clock ms of its last word; undefined before the first. */
  heardAt: number | undefined
  problem: Problem | undefined

  /** Returns what ends the login for good. */
  take(status: PollStatus, nowWallMs: number): CodedError | undefined {
    this.isConnected = status.kind === 'connected'
    if (status.kind === 'connected') {
      this.heardAt = nowWallMs
      this.problem = undefined
    } else if (status.kind === 'disconnected') {
      const { code, message } = status.error
      this.problem = { code, message }
      if (code === 'control/node-unknown')
        return new CodedError(
          'agent/login-gone',
          'The network does not know this machine any more: it was removed. Log in again to come back.',
        )
    }
    return undefined
  }
}
