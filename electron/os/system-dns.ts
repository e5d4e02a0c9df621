// Makes the machine's programs ask the built-in resolver: through systemd-resolved where it manages names, else by
// /etc/resolv.conf, which is kept and put back, also after a crash: the file itself says where it was kept.

import { readFile, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { writeFileAtomic } from '../base/atomic-file.ts'
import { canonicalIp } from '../base/endpoint.ts'
import { CodedError, codeOf, messageOf } from '../base/errors.ts'
import { isBuiltInServer } from '../wire/dns/built-in.ts'
import { type Run, run as systemRun } from './run.ts'

export interface SystemDnsConfig {
  readonly tunName: string
  /** Where the built-in resolver answers. */
  readonly servers: readonly string[]
  readonly searchDomains: readonly string[]
  /** Domains that are asked for there alone, where the system can tell them apart. */
  readonly domains: readonly string[]
  /** Whether it is asked for all names. */
  readonly isDefault: boolean
}

export interface SystemDns {
  /** Throws 'os/…'. */
  set(want: SystemDnsConfig): Promise<void>
  /** Servers that the system used before, for what the built-in resolver does not answer itself. */
  readonly formerServers: readonly string[]
  /** Servers that the system uses beside ours, as found now; ours need not be set. */
  servers(): Promise<readonly string[]>
  /** True when somebody else has changed it since, and it has to be set again. */
  isLost(): Promise<boolean>
  /** As it was found; also what a run that was killed left. Never throws. */
  close(): Promise<void>
}

const MARK = '# Made by Peerway, whose resolver knows the names of the network. What was here before: '
/** First line of a kept file that was a link, before where it led. */
const LINK = '# link '
/** The C library takes no more (resolv.conf(5)). */
const MOST_SEARCH_BYTES = 1_024
/** Where systemd-resolved says whom it asks itself. */
const RESOLVED_UPLINKS = '/run/systemd/resolve/resolv.conf'
const RESOLVED_STUB = '127.0.0.53'
const RESOLVED_STUBS = ['/run/systemd/resolve/stub-resolv.conf', '/usr/lib/systemd/resolv.conf']

export class LinuxSystemDns implements SystemDns {
  readonly #run: Run
  readonly #path: string
  readonly #keep: string
  readonly #uplinks: string
  #formerServers: readonly string[] = []
  #tunName: string | undefined
  #written: string | undefined

  /** `keep`: the file that takes what was in `path`. */
  constructor({
    run = systemRun,
    path = '/etc/resolv.conf',
    keep,
    uplinks = RESOLVED_UPLINKS,
  }: {
    run?: Run
    path?: string
    keep: string
    uplinks?: string
  }) {
    this.#uplinks = uplinks
    this.#run = run
    this.#path = path
    this.#keep = keep
  }

  get formerServers(): readonly string[] {
    return this.#formerServers
  }

  async set(want: SystemDnsConfig): Promise<void> {
    if (await this.#isResolved()) return this.#tellResolved(want)
    const now = await this.#read()
    const kept = await this.#former(now)
    this.#formerServers = serversIn(kept).filter((server) => !want.servers.includes(server))
    const text = `${MARK}${keptAt(now) ?? this.#keep}\n${resolvConf(want, kept)}`
    if (now === text) {
      this.#written = text
      return
    }
    try {
      if (keptAt(now) === undefined) await this.#keepFormer(now)
      await this.#replace(text)
    } catch (error) {
      throw new CodedError(
        'os/refused',
        `Names of the network cannot be found: ${this.#path} cannot be written (${messageOf(error)}).`,
      )
    }
    this.#written = text
  }

  async servers(): Promise<readonly string[]> {
    const isResolved = await this.#isResolved()
    const text = isResolved
      ? await readFile(this.#uplinks, 'utf8').catch(() => '')
      : await this.#former(await this.#read())
    const found = serversIn(text).filter((server) => !isBuiltInServer(server))
    // Another network has others.
    if (isResolved && this.#tunName !== undefined && found.length > 0) this.#formerServers = found
    return found
  }

  async isLost(): Promise<boolean> {
    return this.#written !== undefined && (await this.#read()) !== this.#written
  }

  async close(): Promise<void> {
    if (this.#tunName !== undefined) await this.#run('resolvectl', ['revert', this.#tunName])
    this.#tunName = undefined
    this.#written = undefined
    const at = keptAt(await this.#read())
    if (at === undefined) return
    try {
      const kept = await readFile(at, 'utf8').catch(() => '')
      if (kept.startsWith(LINK)) await this.#relink(kept.slice(LINK.length).trim())
      else await this.#replace(kept)
      await rm(at, { force: true })
    } catch {
      // Read-only meanwhile: what is kept stays for the next time.
    }
  }

  async #isResolved(): Promise<boolean> {
    const target = await readlink(this.#path).catch(() => '')
    return RESOLVED_STUBS.includes(target.replace(/^(\.\.\/)+/, '/'))
  }

  async #tellResolved({ tunName, servers, searchDomains, domains, isDefault }: SystemDnsConfig): Promise<void> {
    this.#tunName = tunName
    // Asked for all names, its own stub would ask us again.
    const uplinks = await this.servers()
    this.#formerServers = uplinks.length > 0 || isDefault ? uplinks : [RESOLVED_STUB]
    for (const args of [
      ['dns', tunName, ...servers],
      ['domain', tunName, ...searchDomains, ...domains.map((domain) => `~${domain}`), ...(isDefault ? ['~.'] : [])],
      ['default-route', tunName, isDefault ? 'yes' : 'no'],
    ]) {
      const ran = await this.#run('resolvectl', args)
      if (ran.status !== 0)
        throw new CodedError(
          ran.status === 127 ? 'os/no-tool' : 'os/refused',
          `Names of the network cannot be found: "resolvectl ${args[0]}" said "${ran.stderr.trim().split('\n')[0] ?? ''}".`,
        )
    }
  }

  /** What the file said before us. */
  async #former(now: string): Promise<string> {
    const at = keptAt(now)
    if (at === undefined) return now
    const kept = await readFile(at, 'utf8').catch(() => '')
    if (!kept.startsWith(LINK)) return kept
    return readFile(resolve(dirname(this.#path), kept.slice(LINK.length).trim()), 'utf8').catch(() => '')
  }

  async #read(): Promise<string> {
    return readFile(this.#path, 'utf8').catch(() => '')
  }

  async #keepFormer(now: string): Promise<void> {
    const link = await readlink(this.#path).catch(() => undefined)
    await writeFileAtomic(this.#keep, link === undefined ? now : `${LINK}${link}\n`)
  }

  /** In one step where that is possible: a file that is bound over another one can only be written into. */
  async #replace(text: string): Promise<void> {
    const made = `${this.#path}.peerway-${process.pid}`
    try {
      await writeFile(made, text, { mode: 0o644 })
      await rename(made, this.#path)
    } catch (error) {
      await rm(made, { force: true })
      if (codeOf(error) !== 'EBUSY') throw error
      await writeFile(this.#path, text)
    }
  }

  async #relink(link: string): Promise<void> {
    const made = `${this.#path}.peerway-${process.pid}`
    await rm(made, { force: true })
    await symlink(link, made)
    await rename(made, this.#path)
  }
}

/** Where a file of ours says that the one before it was kept; undefined for a file of somebody else. */
function keptAt(text: string): string | undefined {
  return text.startsWith(MARK) ? text.slice(MARK.length, text.indexOf('\n')) : undefined
}

/** Addresses of the name servers, in order. */
export function serversIn(text: string): string[] {
  const found = [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].map(([, address = '']) => address)
  return found.filter((address) => canonicalIp(address.split('%')[0] ?? '') !== undefined)
}

/** Options of the machine's owner stay, search domains follow ours. */
export function resolvConf({ servers, searchDomains }: SystemDnsConfig, former: string): string {
  const words = (name: string): string[] =>
    [...former.matchAll(new RegExp(`^\\s*${name}\\s+(.+)$`, 'gm'))].flatMap(([, rest = '']) => rest.trim().split(/\s+/))
  const search: string[] = []
  for (const domain of new Set([...searchDomains, ...words('search'), ...words('domain')]))
    if ([...search, domain].join(' ').length <= MOST_SEARCH_BYTES && isDomain(domain)) search.push(domain)
  const options = words('options').filter((word) => /^[\w.:-]+$/.test(word))
  return [
    ...servers.map((server) => `nameserver ${server}`),
    ...(search.length > 0 ? [`search ${search.join(' ')}`] : []),
    ...(options.length > 0 ? [`options ${options.join(' ')}`] : []),
    '',
  ].join('\n')
}

/** What a server of a network says must not write lines of its own into the file. */
const isDomain = (text: string): boolean => /^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})$/.test(text)
