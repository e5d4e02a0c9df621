import { ArrowDown, ArrowUp, ChevronRight, Monitor, Plus } from 'lucide-react'
import { useEffect, useRef } from 'react'
import { isTyping, useKeys } from '../hooks/use-keys.ts'
import { useNow } from '../hooks/use-now.ts'
import { givesText } from '../../electron/contract/relay-words.ts'
import { deviceKind, groupsOf } from '../model/machines.ts'
import { networkWords } from '../model/network.ts'
import { type Plate, plateOf } from '../model/plate.ts'
import { usesText } from '../model/sharing.ts'
import { clockText } from '../model/time.ts'
import { CopyButton } from '../ui/copy-button.tsx'
import { EmptyState } from '../ui/empty-state.tsx'
import { DeviceIcon, Icon } from '../ui/icon.tsx'
import { focusRow, MachineGrid } from '../ui/machine-grid.tsx'
import { PlateControl } from '../ui/plate-control.tsx'
import { SearchField } from '../ui/search-field.tsx'
import { Skeleton } from '../ui/skeleton.tsx'
import { useActions, useUi } from '../use-app.ts'
import { words } from '../words.ts'
import { BannerPlace } from './banner-place.tsx'
import { Header } from './header.tsx'

/** Header, plate, this computer, search and the list. `isCovered` while a page lies over it. */
export function MainView({ isCovered }: { readonly isCovered: boolean }) {
  const agent = useUi((ui) => ui.agent)
  const own = useUi((ui) => ui.own)
  const wish = useUi((ui) => ui.wish)
  const page = useUi((ui) => ui.page)
  const search = useUi((ui) => ui.search)
  const actions = useActions()
  const nowMs = useNow()
  const field = useRef<HTMLInputElement>(null)
  const grid = useRef<HTMLDivElement>(null)

  useKeys((key, event) => {
    if (isCovered) return false
    if (key === 'Ctrl+f' || (key === '/' && !isTyping(event))) field.current?.focus()
    else if (key === 'Escape') actions.hideWindow()
    else return false
    return true
  })
  useReturnedFocus(isCovered, page.name === 'peer' ? page.id : undefined, grid)

  if (!agent) return <main className="pane" aria-busy="true" />
  const network = networkWords(agent, own)
  const plate = plateOf(agent, wish, nowMs)
  const groups = groupsOf(agent.peers, search)
  const isOff = agent.state === 'stopped' || agent.state === 'needs-login' || wish === 'off'
  const hasPeers = Object.keys(agent.peers).length > 0
  const asOf =
    isOff && agent.controlHeardAt !== undefined ? words.list.asOf(clockText(agent.controlHeardAt)) : undefined
  return (
    <main className="pane" inert={isCovered} aria-label={network.name}>
      <Header network={network} />
      <div className="top">
        <PlateControl
          plate={plate}
          name={plateName(plate, network.isKnown ? network.name : words.plate.yourNetwork)}
          onToggle={() => void actions.toggle()}
        />
        <BannerPlace />
        <ThisComputer />
      </div>
      {hasPeers && (
        <SearchField ref={field} text={search} onText={actions.search} onDown={() => focusRow(grid.current)} />
      )}
      <div className="list">
        {groups.length > 0 && (
          <MachineGrid
            grid={grid}
            groups={groups}
            regions={agent.derpRegions}
            nowMs={nowMs}
            isOff={isOff}
            asOf={asOf}
            chosen={page.name === 'peer' ? page.id : undefined}
          />
        )}
        {groups.length === 0 && hasPeers && (
          <p className="list-foot dim">
            {words.list.noResult(search)}{' '}
            <button type="button" className="link" onClick={() => actions.search('')}>
              {words.list.clear}
            </button>
          </p>
        )}
        {!hasPeers && (agent.state === 'starting' ? <Skeleton /> : <NoMachines isOwn={network.isOwn} />)}
        {hasPeers && network.isOwn && search === '' && !isOff && (
          <p className="list-foot">
            <button type="button" className="link" onClick={() => actions.open({ name: 'invite' })}>
              <Icon of={Plus} />
              {words.list.add}
            </button>
          </p>
        )}
      </div>
    </main>
  )
}

function plateName({ at }: Plate, network: string): string {
  const { on, busy, off } = words.plate.name
  return { on, half: busy, off }[at](network)
}

function ThisComputer() {
  const { open } = useActions()
  const self = useUi((ui) => ui.agent?.self)
  const relay = useUi((ui) => ui.agent?.relay)
  const routing = useUi((ui) => ui.agent?.routing)
  const peers = useUi((ui) => ui.agent?.peers)
  const isConnected = useUi((ui) => ui.agent?.state === 'running')
  if (!self) return null
  const address = self.addresses[0]
  return (
    <section className="card" aria-label={words.self.label}>
      <div className="self">
        <DeviceIcon kind={deviceKind({ name: self.name, os: self.os, tags: [] })} />
        <span className="two">
          <b title={self.name}>{self.name}</b>
          <small>{words.self.label}</small>
        </span>
        <span className="address selectable">{address ?? words.self.noAddress}</span>
        {address !== undefined && <CopyButton text={address} label={words.self.copyAddress} />}
      </div>
      {routing && peers && (
        <button type="button" className="row gives" onClick={() => open({ name: 'sharing' })}>
          <Icon of={ArrowDown} size={14} />
          <span className="label">{words.self.uses}</span>
          <span className="fact ell">{usesText(routing, peers)}</span>
          <Icon of={ChevronRight} size={14} />
        </button>
      )}
      {relay && (
        <button type="button" className="row gives" onClick={() => open({ name: 'relay' })}>
          <Icon of={ArrowUp} size={14} />
          <span className="label">{words.self.gives}</span>
          <span className="fact ell">{capital(givesText(relay, isConnected))}</span>
          <Icon of={ChevronRight} size={14} />
        </button>
      )}
    </section>
  )
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)

function NoMachines({ isOwn }: { readonly isOwn: boolean }) {
  const { open } = useActions()
  const isOn = useUi(({ agent }) => agent?.state === 'running')
  if (!isOn) return <EmptyState icon={Monitor} title={words.plate.offWord} text={words.list.emptyOff} />
  return (
    <EmptyState icon={Monitor} title={words.list.empty} text={isOwn ? words.list.emptyOwn : words.list.emptyOther}>
      {isOwn && (
        <button type="button" className="button primary" onClick={() => open({ name: 'invite' })}>
          <Icon of={Plus} />
          {words.list.add}
        </button>
      )}
    </EmptyState>
  )
}

/** Back from a page, the focus returns to the row that opened it. */
function useReturnedFocus(isCovered: boolean, id: string | undefined, grid: { current: HTMLElement | null }): void {
  const last = useRef<string>(undefined)
  const wasCovered = useRef(isCovered)
  useEffect(() => {
    if (id !== undefined) last.current = id
    if (wasCovered.current && !isCovered && last.current !== undefined) focusRow(grid.current, last.current)
    wasCovered.current = isCovered
  }, [isCovered, id, grid])
}
