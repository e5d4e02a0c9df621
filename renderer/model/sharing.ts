// What this computer uses of others and offers to them, beside relaying: made from what the agent says and nothing more.

import type { RoutingView } from '../../electron/contract/routing-view.ts'
import { givesText, relayTexts } from '../../electron/contract/relay-words.ts'
import type { AgentSnapshot, PeerView, RelayBriefView } from '../../electron/contract/snapshot.ts'
import { words } from '../words.ts'

const EVERYTHING: ReadonlySet<string> = new Set(['0.0.0.0/0', '::/0'])

type Peers = AgentSnapshot['peers']

/** Machines that offer to lead to the internet, by name, with the chosen one also when it does not any more. */
export function exitNodeChoices(peers: Peers, chosen: string | undefined): readonly (readonly [string, string])[] {
  const offered = Object.values(peers)
    .filter((peer) => leadsOut(peer) || peer.id === chosen)
    .toSorted((a, b) => a.name.localeCompare(b.name))
    .map((peer) => [peer.id, exitName(peer)] as const)
  const isGone = chosen !== undefined && !offered.some(([id]) => id === chosen)
  return [['', words.sharing.none], ...offered, ...(isGone ? [[chosen, words.sharing.gone] as const] : [])]
}

const leadsOut = ({ allowedIps }: PeerView): boolean => allowedIps.some((prefix) => EVERYTHING.has(prefix))

const exitName = (peer: PeerView): string =>
  !leadsOut(peer) || peer.online === false ? words.sharing.away(peer.name) : peer.name

/** Networks behind other machines, each with who leads there. */
export function routesOffered(peers: Peers): readonly { readonly route: string; readonly by: string }[] {
  const own = (peer: PeerView): ReadonlySet<string> =>
    new Set(peer.addresses.flatMap((address) => [address, `${address}/${address.includes(':') ? 128 : 32}`]))
  return Object.values(peers)
    .toSorted((a, b) => a.name.localeCompare(b.name))
    .flatMap((peer) =>
      peer.allowedIps
        .filter((prefix) => !EVERYTHING.has(prefix) && !own(peer).has(prefix))
        .map((route) => ({ route, by: peer.name })),
    )
}

/** The facts of "This PC uses", in a line. */
export function usesText(routing: RoutingView, peers: Peers): string {
  const text = words.sharing
  const routes = routing.acceptRoutes ? routesOffered(peers).length : 0
  const exit = routing.exitNode === undefined ? undefined : (peers[routing.exitNode]?.name ?? text.gone)
  const facts = [
    ...(exit === undefined ? [] : [text.through(exit)]),
    ...(routing.acceptDns ? [text.namesFact] : []),
    ...(routes > 0 ? [text.routesFact(routes)] : []),
  ]
  return facts.length > 0 ? facts.join(', ') : text.nothing
}

/** How the relay here does, where its name stands beside it. */
export function relayFact(relay: RelayBriefView, isConnected: boolean): string {
  const fact = givesText(relay, isConnected)
  if (fact === relayTexts.nothing) return words.sharing.relayOff
  const how = fact.replace(/^relay(, )?/, '')
  return how === '' ? words.sharing.relayOn : how.charAt(0).toUpperCase() + how.slice(1)
}

/** Whether something that this computer offers still waits for the owner: what is approved leads to it. */
export function waitsForApproval(offered: readonly string[], served: readonly string[] | undefined): boolean {
  return served !== undefined && offered.some((route) => !served.includes(route))
}

export const EXIT_ROUTES: readonly string[] = [...EVERYTHING]

/** "192.168.1.0/24, 10.0.0.0/8" as a list. */
export const routesTyped = (text: string): readonly string[] => text.split(/[\s,;]+/).filter((route) => route !== '')
