// Notices that the machine's network changed or that it slept, by looking every few seconds: the addresses of its interfaces,
// and the wall clock against the monotonic one (which stands still while a machine sleeps).

import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os'
import type { Clock } from '../base/clock.ts'
import { isLinkLocal } from '../base/endpoint.ts'

const LOOK_MS = 3_000
/** Larger jumps of the wall clock against the monotonic one are sleep (or someone set the clock, which does no harm). */
const SLEPT_MS = 15_000

export type Interfaces = NodeJS.Dict<NetworkInterfaceInfo[]>

export interface NetworkWatchOptions {
  readonly clock: Clock
  readonly onChange: (why: 'addresses' | 'slept') => void
  /** An interface that is our own doing. */
  readonly isOwn: (name: string) => boolean
  readonly interfaces?: () => Interfaces
}

/** Watches until the returned function is called. */
export function watchNetwork(options: NetworkWatchOptions): () => void {
  const { clock, onChange, isOwn } = options
  const look = (): string => fingerprint((options.interfaces ?? networkInterfaces)(), isOwn)
  let known = look()
  let offset = clock.wallNow() - clock.now()
  let cancel = (): void => {}
  const tick = (): void => {
    cancel = clock.after(LOOK_MS, () => {
      const seen = look()
      const nowOffset = clock.wallNow() - clock.now()
      const slept = nowOffset - offset > SLEPT_MS
      offset = nowOffset
      const changed = seen !== known
      known = seen
      tick()
      if (slept || changed) onChange(slept ? 'slept' : 'addresses')
    })
  }
  tick()
  return () => cancel()
}

/** Addresses that a path could use; link-local ones come and go without meaning. */
export function fingerprint(interfaces: Interfaces, isOwn: (name: string) => boolean): string {
  const lines: string[] = []
  for (const [name, addresses] of Object.entries(interfaces)) {
    if (isOwn(name)) continue
    for (const { address, internal, cidr } of addresses ?? [])
      if (!internal && !isLinkLocal(address)) lines.push(`${name} ${cidr ?? address}`)
  }
  return lines.toSorted().join('\n')
}
