// What is answered outside Noise (control.md §3.1): the server's key, the API and the login pages, the question of DERP
// servers, and a sign of life.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/log.ts'
import type { MachinePublic, NodePublic } from '../../crypto/keys.ts'
import { WireError } from '../../wire/codec.ts'
import { derpAdmitRequest, derpAdmitResponse, keyResponse } from '../../wire/tailcfg/register.ts'
import { encodeMessage, parseMessage } from '../../wire/tailcfg/schema.ts'
import type { LoginProvider } from '../login/login-provider.ts'
import { sendPage } from '../login/operator-login.ts'
import { readBody } from './body.ts'
import { sendConsole } from './console-page.ts'
import { clientAddressOf } from './client-address.ts'
import { RateLimiter, sourceOf } from './rate-limiter.ts'

const VERIFY_BODY_BYTES = 4 * 1024
const REQUEST_LIMIT = { perSecond: 50, burst: 1_000 }

/** What is answered here itself; HEAD is asked as GET. The fuzz test walks this list. */
export const PUBLIC_ROUTES = ['GET /key', 'GET /generate_204', 'GET /health', 'POST /verify'] as const
type PublicRoute = (typeof PUBLIC_ROUTES)[number]
type Handler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>

export interface PublicRoutesOptions {
  readonly serverKey: MachinePublic
  readonly admitsToDerp: (key: NodePublic) => boolean
  readonly login: LoginProvider
  readonly api: { handle(request: IncomingMessage, response: ServerResponse): Promise<boolean> }
  readonly publicUrl: string
  readonly clock: Clock
  readonly log: Logger
}

export class PublicRoutes {
  readonly #options: PublicRoutesOptions
  readonly #limiter: RateLimiter
  readonly #handlers: Readonly<Record<PublicRoute, Handler>> = {
    'GET /key': (request, response) => this.#key(request, response),
    'GET /generate_204': noContent,
    'GET /health': (_request, response) => sendJson(response, 200, { status: 'pass' }),
    'POST /verify': (request, response) => this.#verify(request, response),
  }

  constructor(options: PublicRoutesOptions) {
    this.#options = options
    this.#limiter = new RateLimiter(options.clock, REQUEST_LIMIT)
  }

  /** Never throws. */
  handle(request: IncomingMessage, response: ServerResponse): void {
    this.#answer(request, response).catch((error: unknown) => {
      if (!(error instanceof WireError))
        this.#options.log.error('request failed', { path: (request.url ?? '').split('?')[0], error })
      sendText(response, error instanceof WireError ? 400 : 500, 'the request could not be answered')
    })
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!this.#limiter.take(sourceOf(clientAddressOf(request)))) {
      response.setHeader('retry-after', '5')
      return sendText(response, 429, 'too many requests')
    }
    // Which of two is meant, what stands in front of us may decide otherwise (RFC 9112 section 3.2).
    if ((request.headersDistinct['host']?.length ?? 0) > 1) return sendText(response, 400, 'one host per request')
    const path = (request.url ?? '').split('?')[0]
    const isRead = request.method === 'GET' || request.method === 'HEAD'
    const route = `${isRead ? 'GET' : request.method} ${path}`
    if (isPublicRoute(route)) return this.#handlers[route](request, response)
    if (path === '/ts2021') return sendText(response, 400, 'missing next protocol: a proxy may have removed Upgrade')
    if (await this.#options.api.handle(request, response)) return
    if (isRead && sendConsole(request, response, path ?? '', this.#options.publicUrl)) return
    if (await this.#options.login.handleHttp(request, response)) return
    if (path === '/' && isRead) return home(request, response)
    sendText(response, 404, 'not found')
  }

  #key(request: IncomingMessage, response: ServerResponse): void {
    const version = /[?&]v=(\d{1,5})(&|$)/.exec(request.url ?? '')?.[1]
    if (version === undefined) return sendText(response, 400, 'the query must name the capability version: ?v=')
    const keys = keyResponse.write({ legacyPublicKey: undefined, publicKey: this.#options.serverKey })
    sendJson(response, 200, keys)
  }

  async #verify(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readBody(request, VERIFY_BODY_BYTES)
    if (body.kind !== 'whole') return sendText(response, body.kind === 'too-long' ? 413 : 400, 'bad request body')
    const { nodePublic } = parseMessage(derpAdmitRequest, body.bytes)
    const answer = encodeMessage(derpAdmitResponse, { allow: this.#options.admitsToDerp(nodePublic) })
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': answer.length })
    response.end(answer)
  }
}

function isPublicRoute(route: string): route is PublicRoute {
  return PUBLIC_ROUTES.some((known) => known === route)
}

function home(request: IncomingMessage, response: ServerResponse): void {
  sendPage(request, response, 200, 'Peerway coordination server', [
    '<p>Devices join this private network at this address. On a device, type:</p>',
    '<code>peerway up --login-server (this address)</code>',
    '<p>Who runs the network does it in <a href="/console">the console</a>; everybody has <a href="/account">an account</a>.</p>',
  ])
}

/** What tells this server from a captive portal that answers in its place (paths.md §2.8). */
function noContent(request: IncomingMessage, response: ServerResponse): void {
  const challenge = request.headers['x-tailscale-challenge']
  const isSafe = typeof challenge === 'string' && /^[A-Za-z0-9.\-_:]{1,64}$/.test(challenge)
  response.writeHead(204, {
    'cache-control': 'no-store',
    ...(isSafe ? { 'x-tailscale-response': `response ${challenge}` } : {}),
  })
  response.end()
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const text = JSON.stringify(value)
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
  response.end(text)
}

function sendText(response: ServerResponse, status: number, text: string): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  // What is left of the body will not be read, so the connection cannot be used again.
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(text),
    ...(status >= 400 && { connection: 'close' }),
  })
  response.end(text)
}
