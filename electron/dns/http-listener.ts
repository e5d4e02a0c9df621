// Answers queries of other nodes by HTTP (RFC 8484), at this node's own addresses in the tunnel (control.md §10.1).

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { canonicalIp, type IpAddress, joinEndpoint } from '../base/endpoint.ts'
import { CodedError, messageOf } from '../base/errors.ts'
import { DNS_MESSAGE } from './over-http.ts'

const PATH = '/dns-query'
const MOST_CONNECTIONS = 256
const MOST_QUERY_BYTES = 4_096
const QUERY_WITHIN_MS = 5_000
const IDLE_MS = 30_000

export interface HttpListenerOptions {
  /** Undefined for what deserves no answer. Never rejects. */
  readonly answer: (message: Uint8Array) => Promise<Uint8Array | undefined>
  /** Whether the node with that address is answered at all, and now. */
  readonly judge: (address: IpAddress) => 'answer' | 'refuse' | 'later'
}

export class HttpListener {
  readonly port: number
  readonly addresses: readonly string[]
  readonly #servers: readonly Server[]

  private constructor(servers: readonly Server[], addresses: readonly string[], port: number) {
    this.#servers = servers
    this.addresses = addresses
    this.port = port
  }

  /** At the first of the ports that is free at all addresses. Throws 'dns/no-address' when none is. */
  static async open(
    options: HttpListenerOptions,
    addresses: readonly string[],
    ports: readonly number[],
  ): Promise<HttpListener> {
    let trouble: unknown
    for (const port of ports) {
      const servers: Server[] = []
      try {
        for (const address of addresses) {
          const server = serverOf(options, () => addresses.map((own) => joinEndpoint(own, port)))
          servers.push(server)
          await new Promise<void>((resolve, reject) => {
            server.once('error', reject)
            server.listen(port, address, resolve)
          })
          server.on('error', () => {})
        }
        return new HttpListener(servers, addresses, port)
      } catch (error) {
        trouble = error
        for (const server of servers) server.close()
      }
    }
    throw new CodedError('dns/no-address', `Queries of other machines cannot be answered: ${messageOf(trouble)}`, {
      cause: trouble,
    })
  }

  close(): void {
    for (const server of this.#servers) {
      server.close()
      server.closeAllConnections()
    }
  }
}

function serverOf({ answer, judge }: HttpListenerOptions, hosts: () => readonly string[]): Server {
  const options = { headersTimeout: QUERY_WITHIN_MS, requestTimeout: QUERY_WITHIN_MS, keepAliveTimeout: IDLE_MS }
  const server = createServer({ ...options, maxHeaderSize: 8_192 }, (request, response) => {
    const end = (status: number, text: string): void => {
      response.writeHead(status, { 'content-type': 'text/plain' }).end(`${text}\n`)
      request.resume()
    }
    const { host = '', origin, referer } = request.headers
    // A page in a browser over there must not ask on its own, by whatever name it calls us.
    if (origin !== undefined || referer !== undefined || !(host === 'peer' || hosts().includes(host)))
      return end(403, 'no')
    const from = canonicalIp(request.socket.remoteAddress ?? '')
    const verdict = from === undefined ? 'refuse' : judge(from)
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://peer')
    if (pathname === '/') return end(200, 'Peerway')
    if (pathname !== PATH) return end(404, 'not here')
    if (verdict === 'refuse') return end(403, 'this node looks up no names for yours')
    if (verdict === 'later') return end(429, 'too many queries')
    void messageFrom(request, searchParams).then(async (message) => {
      if (!message) return end(400, 'no DNS message')
      const answered = await answer(message)
      if (answered) reply(response, answered)
      else end(400, 'no query')
    })
  })
  server.maxConnections = MOST_CONNECTIONS
  server.setTimeout(IDLE_MS)
  return server
}

const reply = (response: ServerResponse, message: Uint8Array): void =>
  void response.writeHead(200, { 'content-type': DNS_MESSAGE, 'content-length': message.length }).end(message)

async function messageFrom(request: IncomingMessage, query: URLSearchParams): Promise<Uint8Array | undefined> {
  if (request.method === 'GET') {
    const text = query.get('dns') ?? ''
    request.resume()
    return text === '' || text.length > MOST_QUERY_BYTES ? undefined : Buffer.from(text, 'base64url')
  }
  if (request.method !== 'POST' || request.headers['content-type'] !== DNS_MESSAGE) return undefined
  const chunks: Uint8Array[] = []
  let bytes = 0
  try {
    for await (const chunk of request) {
      if (!(chunk instanceof Uint8Array)) return undefined
      bytes += chunk.length
      if (bytes > MOST_QUERY_BYTES) return undefined
      chunks.push(chunk)
    }
  } catch {
    return undefined
  }
  return Buffer.concat(chunks)
}
