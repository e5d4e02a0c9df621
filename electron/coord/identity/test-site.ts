// For tests: a whole server, and browsers that send what real ones send.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { VirtualClock } from '../../base/clock.ts'
import { startCoord, type CoordServer } from '../coord-server.ts'
import { TestMachine } from '../test-machine.ts'

export const PASSWORD = 'otter violin harbour seven'
export const NAME = 'home.example.org'

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  readonly bytes: Uint8Array
  readonly body: { ok?: boolean; code?: string; message?: string; value?: Record<string, unknown> }
}

export interface Site {
  readonly coord: CoordServer
  readonly stateDir: string
  readonly clock: VirtualClock
  /** As the server's terminal shows it. */
  readonly setupCode: string
  /** The id of a new machine's login. */
  readonly ask: (hostname?: string) => Promise<string>
  send(
    path: string,
    more?: { method?: string; headers?: Record<string, string>; body?: string | Uint8Array },
  ): Promise<Answer>
}

/** `former` is ended and started again. By default behind a proxy that speaks TLS; the virtual clock keeps limits from filling up again. */
export async function site(t: TestContext, url = `https://${NAME}`, former?: Site, database?: string): Promise<Site> {
  const stateDir = former?.stateDir ?? mkdtempSync(join(tmpdir(), 'peerway-identity-'))
  if (!former) t.after(() => rmSync(stateDir, { recursive: true, force: true }))
  await former?.coord.close()
  const clock = former?.clock ?? new VirtualClock()
  const coord = await startCoord({
    stateDir,
    database,
    listen: { host: '127.0.0.1', port: 0 },
    url,
    prepare: async () => ({ derpMap: { regions: new Map() } }),
    clock,
  })
  t.after(() => coord.close())
  return {
    coord,
    stateDir,
    clock,
    setupCode: (await coord.admin.setupCode())?.code ?? '',
    async ask(hostname = 'laptop') {
      const machine = new TestMachine(`http://127.0.0.1:${coord.port}`, hostname)
      t.after(() => machine.close())
      return (await machine.register()).authUrl.split('/').at(-1) ?? ''
    },
    send: (path, { method = 'GET', headers = {}, body = '' } = {}) =>
      new Promise((resolve, reject) => {
        const all = { host: new URL(url).host, ...headers }
        const outgoing = httpRequest({ port: coord.port, path, method, headers: all }, (response) => {
          const chunks: Uint8Array[] = []
          response.on('data', (chunk: Uint8Array) => chunks.push(chunk))
          response.on('end', () => {
            const bytes = Buffer.concat(chunks)
            const text = bytes.toString()
            const isJson = response.headers['content-type']?.startsWith('application/json') === true
            const body = isJson ? (JSON.parse(text) as Answer['body']) : {}
            resolve({ status: response.statusCode ?? 0, headers: response.headers, text, bytes, body })
          })
        })
        outgoing.on('error', reject)
        outgoing.end(body)
      }),
  }
}

/** A browser: keeps cookies, sends what browsers send, and has the page's token. */
export class Browser {
  readonly #site: Site
  readonly cookies = new Map<string, string>()
  readonly origin: string
  token = ''

  constructor(site: Site, origin = `https://${NAME}`) {
    this.#site = site
    this.origin = origin
  }

  headers(): Record<string, string> {
    return {
      origin: this.origin,
      'sec-fetch-site': 'same-origin',
      'content-type': 'application/json',
      'x-peerway-token': this.token,
      cookie: [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; '),
    }
  }

  async call(name: string, ask: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const all = { ...this.headers(), ...headers }
    const answer = await this.#site.send(`/login/api/${name}`, {
      method: 'POST',
      headers: all,
      body: JSON.stringify(ask),
    })
    for (const line of answer.headers['set-cookie'] ?? []) {
      const [pair = ''] = line.split(';')
      const at = pair.indexOf('=')
      this.cookies.set(pair.slice(0, at), pair.slice(at + 1))
    }
    return answer
  }

  async open(place: { login: string } | { enrol: string } | { account: true }): Promise<Record<string, unknown>> {
    const answer = await this.call('state', place)
    assert.equal(answer.status, 200, answer.text)
    this.token = String(answer.body.value?.['token'])
    return answer.body.value?.['stage'] as Record<string, unknown>
  }
}

export const statusesOf = (answers: readonly Answer[]): number[] =>
  answers.map(({ status }) => status).sort((a, b) => a - b)

export async function withOwner(t: TestContext, database?: string): Promise<Site & { readonly browser: Browser }> {
  const its = await site(t, undefined, undefined, database)
  const login = await its.ask()
  const browser = new Browser(its)
  await browser.open({ login })
  const made = await browser.call('first/password', {
    login,
    setupCode: its.setupCode,
    name: 'ines',
    password: PASSWORD,
  })
  assert.equal(made.status, 200, made.text)
  return { ...its, browser }
}
