// What the mesh asks the system about the network it is in.

import { lookup } from 'node:dns/promises'
import type { NetworkInterfaceInfo } from 'node:os'

export function withoutInterface(
  all: NodeJS.Dict<NetworkInterfaceInfo[]>,
  name: string,
): NodeJS.Dict<NetworkInterfaceInfo[]> {
  const { [name]: _, ...others } = all
  return others
}

/** All addresses of a name; none when it does not exist. */
export async function resolveHost(host: string): Promise<readonly string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => address)
}
