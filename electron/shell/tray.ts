import { Menu, type MenuItemConstructorOptions, type NativeImage, nativeImage, nativeTheme, Tray } from 'electron'
import type { OwnNetworkView } from '../contract/calls.ts'
import { networkName } from '../contract/network-words.ts'
import { type AgentSnapshot, emptySnapshot } from '../contract/snapshot.ts'
import { drawTray, type Rgb, type TrayDrawing } from './tray-drawing.ts'
import { type TrayAction, type TrayItem, trayDrawing, trayMenu, trayTooltip } from './tray-model.ts'

/** A menu that is rebuilt more often flickers where the desktop draws it. */
const MENU_MS = 1_000
const FRAME_MS = 467
/** After ten seconds of looking the drawing stands still. */
const MOST_FRAMES = 21

const INK: Readonly<Record<'black' | 'dark' | 'light', Rgb>> = {
  black: { r: 0, g: 0, b: 0 },
  dark: { r: 0x24, g: 0x23, b: 0x1f },
  light: { r: 0xf4, g: 0xf2, b: 0xee },
}

export class AppTray {
  readonly #tray: Tray
  readonly #act: (action: TrayAction) => void
  #agent: AgentSnapshot = emptySnapshot
  #own: OwnNetworkView | undefined
  #shownMenu = ''
  #shownDrawing = ''
  #menuTimer: NodeJS.Timeout | undefined
  #frameTimer: NodeJS.Timeout | undefined
  #frames = 0

  /** Throws where the system offers no tray at all. */
  constructor(act: (action: TrayAction) => void) {
    this.#act = act
    this.#tray = new Tray(picture(trayDrawing(emptySnapshot, 1)))
    this.#tray.on('click', () => act({ do: 'open' }))
    this.#tray.on('middle-click', () => act({ do: 'toggle' }))
    nativeTheme.on('updated', () => this.#redraw())
    this.#rebuildMenu()
    this.#draw()
  }

  update(agent: AgentSnapshot, own: OwnNetworkView): void {
    if (agent.state !== this.#agent.state) this.#frames = 0
    this.#agent = agent
    this.#own = own
    this.#draw()
    this.#menuTimer ??= setTimeout(() => {
      this.#menuTimer = undefined
      this.#rebuildMenu()
    }, MENU_MS)
    if (agent.state === 'starting') this.#frameTimer ??= setInterval(() => this.#nextFrame(), FRAME_MS)
    else this.#stopFrames()
  }

  end(): void {
    clearTimeout(this.#menuTimer)
    this.#stopFrames()
    this.#tray.destroy()
  }

  get #network(): string {
    return networkName(this.#agent.tailnet, this.#own) ?? 'your network'
  }

  #nextFrame(): void {
    this.#frames++
    if (this.#frames >= MOST_FRAMES) this.#stopFrames()
    else this.#draw()
  }

  #stopFrames(): void {
    clearInterval(this.#frameTimer)
    this.#frameTimer = undefined
  }

  #redraw(): void {
    this.#shownDrawing = ''
    this.#draw()
  }

  #draw(): void {
    const frame = ((this.#frames % 3) + 1) as 1 | 2 | 3
    const drawing = trayDrawing(this.#agent, frame)
    const tooltip = trayTooltip(this.#agent, this.#network)
    const shown = JSON.stringify([drawing, tooltip])
    if (shown === this.#shownDrawing) return
    this.#shownDrawing = shown
    this.#tray.setImage(picture(drawing))
    this.#tray.setToolTip(tooltip)
  }

  #rebuildMenu(): void {
    const menu = trayMenu(this.#agent, this.#network, Date.now(), this.#own)
    const shown = JSON.stringify(menu)
    if (shown === this.#shownMenu) return
    this.#shownMenu = shown
    const template = menu.flatMap((group, index): MenuItemConstructorOptions[] => [
      ...(index === 0 ? [] : [{ type: 'separator' as const }]),
      ...this.#entries(group),
    ])
    this.#tray.setContextMenu(Menu.buildFromTemplate(template))
  }

  #entries(items: readonly TrayItem[]): MenuItemConstructorOptions[] {
    return items.flatMap((item) => [...(item.startsPart ? [{ type: 'separator' as const }] : []), this.#entry(item)])
  }

  #entry({ label, action, isChecked, isChosen, items }: TrayItem): MenuItemConstructorOptions {
    // "&" marks an access key in system menus.
    const entry = { label: label.replaceAll('&', '&&') }
    if (items) return { ...entry, submenu: this.#entries(items) }
    if (!action) return { ...entry, enabled: false }
    const click = (): void => {
      // The system ticks what was clicked, whether or not it comes true.
      this.#shownMenu = ''
      this.#act(action)
    }
    if (isChosen !== undefined) return { ...entry, type: 'radio', checked: isChosen, click }
    return isChecked === undefined ? { ...entry, click } : { ...entry, type: 'checkbox', checked: isChecked, click }
  }
}

/** One image with a representation for plain and dense screens. */
function picture(drawing: TrayDrawing): NativeImage {
  const isMac = process.platform === 'darwin'
  const size = process.platform === 'linux' ? 22 : 16
  const ink = INK[isMac ? 'black' : isPanelDark() ? 'light' : 'dark']
  const image = nativeImage.createEmpty()
  for (const scaleFactor of [1, 2]) {
    const pixels = size * scaleFactor
    const bitmap = Buffer.from(drawTray(drawing, pixels, ink))
    const dataURL = nativeImage.createFromBitmap(bitmap, { width: pixels, height: pixels }).toDataURL()
    image.addRepresentation({ scaleFactor, width: pixels, height: pixels, dataURL })
  }
  image.setTemplateImage(isMac)
  return image
}

/** GNOME's panel is dark in both themes; elsewhere it follows the theme. */
const isPanelDark = (): boolean =>
  /gnome|unity|ubuntu/i.test(process.env['XDG_CURRENT_DESKTOP'] ?? '') || nativeTheme.shouldUseDarkColors
