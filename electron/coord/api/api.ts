// The HTTP API of the server: /api/v1. What is asked is looked up in the table of operations, and answered by the same
// administration as the command line's.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../../base/clock.ts'
import { fromUtf8 } from '../../base/bytes.ts'
import type { Logger } from '../../base/log.ts'
import { BadArgument, shape } from '../../contract/check.ts'
import { type Admin } from '../admin/admin.ts'
import { adminCalls, isAdminCall, type AdminCall } from '../admin/admin-calls.ts'
import type { ServerAdmin } from '../admin/server-admin.ts'
import { readBody } from '../http/body.ts'
import { clientAddressOf } from '../http/client-address.ts'
import { RateLimiter, sourceOf } from '../http/rate-limiter.ts'
import type { MachinePublic } from '../../crypto/keys.ts'
import type { Restores } from '../backup/restores.ts'
import type { Role } from '../model.ts'
import { TryLimit } from '../identity/try-limit.ts'
import type { ServerRegistry } from '../server-registry.ts'
import { ApiError, failureOf } from './api-error.ts'
import { ApiTokens } from './api-tokens.ts'
import { BackupDownloads } from './backup-download.ts'
import { type ApiCaller, Callers } from './caller.ts'
import { ChangeStreams } from './change-streams.ts'
import { type Fields, maybe, text } from './fields.ts'
import { API_PREFIX, openApiDocument } from './open-api.ts'
import { OPERATIONS, type Operation, writes } from './operations.ts'
import { checkOwners } from './owners.ts'
import { RestoreCalls } from './restore-calls.ts'
import { allows } from './scopes.ts'

/** A policy, and room for its escapes. */
const BODY_BYTES = 1024 * 1024
const LIMIT = { perSecond: 20, burst: 300 }
/** Requests without a good token or session; each may be a guess. */
const REFUSED_LIMIT = { perSecond: 0.5, burst: 30 }

export interface ApiOptions {
  readonly registry: ServerRegistry
  readonly admin: ServerAdmin
  readonly restores: Restores
  readonly serverKey: MachinePublic
  readonly publicUrl: string
  readonly clock: Clock
  readonly log: Logger
}

interface Route {
  readonly operation: Operation
  readonly pattern: RegExp
  readonly names: readonly string[]
}

export class Api {
  readonly #options: ApiOptions
  readonly #callers: Callers
  readonly #routes: readonly Route[] = OPERATIONS.map(routeOf)
  readonly #limit: RateLimiter
  readonly #refusedLimit: TryLimit
  readonly #streams: ChangeStreams
  readonly #backups = new BackupDownloads()
  readonly #restores: RestoreCalls

  constructor(options: ApiOptions) {
    this.#options = options
    this.#callers = new Callers(options)
    this.#limit = new RateLimiter(options.clock, LIMIT)
    this.#refusedLimit = new TryLimit(options.registry, options.clock, 'api-refused', REFUSED_LIMIT)
    this.#streams = new ChangeStreams(options.clock)
    const { registry, restores, serverKey } = options
    const ownsAll = (caller: ApiCaller): boolean => this.#hasEverywhere(caller, ['owner'])
    this.#restores = new RestoreCalls({ registry, restores, serverKey, ownsAll })
  }

  /** False when it is not for the API. Never throws. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    // As it came: what a request names need not be a URL.
    const [path = '', query = ''] = (request.url ?? '').split(/\?(.*)/s)
    if (!path.startsWith(`${API_PREFIX}/`)) return false
    response.setHeader('cache-control', 'no-store')
    response.setHeader('x-content-type-options', 'nosniff')
    try {
      await this.#answer(request, response, path.slice(API_PREFIX.length), new URLSearchParams(query))
    } catch (error) {
      const failure = failureOf(error)
      if (!failure) this.#options.log.error('API request failed', { path, error })
      const { status, error: told } = failure ?? INTERNAL
      send(response, status, { error: told })
    }
    return true
  }

  close(): void {
    this.#streams.close()
  }

  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    query: URLSearchParams,
  ): Promise<void> {
    const source = sourceOf(clientAddressOf(request))
    if (!this.#limit.take(source)) throw tooMany()
    if (path === '/openapi.json' && request.method === 'GET')
      return send(response, 200, openApiDocument(this.#options.publicUrl))
    const restored = /^\/restore\/([A-Za-z0-9_-]{22})$/.exec(path)?.[1]
    if (restored !== undefined && request.method === 'GET') return send(response, 200, this.#restores.outcome(restored))
    // What was asked a moment ago may have been answered by another server.
    await this.#options.registry.current()
    const route = this.#find(request.method, path)
    const caller = await this.#caller(request, source, route ? writes(route.operation) : request.method !== 'GET')
    if (path === '/me' && request.method === 'GET') return send(response, 200, this.#me(caller))
    if (path === '/events' && request.method === 'GET') return this.#stream(caller, response)
    if (path === '/backup' && request.method === 'POST') return this.#backUp(request, response, caller)
    if (path === '/restore/upload' && request.method === 'POST')
      return send(response, 200, await this.#restores.take(request, caller))
    if (path === '/restore' && request.method === 'POST') return this.#restore(request, response, caller)
    if (!route) {
      const isKnown = this.#routes.some(({ pattern }) => pattern.test(path))
      throw new ApiError(
        isKnown ? 405 : 404,
        'api/no-such-thing',
        `There is no ${request.method ?? ''} ${path.slice(0, 200)}.`,
      )
    }
    const { operation } = route
    if (!allows(caller.scopes, operation.area, writes(operation)))
      throw new ApiError(
        403,
        'api/not-allowed',
        `This takes the right "${operation.area}${writes(operation) ? '' : ':read'}".`,
      )
    // A token cannot do what its maker may not do any more.
    const roleAllows =
      caller.role === 'owner' || caller.role === 'admin' || (caller.role === 'auditor' && !writes(operation))
    if (!roleAllows) throw new ApiError(403, 'api/not-allowed', `A ${caller.role} may not do this.`)
    const args = {
      ...pathArguments(route, path),
      ...checked(operation.query, Object.fromEntries(query)),
      ...checked(operation.body, await jsonBody(request, Object.keys(operation.body).length > 0)),
    }
    const value = await this.#run(operation, caller, args)
    if (operation.answer === 'nothing') {
      response.writeHead(204).end()
      return
    }
    send(response, 200, value)
  }

  async #caller(request: IncomingMessage, source: string, isWrite: boolean): Promise<ApiCaller> {
    try {
      return await this.#callers.of(request, source, isWrite)
    } catch (error) {
      if (error instanceof ApiError && error.status === 401 && !(await this.#refusedLimit.take(source))) throw tooMany()
      throw error
    }
  }

  #find(method: string | undefined, path: string): Route | undefined {
    return this.#routes.find(({ operation, pattern }) => operation.method === method && pattern.test(path))
  }

  async #run(operation: Operation, caller: ApiCaller, args: Readonly<Record<string, unknown>>): Promise<unknown> {
    const { admin: server, clock } = this.#options
    const admin: Admin = server.as(caller.registry, caller.actor)
    const { call } = operation
    if (isAdminCall(call)) {
      // Whoever waits to be let in is in no tailnet yet. Who shows the id has it from the machine's own page; but to look
      // at all that wait is for who runs every tailnet there is.
      if (call === 'logins.list' && !this.#runsAll(caller)) return []
      await checkOwners(admin, caller, call, args)
      return (adminCalls[call] as AdminCall)(admin, args, server)
    }
    const tokens = new ApiTokens(caller.registry, clock)
    switch (call) {
      case 'own-tokens.list':
        return tokens.list()
      case 'own-tokens.create':
        return tokens.create(args as Parameters<ApiTokens['create']>[0], caller, caller.actor)
      case 'own-tokens.revoke':
        return tokens.revoke(String(args['id']), caller.actor)
    }
  }

  async #backUp(request: IncomingMessage, response: ServerResponse, caller: ApiCaller): Promise<void> {
    const isOwner = this.#hasEverywhere(caller, ['owner']) && caller.scopes.includes('all')
    if (!isOwner || caller.userId === undefined)
      throw new ApiError(403, 'api/not-allowed', 'Only who owns every network of this server may take it along.')
    const { passphrase } = checked(
      { passphrase: maybe(text('Seals the server’s key into it.')) },
      await jsonBody(request, true),
    )
    const wish = {
      passphrase: typeof passphrase === 'string' ? passphrase : undefined,
      nowMs: this.#options.clock.wallNow(),
    }
    await this.#backups.send(this.#options.admin, response, wish, async ({ rows, hasKey }) => {
      const detail = `${rows} rows, ${hasKey ? 'with' : 'without'} the server’s key`
      await caller.registry.transaction((tx) => tx.audit(caller.actor, 'server.backup', 'server', detail))
    })
  }

  async #restore(request: IncomingMessage, response: ServerResponse, caller: ApiCaller): Promise<void> {
    const fields = { upload: text('Names the uploaded file.'), passphrase: maybe(text('Opens the key in the backup.')) }
    const { upload, passphrase } = checked(fields, await jsonBody(request, true))
    const wish = { upload: String(upload), passphrase: typeof passphrase === 'string' ? passphrase : undefined }
    await this.#restores.begin(wish, response, caller)
  }

  #runsAll(caller: ApiCaller): boolean {
    return [...this.#options.registry.tailnets()].length <= 1 || this.#hasEverywhere(caller, ['owner', 'admin'])
  }

  #hasEverywhere({ userId }: ApiCaller, roles: readonly Role[]): boolean {
    if (userId === undefined) return false
    return [...this.#options.registry.tailnets()].every((tailnet) => {
      const role = tailnet.user(userId)?.role
      return role !== undefined && roles.includes(role)
    })
  }

  #me({ registry, role, scopes, userId }: ApiCaller): unknown {
    const user = userId === undefined ? undefined : registry.user(userId)?.name
    const all = userId === undefined ? [registry] : this.#options.registry.tailnetsOf(userId)
    return {
      ...(user !== undefined && { user }),
      role,
      tailnet: registry.tailnet.name,
      tailnets: all.map(({ tailnet }) => tailnet.name),
      scopes,
    }
  }

  #stream(caller: ApiCaller, response: ServerResponse): void {
    if (caller.role === 'member' || !allows(caller.scopes, 'nodes', false))
      throw new ApiError(403, 'api/not-allowed', 'This takes the right "nodes:read".')
    if (!this.#streams.begin(caller, response)) throw tooMany()
  }
}

const INTERNAL = { status: 500, error: { code: 'api/internal', message: 'The server failed; see its log.' } }

const tooMany = (): ApiError =>
  new ApiError(429, 'api/too-many-requests', 'Too many requests. Wait a little, then try again.')

function routeOf(operation: Operation): Route {
  const names: string[] = []
  const pattern = operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    names.push(name)
    return '([^/]{1,1024})'
  })
  return { operation, pattern: new RegExp(`^${pattern}$`), names }
}

function pathArguments({ operation, pattern, names }: Route, path: string): Record<string, unknown> {
  const values = pattern.exec(path)?.slice(1) ?? []
  const raw = Object.fromEntries(names.map((name, i) => [name, decoded(values[i] ?? '')]))
  return checked(operation.path_, raw)
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new BadArgument('The path is not encoded as a URL.')
  }
}

/** Only what was given: what is left out stays as it is. */
function checked(fields: Fields, raw: unknown): Record<string, unknown> {
  const members = Object.fromEntries(Object.entries(fields).map(([name, { check }]) => [name, check]))
  const values = shape(members)(raw)
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}

async function jsonBody(request: IncomingMessage, isWanted: boolean): Promise<unknown> {
  if (!isWanted) return {}
  if (!/^application\/json(;|$)/i.test(request.headers['content-type'] ?? ''))
    throw new ApiError(415, 'api/bad-request', 'The body is JSON: Content-Type: application/json.')
  const body = await readBody(request, BODY_BYTES)
  if (body.kind === 'too-long') throw new ApiError(413, 'api/too-long', `A body has at most ${BODY_BYTES} bytes.`)
  if (body.kind !== 'whole') throw new ApiError(400, 'api/bad-request', 'The body did not arrive whole.')
  try {
    return JSON.parse(fromUtf8(body.bytes)) as unknown
  } catch {
    throw new ApiError(400, 'api/bad-request', 'The body is not JSON.')
  }
}

function send(response: ServerResponse, status: number, value: unknown): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  const bytes = Buffer.from(JSON.stringify(value ?? null))
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': bytes.length,
    // What is left of a body that nobody reads ends with the connection.
    ...(status >= 400 && { connection: 'close' }),
  })
  response.end(bytes)
}
