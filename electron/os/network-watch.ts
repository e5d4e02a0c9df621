// Notices that the machine's network changed or that it slept: the addresses of its interfaces, its default routes, and the wall
// clock against the monotonic one (which stands still while a machine sleeps). It looks when the system tells of a change, and
// every few seconds all the same.

import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os'
import type { Clock } from '../base/clock.ts'
import { isLinkLocal } from '../base/endpoint.ts'
import { defaultRoutes, type DefaultRoute } from './gateway.ts'

const LOOK_MS = 3_000
/** A change comes in several steps (an address goes, another comes, then its routes): they are to count as one. */
const SETTLE_MS = 200
/** Larger jumps of the wall clock against the monotonic one are sleep (or someone set the clock, which does no harm). */
const SLEPT_MS = 15_000

export type Interfaces = NodeJS.Dict<NetworkInterfaceInfo[]>

export interface NetworkWatchOptions {
  readonly clock: Clock
  readonly onChange: (why: 'addresses' | 'slept') => void
  /** An interface that is our own doing. */
  readonly isOwn: (name: string) => boolean
  /** Calls back when something may have changed, until the returned function is called. */
  readonly events?: (told: () => void) => () => void
  readonly interfaces?: () => Interfaces
  readonly routes?: () => readonly DefaultRoute[]
}

/** Watches until the returned function is called. */
export function watchNetwork(options: NetworkWatchOptions): () => void {
  const { clock, onChange, isOwn } = options
  const seen = (): string =>
    fingerprint((options.interfaces ?? networkInterfaces)(), (options.routes ?? defaultRoutes)(), isOwn)
  let known = seen()
  let offset = clock.wallNow() - clock.now()
  let cancel = (): void => {}
  let isSettling = false
  const look = (): void => {
    isSettling = false
    const now = seen()
    const nowOffset = clock.wallNow() - clock.now()
    const slept = nowOffset - offset > SLEPT_MS
    offset = nowOffset
    const changed = now !== known
    known = now
    cancel = clock.after(LOOK_MS, look)
    if (slept || changed) onChange(slept ? 'slept' : 'addresses')
  }
  cancel = clock.after(LOOK_MS, look)
  const stopEvents = options.events?.(() => {
    if (isSettling) return
    isSettling = true
    cancel()
    cancel = clock.after(SETTLE_MS, look)
  })
  return () => {
    stopEvents?.()
    cancel()
  }
}

/** Addresses that a path could use, link-local ones come and go without meaning; and where packets leave the machine. */
export function fingerprint(
  interfaces: Interfaces,
  routes: readonly DefaultRoute[],
  isOwn: (name: string) => boolean,
): string {
  const lines: string[] = []
  for (const [name, addresses] of Object.entries(interfaces)) {
    if (isOwn(name)) continue
    for (const { address, internal, cidr } of addresses ?? [])
      if (!internal && !isLinkLocal(address)) lines.push(`${name} ${cidr ?? address}`)
  }
  const ways = routes.filter(({ interfaceName }) => !isOwn(interfaceName))
  // Their order is their preference.
  return [...lines.toSorted(), ...ways.map(({ interfaceName, gateway }) => `${interfaceName} via ${gateway}`)].join(
    '\n',
  )
}
