// Scripts and styles of the pages. A packaged server reads what the build left in out/coord-web; from sources they are
// bundled in memory, so a page never shows yesterday's script.

import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { extname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { utf8 } from '../../base/bytes.ts'

const TYPES: Readonly<Record<string, string>> = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
}

/** Two ends and the way between them. */
export const MARK = `<svg xmlns="http://www.w3.org/2000/svg" class="mark" viewBox="0 0 16 16" aria-hidden="true"><circle cx="3" cy="13" r="2.75" fill="currentColor"/><circle cx="13" cy="3" r="2.75" fill="currentColor"/><path d="M3 13C3 4 13 12 13 3" fill="none" stroke="currentColor" stroke-width="2"/></svg>`

export interface Asset {
  readonly bytes: Uint8Array
  readonly type: string
  readonly etag: string
}

/** By path below the assets' root: "login.js", "assets/inter-….woff2". */
export type Assets = ReadonlyMap<string, Asset>

export async function loadAssets(): Promise<Assets> {
  const files = import.meta.url.endsWith('.ts') ? await bundled() : await built()
  files.set('mark.svg', utf8(MARK.replace('<svg', '<svg color="#0B6D72"')))
  const assets = new Map<string, Asset>()
  for (const [name, bytes] of files) {
    const type = TYPES[extname(name)]
    const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`
    if (type !== undefined) assets.set(name, { bytes, type, etag })
  }
  return assets
}

async function built(): Promise<Map<string, Uint8Array>> {
  // Bundles lie two folders deep; see build/bundle.mjs.
  const root = fileURLToPath(new URL('../../out/coord-web/', import.meta.url))
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  const files = new Map<string, Uint8Array>()
  for (const entry of entries) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    files.set(relative(root, path).split(sep).join('/'), await readFile(path))
  }
  return files
}

async function bundled(): Promise<Map<string, Uint8Array>> {
  // Not written as a literal: bundles neither contain this nor need it.
  const builder = new URL('../../../build/bundle.mjs', import.meta.url).href
  const { coordWeb } = (await import(builder)) as { coordWeb: () => Promise<Map<string, Uint8Array>> }
  return coordWeb()
}
