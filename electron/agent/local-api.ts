// The agent's socket: HTTP over a Unix socket (who may open it is the file's owner). Five things live on it:
//   POST /peerway/v0/call     {"name": "agent.up", "arg": {…}} → Reply
//   GET  /peerway/v0/watch    one JSON line per snapshot or event, the present snapshot first
//   GET  /localapi/v0/status  the status document of this field, for scripts and a stock CLI
//   …    /localapi/v0/profiles/ the networks of this machine, to list, switch and remove with a stock CLI
//   GET  /localapi/v0/derpmap where a stock CLI's `netcheck` finds the DERP servers to ask

import { lstat, unlink } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { dirname } from 'node:path'
import { CodedError, codeOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { listenPrivately, whyNobodyListens } from '../base/unix-socket.ts'
import { type AgentHandlers, agentCalls, answer } from '../contract/calls.ts'
import type { AgentEvent, AgentSnapshot } from '../contract/snapshot.ts'
import { ensurePrivateFolder } from '../os/host.ts'
import { derpMap, type DerpMapInput } from '../wire/tailcfg/derp-map.ts'
import { encodeMessage } from '../wire/tailcfg/schema.ts'
import { answerProfiles } from './local-profiles.ts'
import { statusJson } from './status-json.ts'

const MOST_BODY_BYTES = 64 * 1024
const MOST_WATCHERS = 64
/** A watcher that does not read is cut once this much waits for it; it comes back and starts from the present snapshot. */
const MOST_WAITING_BYTES = 4 * 1024 * 1024

export interface LocalApiSource {
  /** Without regions while no network map has come. */
  derpMap(): DerpMapInput
  readonly handlers: AgentHandlers
  snapshot(): AgentSnapshot
  onSnapshot(listener: (snapshot: AgentSnapshot) => void): () => void
  onEvent(listener: (event: AgentEvent) => void): () => void
}

export class LocalApi {
  readonly #server: Server
  readonly #path: string
  readonly #watchers = new Set<ServerResponse>()

  private constructor(server: Server, path: string) {
    this.#server = server
    this.#path = path
  }

  /** Throws 'agent/already-running' when another agent answers at `path`: to be asked before anything is opened. */
  static async assertFree(path: string): Promise<void> {
    await removeDeadSocket(path)
  }

  /** Throws 'agent/already-running' or 'agent/no-socket'. */
  static async listen(path: string, source: LocalApiSource, log: Logger): Promise<LocalApi> {
    ensurePrivateFolder(dirname(path))
    await removeDeadSocket(path)
    const server = createServer()
    const api = new LocalApi(server, path)
    server.on('request', (request, response) => {
      api.#handle(source, request, response).catch((error: unknown) => {
        log.warn('local API request failed', { url: request.url, error })
        if (!response.headersSent)
          sendJson(response, 500, { ok: false, code: 'internal/failed', message: 'The agent failed to answer.' })
        else response.destroy()
      })
    })
    try {
      await listenPrivately(server, path)
    } catch (error) {
      throw noSocket(path, codeOf(error) ?? 'error', error)
    }
    return api
  }

  async #handle(source: LocalApiSource, request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A browser page could reach a forwarded socket; nothing of ours sends an Origin.
    if (request.headers.origin !== undefined) {
      sendJson(response, 403, { ok: false, code: 'agent/forbidden', message: 'Requests from web pages are refused.' })
      return
    }
    const path = request.url?.split('?')[0] ?? '/'
    if (request.method === 'GET' && path === '/localapi/v0/status') {
      sendJson(response, 200, statusJson(source.snapshot(), await source.handlers['agent.traffic']()))
    } else if (request.method === 'GET' && path === '/localapi/v0/derpmap') {
      response.writeHead(200, { 'Content-Type': 'application/json' }).end(encodeMessage(derpMap, source.derpMap()))
    } else if (request.method === 'GET' && path === '/peerway/v0/watch') {
      this.#watch(source, response)
    } else if (request.method === 'POST' && path === '/peerway/v0/call') {
      const body = await readBody(request)
      if (body === undefined) {
        sendJson(response, 413, { ok: false, code: 'agent/too-large', message: 'The request is too large.' })
        return
      }
      const { name, arg } = parseCall(body)
      sendJson(response, 200, await answer(agentCalls, source.handlers, name, arg))
    } else {
      const { profiles = [] } = source.snapshot()
      const told = await answerProfiles(request.method ?? '', path, profiles, source.handlers)
      if (told?.status === 204) {
        response.writeHead(204).end()
        return
      }
      if (told) {
        sendJson(response, told.status, told.body)
        return
      }
      sendJson(response, 404, {
        ok: false,
        code: 'agent/unknown-path',
        message: `The agent does not answer ${request.method ?? ''} ${path.slice(0, 100)}.`,
      })
    }
  }

  #watch(source: LocalApiSource, response: ServerResponse): void {
    if (this.#watchers.size >= MOST_WATCHERS) {
      sendJson(response, 503, {
        ok: false,
        code: 'agent/too-many-watchers',
        message: 'Too many programs watch this agent.',
      })
      return
    }
    this.#watchers.add(response)
    response.writeHead(200, { 'Content-Type': 'application/x-ndjson' })
    const send = (line: unknown): void => {
      if (response.writableLength > MOST_WAITING_BYTES) response.destroy()
      else response.write(`${JSON.stringify(line)}\n`)
    }
    const stop = [source.onSnapshot((snapshot) => send({ snapshot })), source.onEvent((event) => send({ event }))]
    send({ snapshot: source.snapshot() })
    response.on('close', () => {
      this.#watchers.delete(response)
      for (const end of stop) end()
    })
  }

  async close(): Promise<void> {
    for (const watcher of this.#watchers) watcher.end()
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#server.closeIdleConnections()
    setTimeout(() => this.#server.closeAllConnections(), 500).unref()
    await closed
    await unlink(this.#path).catch(() => {})
  }
}

/** Removes a socket file that nobody listens on any more (after a crash); throws when someone does, or when it is no socket. */
async function removeDeadSocket(path: string): Promise<void> {
  const reason = await whyNobodyListens(path)
  if (reason === undefined)
    throw new CodedError(
      'agent/already-running',
      `Another agent answers on ${path}. Use it, stop it, or choose another --socket.`,
    )
  if (reason === 'ENOENT') return
  try {
    // Nobody listens on a file of another kind either, and that file is somebody's.
    if (reason === 'ECONNREFUSED' && (await lstat(path)).isSocket()) return await unlink(path)
  } catch (error) {
    throw noSocket(path, codeOf(error) ?? 'error', error)
  }
  throw noSocket(path, reason === 'ECONNREFUSED' ? 'it is a file of another kind' : reason)
}

const noSocket = (path: string, why: string, cause?: unknown): CodedError =>
  new CodedError(
    'agent/no-socket',
    `The agent cannot open its socket ${path} (${why}). Choose another place with --socket.`,
    { cause },
  )

async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const parts: Buffer[] = []
  let length = 0
  for await (const part of request) {
    const bytes = part as Buffer
    length += bytes.length
    if (length > MOST_BODY_BYTES) return undefined
    parts.push(bytes)
  }
  return Buffer.concat(parts).toString('utf8')
}

function parseCall(body: string): { name: string; arg: unknown } {
  try {
    const value: unknown = JSON.parse(body)
    if (typeof value === 'object' && value !== null && 'name' in value && typeof value.name === 'string')
      return { name: value.name, arg: 'arg' in value ? value.arg : undefined }
  } catch {
    // Answered below like any other unknown call.
  }
  return { name: '', arg: undefined }
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'Content-Type': 'application/json' })
  response.end(`${JSON.stringify(value)}\n`)
}
