// A coordination server of others, in a lab.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Machine, Place } from '../lab/lab.ts'
import type { LabProcess } from '../lab/process.ts'
import { stockBinary } from './binaries.ts'
import type { DerpMap } from './derper.ts'

const PORT = 8080

export interface HeadscaleOptions {
  readonly derpMap: DerpMap
  /** HuJSON text of the policy; everyone may reach everyone when left out. */
  readonly policy?: string
  /** "tail.lab" when left out. */
  readonly baseDomain?: string
}

export interface AuthKeyOptions {
  readonly reusable?: boolean
  readonly ephemeral?: boolean
}

export class Headscale {
  readonly url: string
  readonly process: LabProcess
  #host: Machine
  #command: readonly string[]

  constructor(host: Machine, process: LabProcess, command: readonly string[]) {
    this.#host = host
    this.#command = command
    this.process = process
    this.url = `http://${host.address}:${PORT}`
  }

  /** Runs a command of its command line and reads what it prints. */
  async cli(...args: readonly string[]): Promise<unknown> {
    const text = await this.#host.ns.run([...this.#command, ...args, '--output', 'json'])
    return text.trim() === '' ? undefined : JSON.parse(text)
  }

  /** Returns the user's number, which keys are made for. */
  async createUser(name: string): Promise<number> {
    const user = (await this.cli('users', 'create', name)) as { id: number }
    return user.id
  }

  async createAuthKey(user: number, options: AuthKeyOptions = {}): Promise<string> {
    const flags = [...(options.reusable ? ['--reusable'] : []), ...(options.ephemeral ? ['--ephemeral'] : [])]
    const made = (await this.cli('preauthkeys', 'create', '--user', String(user), ...flags)) as { key: string }
    return made.key
  }

  /** For its API, which answers at the same address. */
  async createApiKey(): Promise<string> {
    return (await this.cli('apikeys', 'create')) as string
  }

  /** What its node list prints, as it is. */
  async nodes(): Promise<unknown> {
    return this.cli('nodes', 'list')
  }

  async stop(): Promise<void> {
    await this.process.stop()
  }
}

export async function startHeadscale(place: Place, host: Machine, options: HeadscaleOptions): Promise<Headscale> {
  const dir = join(place.dir, `headscale-${host.ns.role}`)
  mkdirSync(dir, { recursive: true })
  const file = (name: string, text: string) => {
    writeFileSync(join(dir, name), text)
    return join(dir, name)
  }
  const config = {
    server_url: `http://${host.address}:${PORT}`,
    listen_addr: `${host.address}:${PORT}`,
    metrics_listen_addr: '127.0.0.1:9090',
    grpc_listen_addr: '127.0.0.1:50443',
    noise: { private_key_path: join(dir, 'noise.key') },
    prefixes: { v4: '100.64.0.0/10', v6: 'fd7a:115c:a1e0::/48', allocation: 'sequential' },
    derp: {
      server: { enabled: false },
      urls: [],
      paths: [file('derp.yaml', yamlDerpMap(options.derpMap))],
      auto_update_enabled: false,
    },
    disable_check_updates: true,
    database: { type: 'sqlite', sqlite: { path: join(dir, 'db.sqlite'), write_ahead_log: true } },
    log: { level: 'info', format: 'text' },
    policy: { mode: 'file', path: options.policy === undefined ? '' : file('policy.hujson', options.policy) },
    dns: {
      magic_dns: true,
      base_domain: options.baseDomain ?? 'tail.lab',
      override_local_dns: false,
      nameservers: { global: [], split: {} },
      search_domains: [],
      extra_records: [],
    },
    unix_socket: join(dir, 'headscale.sock'),
    unix_socket_permission: '0700',
    logtail: { enabled: false },
    randomize_client_port: false,
  }
  const command = [stockBinary('headscale', 'headscale'), '--config', file('config.yaml', JSON.stringify(config))]
  const started = host.ns.start([...command, 'serve'], { name: `headscale-${host.ns.role}` })
  const headscale = new Headscale(host, started, command)
  await started.waitForOutput(/listening and serving HTTP on/, 30_000)
  return headscale
}

/** It reads the DERP map as YAML: the fields of the JSON form in lower case, and numbers as keys. */
function yamlDerpMap(map: DerpMap): string {
  return JSON.stringify(lowerCaseKeys(map)).replaceAll(/"(\d+)":/g, '$1: ')
}

function lowerCaseKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(lowerCaseKeys)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key.toLowerCase(), lowerCaseKeys(inner)]))
}
