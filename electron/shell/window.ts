// The window: one, hidden rather than closed, and able to do nothing but show our own page.

import { fileURLToPath } from 'node:url'
import { BrowserWindow, nativeTheme, screen, session } from 'electron'
import { PAGE_URL } from './app-files.ts'
import type { Bounds, SettingsFile } from './settings.ts'

const SIZE = { width: 380, height: 640 }
const LEAST = { width: 360, height: 480 }
/** `--bg` of tokens.css, so that no white flashes before the page is there. */
const BACKGROUND = { light: '#F6F5F2', dark: '#191918' }
const ASSET = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/** Nothing but our own files is loaded, and nothing is permitted. */
export function lockSession(): void {
  const { defaultSession } = session
  defaultSession.setPermissionRequestHandler((_contents, _permission, decide) => decide(false))
  defaultSession.setPermissionCheckHandler(() => false)
  defaultSession.webRequest.onBeforeRequest(({ url }, decide) =>
    decide({ cancel: !/^(app:\/\/peerway\/|devtools:\/\/|data:image\/)/.test(url) }),
  )
}

export class AppWindow {
  readonly #settings: SettingsFile
  #window: BrowserWindow | undefined
  /** Quitting: a close is a close. */
  #ending = false

  constructor(settings: SettingsFile) {
    this.#settings = settings
  }

  show(): void {
    const window = (this.#window ??= this.#create())
    if (window.isMinimized()) window.restore()
    if (window.webContents.isLoading()) window.once('ready-to-show', () => window.show())
    else window.show()
    window.focus()
  }

  hide(): void {
    this.#window?.hide()
  }

  /** To the page, if there is one. */
  send(channel: string, value: unknown): void {
    if (this.#window && !this.#window.isDestroyed()) this.#window.webContents.send(channel, value)
  }

  /** The same once the page listens. */
  sendWhenReady(channel: string, value: unknown): void {
    const contents = this.#window?.webContents
    if (contents?.isLoading() === true) contents.once('did-finish-load', () => this.send(channel, value))
    else this.send(channel, value)
  }

  onFocus(listener: () => void): void {
    this.#onFocus = listener
  }
  #onFocus = (): void => {}

  end(): void {
    this.#ending = true
    this.#window?.close()
  }

  #create(): BrowserWindow {
    const kept = visible(this.#settings.now.bounds)
    const window = new BrowserWindow({
      ...(kept ?? SIZE),
      minWidth: LEAST.width,
      minHeight: LEAST.height,
      useContentSize: true,
      show: false,
      title: 'Peerway',
      icon: ASSET('./assets/icon.png'),
      backgroundColor: nativeTheme.shouldUseDarkColors ? BACKGROUND.dark : BACKGROUND.light,
      autoHideMenuBar: true,
      fullscreenable: false,
      webPreferences: {
        preload: ASSET('./preload.cjs'),
        contextIsolation: true,
        sandbox: true,
        nodeIntegration: false,
        webviewTag: false,
        spellcheck: false,
        // A hidden window has nothing to animate.
        backgroundThrottling: true,
      },
    })
    const { webContents } = window
    webContents.on('will-navigate', (event) => event.preventDefault())
    webContents.on('will-redirect', (event) => event.preventDefault())
    webContents.on('will-attach-webview', (event) => event.preventDefault())
    webContents.setWindowOpenHandler(() => ({ action: 'deny' }))
    // A page that crashed would be an empty window until the next start.
    webContents.on('render-process-gone', (_event, { reason }) => {
      if (reason !== 'clean-exit') window.reload()
    })
    window.on('page-title-updated', (event) => event.preventDefault())
    window.on('focus', () => this.#onFocus())
    window.on('close', (event) => {
      this.#settings.update({ bounds: window.getContentBounds() })
      if (this.#ending) return
      event.preventDefault()
      window.hide()
    })
    void window.loadURL(PAGE_URL)
    return window
  }
}

/** A place that was on a screen which is gone would put the window where nobody sees it. */
function visible(bounds: Bounds | undefined): Bounds | undefined {
  if (!bounds) return undefined
  const { workArea } = screen.getDisplayMatching(bounds)
  const isSeen =
    bounds.x + bounds.width > workArea.x + 80 &&
    bounds.x < workArea.x + workArea.width - 80 &&
    bounds.y >= workArea.y - 40 &&
    bounds.y < workArea.y + workArea.height - 80
  return isSeen ? { ...bounds, ...atLeast(bounds) } : undefined
}

const atLeast = ({ width, height }: Bounds): { width: number; height: number } => ({
  width: Math.max(width, LEAST.width),
  height: Math.max(height, LEAST.height),
})
