// app://peerway/: the window's own files and nothing else. A scheme of our own, since file:// could read the whole disk.

import { extname, join, normalize, sep } from 'node:path'

export const SCHEME = 'app'
const HOST = 'peerway'
export const PAGE_URL = `${SCHEME}://${HOST}/index.html`

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.woff2': 'font/woff2',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
}

/** The file of a URL, or undefined when it is not one of ours below the folder. */
export function fileFor(url: string, folder: string): string | undefined {
  if (!URL.canParse(url)) return undefined
  const { protocol, host, pathname } = new URL(url)
  if (protocol !== `${SCHEME}:` || host !== HOST) return undefined
  let decoded: string
  try {
    decoded = decodeURIComponent(pathname)
  } catch {
    return undefined
  }
  if (decoded.includes('\0') || decoded.includes('\\')) return undefined
  const path = normalize(join(folder, decoded))
  return path.startsWith(folder + sep) && TYPES[extname(path)] !== undefined ? path : undefined
}

export const typeOf = (path: string): string => TYPES[extname(path)] ?? 'application/octet-stream'

/** True for the one page that may ask the app anything. */
export function isOwnPage(url: string): boolean {
  return /^app:\/\/peerway\/index\.html(?:[?#]|$)/.test(url)
}
