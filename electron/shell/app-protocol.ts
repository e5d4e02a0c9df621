// app://peerway/: the window's own files and nothing else. A scheme of our own, since file:// could read the whole disk.

import { readFile } from 'node:fs/promises'
import { extname, join, normalize, sep } from 'node:path'
import { protocol } from 'electron'

const SCHEME = 'app'
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

/** As in renderer/index.html, and what a meta element cannot say. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'none'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** Before the app is ready. */
export function registerScheme(): void {
  protocol.registerSchemesAsPrivileged([{ scheme: SCHEME, privileges: { standard: true, secure: true } }])
}

export function serveFolder(folder: string): void {
  protocol.handle(SCHEME, async (request) => {
    const path = fileFor(request.url, folder)
    const bytes = path === undefined ? undefined : await readFile(path).catch(() => undefined)
    if (path === undefined || bytes === undefined) return new Response('Not found', { status: 404 })
    return new Response(new Uint8Array(bytes), {
      headers: {
        'content-type': TYPES[extname(path)] ?? 'application/octet-stream',
        'content-security-policy': POLICY,
        'x-content-type-options': 'nosniff',
      },
    })
  })
}

/** The file of a URL, or undefined when it is not below the folder. */
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

export const isOwnPage = (url: string): boolean => URL.canParse(url) && new URL(url).href.startsWith(PAGE_URL)
