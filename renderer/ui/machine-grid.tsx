// The list as a grid with one tab stop: arrows move, Enter opens, C and N copy.

import { type KeyboardEvent, type RefObject, useState } from 'react'
import type { DerpRegionView, NodeId, PeerView } from '../../electron/contract/snapshot.ts'
import type { MachineGroup } from '../model/machines.ts'
import { useActions } from '../use-app.ts'
import { words } from '../words.ts'
import { MachineRow } from './machine-row.tsx'

interface MachineGridProps {
  readonly groups: readonly MachineGroup[]
  readonly regions: Readonly<Record<number, DerpRegionView>>
  readonly nowMs: number
  readonly isOff: boolean
  /** "as of 14:02", while the facts are old. */
  readonly asOf: string | undefined
  readonly chosen: NodeId | undefined
  readonly grid: RefObject<HTMLDivElement | null>
}

export function MachineGrid({ groups, regions, nowMs, isOff, asOf, chosen, grid }: MachineGridProps) {
  const { openPeer, copy } = useActions()
  const [focused, setFocused] = useState<NodeId>()
  const peers = groups.flatMap((group) => group.peers)
  const tabStop = peers.some(({ id }) => id === focused) ? focused : peers[0]?.id

  function onKeyDown(event: KeyboardEvent): void {
    const row = event.target instanceof HTMLElement ? event.target.closest<HTMLElement>('[role=row]') : null
    const at = peers.findIndex(({ id }) => id === row?.dataset['id'])
    const peer = peers[at]
    if (!peer || event.ctrlKey || event.metaKey || event.altKey) return
    const to = target(event.key, at, peers.length)
    if (to !== undefined) focusRow(grid.current, peers[to]?.id)
    else if (event.key === 'c') copyIfAny(peer.addresses[0])
    else if (event.key === 'n') copyIfAny(peer.dnsName)
    else return
    event.preventDefault()
  }

  const copyIfAny = (text: string | undefined): void => {
    if (text !== undefined && text !== '') void copy(text)
  }

  return (
    <div
      ref={grid}
      role="grid"
      tabIndex={-1}
      aria-label={words.list.label}
      aria-rowcount={peers.length}
      onKeyDown={onKeyDown}
    >
      {groups.map((group, index) => (
        <div key={group.name} role="rowgroup" aria-label={`${group.name}, ${group.peers.length}`}>
          <div className="group" role="presentation">
            <span>{group.name}</span>
            <span className="num">{group.peers.length}</span>
            {index === 0 && asOf !== undefined && <span className="right">{asOf}</span>}
          </div>
          {group.peers.map((peer: PeerView) => (
            <MachineRow
              key={peer.id}
              peer={peer}
              regions={regions}
              nowMs={nowMs}
              isOff={isOff}
              isChosen={peer.id === chosen}
              isTabStop={peer.id === tabStop}
              onOpen={openPeer}
              onFocus={setFocused}
            />
          ))}
        </div>
      ))}
    </div>
  )
}

/** Rows that Page Up and Page Down pass over. */
const PAGE_ROWS = 8

function target(key: string, at: number, count: number): number | undefined {
  const last = count - 1
  const moves: Readonly<Record<string, number>> = {
    ArrowDown: at + 1,
    ArrowUp: at - 1,
    PageDown: at + PAGE_ROWS,
    PageUp: at - PAGE_ROWS,
    Home: 0,
    End: last,
  }
  const to = moves[key]
  return to === undefined ? undefined : Math.min(Math.max(to, 0), last)
}

/** Focuses the row of a machine, or the one that Tab would reach. */
export function focusRow(grid: HTMLElement | null, id?: string): void {
  const rows = [...(grid?.querySelectorAll<HTMLElement>('[role=row]') ?? [])]
  const row = rows.find((one) => (id === undefined ? one.tabIndex === 0 : one.dataset['id'] === id))
  row?.focus({ preventScroll: true })
  row?.scrollIntoView({ block: 'nearest' })
}
