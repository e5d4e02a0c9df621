// A mesh client of others, in a lab: the daemon and its command line.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Machine, Place } from '../lab/lab.ts'
import type { MeshNode, Pong } from '../lab/mesh-node.ts'
import { until, type LabProcess, type RunResult } from '../lab/process.ts'
import { stockBinary } from './binaries.ts'

export type StockVersion = 'new' | 'old'

export interface TailscaledOptions {
  readonly version: StockVersion
  /** The name it registers; also names its folder and logs. */
  readonly hostname: string
  /** UDP port; 41641 when left out. */
  readonly port?: number
  readonly env?: Readonly<Record<string, string>>
}

/** The fields of `tailscale status --json` that tests look at. */
export interface StockStatus {
  readonly BackendState: string
  readonly AuthURL: string
  readonly TailscaleIPs: readonly string[] | null
  readonly Self: StockPeerStatus
  readonly Peer: Readonly<Record<string, StockPeerStatus>> | null
  readonly Health: readonly string[] | null
}

export interface StockPeerStatus {
  readonly HostName: string
  readonly DNSName: string
  readonly TailscaleIPs: readonly string[] | null
  readonly CurAddr: string
  readonly Relay: string
  readonly PeerRelay?: string
  readonly Online: boolean
  readonly Active: boolean
  readonly RxBytes: number
  readonly TxBytes: number
}

export interface UpOptions {
  readonly loginServer: string
  /** Without a key `up` waits for a person to open the login page: see `startLogin`. */
  readonly authKey: string
  readonly timeoutSeconds?: number
  readonly more?: readonly string[]
}

export class Tailscaled implements MeshNode {
  readonly hostname: string
  readonly version: StockVersion
  readonly machine: Machine
  readonly process: LabProcess
  readonly socket: string
  /** Its command line program, also for asking other daemons. */
  readonly cliPath: string
  #cli: readonly string[]

  constructor(machine: Machine, options: TailscaledOptions, process: LabProcess, socket: string) {
    this.machine = machine
    this.hostname = options.hostname
    this.version = options.version
    this.process = process
    this.socket = socket
    this.cliPath = stockBinary(`tailscale-${options.version}`, 'tailscale')
    this.#cli = [this.cliPath, `--socket=${socket}`]
  }

  /** One command of its command line, whatever its status. */
  async cli(...args: readonly string[]): Promise<RunResult> {
    return this.machine.ns.tryRun([...this.#cli, ...args], { timeoutMs: 90_000 })
  }

  /** Joins a tailnet; returns once it is running. */
  async up(options: UpOptions): Promise<void> {
    const seconds = options.timeoutSeconds ?? 60
    const result = await this.cli(
      'up',
      `--login-server=${options.loginServer}`,
      `--auth-key=${options.authKey}`,
      `--hostname=${this.hostname}`,
      '--accept-dns=false', // DNS of the machine is no part of most tests
      `--timeout=${seconds}s`,
      ...(options.more ?? []),
    )
    if (result.status !== 0)
      throw new Error(`${this.hostname}: up: ${result.stderr}\n${this.process.output.slice(-4_000)}`)
  }

  /** Begins an interactive login; returns the page's URL while `up` goes on waiting. */
  async startLogin(loginServer: string): Promise<{ url: string; up: LabProcess }> {
    const args = ['up', `--login-server=${loginServer}`, `--hostname=${this.hostname}`, '--accept-dns=false']
    const up = this.machine.ns.start([...this.#cli, ...args], { name: `${this.hostname}-up` })
    const [url] = await up.waitForOutput(/https?:\/\/\S+/, 30_000)
    return { url, up }
  }

  async status(): Promise<StockStatus> {
    const result = await this.cli('status', '--json')
    if (result.status !== 0) throw new Error(`${this.hostname}: status: ${result.stderr}`)
    return JSON.parse(result.stdout) as StockStatus
  }

  async addresses(): Promise<readonly string[]> {
    return (await this.status()).TailscaleIPs ?? []
  }

  /** The peer with this host name as this client sees it. */
  async peer(hostname: string): Promise<StockPeerStatus | undefined> {
    const peers = Object.values((await this.status()).Peer ?? {})
    return peers.find((peer) => peer.HostName === hostname)
  }

  /** What it complains of at the moment. */
  async health(): Promise<readonly string[]> {
    return (await this.status()).Health ?? []
  }

  /** One disco ping; undefined when no pong came. */
  async ping(target: string, timeoutSeconds = 5): Promise<Pong | undefined> {
    const flags = ['--c=1', '--until-direct=false', `--timeout=${timeoutSeconds}s`]
    const result = await this.cli('ping', ...flags, target)
    const pong = /^pong from .*$/m.exec(result.stdout)?.[0]
    if (pong === undefined) return undefined
    const via = / via DERP\(/.test(pong) ? 'derp' : / via peer-relay\(/.test(pong) ? 'peer-relay' : 'direct'
    return { via, text: pong }
  }

  log(): string {
    return this.process.output
  }

  async stop(): Promise<void> {
    await this.process.stop()
  }
}

/** Starts the daemon with state, socket and TUN of its own; it is not logged in. */
export async function startTailscaled(place: Place, machine: Machine, options: TailscaledOptions): Promise<Tailscaled> {
  const dir = join(place.dir, options.hostname)
  mkdirSync(dir, { recursive: true })
  const socket = join(dir, 'tailscaled.sock')
  const started = machine.ns.start(
    [
      stockBinary(`tailscale-${options.version}`, 'tailscaled'),
      `--statedir=${dir}`,
      `--socket=${socket}`,
      '--tun=tailscale0',
      `--port=${options.port ?? 41_641}`,
      '--no-logs-no-support',
    ],
    {
      name: options.hostname,
      // It looks for iptables otherwise, which a machine with nft need not have.
      env: { TS_DEBUG_FIREWALL_MODE: 'nftables', HOME: dir, ...options.env },
    },
  )
  const daemon = new Tailscaled(machine, options, started, socket)
  await until(async () => (await daemon.status()).BackendState !== 'NoState', {
    timeoutMs: 20_000,
    everyMs: 100,
    what: `${options.hostname} to answer on its socket`,
    explain: () => started.output.slice(-4_000),
  })
  return daemon
}
