// Login without accounts: the page names the command with which an operator of the server lets the machine in.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { LoginContext, LoginProvider } from './login-provider.ts'

const STYLE = `body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:12vh auto;padding:0 1.5rem;color:#1a1c20;
background:#fafafa}code{display:block;padding:.75rem 1rem;background:#eceef1;border-radius:8px;overflow-wrap:anywhere}
@media(prefers-color-scheme:dark){body{color:#e6e8eb;background:#16181c}code{background:#24272d}}`

export async function operatorLogin(context: LoginContext): Promise<LoginProvider> {
  return {
    async handleHttp(request, response) {
      const id = /^\/login\/([A-Za-z0-9_-]{8,64})$/.exec(request.url ?? '')?.[1]
      if (id === undefined) return false
      // Behind one address another server may have begun it.
      if (!context.pendingLogin(id)) await context.registry.current()
      const machine = context.pendingLogin(id)
      if (machine) {
        const title = machine.hostname === '' ? 'A device' : `The device “${machine.hostname}”`
        sendPage(request, response, 200, 'Waiting for approval', [
          `<p>${escape(title)} asks to join this network. Whoever runs this server lets it in with:</p>`,
          `<code>peerway coord nodes approve --login ${id} --user NAME</code>`,
          '<p>The device goes on by itself after that. Nothing to do here: you can close this page.</p>',
        ])
      } else {
        sendPage(request, response, 404, 'This login is over', [
          '<p>It was approved already, was refused, or took too long. Start again on the device.</p>',
        ])
      }
      return true
    },
  }
}

/** A page that can do nothing: no script, no frame, nothing from elsewhere. */
export function sendPage(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  title: string,
  paragraphs: readonly string[],
): void {
  const body = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escape(title)}</title><style>${STYLE}</style><h1>${escape(title)}</h1>${paragraphs.join('\n')}</html>`
  response.writeHead(status, {
    'content-type': 'text/html; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cache-control': 'no-store',
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}

export function escape(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
