// Carrying packets between the tunnel and the networks beside this machine: the kernel's switch, and a table of netfilter.
// Building the table is pure; reading and changing the system is below.

import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import type { Logger } from '../base/log.ts'
import { CodedError, messageOf } from '../base/errors.ts'
import { TAILNET_RANGES } from '../base/endpoint.ts'
import { isDefaultRoute, OF_THIS_LINK } from '../base/prefix.ts'
import { run as systemRun, type Run } from './run.ts'

/** What this machine serves to the tailnet. */
export interface Served {
  /** Networks that others may reach through this machine. */
  readonly routes: readonly string[]
  /** Whether the internet too. */
  readonly isExit: boolean
}

/** One bit of the byte of marks that our own sockets use another of. */
const MARK = '0x00040000'
const MARK_MASK = '0x00ff0000'
/** Beside the internet: an exit node leads nobody into the networks it stands in, unless they are served as such. */
const PRIVATE = { ip: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', TAILNET_RANGES.ip], ip6: ['fc00::/7'] }
const TABLE_PREFIX = 'peerway-'

/** Interface names may hold what a table's name may not. */
export const tableName = (tun: string): string =>
  TABLE_PREFIX +
  (/^[a-zA-Z][a-zA-Z0-9]*$/.test(tun) ? tun : createHash('sha256').update(tun).digest('hex').slice(0, 12))

/**
 * The script for `nft -f -`. What comes out of the tunnel goes to served networks only and with this machine's address;
 * what goes in is an answer, or comes from a served network. This machine itself is met under its addresses in the tailnet
 * and in served networks, and under no others.
 */
export function forwardingScript(tun: string, { routes, isExit }: Served): string {
  const subnets = routes.filter((route) => !isDefaultRoute(route))
  const rules: string[] = [`iifname "${tun}" oifname "${tun}" drop`]
  const own: string[] = []
  for (const family of ['ip', 'ip6'] as const) {
    const here = subnets.filter((route) => route.includes(':') === (family === 'ip6'))
    own.push(`iifname "${tun}" ${family} daddr != { ${[TAILNET_RANGES[family], ...here].join(', ')} } drop`)
    rules.push(`iifname "${tun}" ${family} daddr { ${OF_THIS_LINK[family].join(', ')} } drop`)
    if (here.length > 0) {
      rules.push(`iifname "${tun}" ${family} daddr { ${here.join(', ')} } jump out`)
      rules.push(`oifname "${tun}" ${family} saddr { ${here.join(', ')} } accept`)
    }
    if (isExit) rules.push(`iifname "${tun}" ${family} daddr != { ${PRIVATE[family].join(', ')} } jump out`)
  }
  rules.push(`iifname "${tun}" drop`, `oifname "${tun}" ct state established,related accept`, `oifname "${tun}" drop`)
  const table = `inet ${tableName(tun)}`
  return `add table ${table}
delete table ${table}
table ${table} {
  chain out {
    meta mark set meta mark & 0xff00ffff | ${MARK} accept
  }
  chain input {
    type filter hook input priority filter; policy accept;
    ${own.join('\n    ')}
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    ${rules.join('\n    ')}
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    meta mark & ${MARK_MASK} == ${MARK} masquerade
  }
}
`
}

/** Where the kernel keeps its switches; another folder in tests. */
const SYSCTL = '/proc/sys/net'

export class Forwarding {
  readonly #run: Run
  readonly #sysctl: string
  readonly #log: Logger | undefined
  #tun: string | undefined
  #script: string | undefined
  /** Switches that were changed, with what they were. */
  readonly #changed = new Map<string, string>()

  constructor({ run = systemRun, sysctl = SYSCTL, log }: { run?: Run; sysctl?: string; log?: Logger } = {}) {
    this.#run = run
    this.#sysctl = sysctl
    this.#log = log
  }

  /** Serves these and nothing else from now on. Throws 'os/no-tool', 'os/no-rights' or 'os/refused'. */
  async set(tun: string, served: Served | undefined): Promise<void> {
    if (!served || (served.routes.length === 0 && !served.isExit)) return this.close()
    const script = forwardingScript(tun, served)
    if (script !== this.#script) {
      const ran = await this.#run('nft', ['-f', '-'], script)
      if (ran.status !== 0) throw explain(ran.status, ran.stderr)
      this.#tun = tun
      this.#script = script
    }
    const all = [...served.routes, ...(served.isExit ? ['0.0.0.0/0', '::/0'] : [])]
    if (all.some((route) => !route.includes(':'))) await this.#turnOn('ipv4/ip_forward')
    if (all.some((route) => route.includes(':'))) await this.#forwardV6()
  }

  /** As it was found. Never throws. */
  async close(): Promise<void> {
    if (this.#tun !== undefined) await this.#run('nft', ['delete', 'table', 'inet', tableName(this.#tun)])
    this.#tun = undefined
    this.#script = undefined
    for (const [name, before] of [...this.#changed].reverse())
      await writeFile(`${this.#sysctl}/${name}`, before).catch((error: unknown) =>
        this.#log?.warn('a switch of the kernel stays as it is', { name, error }),
      )
    this.#changed.clear()
  }

  /** Tables of runs that were killed: their devices went with them. */
  async sweep(): Promise<void> {
    const listed = await this.#run('nft', ['list', 'tables', 'inet'])
    if (listed.status !== 0) return
    for (const [, name = ''] of listed.stdout.matchAll(/^table inet (peerway-\S+)$/gm)) {
      const isUsed = (await readdir('/sys/class/net').catch(() => [])).some((device) => tableName(device) === name)
      if (!isUsed) await this.#run('nft', ['delete', 'table', 'inet', name])
    }
  }

  /** A router ignores router advertisements, which this host may live by, unless told to heed them all the same. */
  async #forwardV6(): Promise<void> {
    if (!existsSync(`${this.#sysctl}/ipv6`)) return
    if ((await this.#read('ipv6/conf/all/forwarding')) === '1') return
    for (const device of await readdir(`${this.#sysctl}/ipv6/conf`)) {
      const name = `ipv6/conf/${device}/accept_ra`
      if ((await this.#read(name)) === '1') await this.#write(name, '2')
    }
    await this.#turnOn('ipv6/conf/all/forwarding')
  }

  async #turnOn(name: string): Promise<void> {
    if ((await this.#read(name)) !== '1') await this.#write(name, '1')
  }

  async #read(name: string): Promise<string | undefined> {
    return (await readFile(`${this.#sysctl}/${name}`, 'utf8').catch(() => undefined))?.trim()
  }

  async #write(name: string, value: string): Promise<void> {
    const before = await this.#read(name)
    try {
      await writeFile(`${this.#sysctl}/${name}`, value)
    } catch (error) {
      throw new CodedError(
        'os/no-rights',
        `This machine cannot carry packets for others: setting net/${name} to ${value} failed (${messageOf(error)}). As root: sysctl -w net.${name.replaceAll('/', '.')}=${value}`,
      )
    }
    if (before !== undefined && !this.#changed.has(name)) this.#changed.set(name, before)
  }
}

function explain(status: number, stderr: string): CodedError {
  if (status === 127)
    return new CodedError(
      'os/no-tool',
      'This machine cannot carry packets for others: the program "nft" is missing. Install it (Debian: apt-get install nftables) and connect again.',
    )
  return new CodedError(
    /operation not permitted/i.test(stderr) ? 'os/no-rights' : 'os/refused',
    `This machine cannot carry packets for others: nft said "${stderr.trim().split('\n')[0] ?? ''}".`,
  )
}
