// Network namespaces for one test: made with a prefix that names this process, deleted with everything that runs in
// them when the test ends, fails or is interrupted. What a killed test process left behind is swept by the next one.
//
//   const nets = new Namespaces()
//   t.after(() => nets.close())
//   const [a, b] = [await nets.create('a'), await nets.create('b')]
//   await nets.veth({ ns: a, name: 'eth0', cidrs: ['10.0.0.1/24'] }, { ns: b, name: 'eth0', cidrs: ['10.0.0.2/24'] })
//   await a.run(['ping', '-c1', '10.0.0.2'])

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LabProcess, run, tryRun, type RunOptions, type RunResult, type StartOptions } from './process.ts'

/** Where iproute2 keeps the names of namespaces. */
const NETNS_DIR = '/var/run/netns'

/**
 * Files here are bound over /etc for each program started with `ip netns exec`. Every namespace gets its own
 * resolv.conf, so that a client under test which manages DNS can never write the machine's.
 */
const NETNS_ETC = '/etc/netns'

/** Names read pw-<pid>-<lab>-<role>: the pid tells whose they are. */
const NAME = /^pw-(\d+)-/

/** Why namespaces cannot be used here, in words for a skipped test; undefined when they can. */
export function labUnavailable(): string | undefined {
  if (process.platform !== 'linux') return 'network namespaces exist on Linux only'
  if (process.getuid?.() !== 0) return 'making network namespaces needs root'
  for (const tool of ['ip', 'nft', 'conntrack']) {
    if (spawnSync(tool, ['-V'], { stdio: 'ignore' }).error) return `the program ${tool} is not installed`
  }
  if (!existsSync('/dev/net/tun')) return '/dev/net/tun is not there'
  return undefined
}

/** Options for node:test. A build machine that silently tests less is worse than one that fails: there nothing skips. */
export function runOrSkip(unavailable: string | undefined, timeoutMs: number): { timeout: number } | { skip: string } {
  return unavailable === undefined || process.env['CI'] ? { timeout: timeoutMs } : { skip: unavailable }
}

/** One end of a veth pair. */
export interface VethEnd {
  readonly ns: Namespace
  readonly name: string
  readonly cidrs?: readonly string[]
  /** A bridge in the same namespace that this end joins. */
  readonly bridge?: string
  readonly mtuBytes?: number
}

export class Namespace {
  /** The short role name: "wan", "client-0-1". */
  readonly role: string
  /** The system-wide name, for `ip netns exec`. */
  readonly name: string
  #owner: Namespaces

  constructor(owner: Namespaces, role: string, name: string) {
    this.#owner = owner
    this.role = role
    this.name = name
  }

  /** The command that runs `command` in here; the pid stays the same through exec. */
  inside(command: readonly string[]): string[] {
    return ['ip', 'netns', 'exec', this.name, ...command]
  }

  /** Runs to the end; throws when the status is not 0. Returns stdout. */
  async run(command: readonly string[], options?: RunOptions): Promise<string> {
    return run(this.inside(command), options)
  }

  /** Runs to the end whatever the status. */
  async tryRun(command: readonly string[], options?: RunOptions): Promise<RunResult> {
    return tryRun(this.inside(command), options)
  }

  /** Starts a program that ends with the namespaces at the latest. Its log is in the lab's folder. */
  start(command: readonly string[], options: StartOptions = {}): LabProcess {
    return this.#owner.startIn(this, command, options)
  }

  /** `ip` commands, one a string, in one go: ["link set eth0 up", "addr add 10.0.0.1/24 dev eth0"]. */
  async ip(...lines: readonly string[]): Promise<void> {
    await run(['ip', '-n', this.name, '-batch', '-'], { input: `${lines.join('\n')}\n` })
  }

  /** An nft script: whole tables or single commands. */
  async nft(script: string): Promise<string> {
    return this.run(['nft', '-f', '-'], { input: script })
  }

  /** Kernel settings of this namespace: { 'net/ipv4/ip_forward': 1 }. */
  async sysctl(values: Readonly<Record<string, number | string>>): Promise<void> {
    const script = Object.entries(values).map(([key, value]) => `echo ${value} > /proc/sys/${key}`)
    await this.run(['sh', '-ec', script.join('\n')])
  }

  /** The resolv.conf of programs started from now on; without a server every lookup fails at once. */
  setResolver(server: string | undefined): void {
    const text = server === undefined ? '# no name server in this namespace\n' : `nameserver ${server}\n`
    writeFileSync(join(NETNS_ETC, this.name, 'resolv.conf'), text)
  }

  /** Whether one ICMP echo is answered within a second. */
  async canPing(address: string, timeoutSeconds = 1): Promise<boolean> {
    const result = await this.tryRun(['ping', '-n', '-c', '1', '-W', String(timeoutSeconds), address])
    return result.status === 0
  }
}

const open = new Set<Namespaces>()
let exitHandlersSet = false
let labCount = 0

export class Namespaces {
  /** A folder for state, sockets and logs; deleted at the end unless PEERWAY_LAB_KEEP is set. */
  readonly dir: string
  #prefix: string
  #namespaces = new Map<string, Namespace>()
  #processes: LabProcess[] = []
  #closed = false

  constructor() {
    if (!exitHandlersSet) {
      exitHandlersSet = true
      sweepStale()
      setExitHandlers()
    }
    labCount += 1
    this.#prefix = `pw-${process.pid}-${labCount}-`
    this.dir = mkdtempSync(join(tmpdir(), `peerway-lab-${process.pid}-`))
    open.add(this)
  }

  async create(role: string): Promise<Namespace> {
    if (this.#namespaces.has(role)) throw new Error(`there is a namespace ${role} already`)
    const namespace = new Namespace(this, role, `${this.#prefix}${role}`)
    this.#namespaces.set(role, namespace)
    mkdirSync(join(NETNS_ETC, namespace.name), { recursive: true })
    namespace.setResolver(undefined)
    await run(['ip', 'netns', 'add', namespace.name])
    await namespace.ip('link set lo up')
    // Duplicate address detection holds every IPv6 packet back for its first second or two.
    await namespace.sysctl({ 'net/ipv6/conf/default/accept_dad': 0, 'net/ipv6/conf/all/accept_dad': 0 })
    return namespace
  }

  async veth(a: VethEnd, b: VethEnd): Promise<void> {
    await run([
      ...'ip link add name'.split(' '),
      a.name,
      'netns',
      a.ns.name,
      ...'type veth peer name'.split(' '),
      b.name,
      'netns',
      b.ns.name,
    ])
    for (const end of [a, b]) {
      await end.ns.ip(
        ...(end.mtuBytes === undefined ? [] : [`link set ${end.name} mtu ${end.mtuBytes}`]),
        ...(end.bridge === undefined ? [] : [`link set ${end.name} master ${end.bridge}`]),
        ...(end.cidrs ?? []).map((cidr) => `addr add ${cidr} dev ${end.name}${cidr.includes(':') ? ' nodad' : ''}`),
        `link set ${end.name} up`,
      )
    }
  }

  async bridge(ns: Namespace, name: string, cidrs: readonly string[] = []): Promise<void> {
    await ns.ip(
      `link add name ${name} type bridge`,
      ...cidrs.map((cidr) => `addr add ${cidr} dev ${name}${cidr.includes(':') ? ' nodad' : ''}`),
      `link set ${name} up`,
    )
  }

  startIn(ns: Namespace, command: readonly string[], options: StartOptions): LabProcess {
    if (this.#closed) throw new Error('the lab is closed')
    const name = options.name ?? `${ns.role}-${command[0] ?? 'nothing'}`.replaceAll('/', '_')
    const started = new LabProcess(ns.inside(command), { logFile: join(this.dir, `${name}.log`), ...options, name })
    this.#processes.push(started)
    return started
  }

  /** Ends every program, the last started first, then deletes namespaces and folder. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    for (const started of this.#processes.toReversed()) await started.stop()
    for (const namespace of this.#namespaces.values()) await removeNamespace(namespace.name)
    open.delete(this)
    this.#removeDir()
  }

  /** The same without waiting for anything, for exit handlers. */
  closeNow(): void {
    this.#closed = true
    for (const started of this.#processes) started.killNow()
    for (const namespace of this.#namespaces.values()) removeNamespaceNow(namespace.name)
    open.delete(this)
    this.#removeDir()
  }

  #removeDir(): void {
    if (process.env['PEERWAY_LAB_KEEP']) process.stderr.write(`lab folder kept: ${this.dir}\n`)
    else rmSync(this.dir, { recursive: true, force: true })
  }
}

/** What still runs inside (children of our processes) would keep the namespace alive after its name is gone. */
async function removeNamespace(name: string): Promise<void> {
  const pids = await tryRun(['ip', 'netns', 'pids', name])
  killAll(pids.stdout)
  await tryRun(['ip', 'netns', 'delete', name])
  removeEtc(name)
}

function removeNamespaceNow(name: string): void {
  killAll(spawnSync('ip', ['netns', 'pids', name], { encoding: 'utf8' }).stdout)
  spawnSync('ip', ['netns', 'delete', name], { stdio: 'ignore' })
  removeEtc(name)
}

function removeEtc(name: string): void {
  rmSync(join(NETNS_ETC, name), { recursive: true, force: true })
}

function killAll(pids: string): void {
  for (const pid of pids.split('\n').map(Number)) {
    if (!Number.isInteger(pid) || pid <= 1) continue
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // ended meanwhile
    }
  }
}

function sweepStale(): void {
  const names = [NETNS_DIR, NETNS_ETC].flatMap((dir) => (existsSync(dir) ? readdirSync(dir) : []))
  for (const name of new Set(names)) {
    const pid = NAME.exec(name)?.[1]
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) removeNamespaceNow(name)
  }
  if (process.env['PEERWAY_LAB_KEEP']) return
  for (const name of readdirSync(tmpdir())) {
    const pid = /^peerway-lab-(\d+)-/.exec(name)?.[1]
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) rmSync(join(tmpdir(), name), { recursive: true, force: true })
  }
}

function setExitHandlers(): void {
  const closeAll = () => {
    for (const namespaces of open) namespaces.closeNow()
  }
  process.on('exit', closeAll)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      closeAll()
      process.kill(process.pid, signal) // `once` took the handler away: the default action ends us
    })
  }
}
