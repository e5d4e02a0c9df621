// One port for plain HTTP and TLS: the first byte tells which. Clients of this field fall back to TLS on the same service
// when plain HTTP is in their way, and take any certificate there, since Noise proves the server (control.md §2.2).

import {
  createServer as createHttpServer,
  type IncomingMessage,
  type RequestListener,
  type Server as HttpServer,
} from 'node:http'
import { createServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createSecureContext, TLSSocket, type SecureContext } from 'node:tls'
import { codeOf, messageOf } from '../../base/errors.ts'
import { splitEndpoint } from '../../base/endpoint.ts'
import { CoordError } from '../errors.ts'

/** First byte of a TLS record that carries a handshake. */
const TLS_HANDSHAKE = 0x16
const HEADER_MS = 10_000
const REQUEST_MS = 60_000
const HEADER_BYTES = 32 * 1024
const MOST_HEADERS = 100
const MOST_SOCKETS = 30_000

export interface TlsFiles {
  /** PEM. */
  readonly cert: string
  readonly key: string
}

export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer) => void

export interface ListenOptions {
  readonly host: string
  readonly port: number
  readonly tls: TlsFiles | undefined
  readonly onRequest: RequestListener
  readonly onUpgrade: UpgradeHandler
  /** How long a connection may take for its first byte, and a request for its headers. */
  readonly headerMs?: number
}

export interface Listener {
  readonly host: string
  readonly port: number
  close(): Promise<void>
}

export async function listen(options: ListenOptions): Promise<Listener> {
  const headerMs = options.headerMs ?? HEADER_MS
  const http = createHttpServer({
    headersTimeout: headerMs,
    requestTimeout: REQUEST_MS,
    connectionsCheckingInterval: headerMs / 4,
    maxHeaderSize: HEADER_BYTES,
  })
  http.maxHeadersCount = MOST_HEADERS
  http.keepAliveTimeout = headerMs
  http.on('request', options.onRequest)
  http.on('upgrade', options.onUpgrade)
  // A server that does not listen itself starts the timer behind its two timeouts at this event.
  http.emit('listening')
  http.on('clientError', (_error, socket) => socket.destroy())
  const context = options.tls && secureContext(options.tls)
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 }, (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    admit(socket, http, context, headerMs)
  })
  server.maxConnections = MOST_SOCKETS
  const port = await bindAny(server, options.host, options.port)
  return {
    host: options.host,
    port,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      http.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

function admit(socket: Socket, http: HttpServer, context: SecureContext | undefined, headerMs: number): void {
  socket.setTimeout(headerMs, () => socket.destroy())
  socket.once('data', (first: Buffer) => {
    socket.pause()
    socket.unshift(first)
    if (first[0] !== TLS_HANDSHAKE) {
      socket.setTimeout(0)
      http.emit('connection', socket)
      // The HTTP server takes the handle over and resumes by itself; a paused socket would wait for it.
      socket.resume()
      return
    }
    if (!context) {
      socket.destroy()
      return
    }
    const secure = new TLSSocket(socket, { isServer: true, secureContext: context, ALPNProtocols: ['http/1.1'] })
    secure.on('error', () => secure.destroy())
    secure.once('secure', () => {
      socket.setTimeout(0)
      http.emit('connection', secure)
    })
  })
}

function secureContext(files: TlsFiles): SecureContext {
  try {
    return createSecureContext({ cert: files.cert, key: files.key, minVersion: 'TLSv1.2' })
  } catch (error) {
    throw new CoordError('coord/bad-config', `The TLS certificate cannot be used: ${messageOf(error)}.`, {
      cause: error,
    })
  }
}

/** All addresses means those of both families, or of IPv4 where the system has nothing else. */
async function bindAny(server: Server, host: string, port: number): Promise<number> {
  try {
    return await bind(server, host, port)
  } catch (error) {
    const cause = error instanceof Error ? codeOf(error.cause) : undefined
    if (host !== '::' || (cause !== 'EAFNOSUPPORT' && cause !== 'EADDRNOTAVAIL')) throw error
    return bind(server, '0.0.0.0', port)
  }
}

function bind(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const onError = (error: Error): void => reject(listenFailure(host, port, error))
    server.once('error', onError)
    server.listen({ host, port, backlog: 1024 }, () => {
      server.off('error', onError)
      const address = server.address()
      resolve(typeof address === 'object' && address ? address.port : port)
    })
  })
}

function listenFailure(host: string, port: number, error: unknown): CoordError {
  const reasons: Record<string, string> = {
    EADDRINUSE: 'another program uses this port; choose another with --listen',
    EACCES: 'ports below 1024 need more rights; choose a higher one with --listen',
    EADDRNOTAVAIL: 'this computer does not have that address',
  }
  const reason = reasons[codeOf(error) ?? ''] ?? messageOf(error)
  return new CoordError('coord/listen-failed', `Cannot listen on ${host}, port ${port}: ${reason}.`, { cause: error })
}

/** "127.0.0.1:8080", "[::1]:8080", ":8080" or "8080"; undefined when malformed. */
export function parseListen(text: string): { readonly host: string; readonly port: number } | undefined {
  const port = /^:?(\d{1,5})$/.exec(text)?.[1]
  if (port !== undefined) return Number(port) <= 65_535 ? { host: '::', port: Number(port) } : undefined
  const parts = splitEndpoint(text)
  return parts && { host: parts.address, port: parts.port }
}
