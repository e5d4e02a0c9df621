// The few things needed to build a page out of elements. No HTML is ever parsed: names that machines gave themselves stay
// text.

type Child = Node | string | undefined | false

interface Properties {
  readonly class?: string
  readonly on?: { readonly [K in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[K]) => void }
  readonly [attribute: string]: string | number | boolean | undefined | Properties['on']
}

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Properties,
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === 'object' || value === undefined || value === false) continue
    element.setAttribute(name, value === true ? '' : String(value))
  }
  for (const [type, listener] of Object.entries(properties.on ?? {}))
    element.addEventListener(type, listener as EventListener)
  element.append(...children.filter((child) => child !== undefined && child !== false))
  return element
}

/** In Lucide's manner, on its grid of 24. */
const ICONS = {
  fingerprint: [
    'M12 10.5a2 2 0 0 1 2 2c0 3.2-.3 5.6-1.3 8.3M10 12.5c0 3.4-.4 5.6-1.8 7.9M6.2 17.6c.4-1.6.5-3.1.5-5.1a5.3 5.3 0 0 1 10.6 0c0 2.6-.1 4.8-.6 6.9M3.6 13.8a15 15 0 0 0 .1-1.3 8.3 8.3 0 0 1 14.2-5.8M19.9 9.8c.4 1.2.4 2.8.3 5.4',
  ],
  user: ['M16.5 8a4.5 4.5 0 1 1-9 0 4.5 4.5 0 0 1 9 0', 'M4 21a8 8 0 0 1 16 0'],
  chevron: ['m9 6 6 6-6 6'],
  shield: ['M20 13c0 5-3.5 7.5-8 9-4.5-1.5-8-4-8-9V5c3 0 6-1.5 8-3 2 1.5 5 3 8 3z', 'm9 12 2 2 4-4'],
  eye: ['M2 12s3.5-7 10-7 10 7 10 7-3.5 7-10 7-10-7-10-7', 'M15 12a3 3 0 1 1-6 0 3 3 0 0 1 6 0'],
  eyeOff: [
    'M9.9 5.2A9.8 9.8 0 0 1 12 5c6.5 0 10 7 10 7a17 17 0 0 1-2.7 3.5M6.6 6.7A16.4 16.4 0 0 0 2 12s3.5 7 10 7a9.6 9.6 0 0 0 5.2-1.5',
    'M14.1 14.1a3 3 0 0 1-4.2-4.2M3 3l18 18',
  ],
  alert: ['m21.7 18-8-14a2 2 0 0 0-3.4 0l-8 14A2 2 0 0 0 4 21h16a2 2 0 0 0 1.7-3', 'M12 9v4M12 17h.01'],
  problem: ['M22 12a10 10 0 1 1-20 0 10 10 0 0 1 20 0', 'm15 9-6 6M9 9l6 6'],
  plus: ['M12 5v14M5 12h14'],
  key: ['M21 3 10.4 13.6M17 7l3 3M11.5 17a4.5 4.5 0 1 1-9 0 4.5 4.5 0 0 1 9 0'],
  phone: ['M7 2h10a2 2 0 0 1 2 2v16a2 2 0 0 1-2 2H7a2 2 0 0 1-2-2V4a2 2 0 0 1 2-2', 'M11.5 18h1'],
  paper: ['M14 2H6a2 2 0 0 0-2 2v16a2 2 0 0 0 2 2h12a2 2 0 0 0 2-2V8z', 'M14 2v6h6M8 13h8M8 17h5'],
  monitor: ['M4 4h16a2 2 0 0 1 2 2v9a2 2 0 0 1-2 2H4a2 2 0 0 1-2-2V6a2 2 0 0 1 2-2', 'M8 21h8M12 17v4'],
  copy: [
    'M10 8h10a2 2 0 0 1 2 2v10a2 2 0 0 1-2 2H10a2 2 0 0 1-2-2V10a2 2 0 0 1 2-2',
    'M4 16a2 2 0 0 1-2-2V4a2 2 0 0 1 2-2h10a2 2 0 0 1 2 2',
  ],
  check: ['m20 6-11 11-5-5'],
  printer: ['M6 9V3h12v6M6 18H4a2 2 0 0 1-2-2v-5a2 2 0 0 1 2-2h16a2 2 0 0 1 2 2v5a2 2 0 0 1-2 2h-2', 'M6 14h12v8H6z'],
  info: ['M22 12a10 10 0 1 1-20 0 10 10 0 0 1 20 0', 'M12 16v-4M12 8h.01'],
} as const

export type IconName = keyof typeof ICONS

export function icon(name: IconName, size: '' | 's' | 'l' = ''): SVGSVGElement {
  return drawing(`i ${size}`, 24, ICONS[name])
}

/** Two ends and the way between them, joined: our own mark. */
export function mark(): SVGSVGElement {
  const svg = drawing('mark', 16, [])
  for (const [cx, cy] of [
    [3, 13],
    [13, 3],
  ])
    svg.append(shapeOf('circle', { cx, cy, r: 2.75, fill: 'currentColor' }))
  svg.append(shapeOf('path', { d: 'M3 13C3 4 13 12 13 3', fill: 'none', stroke: 'currentColor', 'stroke-width': 2 }))
  return svg
}

function drawing(className: string, grid: number, paths: readonly string[]): SVGSVGElement {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
  svg.setAttribute('class', className.trim())
  svg.setAttribute('viewBox', `0 0 ${grid} ${grid}`)
  svg.setAttribute('aria-hidden', 'true')
  for (const d of paths) svg.append(shapeOf('path', { d }))
  return svg
}

function shapeOf(
  tag: 'path' | 'circle',
  attributes: Readonly<Record<string, string | number | undefined>>,
): SVGElement {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value))
  return element
}

/** Dark on light in both themes: readers of cameras expect it so. */
export function qrDrawing(modules: readonly (readonly boolean[])[], label: string): SVGSVGElement {
  const quiet = 4
  const side = modules.length + 2 * quiet
  const svg = drawing('qr', side, [])
  svg.removeAttribute('aria-hidden')
  svg.setAttribute('role', 'img')
  svg.setAttribute('aria-label', label)
  const d = modules.flatMap((row, y) =>
    row.flatMap((isDark, x) => (isDark ? `M${x + quiet} ${y + quiet}h1v1h-1z` : [])),
  )
  svg.append(shapeOf('path', { d: d.join('') }))
  return svg
}
