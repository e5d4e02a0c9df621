// Administrative calls to a running server: HTTP over a Unix socket (a named pipe on Windows) that only the account of the
// server can open. Never over TCP, where a web page could reach it.
//
//   POST /call/<name>, JSON object of arguments → { "ok": true, "value": … } | { "ok": false, "code": …, "message": … }

import { createHash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { join, resolve } from 'node:path'
import { fromUtf8 } from '../../base/bytes.ts'
import { codeOf, isCoded, messageOf, CodedError } from '../../base/errors.ts'
import type { Logger } from '../../base/log.ts'
import { listenPrivately } from '../../base/unix-socket.ts'
import { CoordError } from '../errors.ts'
import { readBody } from '../http/body.ts'
import {
  isAdminCall,
  runAdminCall,
  type AdminCallName,
  type AdminCallResult,
  type CallArguments,
} from './admin-calls.ts'
import type { ServerAdmin } from './server-admin.ts'

const MOST_BODY_BYTES = 1024 * 1024
/** sun_path, less the final zero; macOS has the smallest. */
const MOST_PATH_BYTES = 103

export function adminSocketPath(stateFolder: string): string {
  const folder = resolve(stateFolder)
  if (process.platform !== 'win32') return join(folder, 'admin.sock')
  return `\\\\.\\pipe\\peerway-coord-${createHash('sha256').update(folder).digest('hex').slice(0, 32)}`
}

export interface AdminSocket {
  close(): Promise<void>
}

/** Call only while holding the state folder: what is left of an earlier server's socket is removed. */
export async function listenAdmin(stateFolder: string, admin: ServerAdmin, log: Logger): Promise<AdminSocket> {
  const path = adminSocketPath(stateFolder)
  if (process.platform !== 'win32') {
    if (Buffer.byteLength(path) > MOST_PATH_BYTES)
      throw new CoordError(
        'coord/state-unusable',
        `The path ${path} is too long for a socket; choose a shorter --state.`,
      )
    await rm(path, { force: true })
  }
  const server = createServer({ headersTimeout: 5_000, requestTimeout: 30_000 }, (incoming, response) => {
    answer(admin, incoming, response, log).catch((error: unknown) => {
      log.error('admin call failed', { error })
      response.destroy()
    })
  })
  await bind(server, path)
  return {
    async close() {
      const closed = new Promise((done) => server.close(done))
      server.closeAllConnections()
      await closed
    },
  }
}

async function bind(server: Server, path: string): Promise<void> {
  try {
    await listenPrivately(server, path)
  } catch (error) {
    throw new CoordError('coord/state-unusable', `The admin socket ${path} cannot be made: ${messageOf(error)}.`, {
      cause: error,
    })
  }
}

async function answer(
  admin: ServerAdmin,
  incoming: IncomingMessage,
  response: ServerResponse,
  log: Logger,
): Promise<void> {
  const name = /^\/call\/([a-z.-]+)$/.exec(incoming.url ?? '')?.[1] ?? ''
  const body = await readBody(incoming, MOST_BODY_BYTES)
  if (incoming.method !== 'POST' || !isAdminCall(name) || body.kind !== 'whole')
    return send(response, { ok: false, code: 'coord/bad-argument', message: `The server does not know "${name}".` })
  try {
    send(response, { ok: true, value: (await runAdminCall(admin, name, parse(body.bytes))) ?? null })
  } catch (error) {
    if (!isCoded(error)) log.error('admin call failed', { name, error })
    const code = isCoded(error) ? error.code : 'coord/internal'
    send(response, { ok: false, code, message: isCoded(error) ? error.message : 'The server failed; see its log.' })
  }
}

function parse(bytes: Uint8Array): CallArguments {
  let value: unknown
  try {
    value = JSON.parse(fromUtf8(bytes))
  } catch (error) {
    throw new CoordError('coord/bad-argument', 'The arguments are no JSON.', { cause: error })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new CoordError('coord/bad-argument', 'The arguments are no object.')
  return { ...value }
}

function send(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' })
  response.end(JSON.stringify(value))
}

/** Undefined when no server runs on this state folder. Throws the CodedError the server answered with. */
export async function callAdmin<N extends AdminCallName>(
  stateFolder: string,
  name: N,
  args: CallArguments,
  timeoutMs: number,
): Promise<{ readonly value: AdminCallResult<N> } | undefined> {
  let reply: unknown
  try {
    reply = JSON.parse(await post(adminSocketPath(stateFolder), `/call/${name}`, JSON.stringify(args), timeoutMs))
  } catch (error) {
    if (['ENOENT', 'ECONNREFUSED', 'ENOTDIR'].includes(codeOf(error) ?? '')) return undefined
    if (codeOf(error) === 'EACCES')
      throw new CoordError(
        'coord/state-unusable',
        'A server runs there, under another account. Use that account (sudo).',
        {
          cause: error,
        },
      )
    throw new CoordError('coord/unreachable', `The running server did not answer: ${messageOf(error)}.`, {
      cause: error,
    })
  }
  const { ok, value, code, message } = reply as Partial<Record<'ok' | 'value' | 'code' | 'message', unknown>>
  if (ok === true) return { value: value as AdminCallResult<N> }
  throw new CodedError(typeof code === 'string' ? code : 'coord/unreachable', String(message))
}

function post(socketPath: string, path: string, body: string, timeoutMs: number): Promise<string> {
  return new Promise((done, fail) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    const signal = AbortSignal.timeout(Math.ceil(timeoutMs))
    // Its own connection: one kept from an earlier call may belong to a server that has ended.
    const options = { socketPath, path, method: 'POST', headers, signal, agent: false }
    const outgoing = request(options, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      response.on('end', () => done(text)).on('error', fail)
    })
    outgoing.on('error', fail)
    outgoing.end(body)
  })
}
