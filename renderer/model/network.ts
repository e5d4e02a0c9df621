import type { OwnNetworkView } from '../../electron/contract/calls.ts'
import { isOwnNetwork, networkName } from '../../electron/contract/network-words.ts'
import type { AgentSnapshot } from '../../electron/contract/snapshot.ts'
import { words } from '../words.ts'
import { hostOf } from './join-input.ts'

/** The network on screen, also before the server has said its name. */
export interface NetworkWords {
  readonly name: string
  readonly isKnown: boolean
  readonly letter: string
  /** "ines · home.example.org" */
  readonly account: string
  /** This computer hosts it, so it can invite. */
  readonly isOwn: boolean
}

export function networkWords(agent: AgentSnapshot | undefined, own: OwnNetworkView | undefined): NetworkWords {
  const tailnet = agent?.tailnet
  const isOwn = isOwnNetwork(tailnet, own)
  const name = networkName(tailnet, own)
  const place = tailnet && (isOwn ? words.onThisComputer : hostOf(tailnet.serverUrl))
  const account = [tailnet?.account, place].filter(Boolean).join(' · ')
  return {
    name: name ?? words.app,
    isKnown: name !== undefined,
    letter: String.fromCodePoint((name ?? words.app).codePointAt(0) ?? 32).toUpperCase(),
    account,
    isOwn,
  }
}
