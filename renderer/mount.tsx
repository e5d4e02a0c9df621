import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import type { PeerwayBridge } from '../electron/contract/bridge.ts'
import { createActions } from './actions.ts'
import { LatencyLog } from './model/latency.ts'
import { createUi } from './store.ts'
import { AppContext } from './use-app.ts'
import { AppWindow } from './window.tsx'
import './styles/tokens.css'
import './styles/base.css'
import './styles/controls.css'
import './styles/plate.css'
import './styles/list.css'
import './styles/pages.css'
import './styles/adapt.css'
import '@fontsource-variable/inter/wght.css'

/** `latencies` may already know something of the minutes before. */
export function mount(bridge: PeerwayBridge, place: HTMLElement, latencies = new LatencyLog()): void {
  const ui = createUi()
  const actions = createActions(ui, bridge)
  ui.subscribe(({ agent }, before) => {
    if (agent && agent !== before.agent) latencies.note(agent, Date.now())
  })
  actions.listen()
  createRoot(place).render(
    <StrictMode>
      <AppContext value={{ ui, actions, latencies }}>
        <AppWindow />
      </AppContext>
    </StrictMode>,
  )
}
