import { CodedError } from '../base/errors.ts'
import type { HostConfig, HostNetwork, HostNetworkErrorCode } from './host-network.ts'
import {
  commandsFor,
  deleteRules,
  type Family,
  flushRoutes,
  isEmptyTable,
  readAddresses,
  readRoutes,
  ruleCommands,
  TABLE,
} from './ip-route2.ts'
import { type Ran, run as systemRun, type Run } from './run.ts'

/**
 * Addresses, routes and rules through iproute2. Nothing of ours outlives the TUN device but the two rules per family;
 * those are removed on close, and before the first `set` in case an earlier run crashed.
 */
export class LinuxHostNetwork implements HostNetwork {
  readonly #run: Run
  #swept = false
  /** The TUN that routes of ours lead to. */
  #device: string | undefined
  #closed = false
  /** Changes run one after the other. */
  #queue: Promise<void> = Promise.resolve()

  constructor(run: Run = systemRun) {
    this.#run = run
  }

  set(want: HostConfig): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#closed) return
      if (!this.#swept) {
        await this.#undo()
        this.#swept = true
      }
      this.#device = want.tunName
      const link = await this.#ip(['-j', 'addr', 'show', 'dev', want.tunName])
      const state = readAddresses(link.stdout)
      if (link.status !== 0 || !state) throw explain(`ip addr show dev ${want.tunName}`, link)
      const families = await this.#families()
      const routes: string[] = []
      for (const family of families) {
        const shown = await this.#ip(['-j', family, 'route', 'show', 'table', String(TABLE)])
        // A table that has never had a route is "does not exist" to iproute2.
        if (shown.status === 0) routes.push(...readRoutes(shown.stdout, want.tunName))
      }
      const usable = (prefix: string): boolean => families.includes(prefix.includes(':') ? '-6' : '-4')
      const reachable = { ...want, addresses: want.addresses.filter(usable), routes: want.routes.filter(usable) }
      const batches = commandsFor(reachable, { ...state, routes })
      for (const family of families) {
        const rules = await this.#ip(['-j', family, 'rule', 'show'])
        await this.#batch(family, [...batches[family], ...ruleCommands(want.firewallMark, rules.stdout)])
      }
    })
  }

  close(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#closed) return
      this.#closed = true
      await this.#undo()
    })
  }

  /** Families the kernel has; IPv6 may be compiled out or disabled. */
  async #families(): Promise<Family[]> {
    const v6 = await this.#ip(['-6', 'rule', 'show'])
    return v6.status === 0 ? ['-4', '-6'] : ['-4']
  }

  /** A table that still has routes belongs to another agent in this network, whose rules these are too. */
  async #undo(): Promise<void> {
    for (const family of await this.#families()) {
      if (this.#device !== undefined) await this.#ip([family, ...flushRoutes(this.#device).split(' ')])
      const left = await this.#ip(['-j', family, 'route', 'show', 'table', String(TABLE)])
      if (left.status === 0 && !isEmptyTable(left.stdout)) continue
      for (const command of deleteRules) await this.#ip([family, ...command.split(' ')])
    }
  }

  async #batch(family: Family, commands: readonly string[]): Promise<void> {
    if (commands.length === 0) return
    const ran = await this.#run('ip', [family, '-batch', '-'], `${commands.join('\n')}\n`)
    if (ran.status !== 0) throw explain(`ip ${family} -batch`, ran)
  }

  #ip(args: readonly string[]): Promise<Ran> {
    return this.#run('ip', args)
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const next = this.#queue.then(work)
    this.#queue = next.catch(() => {})
    return next
  }
}

function explain(command: string, ran: Ran): CodedError<HostNetworkErrorCode> {
  if (ran.status === 127)
    return new CodedError(
      'os/no-tool',
      'The program "ip" is missing. Install it (Debian: apt-get install iproute2) and try again.',
    )
  if (/operation not permitted|permission denied/i.test(ran.stderr))
    return new CodedError(
      'os/no-rights',
      'Setting addresses and routes needs root or CAP_NET_ADMIN. Start Peerway with sudo, or give the agent that capability.',
    )
  return new CodedError(
    'os/refused',
    `The system refused "${command}": ${ran.stderr.trim().split('\n')[0] ?? 'no reason given'}`,
  )
}
