// Accounts of the server's own, on pages of its own: how people sign in and let machines in.
//
//   GET  /login/<id>          the page of a machine that waits
//   GET  /enrol/<token>       where a person sets how they sign in
//   GET  /account             one's own ways to sign in, and where one is signed in
//   GET  /login/oidc/<name>/callback  where a provider sends browsers back to
//   GET  /login/assets/…      scripts, styles, fonts
//   POST /login/api/<name>    what the pages ask: login-api.ts

import type { IncomingMessage, ServerResponse } from 'node:http'
import { fromUtf8 } from '../../base/bytes.ts'
import { isCoded } from '../../base/errors.ts'
import { BadArgument, type Check } from '../../contract/check.ts'
import { readBody } from '../http/body.ts'
import { clientAddressOf } from '../http/client-address.ts'
import { RateLimiter, sourceOf } from '../http/rate-limiter.ts'
import type { LoginContext, LoginProvider } from '../login/login-provider.ts'
import { Accounts } from './accounts.ts'
import { loadAssets, type Assets } from './assets.ts'
import { browserName } from './browser-name.ts'
import type { Caller, Parts } from './call-parts.ts'
import { Guard, readCookie, SECURITY_HEADERS, setCookie } from './guard.ts'
import { IdentityError, STATUS, tooManyTries } from './identity-error.ts'
import type { CallName, PageState, Reply } from './login-api.ts'
import { checkPlace, loginCalls, stageOf, type LoginCalls } from './login-calls.ts'
import { OwnAccount } from './own-account.ts'
import { sendDocument } from './page.ts'
import { Notices } from './notices.ts'
import { OidcSignIn } from './oidc/oidc-sign-in.ts'
import { Recoveries } from './recoveries.ts'
import { Sessions } from './sessions.ts'
import { siteOf, type ReachedSite } from './site.ts'
import { newToken } from './token.ts'
import { TryLimit } from './try-limit.ts'

/** A passkey's answer is some kilobytes. */
const BODY_BYTES = 32 * 1024
/** A person's page asks a few times in a minute. */
const CALL_LIMIT = { perSecond: 2, burst: 60 }
/** Tries to sign in or to set something up: each costs a hash or a signature. */
const TRY_LIMIT = { perSecond: 0.25, burst: 20 }
const LOGIN_PATH = /^\/login\/([A-Za-z0-9_-]{8,64})$/
const CALLBACK_PATH = /^\/login\/oidc\/[a-z0-9-]{1,32}\/callback$/
const ENROL_PATH = /^\/enrol\/([A-Za-z0-9_-]{8,64})$/

export async function identityLogin(context: LoginContext): Promise<LoginProvider> {
  const { registry, clock, publicUrl, log } = context
  const notices = new Notices(registry, clock, publicUrl, log)
  await notices.start()
  const pages = new LoginPages(context, new Recoveries(registry, clock, notices))
  return {
    handleHttp: (request, response) => pages.handle(request, response),
    close: async () => notices.close(),
  }
}

class LoginPages {
  readonly #context: LoginContext
  readonly #sessions: Sessions
  readonly #parts: Parts
  readonly #calls: LoginCalls
  readonly #guard = new Guard()
  readonly #callLimit: RateLimiter
  readonly #tryLimit: TryLimit
  #assets: Promise<Assets> | undefined

  constructor(context: LoginContext, recoveries: Recoveries) {
    this.#context = context
    this.#sessions = new Sessions(context.registry, context.clock)
    const accounts = new Accounts(context, this.#sessions)
    const own = new OwnAccount(context, accounts)
    const oidc = new OidcSignIn(context, accounts)
    this.#parts = { context, accounts, own, oidc, recoveries }
    this.#calls = loginCalls(this.#parts)
    this.#callLimit = new RateLimiter(context.clock, CALL_LIMIT)
    this.#tryLimit = new TryLimit(context.registry, context.clock, 'login-try', TRY_LIMIT)
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    const path = (request.url ?? '').split('?')[0] ?? ''
    const isRead = request.method === 'GET' || request.method === 'HEAD'
    const asset = /^\/login\/assets\/([A-Za-z0-9_./-]{1,120})$/.exec(path)?.[1]
    if (asset !== undefined && isRead) return this.#sendAsset(request, response, asset)
    const call = /^\/login\/api\/([a-z/-]{1,40})$/.exec(path)?.[1]
    if (call !== undefined && request.method === 'POST') {
      await this.#answer(request, response, call)
      return true
    }
    if (!isRead) return false
    const login = LOGIN_PATH.exec(path)?.[1]
    const isOther = path === '/account' || ENROL_PATH.test(path) || CALLBACK_PATH.test(path)
    if (login === undefined && !isOther) return false
    // Behind one address another server may have begun it.
    if (login !== undefined && !this.#context.pendingLogin(login)) await this.#context.registry.current()
    this.#sendPage(request, response, path, login)
    return true
  }

  #sendPage(request: IncomingMessage, response: ServerResponse, path: string, login: string | undefined): void {
    const { publicUrl } = this.#context
    if (!siteOf(request, publicUrl))
      return sendDocument(
        request,
        response,
        421,
        {
          title: 'Another address',
          lines: ['This page was opened by a name that is not this server’s own. Open it by its own address.'],
          link: { href: `${publicUrl}${path}`, text: publicUrl },
        },
        false,
      )
    const operator = login !== undefined && [
      'On the server, an operator can let the machine in with:',
      `peerway coord nodes approve --login ${login} --user NAME`,
    ]
    const lines = ['This page needs scripts. Allow them for this address, then load it again.', ...(operator || [])]
    const isOver = login !== undefined && !this.#context.pendingLogin(login)
    sendDocument(
      request,
      response,
      isOver ? 404 : 200,
      { title: path === '/account' ? 'Account' : 'Sign in', lines },
      true,
    )
  }

  async #sendAsset(request: IncomingMessage, response: ServerResponse, name: string): Promise<boolean> {
    this.#assets ??= loadAssets().catch((error: unknown) => {
      this.#assets = undefined
      throw error
    })
    const asset = (await this.#assets).get(name)
    if (!asset) return false
    const headers = { ...SECURITY_HEADERS, 'cache-control': 'no-cache', etag: asset.etag }
    if (request.headers['if-none-match'] === asset.etag) response.writeHead(304, headers).end()
    else {
      response.writeHead(200, { ...headers, 'content-type': asset.type, 'content-length': asset.bytes.length })
      response.end(request.method === 'HEAD' ? undefined : asset.bytes)
    }
    return true
  }

  async #answer(request: IncomingMessage, response: ServerResponse, name: string): Promise<void> {
    try {
      const site = siteOf(request, this.#context.publicUrl)
      if (!site) throw new IdentityError('login/wrong-host', 'This is not one of the server’s own addresses.')
      this.#guard.checkSource(request, site)
      const source = sourceOf(clientAddressOf(request))
      if (!this.#callLimit.take(source)) throw tooManyTries(5_000)
      // What this browser did a moment ago may have been answered by another server.
      await this.#context.registry.current()
      const value =
        name === 'state'
          ? await this.#state(request, response, site, source)
          : await this.#call(request, response, site, source, name)
      send(response, 200, { ok: true, value })
    } catch (error) {
      this.#sendFailure(response, error)
    }
  }

  async #state(
    request: IncomingMessage,
    response: ServerResponse,
    site: ReachedSite,
    source: string,
  ): Promise<PageState> {
    const place = checked(checkPlace, await bodyOf(request))
    let visitor = readCookie(request, site, 'visitor')
    if (visitor === undefined) setCookie(response, site, 'visitor', (visitor = newToken().text))
    const caller = this.#caller(request, response, site, visitorOf(request, visitor, source))
    return {
      token: this.#guard.tokenFor(visitor),
      host: site.hostname,
      noPasskeys: site.noPasskeys,
      isReadable: !site.isPrivate,
      providers: (await this.#parts.oidc.list()).map(({ name, label, leaveAtMs }) => ({
        name,
        label,
        isLeft: leaveAtMs !== undefined,
      })),
      stage: await stageOf(place, this.#parts, caller),
    }
  }

  async #call(
    request: IncomingMessage,
    response: ServerResponse,
    site: ReachedSite,
    source: string,
    name: string,
  ): Promise<unknown> {
    const visitor = this.#guard.checkToken(request, readCookie(request, site, 'visitor'))
    if (!isCall(name, this.#calls)) throw new IdentityError('login/bad-request', 'The server does not know this call.')
    if (TRIES.has(name) && !(await this.#tryLimit.take(source))) throw tooManyTries(10_000)
    const call: Check<(caller: Caller) => Promise<unknown>> = this.#calls[name]
    const ask = checked(call, await bodyOf(request))
    return ask(this.#caller(request, response, site, visitorOf(request, visitor, source)))
  }

  #caller(request: IncomingMessage, response: ServerResponse, site: ReachedSite, visitor: Caller['visitor']): Caller {
    const token = readCookie(request, site, 'session')
    return {
      visitor,
      site,
      session: () => this.#sessions.current(token),
      signIn: async (fresh) => {
        await this.#sessions.end(token)
        setCookie(response, site, 'session', fresh)
      },
      signOut: async () => {
        await this.#sessions.end(token)
        setCookie(response, site, 'session', '')
      },
    }
  }

  #sendFailure(response: ServerResponse, error: unknown): void {
    if (error instanceof IdentityError) {
      const { code, message, retryAfterMs } = error
      if (error.cause !== undefined) this.#context.log.debug('refused', { code, reason: error.cause })
      if (retryAfterMs !== undefined) response.setHeader('retry-after', Math.ceil(retryAfterMs / 1000))
      return send(response, STATUS[code], {
        ok: false,
        code,
        message,
        ...(retryAfterMs !== undefined && { retryAfterMs }),
      })
    }
    // Errors of the server's other parts say what is so in words for a person too.
    if (isCoded(error)) return send(response, 409, { ok: false, code: error.code, message: error.message })
    this.#context.log.error('login page failed', { error })
    send(response, 500, { ok: false, code: 'login/internal', message: 'The server failed. Its log says why.' })
  }
}

const visitorOf = (request: IncomingMessage, id: string, source: string): Caller['visitor'] => ({
  id,
  source,
  browser: browserName(request.headers['user-agent']),
})

const TRIES: ReadonlySet<CallName> = new Set<CallName>([
  'sign-in/password',
  'sign-in/recovery-code',
  'sign-in/begin',
  'sign-in/passkey',
  'oidc/begin',
  'oidc/finish',
  'first/password',
  'first/begin',
  'first/passkey',
  'enrol/password',
  'enrol/begin',
  'enrol/passkey',
  'account/prove/password',
  'account/prove/begin',
  'account/prove/passkey',
  'account/passkey/begin',
  'account/passkey/add',
  'account/password/set',
  'account/totp/begin',
  'account/totp/confirm',
  'account/oidc/remove',
  'account/recovery-codes/make',
  'account/invite',
  'account/recovery/start',
  'account/recovery/link',
])

const isCall = (name: string, calls: LoginCalls): name is keyof LoginCalls => Object.hasOwn(calls, name)

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const body = await readBody(request, BODY_BYTES)
  if (body.kind !== 'whole') throw new IdentityError('login/bad-request', 'The request is too long.')
  try {
    return JSON.parse(fromUtf8(body.bytes))
  } catch (error) {
    throw new IdentityError('login/bad-request', 'The request is not JSON.', { cause: error })
  }
}

function checked<T>(check: Check<T>, raw: unknown): T {
  try {
    return check(raw)
  } catch (error) {
    if (!(error instanceof BadArgument)) throw error
    // A field left empty is a person's slip, not a program's.
    throw new IdentityError('login/bad-request', 'Something is missing or too long.', { cause: error })
  }
}

function send(response: ServerResponse, status: number, reply: Reply<unknown>): void {
  if (response.headersSent) return
  const text = JSON.stringify(reply)
  response.writeHead(status, {
    ...SECURITY_HEADERS,
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    // What is left of a refused body is not read.
    ...(status >= 400 && { connection: 'close' }),
  })
  response.end(text)
}
