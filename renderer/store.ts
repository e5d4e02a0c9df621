// What the window knows: the agent's snapshot as it came, and what belongs to this window alone (which page is open, what was
// just clicked). Nobody edits a second copy of the agent's state.

import { createStore, type StoreApi } from 'zustand/vanilla'
import type { OwnNetworkView, ShellView } from '../electron/contract/calls.ts'
import type { RelayTestView } from '../electron/contract/relay-test-view.ts'
import type { AgentSnapshot, NodeId, Problem } from '../electron/contract/snapshot.ts'
import type { Wish } from './model/plate.ts'

export type Page =
  | { readonly name: 'home' }
  | { readonly name: 'join' }
  | { readonly name: 'own' }
  | { readonly name: 'invite' }
  | { readonly name: 'relay' }
  | { readonly name: 'sharing' }
  | { readonly name: 'networks' }
  | { readonly name: 'waiting'; readonly id: string }
  | { readonly name: 'peer'; readonly id: NodeId }

export interface Toast {
  /** Tells two toasts with the same text apart. */
  readonly number: number
  readonly text: string
}

/** The last self-test of the relay here; it outlives its page, but not the relay. */
export interface TestedRelay {
  readonly isBusy: boolean
  readonly atMs: number
  readonly view: RelayTestView | undefined
}

export const NOT_TESTED: TestedRelay = { isBusy: false, atMs: 0, view: undefined }

export interface Ui {
  readonly agent: AgentSnapshot | undefined
  readonly own: OwnNetworkView | undefined
  readonly shell: ShellView | undefined
  readonly page: Page
  readonly search: string
  /** Clicked, and not yet seen in the agent's state. */
  readonly wish: Wish
  /** What the last call from this window answered, when it failed. */
  readonly failure: Problem | undefined
  readonly relayTest: TestedRelay
  readonly relayFailure: Problem | undefined
  readonly toast: Toast | undefined
  /** The polite live region. */
  readonly said: string
}

export type UiStore = StoreApi<Ui>

export function createUi(): UiStore {
  return createStore<Ui>(() => ({
    agent: undefined,
    own: undefined,
    shell: undefined,
    page: { name: 'home' },
    search: '',
    wish: undefined,
    failure: undefined,
    relayTest: NOT_TESTED,
    relayFailure: undefined,
    toast: undefined,
    said: '',
  }))
}

/** A window listens first, then asks, and keeps the newer of what comes. */
export const acceptSnapshot = (ui: UiStore, agent: AgentSnapshot): void =>
  ui.setState((now) => (now.agent && now.agent.revision >= agent.revision ? now : { agent }))

/** Nobody has joined anything yet: the window shows the two choices. */
export function isFirstRun({ agent }: Ui): boolean {
  return agent?.state === 'needs-login' && agent.tailnet === undefined && agent.loginUrl === undefined
}
