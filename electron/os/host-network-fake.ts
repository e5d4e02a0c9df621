import type { CodedError } from '../base/errors.ts'
import type { HostConfig, HostNetwork } from './host-network.ts'

/** Remembers what was asked, for tests of the parts above. */
export class FakeHostNetwork implements HostNetwork {
  current: HostConfig | undefined
  sets = 0
  closed = false

  set(want: HostConfig): Promise<readonly CodedError[]> {
    this.current = want
    this.sets++
    return Promise.resolve([])
  }

  close(): Promise<void> {
    this.current = undefined
    this.closed = true
    return Promise.resolve()
  }
}
