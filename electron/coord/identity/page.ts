// The document that a browser gets. It holds nothing but its script's address: what is shown comes by login-api.ts.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { escape } from '../login/operator-login.ts'
import { MARK } from './assets.ts'
import { SECURITY_HEADERS } from './guard.ts'

export interface PageText {
  readonly title: string
  /** What is read where scripts are off, or where there is nothing to run one for. */
  readonly lines: readonly string[]
  readonly link?: { readonly href: string; readonly text: string }
}

export function sendDocument(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  text: PageText,
  hasScript: boolean,
): void {
  const link = text.link ? `<p class="gap-2"><a href="${escape(text.link.href)}">${escape(text.link.text)}</a></p>` : ''
  const paragraphs = text.lines.map((line) => `<p class="under">${escape(line)}</p>`).join('')
  const lines = `${MARK}<h1>${escape(text.title)}</h1>${paragraphs}${link}`
  const body = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${escape(text.title)} · Peerway</title>
<link rel="icon" type="image/svg+xml" href="/login/assets/mark.svg">
<link rel="stylesheet" href="/login/assets/login.css">
${hasScript ? '<script type="module" src="/login/assets/login.js"></script>' : ''}
</head>
<body>
<main id="page">${hasScript ? `<noscript>${lines}</noscript>` : `<div class="column">${lines}</div>`}</main>
<div id="said" class="vh" role="status" aria-live="polite"></div>
</body>
</html>
`
  response.writeHead(status, {
    ...SECURITY_HEADERS,
    'content-type': 'text/html; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}
