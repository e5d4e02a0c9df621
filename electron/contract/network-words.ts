// Which network this is, in the words of whoever runs it.

import type { OwnNetworkView } from './calls.ts'
import type { ProfileView } from './profile-view.ts'
import type { TailnetView } from './snapshot.ts'

/** The name a person knows: that of the own network, else what the server says; undefined before any is known. */
export function networkName(tailnet: TailnetView | undefined, own: OwnNetworkView | undefined): string | undefined {
  return (isOwnNetwork(tailnet, own) ? own?.name : undefined) ?? tailnet?.name
}

/** The same for one of several networks. */
export const profileName = (profile: ProfileView, own: OwnNetworkView | undefined): string =>
  (isOwnNetwork(profile, own) ? own?.name : undefined) ?? profile.name

/** This computer hosts the network that it is in. */
export function isOwnNetwork(
  tailnet: Pick<TailnetView, 'serverUrl'> | undefined,
  own: OwnNetworkView | undefined,
): boolean {
  return own?.joinUrl !== undefined && tailnet !== undefined && isSameServer(tailnet.serverUrl, own.joinUrl)
}

/** This computer reaches a server of its own over loopback, others by `joinUrl`: the port tells that it is the same. */
function isSameServer(serverUrl: string, joinUrl: string): boolean {
  if (!URL.canParse(serverUrl) || !URL.canParse(joinUrl)) return false
  const [here, there] = [new URL(serverUrl), new URL(joinUrl)]
  const isLoopback = here.hostname === 'localhost' || here.hostname === '127.0.0.1' || here.hostname === '[::1]'
  return here.origin === there.origin || (isLoopback && here.port === there.port)
}
