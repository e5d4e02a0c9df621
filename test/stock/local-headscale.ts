// A coordination server of others on loopback, where no network is needed.

import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { LabProcess } from '../lab/process.ts'
import { stockBinary } from './binaries.ts'

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => new Promise((resolve) => server.once('listening', resolve))))
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

/** Its DERP server is never asked; the server does not start without one. */
const DERP_MAP = `regions:
  900:
    regionid: 900
    regioncode: loc
    regionname: Local
    nodes:
      - { name: 900a, regionid: 900, hostname: 127.0.0.1, ipv4: 127.0.0.1, ipv6: none, derpport: 9443, stunport: -1 }
`

export class LocalHeadscale {
  readonly url: string
  readonly #dir = mkdtempSync(join(tmpdir(), 'peerway-headscale-'))
  readonly #command: readonly string[]
  #process: LabProcess | undefined

  static async create(config: object = {}): Promise<LocalHeadscale> {
    return new LocalHeadscale(await freePorts(3), config)
  }

  private constructor([http = 0, metrics = 0, grpc = 0]: readonly number[], config: object) {
    this.url = `http://127.0.0.1:${http}`
    const file = (name: string, content: string): string => {
      writeFileSync(join(this.#dir, name), content)
      return join(this.#dir, name)
    }
    const whole = {
      server_url: this.url,
      listen_addr: `127.0.0.1:${http}`,
      metrics_listen_addr: `127.0.0.1:${metrics}`,
      grpc_listen_addr: `127.0.0.1:${grpc}`,
      noise: { private_key_path: join(this.#dir, 'noise.key') },
      prefixes: { v4: '100.64.0.0/10', v6: 'fd7a:115c:a1e0::/48', allocation: 'sequential' },
      derp: { server: { enabled: false }, urls: [], paths: [file('derp.yaml', DERP_MAP)], auto_update_enabled: false },
      disable_check_updates: true,
      database: { type: 'sqlite', sqlite: { path: join(this.#dir, 'db.sqlite') } },
      log: { level: 'debug', format: 'text' },
      dns: { magic_dns: true, base_domain: 'tail.test', override_local_dns: false, nameservers: { global: [] } },
      unix_socket: join(this.#dir, 'headscale.sock'),
      unix_socket_permission: '0700',
      logtail: { enabled: false },
      ...config,
    }
    this.#command = [stockBinary('headscale', 'headscale'), '--config', file('config.yaml', JSON.stringify(whole))]
  }

  async start(): Promise<void> {
    this.#process = new LabProcess([...this.#command, 'serve'], { name: 'headscale' })
    await this.#process.waitForOutput(/listening and serving HTTP on/, 30_000)
  }

  async stop(): Promise<void> {
    await this.#process?.stop()
  }

  async close(): Promise<void> {
    await this.stop()
    rmSync(this.#dir, { recursive: true, force: true })
  }

  async cli<T>(...args: readonly string[]): Promise<T> {
    const [program = '', ...common] = this.#command
    const { stdout } = await promisify(execFile)(program, [...common, ...args, '--output', 'json'])
    return JSON.parse(stdout) as T
  }

  async authKey(user: number, ...flags: readonly string[]): Promise<string> {
    const { key } = await this.cli<{ key: string }>('preauthkeys', 'create', '--user', String(user), ...flags)
    return key
  }
}
