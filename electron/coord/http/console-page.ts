// The web console's document: a script's address and nothing else. What the console shows comes over the API, to who may
// see it.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { SECURITY_HEADERS } from '../identity/guard.ts'
import { siteOf } from '../identity/site.ts'

const DOCUMENT = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>Peerway</title>
<link rel="icon" type="image/svg+xml" href="/login/assets/mark.svg">
<link rel="stylesheet" href="/login/assets/console.css">
<script type="module" src="/login/assets/console.js"></script>
</head>
<body>
<div id="root"><noscript>The console needs scripts. Allow them for this address, then load it again.</noscript></div>
</body>
</html>
`

/** False when it is another page that is asked for. */
export function sendConsole(
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
  publicUrl: string,
): boolean {
  if (path !== '/console' && path !== '/console/') return false
  if (!siteOf(request, publicUrl)) {
    // By a name that is not ours, a page of somebody else's could look in.
    response.writeHead(421, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' })
    response.end(`This is not one of the server's own addresses. Open ${publicUrl}/console\n`)
    return true
  }
  response.writeHead(200, {
    ...SECURITY_HEADERS,
    'content-type': 'text/html; charset=utf-8',
    'content-length': Buffer.byteLength(DOCUMENT),
    'cache-control': 'no-store',
  })
  response.end(request.method === 'HEAD' ? undefined : DOCUMENT)
  return true
}
