// The app as a person has it: started as `npm start` starts it, looked at through its window.

import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { _electron, type ElectronApplication, type Locator, type Page } from 'playwright-core'
import { resolveElectron } from '../../build/electron-runtime.mjs'
import { sandboxArgs } from '../../build/electron-verify.mjs'
import { until } from '../lab/process.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

export interface TrayEntry {
  readonly label: string
  readonly checked: boolean
}

export interface AppPlaces {
  readonly stateDir: string
  readonly tunName: string
  readonly artefacts: string
}

export class App {
  readonly electron: ElectronApplication
  readonly page: Page
  readonly #places: AppPlaces

  private constructor(electron: ElectronApplication, page: Page, places: AppPlaces) {
    this.electron = electron
    this.page = page
    this.#places = places
  }

  static async start(places: AppPlaces, args: readonly string[] = []): Promise<App> {
    const { NODE_OPTIONS: _, ELECTRON_RUN_AS_NODE: __, ...env } = process.env
    const electron = await _electron.launch({
      executablePath: resolveElectron()?.executable ?? 'electron',
      args: [...sandboxArgs(), ROOT, ...args],
      env: {
        ...(env as Record<string, string>),
        PEERWAY_STATE_DIR: places.stateDir,
        PEERWAY_SOCKET: join(places.stateDir, 'agent.sock'),
        PEERWAY_TUN: places.tunName,
        PEERWAY_LOG: 'info',
      },
      // Else the driver plays a light system, whatever the app chooses.
      colorScheme: null,
      timeout: 60_000,
    })
    const output = (chunk: Buffer): void => void process.stderr.write(`  app: ${chunk.toString()}`)
    electron.process().stderr?.on('data', output)
    const page = await electron.firstWindow()
    page.setDefaultTimeout(30_000)
    await page.waitForLoadState('domcontentloaded')
    return new App(electron, page, places)
  }

  get socket(): string {
    return join(this.#places.stateDir, 'agent.sock')
  }

  button(name: string | RegExp): Locator {
    return this.page.getByRole('button', { name })
  }

  get plate(): Locator {
    return this.page.getByRole('switch', { name: /^Connect/ })
  }

  row(name: string | RegExp): Locator {
    return this.page.getByRole('row', { name })
  }

  clipboard(): Promise<string> {
    return this.electron.evaluate(({ clipboard }) => clipboard.readText())
  }

  /** From now on pages are not opened in a browser but kept for `openedPage`. */
  async catchBrowser(): Promise<void> {
    await this.electron.evaluate(({ shell }) => {
      const opened: string[] = []
      Object.assign(globalThis, { opened })
      shell.openExternal = (url) => {
        opened.push(url)
        return Promise.resolve()
      }
    })
  }

  /** The page that was opened last, once it is such a page. */
  async openedPage(pattern: RegExp): Promise<string> {
    const opened = (): Promise<string | undefined> =>
      this.electron.evaluate(() => (globalThis as unknown as { opened: string[] }).opened.at(-1))
    return until(
      async () => {
        const url = await opened()
        return url !== undefined && pattern.test(url) ? url : undefined
      },
      { what: `a page ${pattern} in the browser`, timeoutMs: 10_000 },
    )
  }

  /** From now on notifications are kept for `clickNotification`, whatever this desktop can show. */
  async catchNotifications(): Promise<void> {
    await this.electron.evaluate(({ Notification }) => {
      const notified: Electron.Notification[] = []
      Object.assign(globalThis, { notified })
      Notification.isSupported = () => true
      Notification.prototype.show = function (this: Electron.Notification) {
        notified.push(this)
      }
    })
  }

  /** Clicks the last one; the titles of all. */
  clickNotification(): Promise<string[]> {
    return this.electron.evaluate(() => {
      const { notified } = globalThis as unknown as { notified: Electron.Notification[] }
      notified.at(-1)?.emit('click')
      return notified.map(({ title }) => title)
    })
  }

  /** From now on the menu of the tray icon is kept for `clickTray` whenever it changes; the desktop is not shown it. */
  async catchTrayMenu(): Promise<void> {
    await this.electron.evaluate(({ Tray }) => {
      Tray.prototype.setContextMenu = (trayMenu: Electron.Menu | null) => void Object.assign(globalThis, { trayMenu })
    })
  }

  /** What is below the entry with that name, without lines. */
  trayEntries(parent: RegExp): Promise<TrayEntry[]> {
    return this.electron.evaluate((_, source) => {
      const { trayMenu } = globalThis as unknown as { trayMenu?: Electron.Menu }
      const items = trayMenu?.items.find(({ label }) => new RegExp(source).test(label))?.submenu?.items ?? []
      return items.filter(({ type }) => type !== 'separator').map(({ label, checked }) => ({ label, checked }))
    }, parent.source)
  }

  async clickTray(parent: RegExp, entry: RegExp): Promise<void> {
    await this.electron.evaluate(
      (_, [above, below]) => {
        const { trayMenu } = globalThis as unknown as { trayMenu?: Electron.Menu }
        const items = trayMenu?.items.find(({ label }) => new RegExp(above ?? '').test(label))?.submenu?.items
        items?.find(({ label }) => new RegExp(below ?? '').test(label))?.click()
      },
      [parent.source, entry.source],
    )
  }

  async picture(name: string): Promise<void> {
    await this.page.screenshot({ path: join(this.#places.artefacts, `${name}.png`) })
  }

  /** As a quit from the menu; the process has ended after it. */
  async quit(): Promise<void> {
    await this.electron.close()
  }
}
