import type { OwnNetworkView } from '../../electron/contract/calls.ts'
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
  const isOwn = own?.joinUrl !== undefined && own.joinUrl === tailnet?.serverUrl
  const name = (isOwn ? own.name : undefined) ?? tailnet?.name
  const account = tailnet ? [tailnet.account, hostOf(tailnet.serverUrl)].filter(Boolean).join(' · ') : ''
  return {
    name: name ?? words.app,
    isKnown: name !== undefined,
    letter: String.fromCodePoint((name ?? words.app).codePointAt(0) ?? 32).toUpperCase(),
    account,
    isOwn,
  }
}
