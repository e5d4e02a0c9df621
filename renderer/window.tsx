// Which page the window shows. Once a network is joined the list is always there; pages lie over it, or beside it when wide.

import { useEffect, useEffectEvent } from 'react'
import { MousePointerClick } from 'lucide-react'
import { useKeys } from './hooks/use-keys.ts'
import { useWide } from './hooks/use-wide.ts'
import { networkWords } from './model/network.ts'
import { pathWords } from '../electron/contract/path-words.ts'
import { isFirstRun, type Ui } from './store.ts'
import { EmptyState } from './ui/empty-state.tsx'
import { ToastPlace } from './ui/toast.tsx'
import { useActions, useUi, useUiStore } from './use-app.ts'
import { FirstRun } from './views/first-run.tsx'
import { Invite } from './views/invite.tsx'
import { Join } from './views/join.tsx'
import { MainView } from './views/main-view.tsx'
import { Networks } from './views/networks.tsx'
import { Own } from './views/own.tsx'
import { Peer } from './views/peer.tsx'
import { Relay } from './views/relay.tsx'
import { Sharing } from './views/sharing.tsx'
import { StartTrouble } from './views/start-trouble.tsx'
import { Waiting } from './views/waiting.tsx'
import { words } from './words.ts'

export function AppWindow() {
  const { home, open, toggle, switchToNumber } = useActions()
  const page = useUi((ui) => ui.page)
  const place = useUi(placeOf)
  const isWide = useWide()
  const said = useUi((ui) => ui.said)
  useKeys((key) => {
    const number = /^Ctrl\+([1-9])$/.exec(key)?.[1]
    if (number !== undefined && place === 'list') void switchToNumber(Number(number))
    else if (key === 'Ctrl+,' && place === 'list') open({ name: 'sharing' })
    else if (key === 'Ctrl+k' && place === 'list') void toggle()
    else if (key === 'Escape' && page.name !== 'home') home()
    else return false
    return true
  })
  useSpokenChanges()
  const hasPage = place === 'list' && ['peer', 'invite', 'relay', 'sharing', 'networks'].includes(page.name)
  return (
    <div className={place === 'list' ? 'window has-list' : 'window'}>
      {place === 'starting' && <StartTrouble />}
      {place === 'first-run' && <FirstRun />}
      {place === 'join' && <Join />}
      {place === 'own' && <Own />}
      {place === 'list' && <MainView isCovered={hasPage && !isWide} />}
      {hasPage && page.name === 'peer' && <Peer key={page.id} id={page.id} />}
      {hasPage && page.name === 'invite' && <Invite />}
      {hasPage && page.name === 'relay' && <Relay />}
      {hasPage && page.name === 'sharing' && <Sharing />}
      {hasPage && page.name === 'networks' && <Networks />}
      {page.name === 'waiting' && place !== 'starting' && <Waiting key={page.id} id={page.id} />}
      {place === 'list' && !hasPage && (
        <div className="right-empty">
          <EmptyState icon={MousePointerClick} title={words.right.empty} text={words.right.emptyText} />
        </div>
      )}
      <ToastPlace />
      <div className="unseen" role="status" aria-live="polite">
        {said}
      </div>
    </div>
  )
}

type Place = 'starting' | 'first-run' | 'join' | 'own' | 'list'

function placeOf(ui: Ui): Place {
  if (!ui.agent) return 'starting'
  if (ui.page.name === 'join' || ui.page.name === 'own') return ui.page.name
  // A first sign-in that was under way when the window opened.
  if (ui.agent.loginUrl !== undefined && ui.agent.tailnet === undefined) return 'join'
  return isFirstRun(ui) ? 'first-run' : 'list'
}

/** A path change of the opened machine is said at most this often. */
const PATH_SAID_MS = 5_000

/** Says state changes, and path changes of the opened machine, to a screen reader. */
function useSpokenChanges(): void {
  const ui = useUiStore()
  const { say } = useActions()
  const watch = useEffectEvent((next: Ui, before: Ui) => {
    const { agent } = next
    if (!agent || !before.agent || agent === before.agent) return
    if (agent.state !== before.agent.state) {
      if (agent.state === 'running') say(words.said.connected(networkWords(agent, next.own).name))
      else if (agent.state === 'stopped') say(words.said.off)
      else if (agent.state === 'needs-login' && before.agent.state === 'running') say(words.said.out)
    }
    if (next.page.name !== 'peer') return
    const [peer, old] = [agent.peers[next.page.id], before.agent.peers[next.page.id]]
    if (!peer || !old || peer.path.kind === old.path.kind || Date.now() - lastPathSaidMs < PATH_SAID_MS) return
    lastPathSaidMs = Date.now()
    say(words.pathChanged(peer.name, pathWords(peer, agent.derpRegions, Date.now()).sentence))
  })
  useEffect(() => ui.subscribe((next, before) => watch(next, before)), [ui])
}

let lastPathSaidMs = 0
