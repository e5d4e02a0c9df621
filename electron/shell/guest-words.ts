// Which machines that wait are worth a notification, and what it says.

import type { OwnNetworkView, WaitingMachineView } from '../contract/calls.ts'

/** A flood of requests is one thing to look at, and no wall of notifications. */
const MOST_AT_ONCE = 3
/** Longer names are no names. */
const MOST_NAME = 40

export function newGuests(
  { waiting }: Pick<OwnNetworkView, 'waiting'>,
  told: ReadonlySet<string>,
): { readonly news: readonly WaitingMachineView[]; readonly told: ReadonlySet<string> } {
  const known = waiting.filter(({ id }) => told.has(id)).length
  const news = waiting.filter(({ id }) => !told.has(id)).slice(0, Math.max(MOST_AT_ONCE - known, 0))
  return { news, told: new Set(waiting.map(({ id }) => id)) }
}

export function guestWords(
  { name, os, address, user }: WaitingMachineView,
  network: string | undefined,
): { readonly title: string; readonly body: string } {
  const who = name.length > MOST_NAME ? `${name.slice(0, MOST_NAME)}…` : name
  const how = user === undefined ? ['It asks', 'asking', `from ${address}`] : ['Signed', 'signed', `in as ${user}`]
  return {
    title: `“${who}” wants to join ${network ?? 'your network'}`,
    body: `${os === '' ? how[0] : `${os}, ${how[1]}`} ${how[2]}. Click to let it in or to deny it.`,
  }
}
