import { CodedError, isCoded } from '../base/errors.ts'
import { Forwarding } from './forwarding.ts'
import type { HostConfig, HostNetwork, HostNetworkErrorCode } from './host-network.ts'
import {
  commandsFor,
  deleteRules,
  FLUSH_EXCLUDED,
  type Family,
  flushRoutes,
  isEmptyTable,
  readAddresses,
  readExcluded,
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
  readonly #forwarding: Forwarding
  #swept = false
  /** The TUN that routes of ours lead to. */
  #device: string | undefined
  #closed = false
  /** Changes run one after the other. */
  #queue: Promise<void> = Promise.resolve()

  constructor(run: Run = systemRun) {
    this.#run = run
    this.#forwarding = new Forwarding({ run })
  }

  set(want: HostConfig): Promise<readonly CodedError[]> {
    return this.#inTurn(async () => {
      if (this.#closed) return []
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
      const excluded: string[] = []
      for (const family of families) {
        const shown = await this.#ip(['-j', family, 'route', 'show', 'table', String(TABLE)])
        // A table that has never had a route is "does not exist" to iproute2.
        if (shown.status !== 0) continue
        routes.push(...readRoutes(shown.stdout, want.tunName, family))
        excluded.push(...readExcluded(shown.stdout))
      }
      const usable = (prefix: string): boolean => families.includes(prefix.includes(':') ? '-6' : '-4')
      const reachable = {
        ...want,
        addresses: want.addresses.filter(usable),
        serviceAddresses: want.serviceAddresses.filter(usable),
        routes: want.routes.filter(usable),
        excluded: want.excluded.filter(usable),
      }
      const batches = commandsFor(reachable, { ...state, routes, excluded })
      for (const family of families) {
        const rules = await this.#ip(['-j', family, 'rule', 'show'])
        await this.#batch(family, [...batches[family], ...ruleCommands(want.firewallMark, rules.stdout)])
      }
      return this.#serve(want)
    })
  }

  /** A machine that cannot carry packets for others is a member of its network all the same. */
  async #serve({ tunName, served }: HostConfig): Promise<readonly CodedError[]> {
    try {
      await this.#forwarding.set(tunName, served)
      return []
    } catch (error) {
      if (!isCoded(error)) throw error
      return [error]
    }
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
    await this.#forwarding.close()
    await this.#forwarding.sweep()
    for (const family of await this.#families()) {
      if (this.#device !== undefined) await this.#ip([family, ...flushRoutes(this.#device).split(' ')])
      const left = await this.#ip(['-j', family, 'route', 'show', 'table', String(TABLE)])
      if (left.status === 0 && !isEmptyTable(left.stdout)) continue
      for (const command of [FLUSH_EXCLUDED, ...deleteRules]) await this.#ip([family, ...command.split(' ')])
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

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#queue.then(work)
    this.#queue = next.then(
      () => {},
      () => {},
    )
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
