// A PostgreSQL server of the tests' own: in a temporary folder, on a Unix socket, as another account than root.

import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Client } from 'pg'

/** PostgreSQL refuses to run as root. */
const NOBODY = 65_534
const START_MS = 30_000

const PREFIX = 'peerway-pg-'
/** In the folder: the process that started the server. */
const OWNER = 'owner.pid'

const DEBIAN = '/usr/lib/postgresql'

/** The folder of the server's programs; undefined where there is none, and then why. */
function programs(): string | undefined {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).toSorted((a, b) => Number(b) - Number(a)) : []
  return versions.map((version) => join(DEBIAN, version, 'bin')).find((folder) => existsSync(join(folder, 'initdb')))
}

/** Why tests with PostgreSQL cannot run here; false when they can. */
export const noPostgres: string | false =
  process.platform === 'win32'
    ? 'the tests start PostgreSQL on a Unix socket'
    : programs() === undefined
      ? 'PostgreSQL is not installed (package postgresql)'
      : false

/** Ends the servers of test runs that were killed, and of nobody else. */
function sweep(): void {
  for (const name of readdirSync(tmpdir())) {
    const folder = join(tmpdir(), name)
    const owner = name.startsWith(PREFIX) ? lineOf(join(folder, OWNER), 0) : undefined
    if (owner === undefined || isAlive(Number(owner))) continue
    const pidFile = join(folder, 'data', 'postmaster.pid')
    const pid = Number(lineOf(pidFile, 0))
    // A number may be another program's by now.
    const isOurs = lineOf(pidFile, 1) === join(folder, 'data') && lineOf(`/proc/${pid}/cmdline`, 0)?.includes(folder)
    if (isOurs === true) process.kill(pid, 'SIGQUIT')
    rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
  }
}

function lineOf(path: string, line: number): string | undefined {
  try {
    return readFileSync(path, 'utf8').split('\n')[line]
  } catch {
    return undefined
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

export class TestPostgres {
  readonly folder: string
  readonly #bin: string
  readonly #settings: readonly string[]
  #child: ChildProcess | undefined
  #databases = 0

  private constructor(bin: string, folder: string, settings: readonly string[]) {
    this.#bin = bin
    this.folder = folder
    this.#settings = settings
  }

  /** `isDurable` costs time, and matters only where the machine itself is to crash. */
  static async start({ settings = [] }: { readonly settings?: readonly string[] } = {}): Promise<TestPostgres> {
    const bin = programs()
    if (bin === undefined) throw new Error(String(noPostgres))
    sweep()
    const folder = mkdtempSync(join(tmpdir(), PREFIX))
    writeFileSync(join(folder, OWNER), String(process.pid))
    if (process.getuid?.() === 0) chownSync(folder, NOBODY, NOBODY)
    const server = new TestPostgres(bin, folder, settings)
    try {
      const args = ['-D', join(folder, 'data'), '-U', 'peerway', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync']
      const [program = '', ...rest] = server.#asNobody('initdb', args)
      execFileSync(program, rest, { stdio: 'ignore', cwd: folder })
      await server.run()
      return server
    } catch (error) {
      await server.end()
      throw error
    }
  }

  #asNobody(program: string, args: readonly string[]): string[] {
    const command = [join(this.#bin, program), ...args]
    return process.getuid?.() === 0
      ? ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', ...command]
      : command
  }

  /** Starts the server, or starts it again. */
  async run(): Promise<void> {
    const settings = ['listen_addresses=', `unix_socket_directories=${this.folder}`, 'fsync=off', ...this.#settings]
    const args = ['-D', join(this.folder, 'data'), ...settings.flatMap((setting) => ['-c', setting])]
    const [program = '', ...rest] = this.#asNobody('postgres', args)
    this.#child = spawn(program, rest, { stdio: 'ignore', cwd: this.folder })
    const endMs = Date.now() + START_MS
    for (;;) {
      const client = new Client({ connectionString: this.url('postgres') })
      try {
        await client.connect()
        await client.end()
        return
      } catch (error) {
        await client.end().catch(() => {})
        if (Date.now() > endMs || this.#child.exitCode !== null) throw error
        await delay(50)
      }
    }
  }

  url(database: string): string {
    return `postgres://peerway@localhost/${database}?host=${encodeURIComponent(this.folder)}`
  }

  /** A new, empty database. */
  async database(): Promise<string> {
    const name = `test_${++this.#databases}`
    await this.sql('postgres', `CREATE DATABASE ${name}`)
    return this.url(name)
  }

  async sql(database: string, text: string): Promise<Record<string, unknown>[]> {
    const client = new Client({ connectionString: this.url(database) })
    await client.connect()
    try {
      return (await client.query<Record<string, unknown>>(text)).rows
    } finally {
      await client.end()
    }
  }

  /** SIGINT drops all connections at once and shuts down in order; SIGQUIT leaves as a crash does. */
  async stop(signal: 'SIGINT' | 'SIGQUIT' = 'SIGINT'): Promise<void> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    await ended
  }

  async end(): Promise<void> {
    await this.stop('SIGQUIT')
    rmSync(this.folder, { recursive: true, force: true })
  }
}
