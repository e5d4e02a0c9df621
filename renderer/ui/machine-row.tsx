import { memo } from 'react'
import type { DerpRegionView, NodeId, PeerView } from '../../electron/contract/snapshot.ts'
import { deviceKind, osName, subtitleOf } from '../model/machines.ts'
import { pathWords } from '../../electron/contract/path-words.ts'
import { words } from '../words.ts'
import { CopyButton } from './copy-button.tsx'
import { DeviceIcon } from './icon.tsx'
import { PathMark } from './path-mark.tsx'

interface MachineRowProps {
  readonly peer: PeerView
  readonly regions: Readonly<Record<number, DerpRegionView>>
  readonly nowMs: number
  /** Off here: addresses instead of paths. */
  readonly isOff: boolean
  readonly isChosen: boolean
  /** The one row that Tab reaches. */
  readonly isTabStop: boolean
  readonly onOpen: (id: NodeId) => void
  readonly onFocus: (id: NodeId) => void
}

export const MachineRow = memo(function MachineRow(props: MachineRowProps) {
  const { peer, regions, nowMs, isOff, isChosen, isTabStop, onOpen, onFocus } = props
  const path = pathWords(peer, regions, nowMs)
  const address = peer.addresses[0] ?? ''
  const subtitle = subtitleOf(peer)
  const isAway = isOff || path.mark === 'off'
  const classes = `machine${isAway ? ' away' : ''}${isChosen ? ' chosen' : ''}`
  return (
    <div
      className={classes}
      role="row"
      tabIndex={isTabStop ? 0 : -1}
      data-id={peer.id}
      aria-label={[peer.name, subtitle || osName(peer.os), isOff ? address : path.sentence].filter(Boolean).join(', ')}
      aria-selected={isChosen}
      onClick={() => onOpen(peer.id)}
      onFocus={() => onFocus(peer.id)}
      onKeyDown={(event) => {
        if (event.target !== event.currentTarget || (event.key !== 'Enter' && event.key !== ' ')) return
        event.preventDefault()
        onOpen(peer.id)
      }}
    >
      <DeviceIcon kind={deviceKind(peer)} />
      <span className="who" role="gridcell">
        <b title={peer.name}>{peer.name}</b>
        <small>{subtitle}</small>
        {address !== '' && (
          <span className="copy-cell">
            <CopyButton text={address} label={words.list.copyAddress(peer.name)} tabIndex={-1} />
          </span>
        )}
      </span>
      {isOff ? (
        <span className="path addresses" role="gridcell">
          {address}
        </span>
      ) : (
        <span className="path" role="gridcell">
          <PathMark kind={path.mark} />
          <span className={`word path-${path.mark}${path.latency === undefined ? ' long' : ''}`} title={path.word}>
            {path.word}
          </span>
          {path.latency !== undefined && <span className="latency">{path.latency}</span>}
        </span>
      )}
    </div>
  )
})
