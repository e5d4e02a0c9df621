import { readFile } from 'node:fs/promises'
import { protocol } from 'electron'
import { fileFor, SCHEME, typeOf } from './app-files.ts'

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
        'content-type': typeOf(path),
        'content-security-policy': POLICY,
        'x-content-type-options': 'nosniff',
      },
    })
  })
}
