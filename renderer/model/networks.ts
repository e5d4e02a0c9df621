// The networks of this machine as the switcher and the page "Networks" show them.

import type { OwnNetworkView } from '../../electron/contract/calls.ts'
import { isOwnNetwork, profileName } from '../../electron/contract/network-words.ts'
import type { ProfileView } from '../../electron/contract/profile-view.ts'
import { words } from '../words.ts'
import { hostOf } from './join-input.ts'

/** Tiles have four colours, in turn. */
const COLOURS = 4

export interface NetworkItem {
  readonly id: string
  readonly name: string
  readonly letter: string
  /** "ines · home.example.org" */
  readonly account: string
  /** Of the tile, 1 to 4. */
  readonly colour: number
  readonly isCurrent: boolean
  readonly isLoggedIn: boolean
  /** This computer hosts it. */
  readonly isOwn: boolean
}

export function networkItems(
  profiles: readonly ProfileView[],
  own: OwnNetworkView | undefined,
): readonly NetworkItem[] {
  return profiles.map((profile, index) => {
    const name = profileName(profile, own)
    const isOwn = isOwnNetwork(profile, own)
    const place = isOwn ? words.onThisComputer : hostOf(profile.serverUrl)
    return {
      id: profile.id,
      name,
      letter: String.fromCodePoint(name.codePointAt(0) ?? 32).toUpperCase(),
      account: [profile.account, place === name ? undefined : place].filter(Boolean).join(' · '),
      colour: (index % COLOURS) + 1,
      isCurrent: profile.isCurrent,
      isLoggedIn: profile.isLoggedIn,
      isOwn,
    }
  })
}
