// Whether the network costs by volume, as NetworkManager sees it: a phone's hotspot, or what a person marked so.

import { readDbusNumber } from './dbus.ts'

export type Metered = 'yes' | 'no' | 'unknown'

const PROPERTY = {
  destination: 'org.freedesktop.NetworkManager',
  path: '/org/freedesktop/NetworkManager',
  interface: 'org.freedesktop.NetworkManager',
  name: 'Metered',
}

/** NMMetered: 1 yes, 2 no, 3 and 4 the same as a guess. Unknown where NetworkManager does not run. */
export function meteredOf(value: number | undefined): Metered {
  if (value === 1 || value === 3) return 'yes'
  return value === 2 || value === 4 ? 'no' : 'unknown'
}

export const readMetered = async (busPath?: string): Promise<Metered> =>
  meteredOf(await readDbusNumber(PROPERTY, busPath))
