// The small HTTP around DERP (paths.md §3.9): probes that measure latency, and the page that tells a captive portal from
// the internet.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

export const DERP_PATH = '/derp'
const PROBE_PATHS: readonly string[] = ['/derp/probe', '/derp/latency-check']
const CHALLENGE = /^[A-Za-z0-9.\-_:]{1,64}$/

/** True when the path was one of ours and is answered. */
export function answerProbe(request: IncomingMessage, response: ServerResponse): boolean {
  const path = (request.url ?? '').split('?', 1)[0] ?? ''
  if (path === DERP_PATH) {
    answer(response, 426, 'DERP requires a connection upgrade.\n', { Upgrade: 'DERP' })
    return true
  }
  if (PROBE_PATHS.includes(path)) {
    const isAllowed = request.method === 'GET' || request.method === 'HEAD'
    answer(response, isAllowed ? 200 : 405, '', { 'Access-Control-Allow-Origin': '*' })
    return true
  }
  if (path === '/generate_204') {
    const challenge = request.headers['x-tailscale-challenge']
    response.writeHead(204, {
      'Cache-Control': 'no-cache, no-store, must-revalidate, no-transform, max-age=0',
      ...(typeof challenge === 'string' && CHALLENGE.test(challenge)
        ? { 'X-Tailscale-Response': `response ${challenge}` }
        : {}),
    })
    response.end()
    return true
  }
  return false
}

/** What a port that serves nothing but DERP says to everyone else. */
export function answerOther(request: IncomingMessage, response: ServerResponse): void {
  const path = (request.url ?? '').split('?', 1)[0] ?? ''
  if (path === '/robots.txt') answer(response, 200, 'User-agent: *\nDisallow: /\n')
  else if (path === '/')
    answer(response, 200, 'This is a DERP server: it relays encrypted packets of a private network.\n')
  else answer(response, 404, 'Not found.\n')
}

function answer(response: ServerResponse, status: number, text: string, headers: Record<string, string> = {}): void {
  response.writeHead(status, {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': Buffer.byteLength(text),
    'X-Content-Type-Options': 'nosniff',
    ...headers,
  })
  response.end(text)
}

/** Answers an upgrade with an error and closes. */
export function refuseUpgrade(
  stream: Duplex,
  status: number,
  reason: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const lines = Object.entries({ ...headers, Connection: 'close', 'Content-Length': '0' })
  stream.end(`HTTP/1.1 ${status} ${reason}\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`)
}
