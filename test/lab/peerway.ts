// Our own programs in a lab, started and asked as a user would: through the command line of the built checkout.

import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Machine, Place } from './lab.ts'
import type { MeshNode, PathKind, Pong } from './mesh-node.ts'
import { until, type LabProcess, type RunResult } from './process.ts'

const PROGRAM = fileURLToPath(new URL('../../build/peerway.mjs', import.meta.url))
const BUNDLE = fileURLToPath(new URL('../../out/cli.mjs', import.meta.url))
const ADDON = fileURLToPath(new URL('../../native/peerway.node', import.meta.url))

const COORD_PORT = 8_480
const STUN_PORT = 3_478

/** Why our programs cannot run here. */
export function peerwayUnavailable(): string | undefined {
  if (!existsSync(BUNDLE)) return 'the command line is not bundled (npm run build)'
  return existsSync(ADDON) ? undefined : 'the addon is not built (npm run build)'
}

const program = (...args: readonly string[]) => [process.execPath, PROGRAM, ...args]

export interface AgentOptions {
  /** The name it registers; also names its folder and logs. */
  readonly hostname: string
  /** UDP port; 41641 when left out. */
  readonly port?: number
  readonly env?: Readonly<Record<string, string>>
  /** Beside the state when left out. */
  readonly socket?: string
  /** `TUN` when left out. */
  readonly tun?: string
  /** Further options of the command. */
  readonly more?: readonly string[]
  /** What the agent is started through: ["setpriv", …]. */
  readonly through?: readonly string[]
}

export interface AgentUpOptions {
  readonly loginServer: string
  readonly authKey: string
  readonly timeoutSeconds?: number
  readonly more?: readonly string[]
}

/** The members of `peerway status --json` that tests look at. */
export interface AgentStatus {
  readonly BackendState: string
  readonly AuthURL: string
  readonly TailscaleIPs: readonly string[] | null
  readonly Health: readonly string[] | null
  readonly Peer: Readonly<Record<string, AgentPeerStatus>> | null
}

export interface AgentPeerStatus {
  readonly HostName: string
  readonly TailscaleIPs: readonly string[] | null
  readonly CurAddr: string
  readonly Relay: string
  readonly Online: boolean
  readonly RxBytes: number
  readonly TxBytes: number
  readonly LastHandshake: string
  readonly Path: { readonly kind: PathKind | 'none'; readonly via: string | null; readonly reason: string }
}

export class PeerwayAgent implements MeshNode {
  readonly hostname: string
  readonly machine: Machine
  readonly process: LabProcess
  readonly socket: string

  constructor(machine: Machine, hostname: string, process: LabProcess, socket: string) {
    this.machine = machine
    this.hostname = hostname
    this.process = process
    this.socket = socket
  }

  /** One command of the command line, whatever its status. */
  async cli(...args: readonly string[]): Promise<RunResult> {
    return this.machine.ns.tryRun(program('--socket', this.socket, ...args), { timeoutMs: 90_000 })
  }

  async up(options: AgentUpOptions): Promise<void> {
    const result = await this.cli(
      'up',
      '--login-server',
      options.loginServer,
      '--auth-key',
      options.authKey,
      '--hostname',
      this.hostname,
      '--timeout',
      `${options.timeoutSeconds ?? 60}s`,
      ...(options.more ?? []),
    )
    if (result.status !== 0)
      throw new Error(`${this.hostname}: up: ${result.stderr}\n${this.process.output.slice(-4_000)}`)
  }

  /** Begins an interactive login; returns the page's URL while `up` goes on waiting. */
  async startLogin(loginServer: string): Promise<{ readonly url: string; readonly up: LabProcess }> {
    const args = ['up', '--login-server', loginServer, '--hostname', this.hostname, '--timeout', '90s']
    const up = this.machine.ns.start(program('--socket', this.socket, ...args), { name: `${this.hostname}-up` })
    const [url] = await up.waitForOutput(/https?:\/\/\S+/, 30_000)
    return { url, up }
  }

  async status(): Promise<AgentStatus> {
    const result = await this.cli('status', '--json')
    if (result.status !== 0) throw new Error(`${this.hostname}: status: ${result.stderr}`)
    return JSON.parse(result.stdout) as AgentStatus
  }

  /** Waits for this state of the agent. */
  async untilState(state: string, timeoutMs: number): Promise<AgentStatus> {
    let last: AgentStatus | undefined
    return until(
      async () => {
        last = await this.status()
        return last.BackendState === state ? last : undefined
      },
      {
        timeoutMs,
        what: `${this.hostname} to be ${state}`,
        explain: () => `last: ${last?.BackendState} ${JSON.stringify(last?.Health)}\n${this.log().slice(-4_000)}`,
      },
    )
  }

  async addresses(): Promise<readonly string[]> {
    return (await this.status()).TailscaleIPs ?? []
  }

  async health(): Promise<readonly string[]> {
    return (await this.status()).Health ?? []
  }

  async peer(hostname: string): Promise<AgentPeerStatus | undefined> {
    return Object.values((await this.status()).Peer ?? {}).find((peer) => peer.HostName === hostname)
  }

  async ping(target: string, timeoutSeconds = 5): Promise<Pong | undefined> {
    const flags = ['--c', '1', '--until-direct=false', '--timeout', `${timeoutSeconds}s`, '--json']
    const result = await this.cli('ping', ...flags, target)
    const line = result.stdout.split('\n').find((text) => text.startsWith('{'))
    if (line === undefined) return undefined
    const pong = JSON.parse(line) as { kind: PathKind }
    return { via: pong.kind, text: line }
  }

  log(): string {
    return this.process.output
  }

  async stop(): Promise<void> {
    await this.process.stop()
  }
}

/** Where an agent of this name keeps its state, and its socket beside it. */
export function agentPlace(place: Place, hostname: string): { readonly state: string; readonly socket: string } {
  const state = join(place.dir, hostname)
  return { state, socket: join(state, 'agent.sock') }
}

export const TUN = 'peerway0'

/** Starts the program without waiting for it to be ready: it may be meant to fail. */
export function launchAgent(place: Place, machine: Machine, options: AgentOptions): LabProcess {
  const { state, socket } = agentPlace(place, options.hostname)
  const where = [
    '--state',
    state,
    '--socket',
    options.socket ?? socket,
    '--tun',
    options.tun ?? TUN,
    '--port',
    String(options.port ?? 41_641),
  ]
  return machine.ns.start([...(options.through ?? []), ...program('agent', ...where, ...(options.more ?? []))], {
    name: options.hostname,
    env: { HOME: state, ...options.env },
  })
}

/** Starts the agent with state, socket and TUN of its own; it is not logged in, unless it was when it ended. */
export async function startAgent(place: Place, machine: Machine, options: AgentOptions): Promise<PeerwayAgent> {
  const { state, socket } = agentPlace(place, options.hostname)
  mkdirSync(state, { recursive: true })
  const started = launchAgent(place, machine, options)
  await started.waitForOutput(/^ready$/m, 20_000)
  return new PeerwayAgent(machine, options.hostname, started, socket)
}

export class PeerwayCoord {
  readonly url: string
  readonly process: LabProcess
  readonly stateDir: string
  #host: Machine

  constructor(host: Machine, process: LabProcess, url: string, stateDir: string) {
    this.#host = host
    this.process = process
    this.url = url
    this.stateDir = stateDir
  }

  /** One `peerway coord …` command; throws when it fails. Returns stdout. */
  async cli(...args: readonly string[]): Promise<string> {
    return this.#host.ns.run(program('coord', ...args, '--state', this.stateDir))
  }

  async createUser(name: string): Promise<void> {
    await this.cli('users', 'create', name)
  }

  async createAuthKey(
    user: string,
    options: { readonly reusable?: boolean; readonly ephemeral?: boolean } = {},
  ): Promise<string> {
    const flags = [...(options.reusable ? ['--reusable'] : []), ...(options.ephemeral ? ['--ephemeral'] : [])]
    const made = JSON.parse(await this.cli('auth-keys', 'create', '--user', user, ...flags, '--json')) as {
      key: string
    }
    return made.key
  }

  async stop(): Promise<void> {
    await this.process.stop()
  }
}

/** Our coordination server with its DERP and STUN. The URL has a private address, which keeps stock clients on http. */
export async function startCoord(place: Place, host: Machine, more: readonly string[] = []): Promise<PeerwayCoord> {
  const state = join(place.dir, `coord-${host.ns.role}`)
  mkdirSync(state, { recursive: true })
  const listen = `${host.address}:${COORD_PORT}`
  const flags = ['--listen', listen, '--url', `http://${listen}`, '--state', state]
  const derp = ['--derp', '--stun', `${host.address}:${STUN_PORT}`]
  const started = host.ns.start(program('coord', 'serve', ...flags, ...derp, ...more), {
    name: `coord-${host.ns.role}`,
    env: { HOME: state },
  })
  const [, url = ''] = await started.waitForOutput(/^ready (\S+)$/m, 20_000)
  return new PeerwayCoord(host, started, url, state)
}

/** Waits until the agent sees this peer with the wanted path in its status; `ping` asks for a path, this only looks. */
export async function untilPath(
  agent: PeerwayAgent,
  peer: string,
  kind: PathKind,
  timeoutMs: number,
): Promise<AgentPeerStatus> {
  let last: AgentPeerStatus | undefined
  return until(
    async () => {
      last = await agent.peer(peer)
      return last?.Path.kind === kind ? last : undefined
    },
    {
      timeoutMs,
      everyMs: 200,
      what: `${agent.hostname} to have a ${kind} path to ${peer}`,
      explain: () => `last: ${JSON.stringify(last?.Path)}\n${agent.log().slice(-4_000)}`,
    },
  )
}
