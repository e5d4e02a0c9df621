// For tests: servers as people run them, each a process with the real command line, on one PostgreSQL and behind one address
// that sends every connection to the next of them.

import { spawn, type ChildProcess } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { serverKeyPath } from './server-key.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** As the program's own entry ends a command, without loading all the other verbs. */
const ENTRY = `
import { runCoord } from './electron/cli/coord.ts'
runCoord(process.argv.slice(1)).then((status) => { process.exitCode = status }, (error) => {
  process.stderr.write(error.message + '\\n')
  process.exitCode = 1
})`
const START_MS = 60_000

function coord(args: readonly string[]): { readonly child: ChildProcess; readonly output: () => string } {
  const node = ['--import', 'tsx', '--input-type=module', '--eval', ENTRY, '--', ...args]
  const child = spawn(process.execPath, node, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text))
  return { child, output: () => output }
}

export interface RunningServer {
  /** Its own, past the common address. */
  readonly url: string
  readonly stateDir: string
  /** SIGTERM lets it say goodbye. */
  stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>
}

export interface TestServers {
  /** The address that all have in common. */
  readonly url: string
  readonly servers: readonly RunningServer[]
  /** One more command line, to the first server; answers what it prints. */
  cli(...args: readonly string[]): Promise<string>
}

export async function testServers(
  t: TestContext,
  database: string,
  { count = 2, more = ['--no-derp'] }: { readonly count?: number; readonly more?: readonly string[] } = {},
): Promise<TestServers> {
  const folder = mkdtempSync(join(tmpdir(), 'peerway-servers-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const ports: number[] = []
  const front = await spread(t, ports)
  const url = `http://localhost:${front}`
  const servers: RunningServer[] = []
  for (let i = 0; i < count; i++) {
    const stateDir = join(folder, String(i))
    mkdirSync(stateDir, { mode: 0o700 })
    const [first] = servers
    if (first) copyFileSync(serverKeyPath(first.stateDir), serverKeyPath(stateDir))
    const server = await start(t, stateDir, ['--database', database, '--url', url, '--stun', 'off', ...more])
    servers.push(server)
    ports.push(Number(new URL(server.url).port))
  }
  return {
    url,
    servers,
    async cli(...args) {
      const { child, output } = coord([...args, '--state', join(folder, '0')])
      const status = await new Promise((resolve) => child.once('close', resolve))
      if (status !== 0) throw new Error(`coord ${args[0] ?? ''} ended with ${String(status)}: ${output()}`)
      return output()
    },
  }
}

async function start(t: TestContext, stateDir: string, args: readonly string[]): Promise<RunningServer> {
  const port = await freePort()
  const { child, output } = coord(['serve', '--state', stateDir, '--listen', `127.0.0.1:${port}`, ...args])
  t.after(() => child.kill('SIGKILL'))
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no server: ${output()}`)), START_MS)
    timer.unref()
    child.stdout?.on('data', () => {
      if (!/^ready /m.test(output())) return
      clearTimeout(timer)
      resolve()
    })
    child.once('close', () => reject(new Error(`the server ended: ${output()}`)))
  })
  return {
    url: `http://127.0.0.1:${port}`,
    stateDir,
    stop(signal) {
      child.kill(signal)
      return ended
    },
  }
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port

async function freePort(): Promise<number> {
  const probe = createServer()
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve))
  const port = portOf(probe)
  await new Promise((resolve) => probe.close(resolve))
  return port
}

/** Each connection goes to the next of the ports, whoever it comes from. */
async function spread(t: TestContext, ports: readonly number[]): Promise<number> {
  let next = 0
  const open = new Set<Socket>()
  const server = createServer((incoming) => {
    const outgoing = connect(ports[next++ % ports.length] ?? 0, '127.0.0.1')
    for (const [from, to] of [
      [incoming, outgoing],
      [outgoing, incoming],
    ] as const) {
      open.add(from)
      from.on('error', () => to.destroy())
      from.once('close', () => {
        open.delete(from)
        to.destroy()
      })
      from.pipe(to)
    }
  })
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
  t.after(() => {
    server.close()
    for (const socket of open) socket.destroy()
  })
  return portOf(server)
}

export interface PageAnswer {
  readonly status: number
  readonly text: string
  readonly body: { readonly code?: string; readonly value?: Record<string, unknown> }
}

/** A person's browser: a new connection for each request, so that each is answered by another server. */
export class TestBrowser {
  readonly #url: string
  readonly #cookies = new Map<string, string>()
  #token = ''

  constructor(url: string) {
    this.#url = url
  }

  call(name: string, ask: unknown): Promise<PageAnswer> {
    return this.send('POST', `/login/api/${name}`, JSON.stringify(ask))
  }

  /** What stands on the page. */
  async open(place: { login: string } | { enrol: string } | { account: true }): Promise<Record<string, unknown>> {
    const answer = await this.call('state', place)
    if (answer.status !== 200) throw new Error(`the page says ${answer.text}`)
    this.#token = String(answer.body.value?.['token'])
    return answer.body.value?.['stage'] as Record<string, unknown>
  }

  send(method: string, path: string, body = ''): Promise<PageAnswer> {
    const headers = {
      origin: this.#url,
      'sec-fetch-site': 'same-origin',
      'content-type': 'application/json',
      'x-peerway-token': this.#token,
      cookie: [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; '),
    }
    return new Promise((resolve, reject) => {
      const outgoing = request(`${this.#url}${path}`, { method, headers, agent: false }, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        response.on('end', () => {
          for (const line of response.headers['set-cookie'] ?? []) {
            const [pair = ''] = line.split(';')
            const at = pair.indexOf('=')
            this.#cookies.set(pair.slice(0, at), pair.slice(at + 1))
          }
          const isJson = response.headers['content-type']?.startsWith('application/json') === true
          const answer = isJson ? (JSON.parse(text) as PageAnswer['body']) : {}
          resolve({ status: response.statusCode ?? 0, text, body: answer })
        })
      })
      outgoing.on('error', reject)
      outgoing.end(body)
    })
  }
}
