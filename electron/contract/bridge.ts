// What the preload puts into a window as `window.peerway`, and the channel names behind it.

import type { ArgOf, OwnNetworkView, Reply, ResultOf, windowCalls } from './calls.ts'
import type { AgentEvent, AgentSnapshot, NodeId } from './snapshot.ts'

export const channels = {
  /** invoke(name, argument) → Reply */
  call: 'peerway:call',
  /** main → window: AgentSnapshot */
  snapshot: 'peerway:snapshot',
  /** main → window: AgentEvent */
  event: 'peerway:event',
  /** main → window: OwnNetworkView */
  own: 'peerway:own',
  /** main → window: the page that shall open; the tray asks for it */
  open: 'peerway:open',
} as const

export type OpenedPage =
  | { readonly name: 'peer'; readonly id: NodeId }
  | { readonly name: 'relay' }
  /** Where another network is joined. */
  | { readonly name: 'join' }
  | { readonly name: 'networks' }
  /** A machine that wants to join. */
  | { readonly name: 'waiting'; readonly id: string }

export interface PeerwayBridge {
  call<N extends keyof typeof windowCalls>(
    name: N,
    ...arg: ArgOf<(typeof windowCalls)[N]> extends void ? [] : [ArgOf<(typeof windowCalls)[N]>]
  ): Promise<Reply<ResultOf<(typeof windowCalls)[N]>>>
  onSnapshot(listener: (snapshot: AgentSnapshot) => void): () => void
  onEvent(listener: (event: AgentEvent) => void): () => void
  onOwnNetwork(listener: (own: OwnNetworkView) => void): () => void
  onOpen(listener: (page: OpenedPage) => void): () => void
}
