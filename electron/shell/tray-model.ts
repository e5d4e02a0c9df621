// What the tray shows: drawing, tooltip and menu, made from the snapshot. Plain data, so that a change that alters nothing
// on screen rebuilds nothing.

import type { OpenedPage } from '../contract/bridge.ts'
import type { OwnNetworkView } from '../contract/calls.ts'
import { profileName } from '../contract/network-words.ts'
import { type PathWords, pathWords } from '../contract/path-words.ts'
import { givesText } from '../contract/relay-words.ts'
import type { AgentSnapshot, PeerView } from '../contract/snapshot.ts'
import type { TrayDrawing } from './tray-drawing.ts'

/** More would be a list to scroll, and the window has a better one. */
const MOST_MACHINES = 15
const MOST_NETWORKS = 15
const MOST_WAITING = 3

export type TrayAction =
  | { readonly do: 'toggle' }
  | { readonly do: 'copy'; readonly text: string }
  | { readonly do: 'open' }
  | { readonly do: 'switch'; readonly profile: string }
  | { readonly do: 'open-page'; readonly page: OpenedPage }
  | { readonly do: 'quit' }

export interface TrayItem {
  readonly label: string
  /** Undefined for a heading. */
  readonly action?: TrayAction
  readonly isChecked?: boolean
  /** Whether it is the one of several that hangs together with its neighbours; not together with isChecked. */
  readonly isChosen?: boolean
  /** A line above it, inside a group. */
  readonly startsPart?: true
  readonly items?: readonly TrayItem[]
}

/** Groups with a line between them. */
export type TrayMenu = readonly (readonly TrayItem[])[]

export function trayDrawing(
  { state, loginUrl, problem, warnings, relay }: AgentSnapshot,
  frame: 1 | 2 | 3,
): TrayDrawing {
  const needsSomeone = problem !== undefined || warnings.length > 0
  switch (state) {
    case 'running':
      return { ends: 'on', way: (relay?.pairs ?? 0) > 0 ? 'serving' : 'joined', attention: needsSomeone }
    case 'starting':
      return { ends: 'half', way: `growing-${frame}`, attention: false }
    case 'needs-login':
      return { ends: 'off', way: 'none', attention: loginUrl !== undefined || problem !== undefined }
    case 'stopped':
    default:
      return { ends: 'off', way: 'none', attention: problem !== undefined }
  }
}

export function trayTooltip({ state, peers, problem, relay }: AgentSnapshot, network: string): string {
  const online = Object.values(peers).filter((peer) => peer.online !== false).length
  const all = Object.keys(peers).length
  switch (state) {
    case 'running':
      return [
        `Peerway: connected to ${network}`,
        ...(all === 0 ? [] : [`${online} of ${all} online`]),
        ...(relay && relay.pairs > 0 ? [`relaying ${relay.pairs} ${relay.pairs === 1 ? 'pair' : 'pairs'}`] : []),
      ].join(', ')
    case 'starting':
      return `Peerway: connecting to ${network}`
    case 'needs-login':
      return 'Peerway: signed out'
    case 'stopped':
    default:
      return problem ? 'Peerway: not connected, something needs you' : 'Peerway: not connected'
  }
}

export function trayMenu(agent: AgentSnapshot, network: string, nowMs: number, own?: OwnNetworkView): TrayMenu {
  const menu = [
    waiting(own),
    connection(agent, network),
    thisComputer(agent),
    machines(agent, nowMs),
    gives(agent),
    networks(agent, network, own),
    app(),
  ]
  return menu.filter((group) => group.length > 0)
}

function waiting(own: OwnNetworkView | undefined): readonly TrayItem[] {
  return (own?.waiting ?? []).slice(0, MOST_WAITING).map(({ id, name }) => ({
    label: `“${name}” wants to join…`,
    action: { do: 'open-page', page: { name: 'waiting', id } },
  }))
}

function networks(
  { profiles = [] }: AgentSnapshot,
  network: string,
  own: OwnNetworkView | undefined,
): readonly TrayItem[] {
  if (profiles.length === 0) return []
  const items = profiles.slice(0, MOST_NETWORKS).map((profile): TrayItem => {
    const name = profileName(profile, own)
    const isChosen = profile.isCurrent
    // Signing in takes a browser or a key: the page has both ways.
    if (!profile.isLoggedIn)
      return { label: `${name}, signed out`, action: { do: 'open-page', page: { name: 'networks' } }, isChosen }
    const label = [name, profile.account].filter(Boolean).join(', ')
    return { label, action: { do: 'switch', profile: profile.id }, isChosen }
  })
  const ways: readonly TrayItem[] = [
    { label: 'Add a network…', action: { do: 'open-page', page: { name: 'join' } }, startsPart: true },
    { label: 'Manage networks…', action: { do: 'open-page', page: { name: 'networks' } } },
  ]
  return [{ label: `Network: ${network}`, items: [...items, ...ways] }]
}

function connection({ state, tailnet }: AgentSnapshot, network: string): readonly TrayItem[] {
  // Nothing to switch on before there is a network.
  if (state === 'needs-login' && tailnet === undefined) return []
  const label =
    state === 'running'
      ? `Connected to ${network}`
      : state === 'starting'
        ? `Connecting to ${network}…`
        : `Connect to ${network}`
  return [{ label, action: { do: 'toggle' }, isChecked: state === 'running' }]
}

function thisComputer({ self }: AgentSnapshot): readonly TrayItem[] {
  const address = self?.addresses[0]
  if (!self || address === undefined) return []
  return [{ label: `${self.name}, ${address}`, action: { do: 'copy', text: address } }]
}

function machines(agent: AgentSnapshot, nowMs: number): readonly TrayItem[] {
  const all = Object.values(agent.peers).toSorted(byGroupThenName)
  if (all.length === 0) return []
  const isOn = agent.state === 'running'
  const shown = all
    .slice(0, MOST_MACHINES)
    .map((peer) => machine(peer, pathWords(peer, agent.derpRegions, nowMs), isOn))
  const rest: TrayItem[] =
    all.length > MOST_MACHINES ? [{ label: `Show all ${all.length} machines`, action: { do: 'open' } }] : []
  return [{ label: 'Machines' }, ...shown, ...rest]
}

function machine(peer: PeerView, path: PathWords, isOn: boolean): TrayItem {
  const facts = isOn ? [path.word, path.latency].filter((fact) => fact !== undefined) : []
  const copies = [...peer.addresses, peer.dnsName]
    .filter((text) => text !== '')
    .map((text): TrayItem => ({ label: `Copy ${text}`, action: { do: 'copy', text } }))
  return {
    label: [peer.name, ...facts].join(', '),
    items: [...copies, { label: 'Open details', action: { do: 'open-page', page: { name: 'peer', id: peer.id } } }],
  }
}

function gives({ relay, state }: AgentSnapshot): readonly TrayItem[] {
  if (!relay) return []
  return [
    {
      label: `This PC gives: ${givesText(relay, state === 'running')}`,
      action: { do: 'open-page', page: { name: 'relay' } },
    },
  ]
}

const rank = (peer: PeerView): number => (peer.mine ? 0 : peer.tags.length === 0 ? 1 : 2)
const names = new Intl.Collator('en', { numeric: true, sensitivity: 'base' })
const byGroupThenName = (a: PeerView, b: PeerView): number =>
  rank(a) - rank(b) || names.compare(a.name, b.name) || (a.id < b.id ? -1 : 1)

const app = (): readonly TrayItem[] => [
  { label: 'Open Peerway', action: { do: 'open' } },
  { label: 'Quit', action: { do: 'quit' } },
]
