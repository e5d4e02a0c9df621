// The desktop app: agent, own network and socket in one process, with a tray icon and a window in front.

import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { app, clipboard, globalShortcut, Menu, nativeTheme, shell } from 'electron'
import { CodedError, isCoded, messageOf } from '../base/errors.ts'
import { stderrLogger } from '../base/log.ts'
import { channels } from '../contract/bridge.ts'
import { type AgentEvent, type AgentSnapshot, emptySnapshot } from '../contract/snapshot.ts'
import { ensurePrivateFolder } from '../os/host.ts'
import { Guests } from './guests.ts'
import { registerScheme, serveFolder } from './app-protocol.ts'
import { Backend } from './backend.ts'
import { answerWindows } from './ipc.ts'
import { placesFrom } from './places.ts'
import { SettingsFile } from './settings.ts'
import { AppTray } from './tray.ts'
import { hasTrayHost } from './tray-host.ts'
import type { TrayAction } from './tray-model.ts'
import { type Desktop, windowHandlers } from './window-handlers.ts'
import { AppWindow, lockSession } from './window.ts'

/** Opens the window from anywhere, where the desktop grants it. */
const OPEN_KEY = 'Control+Alt+P'
/** Started by the system at login: stay in the tray. */
const STARTS_HIDDEN = process.argv.includes('--hidden')

const log = stderrLogger()
const places = placesFrom(process.env)
ensurePrivateFolder(places.stateDir)
// The one-instance lock is tied to this folder: one app per state.
app.setPath('userData', join(places.stateDir, 'window'))
app.setName('Peerway')
// A window of text and lines: a process for the graphics card would cost more than it gives.
app.disableHardwareAcceleration()
registerScheme()

if (app.requestSingleInstanceLock()) {
  void run().catch((error: unknown) => {
    process.stderr.write(`${messageOf(error)}\n`)
    app.exit(1)
  })
} else {
  // The first one shows its window.
  app.exit(0)
}

async function run(): Promise<void> {
  const settings = new SettingsFile(places.stateDir, log)
  const backend = new Backend(places, log)
  const window = new AppWindow(settings)
  let agent: AgentSnapshot = emptySnapshot
  let tray: AppTray | undefined
  let hasTray = true

  app.on('second-instance', () => window.show())
  app.on('activate', () => window.show())
  // Hidden windows are no reason to end; the tray, or a second start, brings them back.
  app.on('window-all-closed', () => {})
  quitCleanly(async () => {
    tray?.end()
    window.end()
    await backend.close()
    await settings.settled()
  })

  await app.whenReady()
  nativeTheme.themeSource = settings.now.theme
  Menu.setApplicationMenu(Menu.buildFromTemplate(keyMenu()))
  lockSession()
  serveFolder(fileURLToPath(new URL('./renderer', import.meta.url)))

  const desktop: Desktop = {
    openInBrowser,
    copy: async (text) => clipboard.writeText(text),
    setTheme(theme) {
      nativeTheme.themeSource = theme
      settings.update({ theme })
    },
    view: () => ({ theme: settings.now.theme, tellNoTray: !hasTray && !settings.now.noTrayRead }),
    noTrayRead: () => settings.update({ noTrayRead: true }),
    hideWindow: () => window.hide(),
    quit: () => app.quit(),
  }
  answerWindows(windowHandlers(backend, desktop), log.scoped('ipc'))

  const act = (action: TrayAction): void => {
    if (action.do === 'open' || action.do === 'open-page') window.show()
    if (action.do === 'open-page') window.sendWhenReady(channels.open, action.page)
    if (action.do === 'copy') void clipboard.writeText(action.text)
    if (action.do === 'quit') app.quit()
    if (action.do === 'switch') void change(backend, action.profile).catch(switchFailed)
    if (action.do === 'toggle') void toggle(backend).catch((error: unknown) => log.warn('toggle failed', { error }))
  }
  const switchFailed = (error: unknown): void => {
    log.warn('switching failed', { error })
    tray?.update(agent, backend.own.view)
    window.show()
    const code = isCoded(error) ? error.code : 'internal/failed'
    window.sendWhenReady(channels.event, { type: 'notice', code, text: messageOf(error) } satisfies AgentEvent)
  }
  const guests = new Guests((page) => act({ do: 'open-page', page }))
  backend.onSnapshot((next) => {
    agent = next
    tray?.update(next, backend.own.view)
    window.send(channels.snapshot, next)
  })
  backend.onEvent((event) => window.send(channels.event, event))
  backend.onOwnNetwork((own) => {
    tray?.update(agent, own)
    window.send(channels.own, own)
    guests.update(own)
  })
  // The owner may have set up a sign-in in the browser meanwhile.
  window.onFocus(() => void backend.own.refresh().catch(() => {}))

  if (!globalShortcut.register(OPEN_KEY, () => window.show())) log.info('no shortcut', { key: OPEN_KEY })
  // Some panels show icons of the older kind without saying so: the icon is made in any case, the note only where nobody offered.
  tray = openTray(act)
  hasTray = tray !== undefined && (await hasTrayHost())
  if (!STARTS_HIDDEN || !hasTray) window.show()
  await backend.agent().catch((error: unknown) => {
    log.error('the agent did not start', { error })
    // The window asks for the agent itself and shows what is wrong.
    window.show()
  })
}

function openTray(act: (action: TrayAction) => void): AppTray | undefined {
  try {
    return new AppTray(act)
  } catch (error) {
    log.warn('no tray icon', { error })
    return undefined
  }
}

async function change(backend: Backend, profile: string): Promise<void> {
  const { handlers } = await backend.agent()
  await handlers['agent.switch']({ profile })
}

async function toggle(backend: Backend): Promise<void> {
  const { handlers, snapshot } = await backend.agent().then((agent) => ({
    handlers: agent.handlers,
    snapshot: agent.snapshot(),
  }))
  const isOn = snapshot.state === 'running' || snapshot.state === 'starting'
  if (isOn) await handlers['agent.down']()
  else
    await handlers['agent.up']({
      serverUrl: undefined,
      authKey: undefined,
      hostname: undefined,
      forceReauth: undefined,
    })
}

async function openInBrowser(url: string): Promise<void> {
  try {
    await shell.openExternal(url)
  } catch (cause) {
    throw new CodedError(
      'shell/no-browser',
      `No browser could be opened. Copy this address and open it yourself: ${url}`,
      { cause },
    )
  }
}

/** Undoes everything before the process ends, also when the system asks for the end. */
function quitCleanly(close: () => Promise<void>): void {
  let isDone = false
  let closing: Promise<void> | undefined
  app.on('before-quit', (event) => {
    if (isDone) return
    event.preventDefault()
    closing ??= close()
      .catch((error: unknown) => log.warn('closing failed', { error }))
      .finally(() => {
        isDone = true
        app.exit(0)
      })
  })
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => app.quit())
}

/** Never seen on Linux and Windows; it carries the keys for text size, editing and quitting. */
function keyMenu(): Electron.MenuItemConstructorOptions[] {
  const view = ['resetZoom', 'zoomIn', 'zoomOut'] as const
  return [
    ...(process.platform === 'darwin' ? [{ role: 'appMenu' as const }] : []),
    { role: 'editMenu' },
    { label: 'View', submenu: view.map((role) => ({ role })) },
    { label: 'Window', submenu: [{ role: 'close' }, { role: 'quit' }] },
  ]
}
