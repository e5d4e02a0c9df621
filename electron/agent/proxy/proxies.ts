// Proxies for programs that are to reach the network by name or address where the system's own settings are not for them:
// SOCKS5 and HTTP. Connections leave by the tunnel, as those of any program do.

import { lookup } from 'node:dns/promises'
import { createServer as createHttpServer, request as httpRequest } from 'node:http'
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { CodedError, codeOf, isCoded, messageOf } from '../../base/errors.ts'
import { joinEndpoint, splitEndpoint } from '../../base/endpoint.ts'
import type { Logger } from '../../base/log.ts'
import type { AgentSnapshot } from '../../contract/snapshot.ts'
import { addressFor, type Resolve } from './reach.ts'
import { METHOD_NONE, readGreeting, readRequest, SOCKS_REPLY, socksReply, type Step } from './socks5.ts'

const MOST_CONNECTIONS = 512
const ASK_WITHIN_MS = 10_000
const CONNECT_WITHIN_MS = 15_000
const MOST_HEAD_BYTES = 1_024
/** Between the two ends of one connection (RFC 9110 §7.6.1). */
const HOP_BY_HOP = ['connection', 'proxy-connection', 'proxy-authorization', 'keep-alive', 'te', 'trailer', 'upgrade']

export interface ProxyOptions {
  readonly log: Logger
  readonly snapshot: () => AgentSnapshot
  readonly resolve?: Resolve
}

/** Where a proxy answers, until it is closed. */
export interface Proxy {
  readonly address: string
  close(): void
}

const systemResolve: Resolve = async (name) => (await lookup(name, { all: true })).map(({ address }) => address)

/** Throws 'proxy/bad-address' or 'proxy/cannot-listen'. */
export async function startSocks5(at: string, options: ProxyOptions): Promise<Proxy> {
  return listen(
    at,
    createServer((client) => {
      serveSocks(client, options).catch((error: unknown) => {
        options.log.debug('a proxied connection failed', { error: messageOf(error) })
        client.destroy()
      })
    }),
  )
}

/** CONNECT for any protocol, and whole addresses of http. Throws as `startSocks5`. */
export async function startHttpProxy(at: string, options: ProxyOptions): Promise<Proxy> {
  const server = createHttpServer({ headersTimeout: ASK_WITHIN_MS }, (asked, answer) => {
    const fail = (status: number, text: string): void => void answer.writeHead(status).end(`${text}\n`)
    const url = URL.canParse(asked.url ?? '') ? new URL(asked.url ?? '') : undefined
    if (url?.protocol !== 'http:') return fail(400, 'This is a proxy of Peerway: give it a whole address of http.')
    const headers = Object.fromEntries(Object.entries(asked.headers).filter(([name]) => !HOP_BY_HOP.includes(name)))
    reach(url.hostname, options)
      .then((host) => {
        const port = Number(url.port || 80)
        const path = `${url.pathname}${url.search}`
        const there = httpRequest({ host, port, path, method: asked.method, headers, setHost: false }, (said) => {
          answer.writeHead(said.statusCode ?? 502, said.headers)
          said.pipe(answer)
        })
        there.setTimeout(CONNECT_WITHIN_MS, () => there.destroy(new Error('no answer')))
        there.on('error', (error) => (answer.headersSent ? answer.destroy() : fail(502, error.message)))
        answer.on('close', () => there.destroy())
        asked.pipe(there)
      })
      .catch((error: unknown) => fail(isCoded(error) ? 403 : 502, messageOf(error)))
  })
  server.on('connect', (asked, client: Duplex, head: Uint8Array) => {
    client.on('error', () => {})
    const [, host = '', port = ''] = /^(.*):(\d{1,5})$/.exec(asked.url ?? '') ?? []
    dial(host, Number(port), options)
      .then((there) => {
        client.write('HTTP/1.1 200 Connected\r\n\r\n')
        if (head.length > 0) there.write(head)
        join(client, there)
      })
      .catch((error: unknown) => {
        const status = isCoded(error) ? '403 Forbidden' : '502 Bad Gateway'
        client.end(`HTTP/1.1 ${status}\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n${messageOf(error)}\n`)
      })
  })
  return listen(at, server)
}

async function listen(at: string, server: Server): Promise<Proxy> {
  const place = splitEndpoint(at.replace(/^localhost:|^:/, '127.0.0.1:'))
  if (!place) throw new CodedError('proxy/bad-address', `"${at}" is no place to listen at, such as 127.0.0.1:1080.`)
  const open = new Set<Socket>()
  server.maxConnections = MOST_CONNECTIONS
  server.on('connection', (client: Socket) => {
    open.add(client)
    client.on('error', () => {})
    client.on('close', () => open.delete(client))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(new CodedError('proxy/cannot-listen', `No proxy can listen at ${at}: ${messageOf(error)}`)),
    )
    server.listen(place.port, place.address, resolve)
  })
  server.on('error', () => {})
  const bound = server.address()
  const port = typeof bound === 'object' && bound ? bound.port : place.port
  return {
    address: joinEndpoint(place.address, port),
    close: () => {
      server.close()
      for (const client of open) client.destroy()
    },
  }
}

async function serveSocks(client: Socket, options: ProxyOptions): Promise<void> {
  const cancel = setTimeout(() => client.destroy(), ASK_WITHIN_MS)
  try {
    let input = (await take(client, Buffer.alloc(0), readGreeting)).rest
    client.write(METHOD_NONE)
    const { value, rest } = await take(client, input, readRequest)
    input = rest
    try {
      const there = await dial(value.host, value.port, options)
      client.write(socksReply(SOCKS_REPLY.done))
      if (input.length > 0) there.write(input)
      join(client, there)
    } catch (error) {
      client.end(socksReply(replyFor(error)))
      options.log.debug('a proxied connection failed', { error: messageOf(error) })
    }
  } finally {
    clearTimeout(cancel)
  }
}

async function take<T>(
  client: Socket,
  before: Buffer,
  read: (input: Uint8Array) => Step<T>,
): Promise<{ readonly value: T; readonly rest: Buffer }> {
  let input = before
  for (;;) {
    const step = read(input)
    if (step.kind === 'done') return { value: step.value, rest: input.subarray(step.bytes) }
    if (step.kind === 'bad' || input.length > MOST_HEAD_BYTES) {
      if (step.kind === 'bad' && step.reply) client.end(step.reply)
      throw new CodedError('proxy/bad-request', 'A client of the proxy does not speak SOCKS5.')
    }
    input = Buffer.concat([input, await nextChunk(client)])
  }
}

const nextChunk = (client: Socket): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const onData = (chunk: Buffer): void => {
      client.pause()
      client.off('close', onClose)
      resolve(chunk)
    }
    const onClose = (): void => {
      client.off('data', onData)
      reject(new CodedError('proxy/bad-request', 'A client of the proxy went away.'))
    }
    client.once('data', onData)
    client.once('close', onClose)
    client.resume()
  })

function replyFor(error: unknown): number {
  if (isCoded(error, 'proxy/no-name')) return SOCKS_REPLY.unreachable
  if (isCoded(error)) return SOCKS_REPLY.forbidden
  return codeOf(error) === 'ECONNREFUSED' ? SOCKS_REPLY.refused : SOCKS_REPLY.failed
}

const reach = (host: string, { snapshot, resolve = systemResolve }: ProxyOptions): Promise<string> =>
  addressFor(host, snapshot(), resolve)

async function dial(host: string, port: number, options: ProxyOptions): Promise<Socket> {
  if (host === '' || port < 1 || port > 65_535) throw new CodedError('proxy/bad-request', 'That is no place to go to.')
  const address = await reach(host, options)
  return new Promise((resolve, reject) => {
    const there = connect({ host: address, port })
    const late = setTimeout(() => there.destroy(new Error('no answer')), CONNECT_WITHIN_MS)
    there.once('error', reject)
    there.once('close', () => clearTimeout(late))
    there.once('connect', () => {
      clearTimeout(late)
      resolve(there)
    })
  })
}

/** An end that breaks breaks the other; one that has said everything only ends it, so that what is under way arrives. */
function join(client: Duplex, there: Socket): void {
  client.on('error', () => there.destroy())
  there.on('error', () => client.destroy())
  client.on('close', () => {
    if (!client.readableEnded) there.destroy()
  })
  there.on('close', () => {
    if (!there.readableEnded) client.destroy()
  })
  client.pipe(there)
  there.pipe(client)
}
